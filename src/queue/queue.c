// SPDX-License-Identifier: ISC
// The queue as an object: begins, turns with the loop, answers questions, stops.
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/memory.h"
#include "base/text.h"
#include "policy/limits.h"

#define BEAT_MS  1000
#define SPACE_MS 1000
#define CLEAN_BEATS 60
#define STOP_BEAT_MS 5

// ---------------------------------------------------------------- turns of the loop

static void check_stopped(struct queue *q);

static void give_answers(struct queue *q)
{
	struct list now;
	if (list_empty(&q->answers))
		return;
	// Those that are added meanwhile are for the next turn.
	now = q->answers;
	now.next->prev = now.prev->next = &now;
	list_init(&q->answers);
	while (!list_empty(&now)) {
		struct answer *a = LIST_ENTRY(now.next, struct answer, link);
		list_remove(&a->link);
		a->give(q, a);
	}
}

// After the frames of all channels were read: what they brought goes out together.
static void on_turn(uv_idle_t *idle)
{
	struct queue *q = idle->data;
	uv_idle_stop(idle);
	q->turning = false;
	give_answers(q);
	queue_schedule_run(q);
	queue_settle_flush(q);
	queue_claim_run(q);
	check_stopped(q);
}

void queue_turn(struct queue *q)
{
	if (q->turning || q->destroyed)
		return;
	q->turning = true;
	uv_idle_start(&q->turn, on_turn);
}

void queue_answer_later(struct queue *q, struct answer *a)
{
	list_add_last(&q->answers, &a->link);
	queue_turn(q);
}

static void on_beat(uv_timer_t *timer)
{
	struct queue *q = timer->data;
	queue_settle_again(q);
	guard_beat(q->guard);
	queue_users_beat(q);
	queue_mailboxes_beat(q);
	bool clean = ++q->beats % CLEAN_BEATS == 0;
	queue_rates_beat(q, clean);
	if (clean)
		queue_groups_clean(q);
}

// ---------------------------------------------------------------- begin

static void init_deliverers(struct queue *q)
{
	for (unsigned kind = 0; kind < QUEUE_DELIVERERS; kind++)
		for (unsigned n = 0; n < QUEUE_SENDERS_MAX; n++) {
			struct deliverer *d = &q->deliverers[kind][n];
			d->kind = (enum queue_deliverer)kind;
			d->index = n;
			d->most = kind == QUEUE_LOCAL ? QUEUE_LOCAL_JOBS : QUEUE_SENDER_JOBS;
			list_init(&d->blocked);
		}
}

static void start_handles(struct queue *q)
{
	uv_idle_init(q->o.loop, &q->turn);
	uv_timer_init(q->o.loop, &q->timer);
	uv_timer_init(q->o.loop, &q->beat);
	q->turn.data = q->timer.data = q->beat.data = q;
	q->open_handles = 3;
	uv_update_time(q->o.loop);
	uv_timer_start(&q->beat, on_beat, BEAT_MS, BEAT_MS);
	uv_unref((uv_handle_t *)&q->beat);
}

struct queue *queue_create(const struct queue_options *o)
{
	struct queue *q = mem_alloc(sizeof *q);
	q->o = *o;
	q->config = o->config;
	q->ids = o->ids;
	q->store = o->store;
	list_init(&q->routing);
	list_init(&q->ready);
	list_init(&q->stalled);
	list_init(&q->settling);
	list_init(&q->failed);
	list_init(&q->answers);
	init_deliverers(q);
	// A deliverer may still bring a result that was asked by the process before this one.
	mem_random(&q->last_job, 5);
	q->directory = queue_directory_create(o->store);
	q->rates = rates_create();
	queue_rates_start(q);
	q->users = queue_users_create();
	q->mailboxes = queue_mailboxes_create();
	q->guard = guard_create(q);
	start_handles(q);
	queue_claim_due(q, 1); // what is left from before
	queue_release_own_holds(q);
	return q;
}

