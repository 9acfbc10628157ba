// SPDX-License-Identifier: ISC
// Taking the octets of a body; body_finish.c does what follows its end.
#include "session/body_internal.h"

#include "base/memory.h"
#include "message/trace.h"

static struct stage_facts stage_facts_of(struct session *s, uint64_t now)
{
	struct transaction *t = s->transaction;
	// Ours alone, also for the second message of a session: for a Message-ID of ours.
	uint64_t unique[3] = {s->id, now, s->facts.messages_so_far};

	return (struct stage_facts){
		.config = s->facts.config,
		.server = s->facts.server,
		.authors = policy_wants_authors(&s->facts),
		.sender = str_from(t->sender.text),
		.submission = s->account != NULL,
		.header_size = session_limit(s, CONFIG_LIMIT_HEADER_SIZE),
		.header_fields = session_limit(s, CONFIG_LIMIT_HEADER_FIELDS),
		.id = hash_octets(unique, sizeof(unique)),
		.wall_ms = now,
		.recipients = t->recipients,
		.recipient_count = t->count,
	};
}

struct body *body_create(struct session *s, bool chunked)
{
	struct body *b = mem_alloc(sizeof(*b));
	uint64_t now = s->host->wall_ms(s->arg);
	struct stage_facts facts = stage_facts_of(s, now);

	b->chunked = chunked;
	b->received_ms = now;
	smtp_data_init(&b->data);
	smtp_chunks_init(&b->chunks);
	b->digest = digest_create();
	b->stages = stage_run_create(&facts);
	return b;
}

void body_destroy(struct session *s, struct body *b)
{
	if (!b)
		return;
	if (b->spool_state == SPOOL_OPENING || b->spool_state == SPOOL_OPEN)
		s->host->spool_abort(s->arg);
	stage_run_destroy(b->stages);
	digest_destroy(b->digest);
	buf_finish(&b->memory);
	buf_finish(&b->headers);
	mem_free(b);
}

uint64_t body_size(const struct body *b)
{
	return b ? b->size : 0;
}

uint64_t body_wire(const struct body *b)
{
	return b ? b->wire : 0;
}

enum reply body_fault(const struct body *b)
{
	static const enum reply replies[] = {
		[SMTP_BODY_OK] = REPLY_NONE,
		[SMTP_BODY_BARE] = REPLY_BODY_BARE,
		[SMTP_BODY_NUL] = REPLY_BODY_NUL,
		[SMTP_BODY_LONG_LINE] = REPLY_BODY_LONG_LINE,
		[SMTP_BODY_TOO_LARGE] = REPLY_BODY_TOO_LARGE,
	};
	enum reply reply = replies[b->chunked ? b->chunks.fault : b->data.fault];

	return reply ? reply : b->failure;
}

static bool has_high_octets(struct str s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.len; i++)
		all |= (unsigned char)s.data[i];
	return all & 0x80;
}

static void keep(void *arg, struct str octets)
{
	struct session *s = arg;
	struct body *b = s->transaction->body;

	if (body_fault(b))
		return;
	b->size += octets.len;
	if (!b->eightbit)
		b->eightbit = has_high_octets(octets);
	digest_update(b->digest, octets);
	stage_run_octets(b->stages, octets);
	if (b->spool_state == SPOOL_OPEN)
		s->host->spool_write(s->arg, octets);
	else
		buf_add_str(&b->memory, octets);
}

bool body_take_data(struct session *s, struct str octets, size_t *out_used)
{
	struct body *b = s->transaction->body;
	struct smtp_limits limits = session_limits(s);
	bool ended = smtp_data_read(&b->data, str_slice(octets, 0, BODY_SLICE), &limits, keep, s,
		out_used);

	b->wire += *out_used;
	return ended;
}

void body_take_chunk(struct session *s, struct str octets)
{
	struct body *b = s->transaction->body;
	struct smtp_limits limits = session_limits(s);

	b->wire += octets.len;
	smtp_chunks_check(&b->chunks, octets, &limits);
	keep(s, octets);
}

void body_end_chunks(struct session *s)
{
	struct body *b = s->transaction->body;
	struct str tail;

	smtp_chunks_end(&b->chunks, &tail);
	keep(s, tail);
}

bool body_is_endless(const struct session *s)
{
	uint64_t most = session_limit(s, CONFIG_LIMIT_MESSAGE_SIZE);

	return most && s->transaction->body->wire / 4 > most;
}

// A body that is refused needs no room any more.
static void drop_when_faulty(struct session *s, struct body *b)
{
	if (!body_fault(b))
		return;
	buf_release(&b->memory);
	if (b->spool_state == SPOOL_OPEN) {
		b->spool_state = SPOOL_GIVEN_UP;
		s->host->spool_abort(s->arg);
	}
}

void body_advance(struct session *s, bool ended)
{
	struct body *b = s->transaction->body;

	drop_when_faulty(s, b);
	b->ended = ended;
	if (b->spool_state == SPOOL_NONE && buf_len(&b->memory) > session_limit(s, CONFIG_LIMIT_BODY_MEMORY)) {
		b->spool_state = SPOOL_OPENING;
		s->wait = SESSION_WAIT_SPOOL;
		s->host->spool_open(s->arg);
		return;
	}
	if (!ended)
		return;
	if (!b->chunked || s->chunk.last) {
		body_finish(s);
	} else if (body_fault(b)) {
		session_transaction_done(s, body_fault(b));
	} else {
		s->state = SESSION_BDAT;
		session_answer(s, REPLY_CHUNK_OK);
	}
}

void session_spool(struct session *s, int err, uint64_t spool)
{
	struct body *b;

	if (s->wait != SESSION_WAIT_SPOOL)
		return;
	session_enter(s);
	s->wait = SESSION_WAIT_NONE;
	b = s->transaction->body;
	if (err) {
		b->spool_state = SPOOL_GIVEN_UP;
		b->failure = err == ERR_FULL ? REPLY_FULL : REPLY_UNAVAILABLE;
	} else {
		b->spool_state = SPOOL_OPEN;
		b->spool = spool;
		s->host->spool_write(s->arg, buf_str(&b->memory));
		buf_release(&b->memory);
	}
	body_advance(s, b->ended);
	session_leave(s);
}
