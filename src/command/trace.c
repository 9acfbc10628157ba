// SPDX-License-Identifier: ISC
// pabal trace: the story of one message, one address or one client, an event a line.
#include "base/clock.h"
#include "base/id.h"
#include "base/ipaddr.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/safe.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

struct story {
	bool json;
	unsigned long count;
};

// "2026-11-22T01:00:00.123Z  refuse  rule=relay-denied from=… …": what is the same on every line
// of a log (level, process) is left out.
static void print_event(const json_t *row, void *arg)
{
	static const char *const skipped[] = {"time", "level", "process", "event"};
	struct story *story = arg;
	const json_t *event = json_object_get(row, "event");
	const char *key;
	json_t *value;
	story->count++;
	if (!json_is_object(event))
		event = row;
	if (story->json) {
		caller_print_json(event, NULL);
		return;
	}
	printf("%s  %s%-10s%s", row_word(event, "time"), table_colour("bold"), row_word(event, "event"),
		table_colour(""));
	json_object_foreach((json_t *)event, key, value) {
		bool skip = false;
		for (size_t i = 0; i < ARRAY_SIZE(skipped); i++)
			skip |= !strcmp(skipped[i], key);
		if (!skip && json_is_string(value)) {
			printf("  %s=", key);
			safe_print(json_string_value(value));
		} else if (!skip && json_is_integer(value)) {
			printf("  %s=%lld", key, (long long)json_integer_value(value));
		}
	}
	putchar('\n');
}

// An id, the address of a client, or an address of mail: each looks different.
static const char *kind_of(const char *what)
{
	struct ipaddr address;
	uint64_t id;
	if (strchr(what, '@'))
		return "address";
	if (!ipaddr_parse(str_from(what), &address))
		return "client";
	return !id_parse(str_from(what), &id) ? "id" : NULL;
}

// What is none of them is the name of an account without its domain.
static json_t *arguments_of(const struct config *c, const char *what)
{
	char name[1024];
	const char *kind = kind_of(what);
	if (kind)
		return json_pack("{s:s}", kind, what);
	snprintf(name, sizeof name, "%s@%.*s", what, STR_ARG(c->auth.default_domain));
	return json_pack("{s:s}", "address", name);
}

static int run(const struct config *c, const char *what, const char *since, struct story *story,
	struct error *err)
{
	uint64_t back = 0;
	if (since && unit_parse_duration(str_from(since), &back))
		return error_set(err, ERR_SYNTAX, TEXT("--since takes a duration such as 2h or 3d"));
	json_t *arguments = arguments_of(c, what);
	if (!arguments)
		return error_set(err, ERR_SYNTAX, TEXT("what is looked for must be UTF-8"));
	if (back)
		(void)json_object_set_new(arguments, "since",
			json_integer((json_int_t)(clock_wall_ms() - back)));
	int result = caller_run(c, "trace", arguments, print_event, story, NULL, err);
	json_decref(arguments);
	return result;
}

int command_trace(int argc, char **argv)
{
	const char *since = NULL;
	const struct option_row rows[] = {{"--since", &since, NULL}};
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, rows, 1, &o))
		return COMMAND_USAGE;
	if (o.word_count != 1)
		return command_usage("trace");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	struct story story = {.json = o.json};
	int result = run(c, o.words[0], since, &story, &err);
	config_destroy(c);
	if (result)
		return caller_failed(&err);
	if (!story.count) {
		fprintf(stderr, TEXT("pabal: nothing is known of %s\n"), o.words[0]);
		return COMMAND_FAILED;
	}
	return COMMAND_OK;
}