void queue_set_config(struct queue *q, const struct config *config)
{
	q->config = config;
	if (q->stopping)
		return;
	guard_configured(q->guard);
	queue_groups_reroute(q);
	queue_release_own_holds(q);
	queue_mailboxes_changed(q);
	queue_turn(q);
}

// ---------------------------------------------------------------- end

static bool is_idle(const struct queue *q)
{
	return !queue_settle_open(q) && !q->reading && !q->submitting && !q->claiming &&
		!q->releasing && list_empty(&q->routing) && list_empty(&q->answers) &&
		!store_pending(q->store);
}

static void check_stopped(struct queue *q)
{
	if (!q->stopping || !q->stopped)
		return;
	if (!is_idle(q))
		return;
	void (*stopped)(void *arg) = q->stopped;
	q->stopped = NULL;
	uv_timer_stop(&q->beat);
	stopped(q->stopped_arg);
}

// Other requests of the store end without telling us.
static void on_stop_beat(uv_timer_t *timer)
{
	queue_turn(timer->data);
}

void queue_stop(struct queue *q, void (*done)(void *arg), void *arg)
{
	q->stopping = true;
	q->stopped = done;
	q->stopped_arg = arg;
	uv_timer_stop(&q->timer);
	queue_users_lost(q);
	queue_mailboxes_stop(q);
	guard_write_all(q->guard);
	queue_jobs_give_back(q, NULL);
	queue_groups_return_all(q);
	queue_settle_again(q); // once more; what fails again is left to the restart step
	uv_timer_start(&q->beat, on_stop_beat, STOP_BEAT_MS, STOP_BEAT_MS);
	uv_ref((uv_handle_t *)&q->beat);
	queue_turn(q);
}

static void on_closed(uv_handle_t *handle)
{
	struct queue *q = handle->data;
	if (!--q->open_handles)
		mem_free(q);
}

// Everything the store was asked has been answered: see queue_stop.
void queue_destroy(struct queue *q)
{
	if (!q)
		return;
	q->destroyed = true;
	for (unsigned slot = 0; slot < q->slot_count; slot++)
		if (q->slots[slot])
			queue_job_destroy(q, q->slots[slot]);
	queue_settle_forget(q);
	queue_groups_forget(q);
	guard_destroy(q->guard);
	queue_directory_destroy(q->directory);
	rates_destroy(q->rates);
	queue_users_destroy(q->users);
	queue_mailboxes_destroy(q->mailboxes);
	map_finish(&q->items);
	mem_free(q->slots);
	mem_free(q->free_slots);
	uv_close((uv_handle_t *)&q->turn, on_closed);
	uv_close((uv_handle_t *)&q->timer, on_closed);
	uv_close((uv_handle_t *)&q->beat, on_closed);
}

// ---------------------------------------------------------------- deliverers

static void move_all(struct list *from, struct list *to)
{
	LIST_EACH(link, from) {
		list_remove(link);
		list_add_last(to, link);
	}
}

void queue_deliverer_ready(struct queue *q, enum queue_deliverer kind, unsigned index)
{
	BUG_ON(index >= QUEUE_SENDERS_MAX);
	q->deliverers[kind][index].ready = true;
	move_all(&q->stalled, &q->ready);
	queue_turn(q);
}

void queue_deliverer_gone(struct queue *q, enum queue_deliverer kind, unsigned index)
{
	struct deliverer *d = &q->deliverers[kind][index];
	if (!d->ready)
		return;
	d->ready = false;
	if (kind == QUEUE_LOCAL) {
		queue_users_lost(q);
		queue_mailboxes_lost(q);
	}
	queue_jobs_give_back(q, d);
	move_all(&d->blocked, &q->ready);
	queue_turn(q);
}

// ---------------------------------------------------------------- questions of smtpd and auth

struct question {
	struct answer answer;
	bool later;            // the call that asked has not returned yet
	queue_account_known account;
	void *arg;
	struct queue_account found;
	char *texts;           // of found; NULL: there are none
};

