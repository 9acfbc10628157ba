// SPDX-License-Identifier: ISC
// A queue with a real store in a folder of its own and deliverers that the test plays.
#ifndef PABAL_TEST_QUEUE_HELP_H
#define PABAL_TEST_QUEUE_HELP_H

#include "queue/admin.h"
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "message/digest.h"
#include "smtp/client.h"
#include "smtp/parameters.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define START                                                                                      \
	"hostname \"mail.example.kr\"\npostmaster \"kim@example.kr\"\ndomains \"example.kr\"\n"    \
	"queue { min-free-percent 0  min-free-size 0 }\n"
#define MINUTE (60 * 1000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define WAIT_MS 30000

#define PLAY_RECIPIENTS 100

// One job as a deliverer saw it.
struct played {
	struct list link;
	enum queue_deliverer kind;
	unsigned index;
	uint64_t job, message;
	char destination[300];
	unsigned route;
	char sender[320];
	char envid[101];
	unsigned ret;
	bool smtputf8, spool;
	uint64_t size;
	struct buf body;
	unsigned count;
	uint64_t ids[PLAY_RECIPIENTS];
	char addresses[PLAY_RECIPIENTS][100];
	unsigned notify[PLAY_RECIPIENTS];
};

// What a deliverer answers for every recipient.
struct said {
	enum smtp_outcome outcome;
	unsigned code;
	const char *enhanced, *text, *remote;
	unsigned blame;
	bool relayed_dsn;
};

static const struct said delivered = {SMTP_DELIVERED, 250, "2.0.0", "taken",
	"mx.there.example [192.0.2.1]", 0, false};
static const struct said temporary = {SMTP_TEMPORARY, 451, "4.2.0", "try later",
	"mx.there.example [192.0.2.1]", 0, false};
static const struct said permanent = {SMTP_PERMANENT, 550, "5.1.1", "no such user",
	"mx.there.example [192.0.2.1]", 0, false};
static const struct said unreachable = {SMTP_TEMPORARY, 0, "4.4.1", "connection timed out", "", 1,
	false};

struct env {
	uv_loop_t loop;
	uv_timer_t tick;
	char folder[64];
	struct config *config;
	struct store *store;
	struct id_source ids;
	struct queue *q;
	struct list jobs;          // struct played, not yet answered
	unsigned job_count;        // seen in all
	unsigned most_open;        // jobs open at once
	unsigned open;
	const struct said *always; // answer everything like this; NULL: the test answers
	const struct said *(*plan)(struct env *e, const struct played *p); // or this
	uint64_t session;
	unsigned changed_accounts;
	int try_fails;
	unsigned events;           // of the name looked for
	char event_name[32], event_outcome[32];
	char last_event[4000];
	bool stopped;
};

// ---- configuration
struct config_text {
	const char *text;
};

static inline int read_text(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	(void)secret;
	if (strcmp(path, "/etc/pabal.conf") != 0)
		return error_set(err, ERR_NOT_FOUND, "no %s", path);
	return buf_add_text(out, arg);
}

static inline struct config *make_config(const char *more)
{
	char text[4096];
	struct config_findings findings = {0};
	snprintf(text, sizeof text, "%s%s", START, more);
	struct config_reader reader = {read_text, text};
	struct config *c = config_build("/etc/pabal.conf", &reader, &findings);
	if (!c) {
		struct buf out = BUF_INIT;
		config_findings_print(&findings, &out);
		print_error("%s", buf_cstr(&out));
		buf_finish(&out);
	}
	config_findings_finish(&findings);
	assert_non_null(c);
	return c;
}

