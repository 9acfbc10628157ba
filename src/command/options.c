// SPDX-License-Identifier: ISC
#include "command/options.h"

#include "base/buf.h"
#include "base/text.h"
#include "command/command.h"

#include <stdio.h>
#include <string.h>

static const struct option_row *find_row(const struct option_row *rows, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

// Takes argv[*at]; false when it is wrong.
static bool take_option(int argc, char **argv, int *at, const struct option_row *row, struct options *out)
{
	const char *name = argv[*at];
	const char **value = row ? row->value : !strcmp(name, "-c") ? &out->config_path : NULL;
	if (value) {
		if (++*at >= argc) {
			fprintf(stderr, TEXT("pabal: %s needs a value\n"), name);
			return false;
		}
		*value = argv[*at];
		return true;
	}
	bool *flag = row ? row->flag : !strcmp(name, "--json") ? &out->json : NULL;
	if (!flag) {
		fprintf(stderr, TEXT("pabal: there is no option %s\n"), name);
		return false;
	}
	*flag = true;
	return true;
}

bool options_parse(int argc, char **argv, const struct option_row *rows, size_t row_count,
	struct options *out)
{
	*out = (struct options){.config_path = OPTIONS_CONFIG};
	for (int i = 1; i < argc; i++) {
		bool good;
		if (argv[i][0] == '-' && argv[i][1])
			good = take_option(argc, argv, &i, find_row(rows, row_count, argv[i]), out);
		else if ((good = out->word_count < sizeof out->words / sizeof *out->words))
			out->words[out->word_count++] = argv[i];
		if (!good) {
			(void)command_usage(argv[0]);
			return false;
		}
	}
	return true;
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
