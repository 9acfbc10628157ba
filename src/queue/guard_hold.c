// SPDX-License-Identifier: ISC
// The mail of one subject in the queue, page by page: held when the guard says so, released, thrown
// away or returned when an administrator does.
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/guards.h"

#define PAGE	  500
#define BACK_MS	  ((uint64_t)24 * 3600 * 1000) // what came earlier was tried, or is somebody's matter
#define RETURN_MOST 2000                       // reports under way at once

struct sweep {
	struct list link;          // in guard.sweeps
	struct guard *guard;
	enum guard_sweep_kind kind;
	char *subject;             // owned, NUL behind it
	struct store_filter filter;
	struct store_batch *batch;
	uint64_t *ids;             // of the page, room for PAGE
	uint64_t *contacts;        // hashes of the recipients that are released
	unsigned changed;
	uint64_t count;
	bool more;
	bool waits;                // for reports to leave the memory
	guard_swept done;
	void *arg;
};

bool guard_filter(struct str subject, struct store_filter *out)
{
	*out = (struct store_filter){.any_state = true};
	if (str_starts(subject, STR(STORE_SUBJECT_ACCOUNT))) {
		out->account = str_skip(subject, sizeof STORE_SUBJECT_ACCOUNT - 1);
		return out->account.len;
	}
	if (!str_starts(subject, STR(STORE_SUBJECT_CLIENT)))
		return false;
	out->client = str_skip(subject, sizeof STORE_SUBJECT_CLIENT - 1);
	out->account = STR("<>");
	return out->client.len;
}

static void destroy(struct sweep *w)
{
	list_remove(&w->link);
	store_batch_destroy(w->batch);
	mem_free(w->subject);
	mem_free(w->ids);
	mem_free(w->contacts);
	mem_free(w);
}

static void finish(struct sweep *w, int err)
{
	struct queue *q = w->guard->queue;
	if (w->kind == GUARD_SWEEP_RELEASE) {
		queue_group_wake(q, STR_EMPTY);
		queue_claim_due(q, clock_wall_ms());
	}
	if (w->done)
		w->done(w->arg, err, w->count);
	else if (err)
		event_report(EVENT_ERROR, "guard", "mail of %s in the queue cannot be held: %s", w->subject,
			err_text(err));
	destroy(w);
}

// ---------------------------------------------------------------- one recipient

static bool is_held_by_guard(const struct store_recipient *r)
{
	return r->state == RECIPIENT_HELD && str_starts(r->hold_reason, STR("guard"));
}

static bool hold(struct sweep *w, const struct store_message *m, const struct store_recipient *r)
{
	(void)m;
	if (r->state == RECIPIENT_HELD || r->tries)
		return false;
	store_batch_hold_recipient(w->batch, r->id, STR(GUARD_HOLD_REASON));
	return true;
}

static bool release(struct sweep *w, const struct store_message *m, const struct store_recipient *r)
{
	(void)m;
	if (!is_held_by_guard(r))
		return false;
	store_batch_release_recipient(w->batch, r->id, clock_wall_ms());
	w->contacts[w->changed] = guard_hash(w->guard, r->address, r->domain);
	return true;
}

static bool discard(struct sweep *w, const struct store_message *m, const struct store_recipient *r)
{
	if (!is_held_by_guard(r))
		return false;
	store_batch_finish_recipient(w->batch, m->envelope.id, r->id);
	return true;
}

// As if a try had failed for good: the report and the end of the recipient are one commit.
static bool give_back(struct sweep *w, const struct store_message *m, const struct store_recipient *r)
{
	struct queue *q = w->guard->queue;
	struct envelope_recipient to = {.id = r->id, .address = r->address, .domain = r->domain,
		.orcpt = r->orcpt, .notify = r->notify};
	if (!is_held_by_guard(r) || queue_item_find(q, r->id))
		return false;
	struct mail *mail = queue_mail_create(q, &m->envelope, m->spool, (struct str){0});
	struct item *i = queue_item_create(q, mail, &to, r->id);
	queue_mail_unref(mail);
	i->tries = r->tries;
	i->depth = r->depth;
	queue_item_set_result(i, TRY_PERMANENT, "5.7.1", "%s",
		TEXT("this message was held as unusual, and an administrator sent it back"));
	queue_job_settle_item(q, i);
	return true;
}

