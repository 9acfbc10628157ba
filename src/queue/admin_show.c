// SPDX-License-Identifier: ISC
// One message: a row for each recipient, then one of the message with its headers; the story of a
// message or an address; numbers.
#include "queue/admin_internal.h"
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "smtp/parameters.h"

#include <unistd.h>

#define HEADERS_MAX (64 * 1024)

// ---------------------------------------------------------------- show

struct show {
	struct control_call *call;
	struct queue_admin *admin;
	struct arena arena;
	struct store_filter filter;
	json_t *message;       // of the first row
	struct buf headers;    // fields that are sent in front
	uint64_t recipients;
	uint64_t id;
};

static void show_destroy(struct show *s)
{
	json_decref(s->message);
	buf_finish(&s->headers);
	arena_finish(&s->arena);
	mem_free(s);
}

static json_t *message_of(const struct store_message *m)
{
	static const char *const rets[] = {[SMTP_RET_NONE] = "", [SMTP_RET_FULL] = "FULL",
		[SMTP_RET_HDRS] = "HDRS"};
	const struct envelope *e = &m->envelope;
	json_t *row = json_object();
	json_object_set_new(row, "kind", json_string("message"));
	json_object_set_new(row, "id", queue_json_id(e->id));
	json_object_set_new(row, "session", queue_json_id(e->session));
	json_object_set_new(row, "sender", queue_json_text(e->sender));
	json_object_set_new(row, "account", queue_json_text(e->account));
	json_object_set_new(row, "client", queue_json_text(e->client));
	json_object_set_new(row, "server", queue_json_text(e->server));
	json_object_set_new(row, "helo", queue_json_text(e->helo));
	json_object_set_new(row, "envid", queue_json_text(e->envid));
	json_object_set_new(row, "ret", json_string(e->ret < ARRAY_SIZE(rets) ? rets[e->ret] : ""));
	json_object_set_new(row, "labels", queue_json_text(e->labels));
	json_object_set_new(row, "size", queue_json_number(e->size));
	json_object_set_new(row, "received", queue_json_number(e->received_ms));
	json_object_set_new(row, "expires", queue_json_number(m->expires_ms));
	json_object_set_new(row, "smtputf8", json_boolean(e->smtputf8));
	json_object_set_new(row, "eightbit", json_boolean(e->eightbit));
	json_object_set_new(row, "bounce", json_boolean(e->bounce));
	json_object_set_new(row, "spool", queue_json_id(m->spool));
	return row;
}

static void show_row(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct show *s = arg;
	if (!s->message) {
		s->message = message_of(m);
		s->id = m->envelope.id;
		(void)buf_add_str(&s->headers, m->envelope.headers);
	}
	s->recipients++;
	control_row(s->call, queue_admin_row(m, r));
}

static void add_beginning(struct show *s, struct str octets, int fd)
{
	ssize_t n = 0;
	char *space = fd >= 0 ? buf_reserve(&s->headers, HEADERS_MAX) : NULL;
	if (space)
		n = pread(fd, space, HEADERS_MAX, 0);
	if (n > 0)
		buf_commit(&s->headers, (size_t)n);
	if (fd < 0)
		(void)buf_add_str(&s->headers, octets);
}

static void on_show_body(void *arg, int err, struct str octets, int fd)
{
	struct show *s = arg;
	if (!err)
		add_beginning(s, octets, fd);
	fd_close(&fd);
	struct str headers = buf_str(&s->headers);
	ptrdiff_t end = str_search(headers, STR("\r\n\r\n"));
	if (end >= 0)
		headers = str_slice(headers, 0, (size_t)end + 2);
	headers = str_slice(headers, 0, HEADERS_MAX);
	json_object_set_new(s->message, "headers", queue_json_text(headers));
	if (err)
		json_object_set_new(s->message, "body_error", json_string(err_text(err)));
	control_row(s->call, s->message);
	s->message = NULL;
	control_done(s->call, json_pack("{s:o}", "count", queue_json_number(s->recipients)));
	show_destroy(s);
}

static void on_shown(void *arg, int err, unsigned count, uint64_t last_recipient)
{
	struct show *s = arg;
	if (!err && count == s->filter.limit) {
		s->filter.after = last_recipient;
		store_list(s->admin->store, &s->filter, show_row, on_shown, s);
		return;
	}
	if (!err && s->message) {
		store_read_body(s->admin->store, s->id, on_show_body, s);
		return;
	}
	if (err)
		queue_admin_fail(s->call, err);
	else
		control_fail(s->call, "not-found", "%s", TEXT("nothing in the queue has that id; `pabal "
			"trace` may tell what became of it"));
	show_destroy(s);
}

void queue_admin_show(struct control_call *call, const json_t *arguments, void *arg)
{
	struct show *s = mem_alloc(sizeof *s);
	s->call = call;
	s->admin = arg;
	if (!queue_admin_filter(call, arguments, &s->arena, &s->filter)) {
		show_destroy(s);
		return;
	}
	s->filter.any_state = true;
	if (!s->filter.message) {
		control_fail(call, "syntax", "%s", TEXT("the id of a message is needed"));
		show_destroy(s);
		return;
	}
	store_list(s->admin->store, &s->filter, show_row, on_shown, s);
}

// ---------------------------------------------------------------- trace

struct trace {
	struct control_call *call;
	uint64_t count;
};

static void trace_row(void *arg, struct str json)
{
	struct trace *t = arg;
	json_t *event = json_loadb(json.data, json.len, 0, NULL);
	if (!event)
		return;
	t->count++;
	control_row(t->call, json_pack("{s:o}", "event", event));
}

