// SPDX-License-Identifier: ISC
// Takes what is due from the store into the window, as far as there is room.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#define WAIT_MOST_MS 60000 // the wall clock may be set

struct claim {
	struct queue *queue;
	struct mail *last;     // recipients of one message stand together
	uint64_t last_id;
};

static void take(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct claim *c = arg;
	struct queue *q = c->queue;
	struct envelope_recipient one = {.id = r->id, .address = r->address, .domain = r->domain,
		.orcpt = r->orcpt, .notify = r->notify};
	if (queue_item_find(q, r->id))
		return; // we hold it: nothing but a result of ours may end that
	if (!c->last || c->last_id != m->envelope.id) {
		queue_mail_unref(c->last);
		c->last = queue_mail_create(q, &m->envelope, m->spool, (struct str){0});
		c->last_id = m->envelope.id;
	}
	struct item *i = queue_item_create(q, c->last, &one, r->id);
	i->tries = r->tries;
	i->depth = r->depth;
	i->delay_warned = r->delay_warned;
	queue_item_enter(q, i);
}

static void on_claimed(void *arg, int err, unsigned count, uint64_t next_due_ms)
{
	struct claim *c = arg;
	struct queue *q = c->queue;
	(void)count;
	queue_mail_unref(c->last);
	mem_free(c);
	q->claiming = false;
	if (err)
		q->claim_after_ms = clock_monotonic_ms() + QUEUE_PAUSE_MS;
	else
		q->next_due_ms = next_due_ms;
	// With a destination that has too much already, most of what is due may be for it.
	if (q->saturated)
		q->claim_after_ms = clock_monotonic_ms() + QUEUE_PAUSE_MS;
	queue_turn(q);
}

static void wait_for(struct queue *q, uint64_t ms);

static void on_timer(uv_timer_t *timer)
{
	queue_claim_run(timer->data);
}

static void wait_for(struct queue *q, uint64_t ms)
{
	uv_update_time(q->o.loop);
	uv_timer_start(&q->timer, on_timer, ms < WAIT_MOST_MS ? ms + 1 : WAIT_MOST_MS, 0);
}

void queue_claim_run(struct queue *q)
{
	uint64_t now = clock_wall_ms(), monotonic = clock_monotonic_ms();
	if (q->claiming || q->stopping || queue_is_on_hold(q) || !q->next_due_ms)
		return;
	if (q->next_due_ms > now) {
		wait_for(q, q->next_due_ms - now);
		return;
	}
	if (q->claim_after_ms > monotonic) {
		wait_for(q, q->claim_after_ms - monotonic);
		return;
	}
	unsigned limit = queue_window_claimable(q);
	if (!limit)
		return; // comes back with the next result that is stored
	struct claim *c = mem_alloc(sizeof *c);
	c->queue = q;
	q->claiming = true;
	store_claim_due(q->store, now, limit, take, on_claimed, c);
}

void queue_claim_due(struct queue *q, uint64_t next_ms)
{
	if (next_ms == 0)
		next_ms = 1;
	if (q->next_due_ms && q->next_due_ms <= next_ms)
		return;
	q->next_due_ms = next_ms;
	if (!q->stopping)
		queue_turn(q);
}

void queue_claim_freed(struct queue *q)
{
	if (q->next_due_ms && !q->claiming && !q->stopping)
		queue_turn(q);
}

// ---------------------------------------------------------------- the end of queue { hold }

struct letting_go {
	struct queue *queue;
	struct store_batch *batch;
	struct store_filter filter;
	unsigned released;
};

static void release_one(void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct letting_go *l = arg;
	(void)m;
	if (!str_equal(r->hold_reason, STR(QUEUE_HOLD_REASON)))
		return;
	if (!l->batch)
		l->batch = store_batch_create();
	store_batch_release_recipient(l->batch, r->id, clock_wall_ms());
	l->released++;
}

static void on_released(void *arg, int err)
{
	struct queue *q = arg;
	if (!err)
		queue_claim_due(q, clock_wall_ms());
}

static void on_page(void *arg, int err, unsigned count, uint64_t last_recipient)
{
	struct letting_go *l = arg;
	struct queue *q = l->queue;
	if (l->batch)
		store_apply(q->store, l->batch, on_released, q);
	l->batch = NULL;
	if (!err && count && !q->stopping && !queue_is_on_hold(q)) {
		l->filter.after = last_recipient;
		store_list(q->store, &l->filter, release_one, on_page, l);
		return;
	}
	q->releasing = false;
	mem_free(l);
}

static void on_counted(void *arg, int err, const struct store_totals *t)
{
	struct letting_go *l = arg;
	if (err || !t->held) {
		l->queue->releasing = false;
		mem_free(l);
		return;
	}
	store_list(l->queue->store, &l->filter, release_one, on_page, l);
}

void queue_release_own_holds(struct queue *q)
{
	if (q->releasing || queue_is_on_hold(q))
		return;
	struct letting_go *l = mem_alloc(sizeof *l);
	l->queue = q;
	l->filter = (struct store_filter){.state = RECIPIENT_HELD, .limit = 1000};
	q->releasing = true;
	store_count(q->store, on_counted, l);
}
