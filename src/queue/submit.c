// SPDX-License-Identifier: ISC
// Messages come in: checked, committed, and then tried at once when there is room in memory, so
// that nothing has to be read again.
#include "queue/address.h"
#include "queue/guard.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"

#include <sys/stat.h>

#define RECIPIENTS_MAX 20000

struct submission {
	struct answer answer;      // of one that failed before the store was asked
	struct queue *queue;
	queue_submitted done;
	void *arg;
	int err;
	uint64_t id;
	bool claimed;
	bool on_hold;
	bool guarded;              // held by the guard
	struct rates_taken *taken; // NULL: no rate is in force
	char hold_reason[CONFIG_RATE_TEXT_MAX]; // of a rate that was passed
	uint64_t next_ms;          // of one that is not claimed
	struct envelope_recipient *recipients;
	struct store_new_recipient *rows;
	struct item **items;       // of one that is claimed
	unsigned count;
};

static void release(struct submission *s)
{
	mem_free(s->recipients);
	mem_free(s->rows);
	mem_free(s->items);
	mem_free(s);
}

static void give_answer(struct queue *q, struct answer *a)
{
	struct submission *s = LIST_ENTRY(a, struct submission, answer);
	(void)q;
	s->done(s->arg, s->err, 0);
	release(s);
}

// ---- what came
static int read_recipients(struct submission *s, const struct ipc_submit *m)
{
	struct str list = m->recipients;
	struct ipc_recipient r;
	unsigned size = 0;
	int err = 0;
	while (ipc_next_recipient(&list, &r, &err)) {
		if (s->count == RECIPIENTS_MAX)
			return ERR_LIMIT;
		// Forms that only an expansion of ours makes.
		if (queue_address_is_made(r.address, r.domain) || str_starts(r.orcpt, STR("<")) || !r.address.len)
			return ERR_CORRUPT;
		if (s->count == size) {
			size = size ? size * 4 : 4;
			s->recipients = mem_resize(s->recipients, size * sizeof *s->recipients);
		}
		s->recipients[s->count++] = (struct envelope_recipient){.address = r.address,
			.domain = r.domain, .orcpt = r.orcpt, .notify = r.notify, .hold = r.hold,
			.hold_reason = r.hold_reason};
	}
	return err ? err : s->count ? 0 : ERR_CORRUPT;
}

// The octets are synced and digested by who wrote them; their number is checked here.
static int check_body(const struct ipc_submit *m, int fd)
{
	struct stat st;
	if (m->digest.len != MESSAGE_DIGEST_SIZE)
		return ERR_CORRUPT;
	if (!m->spool)
		return m->body.len == m->size && m->body.len <= STORE_INLINE_BODY_MAX ? 0 : ERR_CORRUPT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return ERR_SYSTEM;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->size ? 0 : ERR_CORRUPT;
}

static struct envelope envelope_of(const struct ipc_submit *m, uint64_t id)
{
	struct envelope e = {
		.id = id,
		.sender = m->sender,
		.account = m->account,
		.client = m->client,
		.server = m->server,
		.helo = m->helo,
		.envid = m->envid,
		.ret = m->ret,
		.smtputf8 = m->smtputf8,
		.eightbit = m->eightbit,
		.session = m->session,
		.received_ms = m->received_ms,
		.size = m->size,
		.headers = m->headers,
		.edits = m->edits,
		.labels = m->labels,
	};
	memcpy(e.digest, m->digest.data, sizeof e.digest);
	return e;
}

// ---- rates
static void log_held(struct submission *s, const struct ipc_submit *m)
{
	const struct ipc_rate *r = &s->taken->held;
	struct event e;
	event_begin(&e, EVENT_WARNING, "hold", s->id);
	event_id(&e, "session", m->session);
	event_str(&e, "account", m->account);
	event_str(&e, "client", m->client);
	event_str(&e, "from", m->sender.len ? m->sender : STR("<>"));
	event_text(&e, "rule", "rate");
	event_str(&e, "where", r->where);
	event_u64(&e, "count", s->taken->held_count);
	event_u64(&e, "limit", r->most);
	event_str(&e, "reason", r->words);
	event_emit(&e);
}

// Counts the message; what a rate with action hold says of it.
static int take_rates(struct submission *s, const struct ipc_submit *m)
{
	struct rates *r = s->queue->rates;
	int err = m->rates.len ? rates_take(r, rates_now(), m->session, m->rates, &s->taken) : 0;
	if (!m->rates.len || err)
		rates_release(r, m->session);
	if (err || !s->taken || !s->taken->held.key.len)
		return err;
	str_copy(str_slice(s->taken->held.words, 0, sizeof s->hold_reason - 1), s->hold_reason,
		sizeof s->hold_reason);
	log_held(s, m);
	return 0;
}

