// SPDX-License-Identifier: ISC
// pabal status: the whole server on one screen, and what to do next. Exit 0 when all is well.
#include "base/clock.h"
#include "base/text.h"
#include "base/unit.h"
#include "command/caller.h"
#include "command/command.h"
#include "command/rows.h"
#include "command/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CERTIFICATE_WARN_DAYS 14
#define ADVICE_MAX 16

struct view {
	bool json;
	bool queue_down, auth_down; // nobody would answer
	struct table roles, listeners, certificates, causes, skipped;
	char tables[160];           // rules, domains and aliases out of files; "" : none
	char advice[ADVICE_MAX][512];
	unsigned advice_count;
};

static void advise(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void advise(struct view *v, const char *format, ...)
{
	va_list args;
	if (v->advice_count == ADVICE_MAX)
		return;
	va_start(args, format);
	vsnprintf(v->advice[v->advice_count++], sizeof v->advice[0], format, args);
	va_end(args);
}

static void add_number(struct table *t, long long n)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", n);
	table_add(t, text);
}

static void add_age(struct table *t, long long ms)
{
	char text[UNIT_TEXT_MAX];
	table_add(t, unit_format_duration_short(ms > 0 ? (uint64_t)ms : 0, text));
}

// ---- rows of master
static void take_role(struct view *v, const json_t *row)
{
	char name[64];
	snprintf(name, sizeof name, "%s[%lld]", row_word(row, "role"), row_number(row, "index"));
	if (!strcmp(row_word(row, "role"), "auth"))
		v->auth_down = strcmp(row_word(row, "state"), "ready") != 0;
	if (!strcmp(row_word(row, "role"), "queue"))
		v->queue_down = strcmp(row_word(row, "state"), "ready") != 0;
	table_add(&v->roles, name);
	table_add(&v->roles, text_lookup(row_word(row, "state")));
	add_number(&v->roles, row_number(row, "pid"));
	add_age(&v->roles, row_number(row, "uptime_ms"));
	add_number(&v->roles, row_number(row, "restarts"));
	if (!strcmp(row_word(row, "state"), "down"))
		advise(v, TEXT("%s is down; the log says why it ended"), name);
	else if (row_number(row, "restarts") > 3)
		advise(v, TEXT("%s was restarted %lld times; the log says why"), name,
			row_number(row, "restarts"));
}

static void take_listener(struct view *v, const json_t *row)
{
	char where[80];
	const char *address = row_word(row, "address");
	snprintf(where, sizeof where, strchr(address, ':') ? "[%s]:%lld" : "%s:%lld", address,
		row_number(row, "port"));
	table_add(&v->listeners, row_word(row, "server"));
	table_add(&v->listeners, where);
	table_add(&v->listeners, row_word(row, "tls"));
}

static void take_certificate(struct view *v, const json_t *row)
{
	long long days = row_number(row, "days");
	table_add(&v->certificates, row_word(row, "file"));
	table_add(&v->certificates, row_word(row, "names"));
	add_number(&v->certificates, days);
	if (days < 0)
		advise(v, TEXT("the certificate %s has ended; renew it, it is picked up by itself"),
			row_word(row, "file"));
	else if (days < CERTIFICATE_WARN_DAYS)
		advise(v, TEXT("the certificate %s ends in %lld days; renew it, it is picked up by itself"),
			row_word(row, "file"), days);
	if (strstr(row_word(row, "file"), "/self-signed.pem"))
		advise(v, "%s", TEXT("the certificate is self-signed: clients warn about it; set `tls { "
			"certificate \"…\" }`"));
}

static void take_tables(struct view *v, const json_t *row)
{
	char age[UNIT_TEXT_MAX];
	uint64_t made = (uint64_t)row_number(row, "made_ms"), now = clock_wall_ms();
	snprintf(v->tables, sizeof v->tables, TEXT("rules, domains and aliases: %lld files, read %s ago"),
		row_number(row, "files"), unit_format_duration_short(now > made ? now - made : 0, age));
	if (row_word(row, "failure")[0])
		advise(v, TEXT("rules, domains and aliases stay as they were: %s"), row_word(row, "failure"));
}

static const struct {
	const char *kind;
	void (*take)(struct view *v, const json_t *row);
} kinds[] = {{"role", take_role}, {"listener", take_listener}, {"certificate", take_certificate},
	{"tables", take_tables}};

static void take_row(const json_t *row, void *arg)
{
	struct view *v = arg;
	if (v->json)
		caller_print_json(row, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].kind, row_word(row, "kind")))
			kinds[i].take(v, row);
}