// ---- deliverers
static inline int play(void *arg, enum queue_deliverer kind, unsigned index, const struct ipc_try *t, int fd)
{
	struct env *e = arg;
	struct str list = t->recipients;
	struct ipc_recipient r;
	int err = 0;
	if (e->try_fails) {
		e->try_fails--;
		return ERR_FULL;
	}
	struct played *p = mem_alloc(sizeof *p);
	p->kind = kind;
	p->index = index;
	p->job = t->job;
	p->message = t->message;
	snprintf(p->destination, sizeof p->destination, "%.*s", STR_ARG(t->destination));
	snprintf(p->sender, sizeof p->sender, "%.*s", STR_ARG(t->sender));
	snprintf(p->envid, sizeof p->envid, "%.*s", STR_ARG(t->envid));
	p->ret = t->ret;
	p->smtputf8 = t->smtputf8;
	p->route = t->route;
	p->size = t->size;
	p->spool = t->spool;
	assert_int_equal(t->spool != 0, fd >= 0);
	if (fd >= 0) {
		char *space = buf_reserve(&p->body, t->size);
		assert_int_equal(pread(fd, space, t->size, 0), t->size);
		buf_commit(&p->body, t->size);
	} else {
		buf_add_str(&p->body, t->body);
	}
	assert_int_equal(buf_len(&p->body), t->size);
	while (ipc_next_recipient(&list, &r, &err)) {
		assert_true(p->count < PLAY_RECIPIENTS);
		p->ids[p->count] = r.id;
		p->notify[p->count] = r.notify;
		snprintf(p->addresses[p->count++], sizeof p->addresses[0], "%.*s", STR_ARG(r.address));
	}
	assert_int_equal(err, 0);
	list_add_last(&e->jobs, &p->link);
	e->job_count++;
	e->open++;
	if (e->open > e->most_open)
		e->most_open = e->open;
	return 0;
}

static inline void drop(struct env *e, struct played *p)
{
	list_remove(&p->link);
	e->open--;
	buf_finish(&p->body);
	mem_free(p);
}

static inline void answer_each(struct env *e, struct played *p, const struct said *said[])
{
	struct buf outcomes = BUF_INIT, body = BUF_INIT;
	for (unsigned n = 0; n < p->count; n++) {
		struct ipc_outcome one = {.id = p->ids[n], .outcome = (uint8_t)said[n]->outcome,
			.code = said[n]->code, .enhanced = str_from(said[n]->enhanced),
			.text = str_from(said[n]->text), .relayed_dsn = said[n]->relayed_dsn};
		assert_int_equal(ipc_list_add_outcome(&outcomes, &one), 0);
	}
	struct ipc_tried t = {.job = p->job, .remote = str_from(said[0]->remote), .ms = 1,
		.outcomes = buf_str(&outcomes), .blame = (uint8_t)said[0]->blame};
	assert_int_equal(ipc_encode_tried(&body, &t), 0);
	enum queue_deliverer kind = p->kind;
	unsigned index = p->index;
	drop(e, p);
	queue_tried(e->q, kind, index, buf_str(&body));
	buf_finish(&body);
	buf_finish(&outcomes);
}

static inline void answer(struct env *e, struct played *p, const struct said *said)
{
	const struct said *all[PLAY_RECIPIENTS] = {0};
	for (unsigned n = 0; n < p->count; n++)
		all[n] = said;
	answer_each(e, p, all);
}

static inline void answer_open(struct env *e)
{
	LIST_EACH(link, &e->jobs) {
		struct played *p = LIST_ENTRY(link, struct played, link);
		const struct said *said = e->plan ? e->plan(e, p) : e->always;
		if (said)
			answer(e, p, said);
	}
}

static inline struct played *first_job(struct env *e)
{
	return list_empty(&e->jobs) ? NULL : LIST_ENTRY(e->jobs.next, struct played, link);
}

static inline void on_account_changed(void *arg, struct str name)
{
	struct env *e = arg;
	(void)name;
	e->changed_accounts++;
}