// Why all of it is held; "" : it is not.
static struct str hold_reason(const struct submission *s)
{
	if (s->guarded)
		return STR(GUARD_HOLD_REASON);
	if (s->hold_reason[0])
		return str_from(s->hold_reason);
	return s->on_hold ? STR(QUEUE_HOLD_REASON) : STR_EMPTY;
}

// ---- may it be tried at once
static bool decide_claim(struct submission *s, const struct ipc_submit *m)
{
	struct queue *q = s->queue;
	if (hold_reason(s).len || q->stopping || !queue_window_has_room(q, s->count, sizeof(struct mail) +
			m->headers.len + m->edits.len + m->body.len))
		return false;
	for (unsigned n = 0; n < s->count && q->saturated; n++) {
		uint64_t wait = queue_group_full_for(q, s->recipients[n].domain);
		if (wait) {
			s->next_ms = clock_wall_ms() + wait;
			return false;
		}
	}
	return true;
}

static void make_rows(struct submission *s)
{
	s->rows = mem_array(s->count, sizeof *s->rows);
	for (unsigned n = 0; n < s->count; n++) {
		struct envelope_recipient *r = &s->recipients[n];
		r->id = id_next(s->queue->ids);
		if (hold_reason(s).len && !r->hold) {
			r->hold = true;
			r->hold_reason = hold_reason(s);
		}
		s->rows[n] = (struct store_new_recipient){.recipient = r, .id = r->id,
			.claimed = s->claimed, .next_try_ms = s->next_ms};
	}
}

// What is held is not kept in memory: it waits for somebody.
static void make_items(struct submission *s, const struct envelope *e, const struct ipc_submit *m)
{
	struct mail *mail = queue_mail_create(s->queue, e, m->spool,
		m->spool ? (struct str){0} : m->body);
	s->items = mem_array(s->count, sizeof(struct item *));
	unsigned kept = 0;
	for (unsigned n = 0; n < s->count; n++)
		if (!s->recipients[n].hold)
			s->items[kept++] = queue_item_create(s->queue, mail, &s->recipients[n],
				s->recipients[n].id);
	s->count = kept;
	queue_mail_unref(mail);
}

// ---- the commit
static void on_stored(void *arg, int err)
{
	struct submission *s = arg;
	struct queue *q = s->queue;
	q->submitting--;
	rates_taken_end(q->rates, s->taken, !err);
	s->done(s->arg, err, err ? 0 : s->id);
	for (unsigned n = 0; s->items && n < s->count; n++) {
		if (err)
			queue_item_destroy(q, s->items[n]);
		else
			queue_item_enter(q, s->items[n]);
	}
	if (!err && !s->items && !hold_reason(s).len)
		queue_claim_due(q, s->next_ms);
	if (err)
		queue_claim_freed(q);
	release(s);
}

static void store_message(struct submission *s, const struct ipc_submit *m)
{
	struct queue *q = s->queue;
	struct envelope e = envelope_of(m, s->id);
	struct store_body body = {.octets = m->body, .spool = m->spool};
	struct store_batch *b = store_batch_create();
	s->guarded = guard_take_submission(q->guard, m, s->recipients, s->count);
	s->on_hold = queue_is_on_hold(q);
	s->next_ms = clock_wall_ms();
	s->claimed = decide_claim(s, m);
	make_rows(s);
	if (s->taken)
		rates_write(q->rates, b);
	store_batch_add_message(b, &e, queue_retry_expiry(q->config, &e), &body, s->rows, s->count);
	if (s->claimed)
		make_items(s, &e, m);
	q->submitting++;
	store_apply(q->store, b, on_stored, s);
}

static int link_body(struct queue *q, const struct ipc_submit *m, int fd)
{
	struct error why = {0};
	int err = store_spool_link(q->store, m->spool, fd, &why);
	if (err)
		event_report(EVENT_ERROR, "queue", "%s", why.text);
	return err;
}

void queue_submit(struct queue *q, const struct ipc_submit *m, int fd, queue_submitted done, void *arg)
{
	struct submission *s = mem_alloc(sizeof *s);
	s->queue = q;
	s->done = done;
	s->arg = arg;
	s->answer.give = give_answer;
	s->err = q->stopping ? ERR_UNAVAILABLE : queue_has_space(q);
	if (!s->err)
		s->err = check_body(m, fd);
	if (!s->err)
		s->err = read_recipients(s, m);
	s->id = id_next(q->ids);
	if (!s->err)
		s->err = take_rates(s, m);
	else
		rates_release(q->rates, m->session);
	if (!s->err && m->spool)
		s->err = link_body(q, m, fd);
	if (s->err) {
		rates_taken_end(q->rates, s->taken, false);
		if (m->spool)
			store_spool_discard(q->store, m->spool);
		queue_answer_later(q, &s->answer);
	} else {
		store_message(s, m);
	}
	fd_close(&fd);
}
