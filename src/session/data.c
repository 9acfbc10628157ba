// SPDX-License-Identifier: ISC
// DATA (RFC 5321 4.1.1.4): the body up to CRLF.CRLF, then its one reply.
#include "session/session_internal.h"

enum reply session_data(struct session *s, struct str argument)
{
	if (s->state == SESSION_BDAT) { // RFC 3030 2: never both; the message is dead
		session_answer(s, REPLY_CHUNKS_BEGUN);
		session_reset(s);
		return REPLY_NONE;
	}
	if (s->state == SESSION_MAIL)
		return REPLY_NO_RECIPIENTS;
	return session_ask(s, QUESTION_DATA);
}

void session_decided_data(struct session *s, const struct policy_verdict *v)
{
	struct transaction *t = s->transaction;

	if (v->kind == POLICY_DISCARD) {
		t->discard = true;
		t->rule = v->rule;
	} else if (v->kind != POLICY_ALLOW) {
		session_answer_verdict(s, v);
		session_reset(s);
		return;
	}
	t->body = body_create(s, false);
	s->state = SESSION_DATA;
	session_answer(s, REPLY_SEND_BODY);
}

size_t session_read_data(struct session *s, struct str octets)
{
	size_t used;
	bool ended = body_take_data(s, octets, &used);

	if (!ended && body_is_endless(s))
		session_answer(s, REPLY_BODY_ENDLESS);
	else
		body_advance(s, ended);
	return used;
}