// ---- rows of queue: the last refusals and deferrals by cause
static void take_cause(const json_t *row, void *arg)
{
	struct view *v = arg;
	char age[UNIT_TEXT_MAX];
	if (v->json)
		caller_print_json(row, NULL);
	uint64_t last = (uint64_t)row_number(row, "last_ms"), now = clock_wall_ms();
	table_add(&v->causes, row_word(row, "event"));
	table_add(&v->causes, row_word(row, "rule"));
	add_number(&v->causes, row_number(row, "count"));
	table_add(&v->causes, unit_format_duration_short(now > last ? now - last : 0, age));
}

// ---- printing
static void print_section(const char *title, const struct table *t)
{
	if (!t->count)
		return;
	printf("\n%s%s%s\n", table_colour("bold"), title, table_colour(""));
	table_print(t);
}

static void print_queue(struct view *v, const json_t *queue)
{
	char age[UNIT_TEXT_MAX], size[UNIT_TEXT_MAX];
	unsigned long long oldest = (unsigned long long)row_number(queue, "oldest_received_ms");
	uint64_t now = clock_wall_ms();
	printf(TEXT("queue: %lld messages, recipients due %lld, being tried %lld, held %lld"),
		row_number(queue, "messages"), row_number(queue, "due"), row_number(queue, "claimed"),
		row_number(queue, "held"));
	if (oldest && oldest < now)
		printf(TEXT("; the oldest came %s ago"), unit_format_duration_short(now - oldest, age));
	printf(TEXT("\ndisk: %s free (%lld%%)\n"),
		unit_format_size_short((uint64_t)row_number(queue, "disk_free"), size),
		row_number(queue, "disk_free_percent"));
	if (json_is_true(json_object_get(queue, "full")))
		advise(v, "%s", TEXT("new mail is refused for want of disk space; make room or lower "
			"`queue { min-free-size }`"));
	if (json_is_true(json_object_get(queue, "hold")))
		advise(v, "%s", TEXT("mail is taken and not delivered: `queue { hold yes }` is set"));
	if (json_is_true(json_object_get(queue, "port25_blocked")))
		advise(v, "%s", TEXT("no host can be reached on port 25: the provider seems to block it; "
			"send by a smart host with `route \"*\" { smtp \"host:587\" user \"…\" "
			"password-file \"…\" }`"));
	if (row_number(queue, "held") > 0)
		advise(v, TEXT("%lld recipients are held; `pabal queue list --state held` shows them"),
			row_number(queue, "held"));
}

static void print_blocked(const json_t *auth)
{
	if (row_number(auth, "count") > 0)
		printf(TEXT("logins: %lld blocked for guessing; `pabal auth blocks list` shows them\n"),
			row_number(auth, "count"));
}

// ---- rows of auth: sources that were too slow a moment ago
static void take_skipped(const json_t *row, void *arg)
{
	struct view *v = arg;
	char left[UNIT_TEXT_MAX];
	if (v->json)
		caller_print_json(row, NULL);
	unit_format_duration_short((uint64_t)row_number(row, "left_ms"), left);
	table_add(&v->skipped, row_word(row, "source"));
	table_add(&v->skipped, left);
	advise(v, TEXT("the password source \"%s\" was too slow and is not asked for now; the log says "
		"since when"), row_word(row, "source"));
}

// Nothing where there are no passwords of ours, or auth is being started again.
static json_t *ask_auth(const struct config *c, struct view *v)
{
	json_t *arguments = json_pack("{s:b}", "count", 1), *done = NULL;
	struct error unused = {0};
	(void)caller_run(c, "auth blocks list", arguments, NULL, NULL, &done, &unused);
	(void)caller_run(c, "auth sources", NULL, take_skipped, v, NULL, &unused);
	json_decref(arguments);
	return done;
}

static void print_advice(const struct view *v)
{
	if (!v->advice_count) {
		printf("\n%s%s%s\n", table_colour("good"), TEXT("all is well"), table_colour(""));
		return;
	}
	printf("\n%s%s%s\n", table_colour("bold"), TEXT("what to do"), table_colour(""));
	for (unsigned i = 0; i < v->advice_count; i++)
		printf("- %s\n", v->advice[i]);
}