static void give_question(struct queue *q, struct answer *a)
{
	struct question *x = LIST_ENTRY(a, struct question, answer);
	(void)q;
	x->account(x->arg, &x->found);
	mem_free(x->texts);
	mem_free(x);
}

enum { ACCOUNT_NONE, ACCOUNT_ENABLED, ACCOUNT_DISABLED, ACCOUNT_UNKNOWN, ACCOUNT_LOCKED, ACCOUNT_EXPIRED };

static uint8_t account_state(const struct directory_entry *e)
{
	if (e->err)
		return e->err == ERR_NOT_FOUND ? ACCOUNT_NONE : ACCOUNT_UNKNOWN;
	if (!e->enabled)
		return ACCOUNT_DISABLED;
	if (e->locked)
		return ACCOUNT_LOCKED;
	return e->expires_ms && e->expires_ms <= clock_wall_ms() ? ACCOUNT_EXPIRED : ACCOUNT_ENABLED;
}

static void copy_texts(struct question *x, const struct directory_entry *e)
{
	const struct str *from[] = DIRECTORY_TEXTS(e);
	struct str *to[] = DIRECTORY_TEXTS(&x->found);
	size_t len = 0;
	for (unsigned i = 0; i < DIRECTORY_TEXT_COUNT; i++)
		len += from[i]->len;
	if (!len)
		return;
	char *at = x->texts = mem_alloc(len);
	for (unsigned i = 0; i < DIRECTORY_TEXT_COUNT; i++) {
		if (from[i]->len)
			memcpy(at, from[i]->data, from[i]->len);
		*to[i] = str_make(at, from[i]->len);
		at += from[i]->len;
	}
}

static void on_known(void *arg, const struct directory_entry *e)
{
	struct question *x = arg;
	x->found.state = account_state(e);
	x->found.rights = e->rights;
	if (!e->err)
		copy_texts(x, e);
	if (!x->later)
		give_question(NULL, &x->answer);
	else
		x->later = false; // what the memory knew, at once
}

static struct question *create_question(void *arg)
{
	struct question *x = mem_alloc(sizeof *x);
	x->answer.give = give_question;
	x->arg = arg;
	x->later = true;
	return x;
}

// When the answer came during the call it waits for the next turn; else for the store.
static void asked(struct queue *q, struct question *x)
{
	if (!x->later)
		queue_answer_later(q, &x->answer);
	x->later = false;
}

void queue_account(struct queue *q, struct str name, queue_account_known done, void *arg)
{
	struct question *x = create_question(arg);
	x->account = done;
	queue_directory_account(q->directory, name, on_known, x);
	asked(q, x);
}

void queue_account_changed(struct queue *q, struct str name)
{
	queue_directory_clear(q->directory);
	queue_mailboxes_changed(q);
	if (q->o.account_changed)
		q->o.account_changed(q->o.arg, name);
}

void queue_note_refused_recipient(struct queue *q, struct str account, struct str client)
{
	guard_take_refusal(q->guard, account, client);
}

int queue_spool_open(struct queue *q, uint64_t *out_spool, int *out_fd, struct error *err)
{
	if (q->stopping)
		return error_set(err, ERR_UNAVAILABLE, TEXT("the queue is stopping"));
	if (queue_has_space(q))
		return error_set(err, ERR_FULL, TEXT("too little space on the store's disk"));
	return store_spool_create(q->store, out_spool, out_fd, err);
}

int queue_has_space(struct queue *q)
{
	uint64_t now = clock_monotonic_ms(), octets;
	unsigned percent;
	if (q->space.at_ms && now - q->space.at_ms < SPACE_MS)
		return q->space.err;
	q->space.at_ms = now;
	if (store_disk_free(q->store, &octets, &percent))
		return q->space.err; // as it was: the commit will tell
	q->space.err = octets < q->config->queue.min_free_size ||
		percent < q->config->queue.min_free_percent ? ERR_FULL : 0;
	return q->space.err;
}
