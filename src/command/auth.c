// SPDX-License-Identifier: ISC
// pabal auth blocks: who is taken for a guesser now, and letting somebody in again.
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

static void take_row(const json_t *row, void *arg)
{
	struct table *t = arg;
	char text[UNIT_TEXT_MAX + 32];

	table_add(t, row_word(row, "network"));
	table_add(t, row_word(row, "account"));
	table_add(t, row_word(row, "scope"));
	snprintf(text, sizeof text, "%lld", row_number(row, "count"));
	table_add(t, text);
	table_add(t, unit_format_duration_short((uint64_t)row_number(row, "left_ms"), text));
}

static int list(const struct config *c, const struct options *o, struct error *err)
{
	const char *const titles[] = {
		TEXT("FROM"), TEXT("ACCOUNT"), TEXT("LIMIT"), TEXT("COUNT"), TEXT("LEFT")};
	struct table t;
	int result;

	if (o->json)
		return caller_run(c, "auth blocks list", NULL, caller_print_json, NULL, NULL, err);
	table_init(&t, ARRAY_SIZE(titles), titles);
	table_set_right(&t, 3);
	result = caller_run(c, "auth blocks list", NULL, take_row, &t, NULL, err);
	if (!result && !t.count)
		puts(TEXT("nobody is blocked"));
	table_print(&t);
	table_finish(&t);
	return result;
}

static int clear(const struct config *c, const struct options *o, struct error *err)
{
	const char *which = o->word_count > 2 ? o->words[2] : NULL;
	json_t *arguments = which ? json_pack("{s:s}", "which", which) : json_object();
	json_t *done = NULL;
	int result;

	if (!arguments || (which && !which[0])) {
		json_decref(arguments);
		return error_set(err, ERR_SYNTAX, TEXT("say an address, a network or a name"));
	}
	result = caller_run(c, "auth blocks clear", arguments, NULL, NULL, &done, err);
	if (!result && o->json)
		caller_print_json(done, NULL);
	else if (!result)
		printf(TEXT("blocks cleared: %lld\n"), row_number(done, "count"));
	json_decref(done);
	json_decref(arguments);
	return result;
}

int command_auth(int argc, char **argv)
{
	struct options o;
	struct error err = {0};

	if (!options_parse(argc, argv, NULL, 0, &o))
		return COMMAND_USAGE;
	bool known = o.word_count >= 2 && !strcmp(o.words[0], "blocks");
	bool lists = known && !strcmp(o.words[1], "list") && o.word_count == 2;
	bool clears = known && !strcmp(o.words[1], "clear") && o.word_count <= 3;
	if (!lists && !clears)
		return command_usage("auth");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = lists ? list(c, &o, &err) : clear(c, &o, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
