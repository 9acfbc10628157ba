// SPDX-License-Identifier: ISC
// Batches: collecting operations on the loop, applying them in the commit thread. The rows of
// `operations` are the steps of doc/queue.md 4.
#include "store/store_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "store/guards.h"

enum operation_kind {
	ADD_MESSAGE,
	ADD_RECIPIENT,
	FINISH,
	RETRY,
	RETURN,
	HOLD,
	RELEASE,
	SET_COUNTER,
	PUT_GUARD,
	PUT_INCIDENT,
};

struct new_recipient {
	struct store_new_recipient given;
	struct envelope_recipient recipient;
};

struct operation {
	struct operation *next;
	enum operation_kind kind;
	uint64_t message;   // of ADD_RECIPIENT, FINISH
	uint64_t recipient; // id
	uint64_t when;	    // next_try_ms of RETURN, RELEASE; window of SET_COUNTER; expires_ms
	uint64_t value;	    // of SET_COUNTER
	struct str text;    // hold reason; name of a counter; body of ADD_MESSAGE
	uint64_t spool;
	const struct envelope *envelope;
	struct new_recipient *recipients;
	unsigned recipient_count;
	struct store_retry retry;
	const struct store_incident *incident; // of PUT_INCIDENT; of PUT_GUARD its subject
};

// Owned by the caller until store_apply, then by the store.
struct store_batch {
	struct request request;
	struct arena arena;
	struct operation *first, *last;
	store_done done;
	void *arg;
};

static const struct request_class batch_class;

struct store_batch *store_batch_create(void)
{
	return request_create(sizeof(struct store_batch), &batch_class);
}

void store_batch_destroy(struct store_batch *b)
{
	if (!b)
		return;
	arena_finish(&b->arena);
	mem_free(b);
}

// ---------------------------------------------------------------- collecting

static struct operation *add(struct store_batch *b, enum operation_kind kind)
{
	struct operation *o = arena_alloc(&b->arena, sizeof(*o));

	o->kind = kind;
	if (b->last)
		b->last->next = o;
	else
		b->first = o;
	b->last = o;
	return o;
}

static void keep(struct store_batch *b, struct str *s)
{
	*s = arena_str(&b->arena, *s);
}

static const struct envelope *keep_envelope(struct store_batch *b, const struct envelope *given)
{
	struct envelope *e = arena_alloc(&b->arena, sizeof(*e));
	struct str *texts[] = {&e->sender, &e->account, &e->client, &e->server, &e->helo, &e->envid,
		&e->headers, &e->edits, &e->labels};

	*e = *given;
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		keep(b, texts[i]);
	return e;
}

static struct new_recipient *keep_recipients(
	struct store_batch *b, const struct store_new_recipient *given, unsigned count)
{
	struct new_recipient *kept = arena_alloc(&b->arena, count * sizeof(*kept));

	for (unsigned i = 0; i < count; i++) {
		BUG_ON(given[i].id == 0);
		kept[i].given = given[i];
		kept[i].recipient = *given[i].recipient;
		keep(b, &kept[i].recipient.address);
		keep(b, &kept[i].recipient.domain);
		keep(b, &kept[i].recipient.orcpt);
		keep(b, &kept[i].recipient.hold_reason);
	}
	return kept;
}

void store_batch_add_message(struct store_batch *b, const struct envelope *envelope,
	uint64_t expires_ms, const struct store_body *body,
	const struct store_new_recipient *recipients, unsigned recipient_count)
{
	struct operation *o = add(b, ADD_MESSAGE);

	BUG_ON(envelope->id == 0 || recipient_count == 0);
	BUG_ON(body->spool == 0 && body->octets.len != envelope->size);
	o->envelope = keep_envelope(b, envelope);
	o->message = envelope->id;
	o->when = expires_ms;
	o->spool = body->spool;
	if (!body->spool)
		o->text = arena_str(&b->arena, body->octets);
	o->recipients = keep_recipients(b, recipients, recipient_count);
	o->recipient_count = recipient_count;
	b->request.octets += o->text.len;
}

