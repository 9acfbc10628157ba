// SPDX-License-Identifier: ISC
// pabal guard: who sends unusual mail, and what becomes of it.
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/guard_seed.h"
#include "command/rows.h"
#include "command/safe.h"
#include "command/table.h"
#include "smtp/address.h"

#include <stdio.h>
#include <string.h>

#define SEED_PAGE 500 // recipients of one request: at most 64 KiB

struct words {
	const char *during;      // --for
	bool all, json, back;
	const char *const *rest; // behind the action
	unsigned count;
};

// ---- list
static const char *ago(long long ms, char out[UNIT_TEXT_MAX])
{
	long long now = (long long)clock_wall_ms();
	return !ms ? "-" : unit_format_duration_short((uint64_t)(now > ms ? now - ms : 0), out);
}

// "38 new-recipients, 100 foreign-network"
static const char *reasons_of(const json_t *evidence, char *out, size_t size)
{
	const json_t *one;
	size_t n, used = 0;
	out[0] = '\0';
	json_array_foreach(json_object_get(evidence, "reasons"), n, one) {
		int len = snprintf(out + used, size - used, "%s%lld %s", used ? ", " : "",
			row_number(one, "count"), row_word(one, "signal"));
		if (len < 0 || (size_t)len >= size - used)
			break;
		used += (size_t)len;
	}
	return out;
}

static void add_incident(const json_t *row, void *arg)
{
	struct table *t = arg;
	char text[UNIT_TEXT_MAX], reasons[400];
	table_add(t, row_word(row, "subject"));
	table_add(t, row_word(row, "action"));
	table_add(t, ago(row_number(row, "started"), text));
	table_add(t, reasons_of(json_object_get(row, "evidence"), reasons, sizeof reasons));
}

static void add_state(const json_t *row, void *arg)
{
	struct table *t = arg;
	const json_t *day = json_object_get(row, "day"), *usual = json_object_get(row, "usual");
	const json_t *from[] = {day, usual, day, usual};
	const char *const keys[] = {"messages", "messages", "new_recipients", "new_recipients"};
	char text[UNIT_TEXT_MAX];
	table_add(t, row_word(row, "subject"));
	table_add(t, row_word(row, "action"));
	table_add(t, row_word(row, "profile"));
	table_add(t, ago(row_number(row, "last"), text));
	for (unsigned n = 0; n < 4; n++) {
		snprintf(text, sizeof text, "%lld", row_number(from[n], keys[n]));
		table_add(t, text);
	}
}

static int list(const struct config *c, const struct words *w, struct error *err)
{
	const char *const titles[] = {TEXT("WHO"), TEXT("ACTION"), TEXT("SINCE"), TEXT("WHY")};
	const char *const all_titles[] = {TEXT("WHO"), TEXT("ACTION"), TEXT("PROFILE"), TEXT("LAST"),
		TEXT("MESSAGES/DAY"), TEXT("USUAL"), TEXT("NEW/DAY"), TEXT("USUAL")};
	struct table t;
	json_t *arguments = json_pack("{s:b}", "all", w->all);
	table_init(&t, w->all ? ARRAY_SIZE(all_titles) : ARRAY_SIZE(titles), w->all ? all_titles : titles);
	for (size_t n = 4; w->all && n < ARRAY_SIZE(all_titles); n++)
		table_set_right(&t, n);
	int result = caller_run(c, "guard list", arguments,
		w->json ? caller_print_json : w->all ? add_state : add_incident, &t, NULL, err);
	if (!result && !w->json)
		table_print(&t);
	if (!result && !w->json && !t.count)
		puts(w->all ? TEXT("nobody sent mail yet") : TEXT("nothing is unusual"));
	table_finish(&t);
	json_decref(arguments);
	return result;
}

// ---- show
static void print_line(const char *key, const char *text)
{
	printf("%-16s ", key);
	safe_print(text);
	putchar('\n');
}

static void print_time(const char *key, long long ms)
{
	char text[CLOCK_DATE_MAX];
	if (ms)
		print_line(key, clock_format_rfc3339((uint64_t)ms, text));
}

static void print_counts(const char *key, const json_t *counts)
{
	const char *name;
	json_t *value;
	printf("%-16s", key);
	json_object_foreach((json_t *)counts, name, value)
		printf(" %s=%.0f", name, json_number_value(value));
	putchar('\n');
}

