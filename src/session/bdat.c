// SPDX-License-Identifier: ISC
// BDAT (RFC 3030). The octets of a chunk are taken in any case, also when it is refused, so
// that they are never read as commands. A refused chunk ends the message.
#include "session/session_internal.h"

#include "base/memory.h"

static enum reply check_order(const struct session *s)
{
	switch ((enum session_state)s->state) {
	case SESSION_RCPT:
	case SESSION_BDAT:
		return REPLY_NONE;
	case SESSION_MAIL:
		return REPLY_NO_RECIPIENTS;
	case SESSION_GREETED:
		return REPLY_HELO_FIRST;
	default:
		return REPLY_RCPT_FIRST;
	}
}

// The octets of the chunk are all here.
static void chunk_done(struct session *s)
{
	struct policy_verdict *v = s->verdict;

	if (s->chunk.refusal) {
		session_transaction_done(s, s->chunk.refusal);
	} else if (v) {
		s->verdict = NULL;
		session_answer_verdict(s, v);
		session_reset(s);
		mem_free(v);
	} else {
		if (s->chunk.last)
			body_end_chunks(s);
		body_advance(s, true);
	}
}

static void begin_chunk(struct session *s)
{
	s->state = SESSION_CHUNK;
	if (!s->chunk.left)
		chunk_done(s);
}

enum reply session_bdat(struct session *s, struct str argument)
{
	uint64_t most = session_limit(s, CONFIG_LIMIT_MESSAGE_SIZE);

	if (smtp_command_parse_bdat(argument, &s->chunk.left, &s->chunk.last))
		return REPLY_CHUNK_SYNTAX;
	if (most && s->chunk.left / 4 > most)
		return REPLY_BODY_ENDLESS;
	s->chunk.refusal = s->rehearsal ? REPLY_REHEARSAL : check_order(s);
	if (s->state == SESSION_RCPT && !s->rehearsal)
		return session_ask(s, QUESTION_BDAT);
	begin_chunk(s);
	return REPLY_NONE;
}

void session_decided_bdat(struct session *s, const struct policy_verdict *v)
{
	struct transaction *t = s->transaction;

	if (v->kind == POLICY_DISCARD) {
		t->discard = true;
		t->rule = v->rule;
	} else if (v->kind != POLICY_ALLOW) {
		s->verdict = mem_alloc(sizeof(*v));
		*s->verdict = *v;
	}
	if (!s->verdict)
		t->body = body_create(s, true);
	begin_chunk(s);
}

size_t session_read_chunk(struct session *s, struct str octets)
{
	bool wanted = !s->chunk.refusal && !s->verdict;
	size_t take = octets.len < BODY_SLICE ? octets.len : BODY_SLICE;

	if (take > s->chunk.left)
		take = (size_t)s->chunk.left;
	s->chunk.left -= take;
	if (wanted)
		body_take_chunk(s, str_slice(octets, 0, take));
	if (wanted && body_is_endless(s))
		session_answer(s, REPLY_BODY_ENDLESS);
	else if (!s->chunk.left)
		chunk_done(s);
	else if (wanted)
		body_advance(s, false);
	return take;
}
