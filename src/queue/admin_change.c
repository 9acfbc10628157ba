// SPDX-License-Identifier: ISC
// Listing the queue, and retry, hold, release and delete: page by page, each page one batch.
#include "queue/admin_internal.h"
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"

#define PAGE 1000
#define LIST_STANDARD 100

struct work;

// What a command does with one recipient. Returns false to leave it alone.
struct action {
	const char *command;
	bool (*step)(struct work *w, const struct store_message *m, const struct store_recipient *r);
	const char *event;     // for each; NULL: none
	const char *reason;    // in it
	// In memory: right after the batch was given to the store, and when it is committed.
	void (*given)(struct queue *q, uint64_t id);
	void (*committed)(struct queue *q, uint64_t id);
	bool makes_due;
	bool needs_filter;     // not for everything at once
};

struct touched {
	struct touched *next;
	uint64_t id, message, session;
	struct str sender, recipient, account;
};

struct work {
	struct control_call *call;
	struct queue_admin *admin;
	const struct action *action;
	struct arena keys;         // of the filter
	struct store_filter filter;
	uint64_t left, count;      // rows still wanted, rows done
	struct str reason;
	// of the page
	struct arena arena;
	struct store_batch *batch;
	struct touched *touched;
	unsigned page_rows;
	uint64_t last;
};

static void work_destroy(struct work *w)
{
	store_batch_destroy(w->batch);
	arena_finish(&w->arena);
	arena_finish(&w->keys);
	mem_free(w);
}

static struct work *work_create(struct control_call *call, const json_t *arguments, void *admin)
{
	struct work *w = mem_alloc(sizeof *w);
	w->call = call;
	w->admin = admin;
	if (queue_admin_filter(call, arguments, &w->keys, &w->filter))
		return w;
	work_destroy(w);
	return NULL;
}

// ---------------------------------------------------------------- list

static void list_row(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct work *w = arg;
	w->count++;
	control_row(w->call, queue_admin_row(m, r));
}

static void list_page(void *arg);

static void on_listed(void *arg, int err, unsigned count, uint64_t last_recipient)
{
	struct work *w = arg;
	w->left -= count < w->left ? count : w->left;
	w->filter.after = last_recipient;
	if (err) {
		queue_admin_fail(w->call, err);
	} else if (count == w->filter.limit && w->left && !control_is_gone(w->call)) {
		control_when_read(w->call, list_page, w);
		return;
	} else {
		control_done(w->call, json_pack("{s:o, s:b}", "count", queue_json_number(w->count), "more",
			count == w->filter.limit));
	}
	work_destroy(w);
}

static void list_page(void *arg)
{
	struct work *w = arg;
	w->filter.limit = w->left < PAGE ? (unsigned)w->left : PAGE;
	store_list(w->admin->store, &w->filter, list_row, on_listed, w);
}

void queue_admin_list(struct control_call *call, const json_t *arguments, void *arg)
{
	struct work *w = work_create(call, arguments, arg);
	if (!w)
		return;
	if (queue_json_argument_number(arguments, "limit", LIST_STANDARD, &w->left) || !w->left) {
		control_fail(call, "syntax", "%s", TEXT("a limit is a number over 0"));
		work_destroy(w);
		return;
	}
	list_page(w);
}

// ---------------------------------------------------------------- steps

static bool step_retry(struct work *w, const struct store_message *m, const struct store_recipient *r)
{
	(void)m;
	if (r->state != RECIPIENT_DUE)
		return false; // held: that is `release`; claimed: it is being tried
	store_batch_release_recipient(w->batch, r->id, clock_wall_ms());
	return true;
}

static bool step_hold(struct work *w, const struct store_message *m, const struct store_recipient *r)
{
	(void)m;
	if (r->state == RECIPIENT_HELD)
		return false;
	store_batch_hold_recipient(w->batch, r->id, w->reason);
	return true;
}

static bool step_release(struct work *w, const struct store_message *m, const struct store_recipient *r)
{
	(void)m;
	if (r->state == RECIPIENT_DUE)
		return false;
	store_batch_release_recipient(w->batch, r->id, clock_wall_ms());
	return true;
}

static bool step_delete(struct work *w, const struct store_message *m, const struct store_recipient *r)
{
	store_batch_finish_recipient(w->batch, m->envelope.id, r->id);
	return true;
}

static const struct action retry = {.command = "queue retry", .step = step_retry, .makes_due = true};
static const struct action hold = {.command = "queue hold", .step = step_hold, .event = "hold",
	.given = queue_item_was_held};
static const struct action release = {.command = "queue release", .step = step_release,
	.event = "release", .makes_due = true};
static const struct action delete = {.command = "queue delete", .step = step_delete,
	.event = "admin", .reason = "deleted", .committed = queue_item_was_deleted, .needs_filter = true};

