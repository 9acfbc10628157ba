// SPDX-License-Identifier: ISC
// What the queue does for its rates: loads them at start, answers who asks for room, and forgets
// windows that are over. The counting is rates.c.
#include "queue/queue_internal.h"

#include "base/error.h"
#include "base/event.h"

enum { RESERVED, FULL, CANNOT_TELL }; // of ipc rate_answer

static void on_row(void *arg, struct str name, uint64_t window, uint64_t value)
{
	struct queue *q = arg;
	rates_load(q->rates, rates_now(), name, window, value);
}

// Without what was counted before, a limit could be passed: until it is read nothing is said.
static void on_loaded(void *arg, int err)
{
	struct queue *q = arg;
	if (!err) {
		rates_loaded(q->rates);
		return;
	}
	event_report(EVENT_ERROR, "queue", "the counts of rates cannot be read: %s", err_text(err));
	q->rates_wanted = true;
}

void queue_rates_start(struct queue *q)
{
	q->rates_wanted = false;
	store_counter_list(q->store, on_row, on_loaded, q);
}

static void on_written(void *arg, int err)
{
	struct queue *q = arg;
	if (err)
		rates_unwritten(q->rates);
}

void queue_rates_write(struct queue *q)
{
	struct store_batch *b = store_batch_create();
	if (rates_sweep(q->rates, rates_now(), b))
		store_apply(q->store, b, on_written, q);
	else
		store_batch_destroy(b);
}

void queue_rates_beat(struct queue *q, bool clean)
{
	if (q->rates_wanted)
		queue_rates_start(q);
	else if (clean)
		queue_rates_write(q);
}

void queue_rate_query(struct queue *q, unsigned worker, const struct ipc_rate_query *m,
	struct ipc_rate_answer *out)
{
	struct rates_full full = {0};
	int err = q->stopping ? ERR_UNAVAILABLE :
		rates_reserve(q->rates, rates_now(), worker, m->session, m->rates, &full);
	*out = (struct ipc_rate_answer){.request = m->request, .index = full.index,
		.count = full.count, .left_ms = full.left_ms,
		.verdict = !err ? RESERVED : err == ERR_LIMIT ? FULL : CANNOT_TELL};
}

void queue_rate_release(struct queue *q, uint64_t session)
{
	rates_release(q->rates, session);
}

void queue_rate_worker_gone(struct queue *q, unsigned worker)
{
	rates_worker_gone(q->rates, worker);
}