static void print_evidence(const json_t *evidence)
{
	const json_t *one;
	char text[200];
	size_t n;
	json_array_foreach(json_object_get(evidence, "reasons"), n, one) {
		snprintf(text, sizeof text, TEXT("%s: %lld (usual: up to %lld; limit: %lld), %lld points"),
			row_word(one, "signal"), row_number(one, "count"), row_number(one, "usual"),
			row_number(one, "limit"), row_number(one, "points"));
		print_line("  reason", text);
	}
	json_array_foreach(json_object_get(evidence, "networks"), n, one) {
		snprintf(text, sizeof text, TEXT("%s, %lld messages%s"), row_word(one, "network"),
			row_number(one, "messages"),
			json_is_true(json_object_get(one, "new")) ? TEXT(", new") : "");
		print_line("  network", text);
	}
	json_array_foreach(json_object_get(evidence, "recipients"), n, one)
		print_line("  recipient", json_string_value(one));
}

static void print_incident(const json_t *row)
{
	puts("");
	print_line("incident", row_word(row, "incident"));
	print_line("action", row_word(row, "action"));
	print_time("started", row_number(row, "started"));
	print_time("ended", row_number(row, "ended"));
	print_evidence(json_object_get(row, "evidence"));
}

static void print_row(const json_t *row, void *unused)
{
	(void)unused;
	if (json_object_get(row, "incident")) {
		print_incident(row);
		return;
	}
	print_line("subject", row_word(row, "subject"));
	print_line("action", row_word(row, "action"));
	print_time("since", row_number(row, "since"));
	print_line("profile", row_word(row, "profile"));
	print_time("last", row_number(row, "last"));
	print_time("learning until", row_number(row, "learning_until"));
	print_time("allowed until", row_number(row, "allowed_until"));
	print_counts("last day", json_object_get(row, "day"));
	print_counts("usual, a day", json_object_get(row, "usual"));
	print_evidence(json_object_get(row, "now"));
}

static json_t *subject_of(const struct words *w)
{
	return json_pack("{s:s}", "subject", w->rest[0]);
}

static int show(const struct config *c, const struct words *w, struct error *err)
{
	json_t *arguments = subject_of(w);
	int result = caller_run(c, "guard show", arguments, w->json ? caller_print_json : print_row, NULL,
		NULL, err);
	json_decref(arguments);
	return result;
}

// ---- what changes something: says what was done, or all of it as JSON
static int change(const struct config *c, const char *command, json_t *arguments, const struct words *w,
	const char *said, struct error *err)
{
	json_t *done = NULL;
	int result = arguments ? caller_run(c, command, arguments, NULL, NULL, &done, err) :
		error_set(err, ERR_SYNTAX, TEXT("a name must be UTF-8"));
	if (!result && w->json)
		caller_print_json(done, NULL);
	else if (!result && row_number(done, "count"))
		printf(TEXT("%s: %s (%lld recipients)\n"), row_word(done, "subject"), text_lookup(said),
			row_number(done, "count"));
	else if (!result)
		printf("%s: %s\n", row_word(done, "subject"), text_lookup(said));
	json_decref(done);
	json_decref(arguments);
	return result;
}

static int release(const struct config *c, const struct words *w, struct error *err)
{
	return change(c, "guard release", subject_of(w), w,
		TEXT_MARK("released, and it may send again"), err);
}

static int discard(const struct config *c, const struct words *w, struct error *err)
{
	return change(c, "guard discard", json_pack("{s:s, s:b}", "subject", w->rest[0], "return", w->back), w,
		w->back ? TEXT_MARK("sent back") :
		TEXT_MARK("thrown away"), err);
}

static int allow(const struct config *c, const struct words *w, struct error *err)
{
	json_t *arguments = subject_of(w);
	if (w->during)
		json_object_set_new(arguments, "for", json_string(w->during));
	return change(c, "guard allow", arguments, w, TEXT_MARK("may send again"), err);
}

static int learn(const struct config *c, const struct words *w, struct error *err)
{
	json_t *arguments = w->all ? json_pack("{s:b}", "all", 1) : w->count ? subject_of(w) : NULL;
	if (!arguments)
		return error_set(err, ERR_SYNTAX, TEXT("say whom, or --all"));
	if (w->during)
		json_object_set_new(arguments, "for", json_string(w->during));
	return change(c, "guard learn", arguments, w, TEXT_MARK("only looked on from now"), err);
}

static int profile(const struct config *c, const struct words *w, struct error *err)
{
	return change(c, "guard profile", json_pack("{s:s, s:s}", "subject", w->rest[0], "profile", w->rest[1]),
		w, TEXT_MARK("has another profile now"), err);
}

// ---- seed
// Recipients of one sender, gathered until they make a page.
struct page {
	char from[SMTP_ADDRESS_MAX];
	json_t *recipients;
};

#define SEED_SENDERS 64 // gathered at once

