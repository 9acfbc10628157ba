// SPDX-License-Identifier: ISC
// pabal queue: looking at mail that waits, and moving it on.
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/safe.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

struct selection {
	const char *sender, *recipient, *domain, *account, *state, *limit;
	bool all;
};

// ---- list
static const char *when(long long ms, char out[UNIT_TEXT_MAX])
{
	long long now = (long long)clock_wall_ms();
	if (!ms)
		return "-";
	return ms <= now ? TEXT("now") : unit_format_duration_short((uint64_t)(ms - now), out);
}

static void add_row(const json_t *row, void *arg)
{
	struct table *t = arg;
	char text[UNIT_TEXT_MAX], tries[32];
	table_add(t, row_word(row, "message"));
	table_add(t, unit_format_duration_short((uint64_t)row_number(row, "age"), text));
	table_add(t, unit_format_size_short((uint64_t)row_number(row, "size"), text));
	table_add(t, row_word(row, "sender")[0] ? row_word(row, "sender") : "<>");
	table_add(t, row_word(row, "recipient"));
	table_add(t, row_word(row, "state"));
	bool held = !strcmp(row_word(row, "state"), "held");
	table_add(t, held ? "-" : when(row_number(row, "next_try"), text));
	snprintf(tries, sizeof tries, "%lld", row_number(row, "tries"));
	table_add(t, tries);
	table_add(t, held ? row_word(row, "hold_reason") : row_word(row, "reply"));
}

static int list(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	struct table t;
	const char *const titles[] = {TEXT("MESSAGE"), TEXT("AGE"), TEXT("SIZE"), TEXT("FROM"), TEXT("TO"),
		TEXT("STATE"), TEXT("NEXT TRY"), TEXT("TRIES"), TEXT("WHY")};
	table_init(&t, ARRAY_SIZE(titles), titles);
	table_set_right(&t, 2);
	table_set_right(&t, 7);
	json_t *done = NULL;
	int result = caller_run(c, "queue list", arguments, json ? caller_print_json : add_row, &t, &done,
		err);
	if (!result && !json) {
		table_print(&t);
		if (!t.count)
			puts(TEXT("nothing waits"));
	}
	if (!result && json_is_true(json_object_get(done, "more")))
		fprintf(stderr, TEXT("pabal: these are the first %lld; --limit N shows more\n"),
			row_number(done, "count"));
	json_decref(done);
	table_finish(&t);
	return result;
}

// ---- show: what is known of each recipient, a key a line; then of the message, and its headers
static const char *time_text(uint64_t ms, char out[CLOCK_DATE_MAX])
{
	return ms ? clock_format_rfc3339(ms, out) : "-";
}

static const char *age_text(uint64_t ms, char out[CLOCK_DATE_MAX])
{
	return unit_format_duration_short(ms, out);
}

static const char *size_text(uint64_t octets, char out[CLOCK_DATE_MAX])
{
	return unit_format_size_short(octets, out);
}

// Numbers that are more than that.
static const struct {
	const char *key;
	const char *(*text)(uint64_t value, char out[CLOCK_DATE_MAX]);
} units[] = {{"received", time_text}, {"expires", time_text}, {"next_try", time_text}, {"age", age_text},
	{"size", size_text}};

static void print_number(const char *key, uint64_t value)
{
	char text[CLOCK_DATE_MAX];
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(units[i].key, key)) {
			puts(units[i].text(value, text));
			return;
		}
	printf("%llu\n", (unsigned long long)value);
}

static void print_value(const char *key, const json_t *value)
{
	printf("%-14s ", key);
	if (json_is_string(value)) {
		safe_print(json_string_value(value));
		putchar('\n');
	} else if (json_is_integer(value)) {
		print_number(key, (uint64_t)json_integer_value(value));
	} else {
		puts(json_is_true(value) ? TEXT("yes") : TEXT("no"));
	}
}