void store_batch_add_recipient(
	struct store_batch *b, uint64_t message, const struct store_new_recipient *recipient)
{
	struct operation *o = add(b, ADD_RECIPIENT);

	o->message = message;
	o->recipients = keep_recipients(b, recipient, 1);
	o->recipient_count = 1;
}

void store_batch_finish_recipient(struct store_batch *b, uint64_t message, uint64_t recipient)
{
	struct operation *o = add(b, FINISH);

	o->message = message;
	o->recipient = recipient;
}

void store_batch_retry_recipient(
	struct store_batch *b, uint64_t recipient, const struct store_retry *r)
{
	struct operation *o = add(b, RETRY);

	o->recipient = recipient;
	o->when = r->next_try_ms;
	o->retry = *r;
	keep(b, &o->retry.status);
	keep(b, &o->retry.reply);
	keep(b, &o->retry.remote);
}

void store_batch_return_recipient(struct store_batch *b, uint64_t recipient, uint64_t next_try_ms)
{
	struct operation *o = add(b, RETURN);

	o->recipient = recipient;
	o->when = next_try_ms;
}

void store_batch_hold_recipient(struct store_batch *b, uint64_t recipient, struct str reason)
{
	struct operation *o = add(b, HOLD);

	o->recipient = recipient;
	o->text = arena_str(&b->arena, reason);
}

void store_batch_release_recipient(struct store_batch *b, uint64_t recipient, uint64_t next_try_ms)
{
	struct operation *o = add(b, RELEASE);

	o->recipient = recipient;
	o->when = next_try_ms;
}

void store_batch_set_counter(
	struct store_batch *b, struct str name, uint64_t window, uint64_t value)
{
	struct operation *o = add(b, SET_COUNTER);

	o->text = arena_str(&b->arena, name);
	o->when = window;
	o->value = value;
}

static const struct store_incident *keep_incident(struct store_batch *b, const struct store_incident *given)
{
	struct store_incident *i = arena_alloc(&b->arena, sizeof(*i));

	*i = *given;
	keep(b, &i->subject);
	keep(b, &i->evidence);
	return i;
}

void store_batch_put_guard(
	struct store_batch *b, struct str subject, uint64_t changed_ms, struct str state)
{
	struct operation *o = add(b, PUT_GUARD);

	o->incident = keep_incident(b, &(struct store_incident){.subject = subject});
	o->when = changed_ms;
	o->text = arena_str(&b->arena, state);
	b->request.octets += state.len;
}

void store_batch_put_incident(struct store_batch *b, const struct store_incident *i)
{
	struct operation *o = add(b, PUT_INCIDENT);

	o->incident = keep_incident(b, i);
}

void store_apply(struct store *s, struct store_batch *b, store_done done, void *arg)
{
	b->done = done;
	b->arg = arg;
	store_request(s, &b->request);
}

// ---------------------------------------------------------------- applying: adding

static int insert_message(struct store *s, const struct operation *o)
{
	const struct envelope *e = o->envelope;
	struct sql_statement *q = sql_use(s->db, QUERY_MESSAGE_ADD);

	sql_bind_u64(q, 1, e->id);
	sql_bind_u64(q, 2, e->received_ms);
	sql_bind_u64(q, 3, o->when);
	sql_bind_u64(q, 4, e->session);
	sql_bind_u64(q, 5, e->size);
	sql_bind_u64(q, 6, o->spool);
	sql_bind_u64(q, 7, e->ret);
	sql_bind_u64(q, 8, e->smtputf8);
	sql_bind_u64(q, 9, e->eightbit);
	sql_bind_u64(q, 10, e->bounce);
	sql_bind_octets(q, 11, str_make(e->digest, sizeof(e->digest)));
	sql_bind_text(q, 12, e->sender);
	sql_bind_text(q, 13, e->account);
	sql_bind_text(q, 14, e->client);
	sql_bind_text(q, 15, e->server);
	sql_bind_text(q, 16, e->helo);
	sql_bind_text(q, 17, e->envid);
	sql_bind_text(q, 18, e->labels);
	sql_bind_octets(q, 19, e->headers);
	sql_bind_octets(q, 20, e->edits);
	sql_bind_octets(q, 21, o->text);
	return sql_run(q);
}