static bool (*const steps[])(struct sweep *w, const struct store_message *m,
	const struct store_recipient *r) = {
	[GUARD_SWEEP_HOLD] = hold,
	[GUARD_SWEEP_RELEASE] = release,
	[GUARD_SWEEP_DISCARD] = discard,
	[GUARD_SWEEP_RETURN] = give_back,
};

// ---------------------------------------------------------------- pages

static void next_page(struct sweep *w);

static void on_changed(void *arg, int err)
{
	struct sweep *w = arg;
	struct queue *q = w->guard->queue;
	for (unsigned n = 0; n < w->changed && !err && w->kind == GUARD_SWEEP_DISCARD; n++)
		queue_item_was_deleted(q, w->ids[n]);
	struct guard_subject *s = guard_get(w->guard, str_from(w->subject));
	for (unsigned n = 0; s && n < w->changed && !err && w->kind == GUARD_SWEEP_RELEASE; n++)
		guard_add_contact(&s->state, w->contacts[n]);
	w->count += err ? 0 : w->changed;
	if (err || !w->more || q->stopping)
		finish(w, err);
	else
		next_page(w);
}

static void on_row(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct sweep *w = arg;
	if (w->changed < PAGE && steps[w->kind](w, m, r))
		w->ids[w->changed++] = r->id;
}

static void on_page(void *arg, int err, unsigned count, uint64_t last)
{
	struct sweep *w = arg;
	struct queue *q = w->guard->queue;
	w->more = count == PAGE;
	w->filter.after = last;
	if (err || !w->changed || w->kind == GUARD_SWEEP_RETURN) {
		on_changed(w, err);
		return;
	}
	struct store_batch *b = w->batch;
	w->batch = NULL;
	store_apply(q->store, b, on_changed, w);
	for (unsigned n = 0; n < w->changed && w->kind == GUARD_SWEEP_HOLD; n++)
		queue_item_was_held(q, w->ids[n]);
}

static void next_page(struct sweep *w)
{
	struct queue *q = w->guard->queue;
	w->changed = 0;
	w->waits = w->kind == GUARD_SWEEP_RETURN && q->item_count > RETURN_MOST;
	if (w->waits)
		return; // guard_sweeps_go_on comes back to it
	store_batch_destroy(w->batch);
	w->batch = store_batch_create();
	store_list(q->store, &w->filter, on_row, on_page, w);
}

void guard_sweeps_go_on(struct guard *g)
{
	LIST_EACH(link, &g->sweeps) {
		struct sweep *w = LIST_ENTRY(link, struct sweep, link);
		if (w->waits)
			next_page(w);
	}
}

void guard_sweeps_end(struct guard *g)
{
	LIST_EACH(link, &g->sweeps)
		finish(LIST_ENTRY(link, struct sweep, link), ERR_UNAVAILABLE);
}

void guard_sweep(struct guard *g, struct str subject, enum guard_sweep_kind kind, guard_swept done,
	void *arg)
{
	struct sweep *w = mem_alloc(sizeof *w);
	w->guard = g;
	w->kind = kind;
	w->subject = str_dup(subject);
	w->ids = mem_array(PAGE, sizeof *w->ids);
	w->contacts = mem_array(PAGE, sizeof *w->contacts);
	w->done = done;
	w->arg = arg;
	list_init(&w->link);
	list_add_last(&g->sweeps, &w->link);
	if (!guard_filter(str_from(w->subject), &w->filter)) {
		finish(w, ERR_NOT_FOUND);
		return;
	}
	w->filter.limit = PAGE;
	if (kind == GUARD_SWEEP_HOLD) {
		w->filter.after = id_first_at(clock_wall_ms() - BACK_MS);
	} else {
		w->filter.any_state = false;
		w->filter.state = RECIPIENT_HELD;
	}
	next_page(w);
}