static void print_row(const json_t *row, void *unused)
{
	const char *key;
	json_t *value;
	(void)unused;
	json_object_foreach((json_t *)row, key, value)
		if (strcmp(key, "headers") && (!json_is_string(value) || json_string_length(value)))
			print_value(key, value);
	putchar('\n');
	char *headers = safe_text(row_word(row, "headers"), true);
	fputs(headers, stdout);
	mem_free(headers);
}

static int show(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	return caller_run(c, "queue show", arguments, json ? caller_print_json : print_row, NULL, NULL, err);
}

// ---- moving on
static int change(const struct config *c, const char *command, json_t *arguments, bool json,
	struct error *err)
{
	json_t *done = NULL;
	int result = caller_run(c, command, arguments, NULL, NULL, &done, err);
	if (!result && json)
		caller_print_json(done, NULL);
	else if (!result)
		printf(TEXT("recipients: %lld\n"), row_number(done, "count"));
	json_decref(done);
	return result;
}

static int hold(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	return change(c, "queue hold", arguments, json, err);
}

static int release(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	return change(c, "queue release", arguments, json, err);
}

static int retry(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	return change(c, "queue retry", arguments, json, err);
}

static int delete_selected(const struct config *c, json_t *arguments, bool json, struct error *err)
{
	return change(c, "queue delete", arguments, json, err);
}

static const struct action {
	const char *name;
	bool needs_selection; // a change of everything has to be said
	int (*run)(const struct config *c, json_t *arguments, bool json, struct error *err);
} actions[] = {
	{"list", false, list},
	{"show", true, show},
	{"retry", true, retry},
	{"hold", true, hold},
	{"release", true, release},
	{"delete", true, delete_selected},
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	return NULL;
}

// What is given has to count: a selection that lost a word would mean more mail than was meant.
static int take_word(json_t *arguments, const char *key, const char *value, struct error *err)
{
	if (!value || (value[0] && json_object_set_new(arguments, key, json_string(value)) == 0))
		return 0;
	return error_set(err, ERR_SYNTAX, TEXT("the %s in a selection is a text and not empty"), key);
}

static int take_selection(json_t *arguments, const struct options *o, const struct selection *s,
	struct error *err)
{
	const struct {
		const char *key, *value;
	} words[] = {{"id", o->word_count > 1 ? o->words[1] : NULL}, {"sender", s->sender},
		{"recipient", s->recipient}, {"domain", s->domain}, {"account", s->account},
		{"state", s->state}};
	int result = 0;
	for (size_t i = 0; i < ARRAY_SIZE(words) && !result; i++)
		result = take_word(arguments, words[i].key, words[i].value, err);
	return result;
}

static int run(const struct config *c, const struct action *action, const struct options *o,
	const struct selection *s, struct error *err)
{
	json_t *arguments = json_object();
	int result = take_selection(arguments, o, s, err);
	if (!result && action->needs_selection && !json_object_size(arguments) && !s->all)
		result = error_set(err, ERR_SYNTAX, TEXT("say which: an id, --sender, --recipient, --domain, "
			"--account, --state or --all"));
	if (!result)
		result = take_word(arguments, "limit", s->limit, err);
	if (!result)
		result = action->run(c, arguments, o->json, err);
	json_decref(arguments);
	return result;
}

int command_queue(int argc, char **argv)
{
	struct selection s = {0};
	const struct option_row rows[] = {{"--sender", &s.sender, NULL}, {"--recipient", &s.recipient, NULL},
		{"--domain", &s.domain, NULL}, {"--account", &s.account, NULL}, {"--state", &s.state, NULL},
		{"--limit", &s.limit, NULL}, {"--all", NULL, &s.all}};
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o))
		return COMMAND_USAGE;
	const struct action *action = o.word_count ? find_action(o.words[0]) : NULL;
	if (!action || o.word_count > 2)
		return command_usage("queue");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	int result = run(c, action, &o, &s, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