static int insert_recipient(struct store *s, uint64_t message, const struct new_recipient *n)
{
	const struct envelope_recipient *r = &n->recipient;
	bool claimed = n->given.claimed && !r->hold;
	enum recipient_state state = r->hold   ? RECIPIENT_HELD
				     : claimed ? RECIPIENT_CLAIMED
					       : RECIPIENT_DUE;
	struct sql_statement *q = sql_use(s->db, QUERY_RECIPIENT_ADD);

	sql_bind_u64(q, 1, n->given.id);
	sql_bind_u64(q, 2, message);
	sql_bind_u64(q, 3, state);
	sql_bind_u64(q, 4, claimed ? clock_wall_ms() + STORE_LEASE_MS : n->given.next_try_ms);
	sql_bind_u64(q, 5, claimed ? s->node : 0);
	sql_bind_u64(q, 6, n->given.depth);
	sql_bind_u64(q, 7, n->given.parent);
	sql_bind_u64(q, 8, r->notify);
	sql_bind_u64(q, 9, r->hold);
	sql_bind_text(q, 10, r->address);
	sql_bind_text(q, 11, r->domain);
	sql_bind_text(q, 12, r->orcpt);
	sql_bind_text(q, 13, r->hold_reason);
	effects_move_recipient(&s->effects, -1, state);
	return sql_run(q);
}

static int insert_recipients(struct store *s, const struct operation *o)
{
	int err = 0;

	for (unsigned i = 0; i < o->recipient_count && err == 0; i++)
		err = insert_recipient(s, o->message, &o->recipients[i]);
	return err;
}

static int apply_add_message(struct store *s, const struct operation *o)
{
	int err = reserve_check(s);

	if (err == 0)
		err = insert_message(s, o);
	if (err < 0)
		return err;
	s->effects.totals.messages++;
	s->effects.totals.octets += o->envelope->size;
	if (o->spool)
		effects_need_folder(&s->effects, o->spool);
	return insert_recipients(s, o);
}

// ---------------------------------------------------------------- applying: moving

struct place {
	uint64_t message;
	enum recipient_state state;
	bool hold;
};

// 1: found, 0: there is no such recipient (any more).
static int find_place(struct store *s, uint64_t recipient, struct place *out)
{
	struct sql_statement *q = sql_use(s->db, QUERY_PLACE);
	int code;

	sql_bind_u64(q, 1, recipient);
	code = sql_step(q);
	if (code != 1)
		return code;
	out->message = sql_u64(q, 0);
	out->state = (enum recipient_state)sql_u64(q, 1);
	out->hold = sql_u64(q, 2) != 0;
	sql_end(q);
	return out->state <= RECIPIENT_HELD ? 1 : ERR_CORRUPT;
}

static enum recipient_state after_try(const struct place *p)
{
	return p->hold ? RECIPIENT_HELD : RECIPIENT_DUE;
}

static int apply_finish(struct store *s, const struct operation *o)
{
	struct sql_statement *q;
	struct place place;
	int code = find_place(s, o->recipient, &place);

	if (code != 1 || place.message != o->message)
		return code < 0 ? code : 0;
	q = sql_use(s->db, QUERY_RECIPIENT_REMOVE);
	sql_bind_u64(q, 1, o->recipient);
	effects_move_recipient(&s->effects, (int)place.state, -1);
	return sql_run(q);
}

