// SPDX-License-Identifier: ISC
// pabal address and pabal domain: where addresses lead.
#include "base/text.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/safe.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

struct action {
	const char *name, *command;
	unsigned least, most; // words behind it
	int (*run)(const struct config *c, const struct action *a, const struct options *o,
		unsigned first, struct error *err);
};

static json_t *arguments_of(const struct options *o, unsigned first, const char *second)
{
	json_t *arguments = json_object(), *targets = json_array();
	if (first < o->word_count)
		json_object_set_new(arguments, "name", json_string(o->words[first]));
	for (unsigned i = first + 1; i < o->word_count; i++)
		json_array_append_new(targets, json_string(o->words[i]));
	if (second && first + 1 < o->word_count)
		json_object_set_new(arguments, second, json_string(o->words[first + 1]));
	json_object_set_new(arguments, "targets", targets);
	return arguments;
}

// ---- changes
static int change(const struct config *c, const struct action *a, const struct options *o,
	unsigned first, struct error *err)
{
	json_t *arguments = arguments_of(o, first, "of"), *done = NULL;
	int result = caller_run(c, a->command, arguments, NULL, NULL, &done, err);
	if (!result && o->json)
		caller_print_json(done, NULL);
	else if (!result && !strcmp(a->name, "add"))
		printf(TEXT("%s leads to %s%s\n"), row_word(done, "name"), o->words[first + 1],
			o->word_count > first + 2 ? TEXT(" and others") : "");
	else if (!result && o->word_count > first + 1)
		printf(TEXT("%s changed\n"), row_word(done, "name"));
	else if (!result)
		printf(TEXT("%s is no alias any more\n"), row_word(done, "name"));
	json_decref(arguments);
	json_decref(done);
	return result;
}

// ---- lists
static void add_row(const json_t *row, void *arg)
{
	table_add(arg, row_word(row, "name"));
	table_add(arg, row_word(row, "targets"));
}

static int list(const struct config *c, const struct action *a, const struct options *o,
	unsigned first, struct error *err)
{
	struct table t;
	const char *const titles[] = {
		strstr(a->command, "domain") ? TEXT("DOMAIN") : TEXT("ADDRESS"), TEXT("LEADS TO")};
	json_t *arguments = arguments_of(o, first, NULL);
	table_init(&t, 2, titles);
	int result = caller_run(
		c, a->command, arguments, o->json ? caller_print_json : add_row, &t, NULL, err);
	json_decref(arguments);
	if (!result && !o->json && t.count)
		table_print(&t);
	else if (!result && !o->json)
		puts(TEXT("no aliases; those of aliases files stand in these files"));
	table_finish(&t);
	return result;
}

// ---- explain
static void print_part(const char *before, const char *text)
{
	if (!text[0])
		return;
	fputs(before, stdout);
	safe_print(text);
}

static void print_end(const json_t *row)
{
	const char *end = row_word(row, "end");
	bool error = !strcmp(end, "error");
	printf("=> %s ", error ? row_word(row, "status") : TEXT(end));
	safe_print(row_word(row, error ? "words" : "address"));
	print_part(TEXT(", detail "), row_word(row, "detail"));
	print_part(TEXT(", failures go to "), row_word(row, "owner"));
	putchar('\n');
}

static void print_row(const json_t *row, void *arg)
{
	(void)arg;
	if (row_word(row, "end")[0]) {
		print_end(row);
		return;
	}
	printf("%*s", (int)(2 * row_number(row, "depth")), "");
	safe_print(row_word(row, "address"));
	printf(": %s", TEXT(row_word(row, "step")));
	print_part(" -> ", row_word(row, "to"));
	print_part(" (", row_word(row, "where"));
	puts(row_word(row, "where")[0] ? ")" : "");
}

static int explain(const struct config *c, const struct action *a, const struct options *o,
	unsigned first, struct error *err)
{
	json_t *arguments = arguments_of(o, first, NULL), *done = NULL;
	int result = caller_run(c, a->command, arguments, o->json ? caller_print_json : print_row,
		NULL, &done, err);
	if (!result && o->json)
		caller_print_json(done, NULL);
	else if (!result && json_is_true(json_object_get(done, "too_many")))
		puts(TEXT("=> 5.4.6 it leads to too many addresses, or over too many aliases"));
	else if (!result && json_is_true(json_object_get(done, "unread")))
		puts(TEXT("=> 4.2.4 a file that its alias includes cannot be read now; its mail waits"));
	else if (!result && !row_number(done, "ends"))
		puts(TEXT("=> 5.4.6 it leads to itself, or to nobody"));
	json_decref(arguments);
	json_decref(done);
	return result;
}

// ---- actions
static const struct action address_actions[] = {
	{"add", "address add", 2, 62, change},
	{"remove", "address remove", 1, 62, change},
	{"list", "address list", 0, 0, list},
	{"show", "address show", 1, 1, list},
	{"explain", "address explain", 1, 1, explain},
};
static const struct action domain_actions[] = {
	{"add", "domain alias add", 2, 2, change},
	{"remove", "domain alias remove", 1, 1, change},
	{"list", "domain alias list", 0, 0, list},
};

static int run(const char *command, const struct action *actions, size_t count,
	const struct options *o, unsigned first)
{
	struct error err = {0};
	const struct action *a = NULL;
	for (size_t i = 0; i < count && first < o->word_count; i++)
		if (!strcmp(actions[i].name, o->words[first]))
			a = &actions[i];
	unsigned words = o->word_count - first - 1;
	if (!a || words < a->least || words > a->most)
		return command_usage(command);
	struct config *c = options_config(o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = a->run(c, a, o, first + 1, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}

int command_address(int argc, char **argv)
{
	struct options o;
	if (!options_parse(argc, argv, NULL, 0, &o))
		return COMMAND_USAGE;
	return run("address", address_actions, ARRAY_SIZE(address_actions), &o, 0);
}

int command_domain(int argc, char **argv)
{
	struct options o;
	if (!options_parse(argc, argv, NULL, 0, &o))
		return COMMAND_USAGE;
	if (!o.word_count || strcmp(o.words[0], "alias"))
		return command_usage("domain");
	return run("domain", domain_actions, ARRAY_SIZE(domain_actions), &o, 1);
}