struct seed {
	const struct config *config;
	const char *subject;       // NULL: whom the mail is from
	struct page pages[SEED_SENDERS];
	unsigned next;
	unsigned long long count;
};

static int send_page(struct seed *s, struct page *p, struct error *err)
{
	json_t *arguments;
	int result = 0;
	if (!p->recipients)
		return 0;
	arguments = json_pack("{s:s, s:O}", "subject", s->subject ? s->subject : p->from, "recipients",
		p->recipients);
	s->count += json_array_size(p->recipients);
	if (arguments)
		result = caller_run(s->config, "guard seed", arguments, NULL, NULL, NULL, err);
	json_decref(arguments);
	json_decref(p->recipients);
	p->recipients = NULL;
	return result;
}

// What came out of the parser is looked at as if it came from anybody.
static int take_pair(void *arg, struct str from, struct str to, struct error *err)
{
	struct seed *s = arg;
	struct smtp_address sender, recipient;
	struct page *p = NULL;
	char key[SMTP_ADDRESS_MAX] = "";
	int result;
	if (smtp_address_parse(to, &recipient))
		return 0;
	if (!smtp_address_parse(from, &sender))
		smtp_address_key(&sender, key);
	if (!s->subject && (!key[0] || !config_is_local_domain(s->config, str_from(sender.domain))))
		return 0;
	if (s->subject && strchr(s->subject, '@') && key[0] && strcmp(key, s->subject))
		return 0; // a log has everybody's
	for (unsigned n = 0; n < SEED_SENDERS && !p; n++)
		if (s->pages[n].recipients && (s->subject || !strcmp(s->pages[n].from, key)))
			p = &s->pages[n];
	if (!p) {
		p = &s->pages[s->next++ % SEED_SENDERS];
		if ((result = send_page(s, p, err)))
			return result;
		memcpy(p->from, key, sizeof key);
		p->recipients = json_array();
	}
	json_array_append_new(p->recipients, json_string(recipient.text));
	return json_array_size(p->recipients) < SEED_PAGE ? 0 : send_page(s, p, err);
}

// The first word is a subject when it is no file.
static bool is_subject(const char *word)
{
	struct ipaddr address;
	return !strchr(word, '/') && (strchr(word, '@') || !ipaddr_parse(str_from(word), &address));
}

static int seed(const struct config *c, const struct words *w, struct error *err)
{
	struct seed s = {.config = c};
	unsigned first = is_subject(w->rest[0]);
	char *paths[8];
	unsigned count = 0;
	s.subject = first ? w->rest[0] : NULL;
	for (unsigned n = first; n < w->count && count < ARRAY_SIZE(paths); n++)
		paths[count++] = (char *)(uintptr_t)w->rest[n];
	if (!count)
		return error_set(err, ERR_SYNTAX, TEXT("name a log, a mail or a folder of sent mail"));
	int result = guard_seed_read(paths, count, take_pair, &s, err);
	for (unsigned n = 0; n < SEED_SENDERS; n++) {
		if (!result)
			result = send_page(&s, &s.pages[n], err);
		json_decref(s.pages[n].recipients);
	}
	if (!result && w->json)
		printf("{\"count\":%llu}\n", s.count);
	else if (!result)
		printf(TEXT("%llu recipients are known now\n"), s.count);
	return result;
}

// ---- actions
static const struct action {
	const char *name;
	unsigned least, most; // words behind it
	int (*run)(const struct config *c, const struct words *w, struct error *err);
} actions[] = {
	{"list", 0, 0, list}, {"show", 1, 1, show}, {"release", 1, 1, release}, {"discard", 1, 1, discard},
	{"allow", 1, 1, allow}, {"learn", 0, 1, learn}, {"profile", 2, 2, profile}, {"seed", 1, 7, seed},
};

int command_guard(int argc, char **argv)
{
	struct words w = {0};
	const struct option_row rows[] = {{"--for", &w.during, NULL}, {"--all", NULL, &w.all},
		{"--return", NULL, &w.back}};
	const struct action *action = NULL;
	struct options o;
	struct error err = {0};
	if (!options_parse(argc, argv, rows, ARRAY_SIZE(rows), &o))
		return COMMAND_USAGE;
	for (size_t n = 0; n < ARRAY_SIZE(actions) && o.word_count; n++)
		if (!strcmp(actions[n].name, o.words[0]))
			action = &actions[n];
	if (!action || o.word_count - 1 < action->least || o.word_count - 1 > action->most)
		return command_usage("guard");
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	w.json = o.json;
	w.rest = o.words + 1;
	w.count = o.word_count - 1;
	int result = action->run(c, &w, &err);
	config_destroy(c);
	return result ? caller_failed(&err) : COMMAND_OK;
}