static int apply_retry(struct store *s, const struct operation *o)
{
	struct sql_statement *q;
	struct place place;
	int code = find_place(s, o->recipient, &place);

	if (code != 1 || place.state != RECIPIENT_CLAIMED)
		return code < 0 ? code : 0;
	q = sql_use(s->db, QUERY_RECIPIENT_RETRY);
	sql_bind_u64(q, 1, after_try(&place));
	sql_bind_u64(q, 2, o->when);
	sql_bind_u64(q, 3, o->retry.tries);
	sql_bind_u64(q, 4, o->retry.delay_warned);
	sql_bind_text(q, 5, o->retry.status);
	sql_bind_text(q, 6, o->retry.reply);
	sql_bind_text(q, 7, o->retry.remote);
	sql_bind_u64(q, 8, o->recipient);
	effects_move_recipient(&s->effects, RECIPIENT_CLAIMED, (int)after_try(&place));
	return sql_run(q);
}

static int move(struct store *s, const struct operation *o, enum recipient_state from,
	enum recipient_state to)
{
	struct sql_statement *q = sql_use(s->db, QUERY_RECIPIENT_MOVE);

	sql_bind_u64(q, 1, to);
	sql_bind_u64(q, 2, o->when);
	sql_bind_u64(q, 3, o->recipient);
	effects_move_recipient(&s->effects, (int)from, (int)to);
	return sql_run(q);
}

static int apply_return(struct store *s, const struct operation *o)
{
	struct place place;
	int code = find_place(s, o->recipient, &place);

	if (code != 1 || place.state != RECIPIENT_CLAIMED)
		return code < 0 ? code : 0;
	return move(s, o, RECIPIENT_CLAIMED, after_try(&place));
}

static int set_hold(
	struct store *s, const struct operation *o, enum recipient_state state, bool hold)
{
	struct sql_statement *q = sql_use(s->db, QUERY_RECIPIENT_SET_HOLD);

	sql_bind_u64(q, 1, state);
	sql_bind_u64(q, 2, hold);
	sql_bind_text(q, 3, o->text);
	sql_bind_u64(q, 4, o->recipient);
	return sql_run(q);
}

// A try that is on its way goes on; its end looks at the flag.
static int apply_hold(struct store *s, const struct operation *o)
{
	enum recipient_state to = RECIPIENT_HELD;
	struct place place;
	int code = find_place(s, o->recipient, &place);

	if (code != 1)
		return code;
	if (place.state == RECIPIENT_CLAIMED)
		to = RECIPIENT_CLAIMED;
	effects_move_recipient(&s->effects, (int)place.state, (int)to);
	return set_hold(s, o, to, true);
}

static int apply_release(struct store *s, const struct operation *o)
{
	struct place place;
	int code = find_place(s, o->recipient, &place);

	if (code != 1)
		return code;
	code = place.hold ? set_hold(s, o, place.state, false) : 0;
	if (code < 0 || place.state == RECIPIENT_CLAIMED)
		return code;
	return move(s, o, place.state, RECIPIENT_DUE);
}

static int apply_set_counter(struct store *s, const struct operation *o)
{
	struct sql_statement *q;

	q = sql_use(s->db, o->value ? QUERY_COUNTER_SET : QUERY_COUNTER_REMOVE);
	sql_bind_text(q, 1, o->text);
	sql_bind_u64(q, 2, o->when);
	if (o->value)
		sql_bind_u64(q, 3, o->value);
	return sql_run(q);
}

static int apply_put_guard(struct store *s, const struct operation *o)
{
	struct sql_statement *q = sql_use(s->db, o->text.len ? QUERY_GUARD_PUT : QUERY_GUARD_REMOVE);

	sql_bind_text(q, 1, o->incident->subject);
	if (o->text.len) {
		sql_bind_u64(q, 2, o->when);
		sql_bind_octets(q, 3, o->text);
	}
	return sql_run(q);
}

static int apply_put_incident(struct store *s, const struct operation *o)
{
	const struct store_incident *i = o->incident;
	struct sql_statement *q = sql_use(s->db, QUERY_INCIDENT_PUT);

	sql_bind_u64(q, 1, i->id);
	sql_bind_text(q, 2, i->subject);
	sql_bind_u64(q, 3, i->action);
	sql_bind_u64(q, 4, i->started_ms);
	sql_bind_u64(q, 5, i->ended_ms);
	sql_bind_text(q, 6, i->evidence);
	return sql_run(q);
}