// ---- events
static inline void see_event(const struct event *event, void *arg)
{
	struct env *e = arg;
	if (strcmp(event->name, e->event_name))
		return;
	if (e->event_outcome[0] &&
		!str_equal(event_get(event, "outcome"), str_from(e->event_outcome)))
		return;
	struct buf json = BUF_INIT;
	(void)event_render_json(event, &json);
	snprintf(e->last_event, sizeof e->last_event, "%s", buf_cstr(&json));
	buf_finish(&json);
	e->events++;
}

static inline void look_for(struct env *e, const char *name, const char *outcome)
{
	e->events = 0;
	snprintf(e->event_name, sizeof e->event_name, "%s", name);
	snprintf(e->event_outcome, sizeof e->event_outcome, "%s", outcome);
}

// ---- the loop
static inline void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static inline void turn(struct env *e)
{
	if (e->always || e->plan)
		answer_open(e);
	uv_run(&e->loop, UV_RUN_ONCE);
}

// Until the condition holds; fails the test when it does not in time.
#define WAIT(e, condition)                                                                         \
	do {                                                                                       \
		uint64_t until_ = clock_monotonic_ms() + WAIT_MS;                                  \
		while (!(condition)) {                                                             \
			if (clock_monotonic_ms() > until_)                                         \
				fail_msg("never came: %s", #condition);                            \
			turn(e);                                                                   \
		}                                                                                  \
	} while (0)

static inline bool is_quiet(struct env *e)
{
	return !queue_settle_open(e->q) && !e->q->submitting && !e->q->reading && !e->q->claiming &&
		!store_pending(e->store) && list_empty(&e->q->answers) && !e->q->turning &&
		list_empty(&e->q->routing);
}

// Until nothing is under way but what the test itself has to answer.
static inline void settle_down(struct env *e)
{
	for (int quiet = 0; quiet < 3;) {
		turn(e);
		quiet = is_quiet(e) && (list_empty(&e->jobs) || !(e->always || e->plan)) ? quiet + 1 : 0;
	}
}

// ---- begin and end
static inline void open_queue(struct env *e)
{
	struct error err = {0};
	struct store_options so = {.folder = e->folder, .create = true};
	if (store_open(&e->loop, &so, &e->store, &err))
		fail_msg("%s", err.text);
	struct queue_options o = {.loop = &e->loop, .store = e->store, .config = e->config,
		.ids = &e->ids, .try = play, .account_changed = on_account_changed, .arg = e};
	e->q = queue_create(&o);
}

static inline void use_config(struct env *e, const char *more)
{
	struct config *old = e->config;
	e->config = make_config(more);
	if (e->q)
		queue_set_config(e->q, e->config);
	config_destroy(old);
}

static inline void add_account(struct env *e, const char *name);

// Deliverers: one sender and local, both ready.
static inline struct env *make_env(const char *config)
{
	struct env *e = mem_alloc(sizeof *e);
	snprintf(e->folder, sizeof e->folder, "/tmp/pabal-queue-XXXXXX");
	assert_non_null(mkdtemp(e->folder));
	assert_int_equal(uv_loop_init(&e->loop), 0);
	uv_timer_init(&e->loop, &e->tick);
	uv_timer_start(&e->tick, on_tick, 5, 5);
	list_init(&e->jobs);
	id_source_init(&e->ids, 0, 5);
	event_setup("test", getenv("PABAL_TEST_LOG") ? STDERR_FILENO : -1, EVENT_SINK_LINES,
		EVENT_KEY_VALUE, EVENT_INFO);
	event_set_tap(see_event, e);
	e->config = make_config(config);
	open_queue(e);
	add_account(e, "kim@example.kr");
	add_account(e, "lee@example.kr");
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	queue_deliverer_ready(e->q, QUEUE_LOCAL, 0);
	return e;
}

static inline void on_stopped(void *arg)
{
	((struct env *)arg)->stopped = true;
}

static inline void drop_jobs(struct env *e)
{
	while (!list_empty(&e->jobs))
		drop(e, first_job(e));
}

static inline void close_queue(struct env *e)
{
	e->always = NULL;
	e->plan = NULL;
	e->stopped = false;
	queue_stop(e->q, on_stopped, e);
	WAIT(e, e->stopped);
	drop_jobs(e);
	queue_destroy(e->q);
	e->q = NULL;
	store_close(e->store);
}

// As if the process had been killed: claims stay in the rows.
static inline void kill_queue(struct env *e)
{
	drop_jobs(e);
	store_wait(e->store);
	queue_destroy(e->q);
	e->q = NULL;
	store_close(e->store);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void free_env(struct env *e)
{
	if (e->q)
		close_queue(e);
	event_set_tap(NULL, NULL);
	uv_close((uv_handle_t *)&e->tick, NULL);
	while (uv_run(&e->loop, UV_RUN_DEFAULT))
		;
	assert_int_equal(uv_loop_close(&e->loop), 0);
	config_destroy(e->config);
	nftw(e->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mem_free(e);
}

// ---- commands
struct called {
	int result;
	struct error err;
	json_t *rows, *done;
};

static inline void keep_row(const json_t *row, void *arg)
{
	json_array_append_new(arg, json_deep_copy(row));
}

static inline struct called call_with(struct env *e, const char *command, json_t *arguments,
	struct history *history)
{
	struct called c = {.rows = json_array()};
	struct queue_admin admin = {.store = e->store, .history = history, .queue = e->q,
		.config = e->config};
	c.result = control_local(&e->loop, queue_admin_handlers, queue_admin_handler_count, &admin,
		command, arguments, keep_row, c.rows, &c.done, &c.err);
	json_decref(arguments);
	return c;
}

static inline struct called call(struct env *e, const char *command, json_t *arguments)
{
	return call_with(e, command, arguments, NULL);
}

static inline void called_finish(struct called *c)
{
	json_decref(c->rows);
	json_decref(c->done);
}

static inline long long number_of(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);
	if (!json_is_integer(value))
		fail_msg("%s is no number", key);
	return json_integer_value(value);
}

static inline const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));
	if (!text)
		fail_msg("%s is no text", key);
	return text;
}

