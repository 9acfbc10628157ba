// SPDX-License-Identifier: ISC
#include "command/options.h"

#include "base/buf.h"
#include "base/text.h"
#include "command/command.h"

#include <stdio.h>
#include <string.h>

// The row of "--name" or "--name=value".
static const struct option_row *find_row(const struct option_row *rows, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(str_from(rows[i].name), name))
			return &rows[i];
	return NULL;
}

static bool take_value(const char *given, const char *next, const char **out)
{
	const char *equals = strchr(given, '=');
	*out = equals ? equals + 1 : next;
	if (!*out)
		fprintf(stderr, TEXT("pabal: %s needs a value\n"), given);
	return *out != NULL;
}

static bool keep_value(const struct option_row *row, const char *value)
{
	struct option_values *several = row->values;
	if (!several) {
		*row->value = value;
		return true;
	}
	if (several->count == ARRAY_SIZE(several->items)) {
		fprintf(stderr, TEXT("pabal: %s came too often\n"), row->name);
		return false;
	}
	several->items[several->count++] = value;
	return true;
}

// Takes argv[*at]; false when it is wrong.
static bool take_option(char **argv, int *at, const struct option_row *rows, size_t row_count,
	struct options *out)
{
	const struct option_row shared[] = {{"-c", &out->config_path, NULL}, {"--json", NULL, &out->json}};
	const char *given = argv[*at], *next = argv[*at + 1]; // argv ends in NULL
	struct str name = str_slice(str_from(given), 0, strcspn(given, "="));
	const struct option_row *row = find_row(rows, row_count, name);
	if (!row)
		row = find_row(shared, ARRAY_SIZE(shared), name);
	if (!row || (row->flag && given[name.len] == '=')) {
		fprintf(stderr, TEXT("pabal: there is no option %s\n"), given);
		return false;
	}
	if (row->flag) {
		*row->flag = true;
		return true;
	}
	const char *value;
	if (!take_value(given, next, &value))
		return false;
	*at += value == next;
	return keep_value(row, value);
}

static bool take_word(const char *word, struct options *out)
{
	if (out->word_count == ARRAY_SIZE(out->words)) {
		fprintf(stderr, TEXT("pabal: too many arguments\n"));
		return false;
	}
	out->words[out->word_count++] = word;
	return true;
}

bool options_parse(int argc, char **argv, const struct option_row *rows, size_t row_count,
	struct options *out)
{
	bool words_only = false;
	*out = (struct options){.config_path = OPTIONS_CONFIG};
	for (int i = 1; i < argc; i++) {
		bool good = true;
		if (!words_only && !strcmp(argv[i], "--"))
			words_only = true;
		else if (!words_only && argv[i][0] == '-' && argv[i][1])
			good = take_option(argv, &i, rows, row_count, out);
		else
			good = take_word(argv[i], out);
		if (!good) {
			(void)command_usage(argv[0]);
			return false;
		}
	}
	return true;
}

bool options_no_words(const struct options *o, const char *command)
{
	if (!o->word_count)
		return true;
	fprintf(stderr, TEXT("pabal: \"%s\" is one word too many\n"), o->words[0]);
	(void)command_usage(command);
	return false;
}

struct config *options_config(const struct options *o)
{
	struct config_reader reader = config_reader_local();
	struct config_findings findings = {0};
	struct config *c = config_build_anyway(o->config_path, &reader, &findings);
	if (!c) {
		struct buf text = BUF_INIT;
		config_findings_print(&findings, &text);
		fputs(buf_cstr(&text), stderr);
		buf_finish(&text);
	}
	config_findings_finish(&findings);
	return c;
}