// ---------------------------------------------------------------- applying: messages that end

static int remove_message(struct store *s, uint64_t message)
{
	struct sql_statement *q = sql_use(s->db, QUERY_MESSAGE_SIZE);
	uint64_t size, spool;
	int code;

	sql_bind_u64(q, 1, message);
	code = sql_step(q);
	if (code != 1)
		return code;
	size = sql_u64(q, 0);
	spool = sql_u64(q, 1);
	sql_end(q);
	q = sql_use(s->db, QUERY_MESSAGE_REMOVE);
	sql_bind_u64(q, 1, message);
	code = sql_run(q);
	if (code < 0)
		return code;
	s->effects.totals.messages--;
	s->effects.totals.octets -= size;
	s->effects.totals_changed = true;
	if (spool)
		effects_remove_spool(&s->effects, spool);
	return 0;
}

static int remove_if_ended(struct store *s, uint64_t message)
{
	struct sql_statement *q = sql_use(s->db, QUERY_OTHER_RECIPIENT);
	int code;

	sql_bind_u64(q, 1, message);
	code = sql_step(q);
	if (code != 0) {
		sql_end(q);
		return code < 0 ? code : 0;
	}
	return remove_message(s, message);
}

// After all operations, so that children and parent may come in any order.
static int remove_ended(struct store *s, const struct store_batch *b)
{
	uint64_t last = 0;

	for (const struct operation *o = b->first; o; o = o->next) {
		int err;

		if (o->kind != FINISH || o->message == last)
			continue;
		last = o->message;
		err = remove_if_ended(s, o->message);
		if (err < 0)
			return err;
	}
	return 0;
}

// ---------------------------------------------------------------- the request

// The parent may have been deleted after its expansion was decided, and the message with it.
static int apply_add_recipient(struct store *s, const struct operation *o)
{
	struct place parent;
	uint64_t id = o->recipients[0].given.parent;
	int code = id ? find_place(s, id, &parent) : 1;

	return code == 1 ? insert_recipients(s, o) : code;
}

static int (*const operations[])(struct store *s, const struct operation *o) = {
	[ADD_MESSAGE] = apply_add_message,
	[ADD_RECIPIENT] = apply_add_recipient,
	[FINISH] = apply_finish,
	[RETRY] = apply_retry,
	[RETURN] = apply_return,
	[HOLD] = apply_hold,
	[RELEASE] = apply_release,
	[SET_COUNTER] = apply_set_counter,
	[PUT_GUARD] = apply_put_guard,
	[PUT_INCIDENT] = apply_put_incident,
};

static int batch_run(struct store *s, struct request *r)
{
	struct store_batch *b = (struct store_batch *)r;

	for (const struct operation *o = b->first; o; o = o->next) {
		int err = operations[o->kind](s, o);

		if (err < 0)
			return err;
	}
	return remove_ended(s, b);
}

// The linked files of a batch that failed. After a failed write of the log its row may be there
// after a crash: then the file is left to the sweep, which will know.
static void batch_failed(struct store *s, struct request *r)
{
	struct store_batch *b = (struct store_batch *)r;
	bool used;

	if (r->err == ERR_SYSTEM)
		return;
	for (const struct operation *o = b->first; o; o = o->next) {
		if (o->spool && commit_spool_used(s, o->spool, &used) == 0 && !used)
			file_remove(s, o->spool);
	}
}

static void batch_complete(struct store *s, struct request *r)
{
	struct store_batch *b = (struct store_batch *)r;
	store_done done = b->done;
	void *arg = b->arg;
	int err = r->err;

	store_batch_destroy(b);
	if (done)
		done(arg, err);
}

static const struct request_class batch_class = {
	.run = batch_run,
	.failed = batch_failed,
	.complete = batch_complete,
};