static void on_traced(void *arg, int err)
{
	struct trace *t = arg;
	if (err)
		queue_admin_fail(t->call, err);
	else
		control_done(t->call, json_pack("{s:o}", "count", queue_json_number(t->count)));
	mem_free(t);
}

static int trace_query(const json_t *arguments, struct history_query *q)
{
	struct str id;
	uint64_t limit;
	if (queue_json_argument(arguments, "id", &id) ||
		queue_json_argument(arguments, "address", &q->address) ||
		queue_json_argument(arguments, "client", &q->client) ||
		queue_json_argument(arguments, "name", &q->name) ||
		queue_json_argument_number(arguments, "since", 0, &q->since_ms) ||
		queue_json_argument_number(arguments, "limit", 0, &limit) ||
		(id.len && id_parse(id, &q->id)))
		return ERR_SYNTAX;
	q->limit = limit > UINT32_MAX ? UINT32_MAX : (unsigned)limit;
	return 0;
}

void queue_admin_trace(struct control_call *call, const json_t *arguments, void *arg)
{
	struct queue_admin *admin = arg;
	struct history_query query = {0};
	if (trace_query(arguments, &query)) {
		control_fail(call, "syntax", "%s", TEXT("an id, an address or a client is needed"));
		return;
	}
	if (!admin->history) {
		control_fail(call, "busy", "%s", TEXT("there is no history to look into"));
		return;
	}
	struct trace *t = mem_alloc(sizeof *t);
	t->call = call;
	history_find(admin->history, &query, trace_row, on_traced, t);
}

// ---------------------------------------------------------------- status

struct status {
	struct control_call *call;
	struct queue_admin *admin;
};

static void give_causes(struct control_call *call, const struct trouble *t)
{
	for (unsigned n = 0; n < t->cause_count; n++) {
		const struct cause *c = &t->causes[n];
		control_row(call, json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", "cause", "event", c->event,
			"rule", queue_json_text(str_from(c->rule)), "count", queue_json_number(c->count),
			"last_ms", queue_json_number(c->last_ms)));
	}
}

static void add_memory(json_t *row, const struct queue *q)
{
	unsigned jobs = q->slot_count - q->free_count, ready = 0;
	for (unsigned n = 0; n < QUEUE_SENDERS_MAX; n++)
		ready += q->deliverers[QUEUE_SENDER][n].ready;
	json_object_set_new(row, "in_memory", queue_json_number(q->item_count));
	json_object_set_new(row, "in_memory_octets", queue_json_number(q->octets));
	json_object_set_new(row, "destinations", queue_json_number(q->groups.count));
	json_object_set_new(row, "jobs", queue_json_number(jobs));
	json_object_set_new(row, "senders", queue_json_number(ready));
	json_object_set_new(row, "local_ready", json_boolean(q->deliverers[QUEUE_LOCAL][0].ready));
	json_object_set_new(row, "results_unsaved", queue_json_number(q->settling_count));
}

static void add_port25(json_t *row, const struct queue *q)
{
	bool blocked = q && q->trouble.port25_blocked;
	json_object_set_new(row, "port25_blocked", json_boolean(blocked));
	if (blocked)
		json_object_set_new(row, "advice", json_string(TEXT("the provider seems to block port 25; "
			"send by a smart host: route \"*\" { smtp \"host:587\" user \"...\" "
			"password-file \"...\" }")));
}

static void add_disk(json_t *row, const struct queue_admin *admin)
{
	const struct config *c = admin->config;
	uint64_t octets = 0;
	unsigned percent = 0;
	int err = store_disk_free(admin->store, &octets, &percent);
	json_object_set_new(row, "disk_free", queue_json_number(octets));
	json_object_set_new(row, "disk_free_percent", queue_json_number(percent));
	json_object_set_new(row, "full", json_boolean(!err &&
		(octets < c->queue.min_free_size || percent < c->queue.min_free_percent)));
}

static void on_counted(void *arg, int err, const struct store_totals *t)
{
	struct status *s = arg;
	const struct queue *q = s->admin->queue;
	if (err) {
		queue_admin_fail(s->call, err);
		mem_free(s);
		return;
	}
	if (q)
		give_causes(s->call, &q->trouble);
	json_t *row = json_object();
	json_object_set_new(row, "messages", queue_json_number(t->messages));
	json_object_set_new(row, "due", queue_json_number(t->due));
	json_object_set_new(row, "claimed", queue_json_number(t->claimed));
	json_object_set_new(row, "held", queue_json_number(t->held));
	json_object_set_new(row, "octets", queue_json_number(t->octets));
	json_object_set_new(row, "oldest_received_ms", queue_json_number(t->oldest_received_ms));
	json_object_set_new(row, "next_due_ms", queue_json_number(t->next_due_ms));
	json_object_set_new(row, "hold", json_boolean(s->admin->config->queue.hold));
	add_disk(row, s->admin);
	add_port25(row, q);
	if (q)
		add_memory(row, q);
	if (s->admin->history)
		json_object_set_new(row, "history_dropped",
			queue_json_number(history_dropped(s->admin->history)));
	control_done(s->call, row);
	mem_free(s);
}

void queue_admin_status(struct control_call *call, const json_t *arguments, void *arg)
{
	struct status *s = mem_alloc(sizeof *s);
	(void)arguments;
	s->call = call;
	s->admin = arg;
	store_count(s->admin->store, on_counted, s);
}
