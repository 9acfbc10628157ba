// SPDX-License-Identifier: ISC
// pabal limits: what is in force for whom, and how much of each rate is used.
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

struct view {
	struct table limits, rates;
};

static void add_value(struct table *t, const json_t *row)
{
	const json_t *value = json_object_get(row, "value");
	const char *unit = row_word(row, "unit");
	uint64_t number = (uint64_t)json_integer_value(value);
	char text[UNIT_TEXT_MAX + 8];

	if (!json_is_integer(value))
		table_add(t, TEXT("none"));
	else if (!strcmp(unit, "octets"))
		table_add(t, unit_format_size(number, text));
	else if (!strcmp(unit, "ms"))
		table_add(t, unit_format_duration(number, text));
	else {
		snprintf(text, sizeof text, "%llu", (unsigned long long)number);
		table_add(t, text);
	}
}

static void add_number(struct table *t, const json_t *row, const char *key)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", row_number(row, key));
	table_add(t, text);
}

static void take_row(const json_t *row, void *arg)
{
	struct view *v = arg;
	char text[UNIT_TEXT_MAX];

	if (json_object_get(row, "limit")) {
		table_add(&v->limits, row_word(row, "limit"));
		add_value(&v->limits, row);
		table_add(&v->limits, row_word(row, "where"));
		return;
	}
	table_add(&v->rates, json_object_get(row, "rate") ? row_word(row, "rate") : row_word(row, "key"));
	table_add(&v->rates, row_word(row, "action"));
	add_number(&v->rates, row, "used");
	add_number(&v->rates, row, "reserved");
	table_add(&v->rates, row_number(row, "left_ms") ?
		unit_format_duration_short((uint64_t)row_number(row, "left_ms"), text) : "");
	table_add(&v->rates, row_word(row, "where"));
}

static int show(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	const char *const of_limits[] = {TEXT("LIMIT"), TEXT("VALUE"), TEXT("WHERE")};
	const char *const of_rates[] = {TEXT("RATE"), TEXT("ACTION"), TEXT("USED"), TEXT("RESERVED"),
		TEXT("LEFT"), TEXT("WHERE")};
	struct view v;
	int result;

	if (json)
		return caller_run(c, "limits", arguments, caller_print_json, NULL, NULL, err);
	table_init(&v.limits, ARRAY_SIZE(of_limits), of_limits);
	table_init(&v.rates, ARRAY_SIZE(of_rates), of_rates);
	table_set_right(&v.limits, 1);
	table_set_right(&v.rates, 2);
	table_set_right(&v.rates, 3);
	result = caller_run(c, "limits", arguments, take_row, &v, NULL, err);
	table_print(&v.limits);
	if (v.limits.count && v.rates.count)
		putchar('\n');
	table_print(&v.rates);
	if (!result && !v.limits.count && !v.rates.count)
		puts(TEXT("nothing is counted; --account, --client and --server show what is in force"));
	table_finish(&v.limits);
	table_finish(&v.rates);
	return result;
}

static int reset(const struct config *c, const char *key, struct error *err)
{
	json_t *arguments = json_pack("{s:s}", "key", key);
	int result;

	if (!arguments)
		return error_set(err, ERR_SYNTAX, TEXT("the words must be UTF-8"));
	result = caller_run(c, "limits reset", arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	if (!result)
		printf(TEXT("%s counts from nothing again\n"), key);
	return result;
}

int command_limits(int argc, char **argv)
{
	const char *account = NULL, *client = NULL, *server = NULL;
	const struct option_row rows[] = {{"--account", &account, NULL}, {"--client", &client, NULL},
		{"--server", &server, NULL}};
	struct options o;
	struct error err = {0};
	int result;

	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o))
		return COMMAND_USAGE;
	bool resets = o.word_count == 2 && !strcmp(o.words[0], "reset");
	if (o.word_count && !resets)
		return command_usage("limits");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	json_t *arguments = json_pack("{s:s, s:s, s:s}", "name", account ? account : "", "client",
		client ? client : "", "server", server ? server : "");
	if (!arguments)
		result = error_set(&err, ERR_SYNTAX, TEXT("the words must be UTF-8"));
	else if (resets)
		result = reset(c, o.words[1], &err);
	else
		result = show(c, arguments, o.json, &err);
	json_decref(arguments);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
