// SPDX-License-Identifier: ISC
// What became of tries, turned into the steps of doc/queue.md 4 and committed in groups: all
// results of a turn of the loop are one batch. A result whose commit fails is kept and given to the
// store again, each by itself, until it is on the disk.
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>

#define BATCH_JOBS 500

// Jobs whose results are on their way to the disk.
struct commit {
	struct queue *queue;
	struct list jobs;
};

// ---------------------------------------------------------------- steps of one item

static void add_finish(struct store_batch *b, const struct item *i)
{
	store_batch_finish_recipient(b, i->mail->envelope.id, i->id);
}

static void add_retry(struct store_batch *b, const struct item *i)
{
	const struct outcome *o = i->outcome;
	char reply[SMTP_REPLY_TEXT_MAX + 16];
	if (o->code)
		snprintf(reply, sizeof reply, "%u %s", o->code, o->text);
	else
		snprintf(reply, sizeof reply, "%s", o->text);
	struct store_retry r = {
		.next_try_ms = i->next_ms,
		.tries = i->tries,
		.delay_warned = i->delay_warned || i->warn,
		.status = str_from(o->status),
		.reply = str_from(reply),
		.remote = str_from(o->remote),
	};
	store_batch_retry_recipient(b, i->id, &r);
}

static void add_return(struct store_batch *b, const struct item *i)
{
	store_batch_return_recipient(b, i->id, i->next_ms);
}

static void add_hold(struct store_batch *b, const struct item *i)
{
	store_batch_hold_recipient(b, i->id, str_from(i->outcome->text));
	store_batch_return_recipient(b, i->id, i->next_ms);
}

static void fill_new(const struct item *i, bool claimed, struct envelope_recipient *r,
	struct store_new_recipient *n)
{
	*r = (struct envelope_recipient){.id = i->id, .address = i->address, .domain = i->domain,
		.orcpt = i->orcpt, .notify = i->notify, .hold = i->hold, .hold_reason = i->hold_reason};
	*n = (struct store_new_recipient){.recipient = r, .id = i->id, .claimed = claimed,
		.next_try_ms = clock_wall_ms(), .depth = i->depth, .parent = i->parent};
}

static void add_children(struct store_batch *b, const struct item *i)
{
	struct envelope_recipient r;
	struct store_new_recipient n;
	for (unsigned c = 0; c < i->outcome->child_count; c++) {
		fill_new(i->outcome->children[c], true, &r, &n);
		store_batch_add_recipient(b, i->mail->envelope.id, &n);
	}
	add_finish(b, i);
}

static void (*const steps[])(struct store_batch *b, const struct item *i) = {
	[TRY_DELIVERED] = add_finish,
	[TRY_TEMPORARY] = add_retry,
	[TRY_PERMANENT] = add_finish,
	[TRY_EXPANDED] = add_children,
	[TRY_RETURNED] = add_return,
	[TRY_HELD] = add_hold,
};

static void add_report(struct store_batch *b, const struct job *j, const struct item *i)
{
	struct envelope_recipient r;
	struct store_new_recipient n;
	struct store_body body = {.octets = i->mail->body};
	const struct queue *q = j->queue;
	fill_new(i, j->reports_claimed, &r, &n);
	store_batch_add_message(b, &i->mail->envelope,
		queue_retry_expiry(q->config, &i->mail->envelope), &body, &n, 1);
}

static void add_job(struct store_batch *b, const struct job *j)
{
	LIST_EACH(link, &j->items) {
		const struct item *i = LIST_ENTRY(link, struct item, link);
		if (!i->deleted) // its row went by the administrator's batch
			steps[i->result](b, i);
	}
	for (unsigned n = 0; n < j->report_count; n++)
		add_report(b, j, j->reports[n]);
}

// ---------------------------------------------------------------- after the commit

static void start_children(struct queue *q, struct item *i)
{
	for (unsigned c = 0; c < i->outcome->child_count; c++)
		queue_item_enter(q, i->outcome->children[c]);
	i->outcome->child_count = 0;
}

static void start_report(struct queue *q, struct job *j, struct item *i)
{
	queue_log_bounce(j->mail, i);
	if (j->reports_claimed) {
		queue_item_enter(q, i);
	} else {
		if (!i->hold)
			queue_claim_due(q, clock_wall_ms());
		queue_item_destroy(q, i);
	}
}

static void job_committed(struct queue *q, struct job *j)
{
	LIST_EACH(link, &j->items) {
		struct item *i = LIST_ENTRY(link, struct item, link);
		if (i->result == TRY_EXPANDED && !i->deleted)
			start_children(q, i);
		else if (i->result == TRY_TEMPORARY || i->result == TRY_RETURNED)
			queue_claim_due(q, i->next_ms);
	}
	for (unsigned n = 0; n < j->report_count; n++)
		start_report(q, j, j->reports[n]);
	j->report_count = 0;
	queue_job_destroy(q, j);
}

