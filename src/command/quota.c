// SPDX-License-Identifier: ISC
// pabal quota: how full mailboxes may be, and are.
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

struct words {
	const char *name, *hard, *soft, *messages, *messages_soft;
	bool all, json;
};

// ---- tables
static void add_size(struct table *t, const json_t *row, const char *key)
{
	char text[UNIT_TEXT_MAX];
	long long n = row_number(row, key);
	table_add(t, n > 0 ? unit_format_size_short((uint64_t)n, text) : "");
}

static void add_number(struct table *t, const json_t *row, const char *key)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", row_number(row, key));
	table_add(t, row_number(row, key) ? text : "");
}

static void add_row(const json_t *row, void *arg)
{
	struct table *t = arg;
	char name[400];
	snprintf(name, sizeof name, "domain:%s", row_word(row, "domain"));
	table_add(t, row_word(row, "domain")[0] ? name : row_word(row, "name"));
	add_size(t, row, "octets");
	add_size(t, row, "quota_soft");
	add_size(t, row, "quota");
	add_number(t, row, "messages");
	add_number(t, row, "quota_messages_soft");
	add_number(t, row, "quota_messages");
	table_add(t, TEXT(row_word(row, row_word(row, "error")[0] ? "error" : "state")));
}

static int print_rows(const struct config *c, const char *command, json_t *arguments, bool json,
	struct error *err)
{
	const char *titles[] = {TEXT("mailbox"), TEXT("holds"), TEXT("soft"), TEXT("hard"),
		TEXT("messages"), TEXT("soft"), TEXT("hard"), TEXT("state")};
	struct table t;
	table_init(&t, ARRAY_SIZE(titles), titles);
	for (size_t i = 1; i < ARRAY_SIZE(titles) - 1; i++)
		table_set_right(&t, i);
	int result = caller_run(c, command, arguments, json ? caller_print_json : add_row, &t, NULL, err);
	table_print(&t);
	table_finish(&t);
	return result;
}

// ---- the steps
static json_t *name_of(const struct words *w)
{
	return w->name ? json_pack("{s:s}", "name", w->name) : json_object();
}

static int list(const struct config *c, const struct words *w, struct error *err)
{
	json_t *arguments = json_object();
	int result = caller_has_store(c) ? print_rows(c, "quota list", arguments, w->json, err) : 0;
	json_decref(arguments);
	return result;
}

static int show(const struct config *c, const struct words *w, struct error *err)
{
	json_t *arguments = name_of(w);
	int result = print_rows(c, "quota show", arguments, w->json, err);
	json_decref(arguments);
	return result;
}

static int set(const struct config *c, const struct words *w, struct error *err)
{
	const struct {
		const char *key, *value;
	} rows[] = {{"hard", w->hard}, {"soft", w->soft}, {"messages", w->messages},
		{"messages_soft", w->messages_soft}};
	json_t *arguments = name_of(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].value)
			json_object_set_new(arguments, rows[i].key, json_string(rows[i].value));
	int result = caller_run(c, "quota set", arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	if (!result)
		printf(TEXT("quota of %s changed\n"), w->name);
	return result;
}

static int recount(const struct config *c, const struct words *w, struct error *err)
{
	json_t *arguments = name_of(w);
	int result = print_rows(c, "quota recount", arguments, w->json, err);
	json_decref(arguments);
	return result;
}

static const struct {
	const char *name;
	int (*run)(const struct config *c, const struct words *w, struct error *err);
	bool named, sets;
} steps[] = {{"list", list, false, false}, {"show", show, true, false}, {"set", set, true, true},
	{"recount", recount, true, false}};

static bool fits(size_t step, const struct options *o, const struct words *w)
{
	bool values = w->hard || w->soft || w->messages || w->messages_soft;
	bool named = o->word_count == 2, recounts = steps[step].run == recount;
	if (values != steps[step].sets || o->word_count > 2 || (w->all && !recounts))
		return false;
	return recounts ? named != w->all : named == steps[step].named;
}

int command_quota(int argc, char **argv)
{
	struct words w = {0};
	const struct option_row rows[] = {{"--hard", &w.hard, NULL}, {"--soft", &w.soft, NULL},
		{"--messages", &w.messages, NULL}, {"--messages-soft", &w.messages_soft, NULL},
		{"--all", NULL, &w.all}};
	struct options o;
	struct error err = {0};
	size_t step = 0;
	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o))
		return COMMAND_USAGE;
	while (step < ARRAY_SIZE(steps) && (!o.word_count || strcmp(steps[step].name, o.words[0])))
		step++;
	if (step == ARRAY_SIZE(steps) || !fits(step, &o, &w))
		return command_usage(argv[0]);
	w.name = o.word_count == 2 ? o.words[1] : NULL;
	w.json = o.json;
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = steps[step].run(c, &w, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