// ---------------------------------------------------------------- pages

static void touch_row(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct work *w = arg;
	w->last = r->id;
	if (!w->left || !w->action->step(w, m, r))
		return;
	w->left--;
	w->page_rows++;
	struct touched *t = arena_alloc(&w->arena, sizeof *t);
	*t = (struct touched){.next = w->touched, .id = r->id, .message = r->message,
		.session = m->envelope.session, .sender = arena_str(&w->arena, m->envelope.sender),
		.recipient = arena_str(&w->arena, r->address),
		.account = arena_str(&w->arena, m->envelope.account)};
	w->touched = t;
}

static void tell(const struct work *w, const struct touched *t)
{
	struct event e;
	event_begin(&e, EVENT_INFO, w->action->event, t->message);
	if (t->session)
		event_id(&e, "session", t->session);
	event_str(&e, "account", t->account);
	event_str(&e, "from", t->sender.len ? t->sender : STR("<>"));
	event_str(&e, "to", t->recipient);
	event_text(&e, "reason", w->action->reason);
	event_str(&e, "reason", w->reason);
	event_u64(&e, "uid", control_peer_uid(w->call));
	event_emit(&e);
}

static void change_page(struct work *w);

static void finish(struct work *w)
{
	struct queue *q = w->admin->queue;
	if (q && w->action->makes_due) {
		queue_group_wake(q, w->filter.domain);
		queue_claim_due(q, clock_wall_ms());
	}
	queue_admin_event(w->call, w->action->command, STR_EMPTY, w->count);
	if (!w->count && w->filter.message)
		control_fail(w->call, "not-found", "%s", TEXT("nothing in the queue has that id and state"));
	else
		control_done(w->call, json_pack("{s:o}", "count", queue_json_number(w->count)));
	work_destroy(w);
}

static void on_changed(void *arg, int err)
{
	struct work *w = arg;
	struct queue *q = w->admin->queue;
	w->batch = NULL;
	if (err) {
		queue_admin_fail(w->call, err);
		work_destroy(w);
		return;
	}
	for (const struct touched *t = w->touched; t; t = t->next) {
		if (q && w->action->committed)
			w->action->committed(q, t->id);
		if (w->action->event)
			tell(w, t);
	}
	w->count += w->page_rows;
	if (w->last && w->left)
		change_page(w);
	else
		finish(w);
}

static void on_found(void *arg, int err, unsigned count, uint64_t last_recipient)
{
	struct work *w = arg;
	struct queue *q = w->admin->queue;
	if (err) {
		queue_admin_fail(w->call, err);
		work_destroy(w);
		return;
	}
	w->last = count == w->filter.limit ? last_recipient : 0;
	w->filter.after = last_recipient;
	if (!w->page_rows) {
		if (w->last && w->left)
			change_page(w);
		else
			finish(w);
		return;
	}
	store_apply(w->admin->store, w->batch, on_changed, w);
	for (const struct touched *t = w->touched; t && q && w->action->given; t = t->next)
		w->action->given(q, t->id);
}

static void change_page(struct work *w)
{
	arena_finish(&w->arena);
	w->touched = NULL;
	w->page_rows = 0;
	if (!w->batch)
		w->batch = store_batch_create();
	store_list(w->admin->store, &w->filter, touch_row, on_found, w);
}

static void run(struct control_call *call, const json_t *arguments, void *admin,
	const struct action *action)
{
	struct work *w = work_create(call, arguments, admin);
	struct str reason;
	if (!w)
		return;
	w->action = action;
	w->filter.limit = PAGE;
	if (queue_json_argument_number(arguments, "limit", UINT64_MAX, &w->left) ||
		queue_json_argument(arguments, "reason", &reason)) {
		control_fail(call, "syntax", "%s", TEXT("an argument has the wrong form"));
		work_destroy(w);
		return;
	}
	if (action->needs_filter && queue_admin_filter_is_empty(&w->filter)) {
		control_fail(call, "syntax", "%s",
			TEXT("say which: an id, a sender, a recipient, a domain or an account"));
		work_destroy(w);
		return;
	}
	w->reason = arena_str(&w->keys, reason.len || action != &hold ? reason :
		STR("by an administrator"));
	change_page(w);
}

void queue_admin_retry(struct control_call *call, const json_t *arguments, void *arg)
{
	run(call, arguments, arg, &retry);
}

void queue_admin_hold(struct control_call *call, const json_t *arguments, void *arg)
{
	run(call, arguments, arg, &hold);
}

void queue_admin_release(struct control_call *call, const json_t *arguments, void *arg)
{
	run(call, arguments, arg, &release);
}

void queue_admin_delete(struct control_call *call, const json_t *arguments, void *arg)
{
	run(call, arguments, arg, &delete);
}