// The rows stay claimed and the results in memory; a restart would make them due.
static void job_failed(struct queue *q, struct job *j, int err)
{
	if (q->stopping) {
		queue_job_destroy(q, j);
		return;
	}
	if (j->alone && err == ERR_EXISTS) {
		// It was on the disk in spite of what was told.
		job_committed(q, j);
		return;
	}
	if (j->alone && err != ERR_FULL && err != ERR_SYSTEM)
		event_report(EVENT_ERROR, "queue", "a result cannot be stored: %s", err_text(err));
	j->alone = true;
	list_add_last(&q->failed, &j->link);
	q->settling_count++;
}

static void on_committed(void *arg, int err)
{
	struct commit *c = arg;
	struct queue *q = c->queue;
	q->committing--;
	while (!list_empty(&c->jobs)) {
		struct job *j = LIST_ENTRY(c->jobs.next, struct job, link);
		list_remove(&j->link);
		if (err)
			job_failed(q, j, err);
		else
			job_committed(q, j);
	}
	mem_free(c);
	queue_turn(q); // there is room again
}

// ---------------------------------------------------------------- batches

static void commit_some(struct queue *q)
{
	struct commit *c = mem_alloc(sizeof *c);
	struct store_batch *b = store_batch_create();
	c->queue = q;
	list_init(&c->jobs);
	for (unsigned n = 0; n < BATCH_JOBS && !list_empty(&q->settling); n++) {
		struct job *j = LIST_ENTRY(q->settling.next, struct job, link);
		if (j->alone && n)
			break;
		list_remove(&j->link);
		list_add_last(&c->jobs, &j->link);
		q->settling_count--;
		add_job(b, j);
		if (j->alone)
			break;
	}
	q->committing++;
	store_apply(q->store, b, on_committed, c);
}

void queue_settle_flush(struct queue *q)
{
	while (!list_empty(&q->settling))
		commit_some(q);
}

void queue_settle_again(struct queue *q)
{
	if (list_empty(&q->failed))
		return;
	LIST_EACH(link, &q->failed) {
		list_remove(link);
		list_add_last(&q->settling, link);
	}
	queue_turn(q);
}

unsigned queue_settle_open(const struct queue *q)
{
	return q->settling_count + q->committing;
}

// ---------------------------------------------------------------- results come in

static void hold_for_good(struct item *i)
{
	char why[SMTP_REPLY_TEXT_MAX];
	snprintf(why, sizeof why, "%s", i->outcome ? i->outcome->text : "");
	queue_item_set_result(i, TRY_HELD, "5.0.0",
		TEXT("neither the recipient nor the postmaster takes it: %s"), why);
}

static void decide(struct queue *q, struct job *j)
{
	uint64_t now = clock_wall_ms();
	LIST_EACH(link, &j->items) {
		struct item *i = LIST_ENTRY(link, struct item, link);
		if (i->result == TRY_TEMPORARY)
			queue_retry_decide(q, i, now);
		// Only an administrator may throw away what nobody can be told of.
		if (queue_bounce_is_stuck(q, i))
			hold_for_good(i);
		if (i->result == TRY_HELD)
			queue_log_hold(i->mail, i, str_from(i->outcome->text));
		else if (i->result != TRY_RETURNED)
			queue_log_result(j, i);
		guard_take_result(q->guard, i);
	}
}

static void ready(struct queue *q, struct job *j)
{
	queue_body_leave_file(j);
	list_add_last(&q->settling, &j->link);
	q->settling_count++;
	queue_turn(q);
}

void queue_settle_body(struct queue *q, struct job *j)
{
	struct buf scratch = {.limit = STORE_INLINE_BODY_MAX};
	bool whole;
	struct str body = queue_body_beginning(j->mail, &scratch, &whole);
	queue_bounce_make(q, j, body, whole);
	buf_finish(&scratch);
	ready(q, j);
}

void queue_settle(struct queue *q, struct job *j)
{
	j->state = JOB_SETTLING;
	decide(q, j);
	if (!queue_bounce_wanted(q, j)) {
		ready(q, j);
	} else if (queue_body_ready(j->mail) || j->body_tried) {
		queue_settle_body(q, j);
	} else {
		j->body_tried = true;
		queue_body_read(q, j);
	}
}

static void forget_list(struct queue *q, struct list *jobs)
{
	while (!list_empty(jobs))
		queue_job_destroy(q, LIST_ENTRY(jobs->next, struct job, link));
}

void queue_settle_forget(struct queue *q)
{
	forget_list(q, &q->settling);
	forget_list(q, &q->failed);
	q->settling_count = 0;
}