// A command that must work; its "count".
static inline long long command(struct env *e, const char *name, json_t *arguments)
{
	struct called c = call(e, name, arguments);
	if (c.result)
		fail_msg("%s: %s", name, c.err.text);
	long long count = json_integer_value(json_object_get(c.done, "count"));
	called_finish(&c);
	return count;
}

static inline void add_account(struct env *e, const char *name)
{
	command(e, "account add", json_pack("{s:s}", "name", name));
}

// ---- looking at the rows
struct row {
	uint64_t id, message;
	char address[320], sender[320], status[16], reply[600], remote[300], reason[300];
	enum recipient_state state;
	uint64_t next_ms, received_ms;
	unsigned tries, depth;
	bool warned, bounce;
	char envelope_headers[200];
};

struct rows {
	unsigned count;
	struct row all[1200];
};

static inline void take_row(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct rows *rows = arg;
	assert_true(rows->count < 1200);
	struct row *one = &rows->all[rows->count++];
	one->id = r->id;
	one->message = r->message;
	snprintf(one->address, sizeof one->address, "%.*s", STR_ARG(r->address));
	snprintf(one->sender, sizeof one->sender, "%.*s", STR_ARG(m->envelope.sender));
	snprintf(one->status, sizeof one->status, "%.*s", STR_ARG(r->status));
	snprintf(one->reply, sizeof one->reply, "%.*s", STR_ARG(r->reply));
	snprintf(one->remote, sizeof one->remote, "%.*s", STR_ARG(r->remote));
	snprintf(one->reason, sizeof one->reason, "%.*s", STR_ARG(r->hold_reason));
	one->state = r->state;
	one->next_ms = r->next_try_ms;
	one->received_ms = m->envelope.received_ms;
	one->tries = r->tries;
	one->depth = r->depth;
	one->warned = r->delay_warned;
	one->bounce = m->envelope.bounce;
}

