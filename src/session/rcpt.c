// SPDX-License-Identifier: ISC
// RCPT (RFC 5321 4.1.1.3): whether the recipient is taken is policy's question alone.
#include "session/session_internal.h"

static enum reply parse(struct session *s, struct transaction *t, struct str argument)
{
	enum smtp_fault fault = smtp_command_parse_rcpt(argument, &t->recipient, &t->rcpt, &s->detail);

	if (fault)
		return session_command_fault(fault, REPLY_RECIPIENT_BAD);
	s->detail = STR_EMPTY;
	if (t->recipient.null)
		return REPLY_RECIPIENT_BAD;
	if (t->recipient.utf8 && !t->mail.smtputf8)
		return REPLY_NEEDS_SMTPUTF8;
	return REPLY_NONE;
}

enum reply session_rcpt(struct session *s, struct str argument)
{
	struct transaction *t = s->transaction;
	enum reply reply = parse(s, t, argument);

	if (reply) {
		t->recipient.text[0] = '\0'; // is not the one before either
		return reply;
	}
	s->facts.recipient = &t->recipient;
	s->facts.known &= ~(unsigned)POLICY_FACT_RECIPIENT;
	return session_ask(s, QUESTION_RCPT);
}

void session_decided_rcpt(struct session *s, const struct policy_verdict *v)
{
	struct transaction *t = s->transaction;
	bool hold = v->kind == POLICY_HOLD;

	s->facts.recipient = NULL;
	if (v->kind != POLICY_ALLOW && v->kind != POLICY_DISCARD && !hold) {
		session_answer_verdict(s, v);
		return;
	}
	if (v->kind == POLICY_DISCARD) {
		t->rule = v->rule; // counted, not kept
	} else if (transaction_add_recipient(t, hold, v->hold_reason)) {
		session_answer(s, REPLY_RECIPIENTS_FULL);
		return;
	}
	s->facts.recipients_so_far++;
	s->state = SESSION_RCPT;
	session_answer(s, REPLY_RECIPIENT_OK);
}
