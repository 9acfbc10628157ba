// SPDX-License-Identifier: ISC
// Who is tried next: groups take turns, each with a bounded number of jobs at once, so that
// neither a slow nor a large destination holds up others.
#include "queue/queue_internal.h"

#include <stdio.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

// The sender with the highest score for this destination: when one comes or goes, only its
// own destinations move, and their connections with them.
static struct deliverer *choose(struct queue *q, const struct group *g)
{
	struct deliverer *best = NULL;
	uint64_t best_score = 0;
	if (g->kind == ROUTE_LOCAL || g->kind == ROUTE_USER)
		return q->deliverers[QUEUE_LOCAL][0].ready ? &q->deliverers[QUEUE_LOCAL][0] : NULL;
	for (unsigned n = 0; n < QUEUE_SENDERS_MAX; n++) {
		struct deliverer *d = &q->deliverers[QUEUE_SENDER][n];
		uint64_t score = mix(g->hash ^ (n + 1));
		if (d->ready && (!best || score > best_score)) {
			best = d;
			best_score = score;
		}
	}
	return best;
}

// While it is down, what waits is put off without a try of its own: message by message, so that a
// report about several recipients is one.
static void put_off(struct queue *q, struct group *g)
{
	while (!list_empty(&g->items)) {
		struct job *j = queue_job_take(q, g);
		LIST_EACH(link, &j->items) {
			struct item *i = LIST_ENTRY(link, struct item, link);
			queue_item_set_result(i, TRY_TEMPORARY, g->trouble_status, "%s", g->trouble);
			snprintf(i->outcome->remote, sizeof i->outcome->remote, "%s", g->trouble_remote);
		}
		queue_settle(q, j);
	}
}

static void hand_out(struct queue *q, struct group *g, struct deliverer *d)
{
	struct job *j = queue_job_take(q, g);
	g->in_flight++; // so that the group is there after the call
	queue_job_give(q, j, g, d);
	g->in_flight--;
	queue_group_offer(q, g);
	if (list_empty(&g->link))
		queue_group_forget_if_idle(q, g);
}

// Bodies that are read for jobs have a bound too; each result that is stored comes back here.
static bool may_hand_out(const struct queue *q)
{
	return !q->stopping && !queue_is_on_hold(q) && q->octets < 2 * QUEUE_WINDOW_OCTETS;
}

void queue_schedule_run(struct queue *q)
{
	while (!list_empty(&q->ready) && may_hand_out(q)) {
		struct group *g = LIST_ENTRY(q->ready.next, struct group, link);
		struct deliverer *d = choose(q, g);
		list_remove(&g->link);
		if (!queue_group_is_ready(g)) {
			queue_group_forget_if_idle(q, g);
		} else if (queue_group_is_down(g)) {
			put_off(q, g);
		} else if (!d) {
			list_add_last(&q->stalled, &g->link);
		} else if (d->jobs >= d->most) {
			list_add_last(&d->blocked, &g->link);
		} else {
			hand_out(q, g, d);
		}
	}
}

// One group a job that ended, so that those that wait longest come first.
void queue_deliverer_relieved(struct queue *q, struct deliverer *d)
{
	if (list_empty(&d->blocked))
		return;
	struct list *first = d->blocked.next;
	list_remove(first);
	list_add_last(&q->ready, first);
	queue_turn(q);
}