static inline void rows_done(void *arg, int err, unsigned count, uint64_t last)
{
	(void)arg;
	(void)count;
	(void)last;
	assert_int_equal(err, 0);
}

static struct rows rows;

// Every recipient in the store, into `rows`.
static inline unsigned look(struct env *e)
{
	struct store_filter f = {.any_state = true, .limit = 1000};
	rows.count = 0;
	store_list(e->store, &f, take_row, rows_done, &rows);
	store_wait(e->store);
	return rows.count;
}

static inline struct store_totals *on_totals_into(void *arg)
{
	return arg;
}

static inline void take_totals(void *arg, int err, const struct store_totals *t)
{
	assert_int_equal(err, 0);
	*on_totals_into(arg) = *t;
}

static inline struct store_totals totals(struct env *e)
{
	struct store_totals t;
	store_count(e->store, take_totals, &t);
	store_wait(e->store);
	return t;
}

// ---- submitting
struct to {
	const char *address;
	unsigned notify;
	const char *orcpt;
	const char *hold;
};

struct mail_of {
	const char *sender, *envid;
	unsigned ret;
	uint64_t age_ms;
	const char *body;
	struct str octets;         // instead of body
};

struct submitted {
	bool done;
	int err;
	uint64_t id;
};

static inline void on_submitted(void *arg, int err, uint64_t message)
{
	struct submitted *s = arg;
	assert_false(s->done);
	*s = (struct submitted){true, err, message};
}

static inline void submit_later(struct env *e, const struct mail_of *m, const struct to *to,
	unsigned count, struct submitted *s)
{
	struct buf list = BUF_INIT;
	uint8_t digest[MESSAGE_DIGEST_SIZE];
	for (unsigned n = 0; n < count; n++) {
		const char *at = strrchr(to[n].address, '@');
		struct ipc_recipient r = {.address = str_from(to[n].address),
			.domain = str_from(at ? at + 1 : ""), .notify = (uint8_t)to[n].notify,
			.orcpt = str_from(to[n].orcpt), .hold = to[n].hold != NULL,
			.hold_reason = str_from(to[n].hold)};
		assert_int_equal(ipc_list_add_recipient(&list, &r), 0);
	}
	struct str body = m->octets.len ? m->octets :
		str_from(m->body ? m->body : "Subject: hello\r\n\r\nHello.\r\n");
	digest_of(body, digest);
	struct ipc_submit frame = {
		.session = e->session ? e->session : 77,
		.sender = str_from(m->sender),
		.envid = str_from(m->envid),
		.ret = (uint8_t)m->ret,
		.received_ms = clock_wall_ms() - m->age_ms,
		.size = body.len,
		.digest = str_make(digest, sizeof digest),
		.headers = STR("Received: from test\r\n"),
		.recipients = buf_str(&list),
		.body = body,
	};
	*s = (struct submitted){0};
	queue_submit(e->q, &frame, -1, on_submitted, s);
	assert_false(s->done); // never before the call returns
	buf_finish(&list);
}

static inline uint64_t submit_mail(struct env *e, const struct mail_of *m, const struct to *to,
	unsigned count)
{
	struct submitted s;
	submit_later(e, m, to, count, &s);
	WAIT(e, s.done);
	assert_int_equal(s.err, 0);
	assert_int_not_equal(s.id, 0);
	return s.id;
}

// One message from sender to one address.
static inline uint64_t submit(struct env *e, const char *sender, const char *address)
{
	struct to to = {.address = address};
	return submit_mail(e, &(struct mail_of){.sender = sender}, &to, 1);
}

// Every line of a report as one text, to look into.
static inline bool has(const struct played *p, const char *text)
{
	return str_search(buf_str(&p->body), str_from(text)) >= 0;
}

#endif