static void print_head(struct view *v, const json_t *master)
{
	char age[UNIT_TEXT_MAX];
	uint64_t now = clock_wall_ms(), since = (uint64_t)row_number(master, "started_ms");
	bool ready = json_is_true(json_object_get(master, "ready"));
	printf(TEXT("Pabal %s on %s, %s%s%s, up %s, configuration %s (generation %lld)\n"),
		row_word(master, "version"), row_word(master, "hostname"), table_colour(ready ? "good" : "bad"),
		ready ? TEXT("serving") : TEXT("not serving"), table_colour(""),
		unit_format_duration_short(now > since ? now - since : 0, age),
		row_word(master, "configuration"), row_number(master, "generation"));
	printf(TEXT("DNS: %s\n"), row_word(master, "dns"));
	if (v->tables[0])
		printf("%s\n", v->tables);
	if (!ready)
		advise(v, "%s", TEXT("not every role is ready; the log says why"));
	if (row_word(master, "reload_error")[0])
		advise(v, TEXT("the configuration on disk is refused and the old one is in force: %s"),
			row_word(master, "reload_error"));
}

static void init_view(struct view *v, bool json)
{
	const char *const roles[] = {TEXT("ROLE"), TEXT("STATE"), TEXT("PID"), TEXT("UP"), TEXT("RESTARTS")};
	const char *const listeners[] = {TEXT("SERVER"), TEXT("LISTENS ON"), TEXT("TLS")};
	const char *const certificates[] = {TEXT("CERTIFICATE"), TEXT("NAMES"), TEXT("DAYS LEFT")};
	const char *const causes[] = {TEXT("EVENT"), TEXT("RULE"), TEXT("COUNT"), TEXT("LAST")};
	const char *const skipped[] = {TEXT("PASSWORD SOURCE"), TEXT("TRIED AGAIN IN")};
	*v = (struct view){.json = json};
	table_init(&v->roles, 5, roles);
	table_init(&v->listeners, 3, listeners);
	table_init(&v->certificates, 3, certificates);
	table_init(&v->causes, 4, causes);
	table_init(&v->skipped, 2, skipped);
	table_set_right(&v->roles, 2);
	table_set_right(&v->roles, 4);
	table_set_right(&v->certificates, 2);
	table_set_right(&v->causes, 2);
	table_set_right(&v->skipped, 1);
}

static void finish_view(struct view *v)
{
	table_finish(&v->roles);
	table_finish(&v->listeners);
	table_finish(&v->certificates);
	table_finish(&v->causes);
	table_finish(&v->skipped);
}

static int show(const struct config *c, struct view *v, struct error *err)
{
	json_t *master = NULL, *queue = NULL;
	int result = caller_run(c, "status", NULL, take_row, v, &master, err);
	if (result)
		return result;
	struct error queue_error = {0};
	if (v->queue_down)
		(void)error_set(&queue_error, ERR_UNAVAILABLE, TEXT("its process is being started again"));
	else
		(void)caller_run(c, "queue status", NULL, take_cause, v, &queue, &queue_error);
	json_t *auth = v->auth_down ? NULL : ask_auth(c, v);
	if (queue_error.code)
		advise(v, TEXT("the queue does not answer: %s"), queue_error.text);
	if (v->json) {
		json_t *all = json_pack("{s:s, s:O, s:O*, s:O*}", "kind", "summary", "master", master,
			"queue", queue, "blocks", auth);
		caller_print_json(all, NULL);
		json_decref(all);
	} else {
		print_head(v, master);
		if (queue)
			print_queue(v, queue);
		print_blocked(auth);
		print_section(TEXT("Roles"), &v->roles);
		print_section(TEXT("Listeners"), &v->listeners);
		print_section(TEXT("Certificates"), &v->certificates);
		print_section(TEXT("Password sources passed over"), &v->skipped);
		print_section(TEXT("Refused and deferred lately"), &v->causes);
		print_advice(v);
	}
	bool ready = json_is_true(json_object_get(master, "ready"));
	json_decref(master);
	json_decref(queue);
	json_decref(auth);
	return ready && !queue_error.code ? 0 : error_set(err, ERR_UNAVAILABLE, TEXT("the server is not well"));
}

int command_status(int argc, char **argv)
{
	struct options o;
	struct error err = {0};
	struct view v;
	if (!options_parse(argc, argv, NULL, 0, &o) || !options_no_words(&o, argv[0]))
		return COMMAND_USAGE;
	struct config *c = options_config(&o);
	if (!c)
		return COMMAND_CONFIGURATION;
	init_view(&v, o.json);
	int result = show(c, &v, &err);
	finish_view(&v);
	config_destroy(c);
	if (!result)
		return COMMAND_OK;
	fprintf(stderr, "pabal: %s\n", err.text);
	return COMMAND_FAILED;
}
