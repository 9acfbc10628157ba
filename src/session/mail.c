// SPDX-License-Identifier: ISC
// MAIL (RFC 5321 4.1.1.2): begins a transaction when policy allows it. The account's rights are
// asked anew each time, so that one taken away is gone from the next message on.
#include "session/session_internal.h"

#define ARENA_MIN 65536
#define ARENA_RECIPIENT (SMTP_ADDRESS_MAX + DOMAIN_MAX + SMTP_ORCPT_MAX + 200)

enum reply session_command_fault(enum smtp_fault fault, enum reply address)
{
	switch (fault) {
	case SMTP_FAULT_NONE:
		return REPLY_NONE;
	case SMTP_FAULT_ADDRESS:
		return address;
	case SMTP_FAULT_PARAMETER_UNKNOWN:
		return REPLY_PARAMETER_UNKNOWN;
	case SMTP_FAULT_PARAMETER_VALUE:
		return REPLY_PARAMETER_VALUE;
	case SMTP_FAULT_TOO_LONG:
		return REPLY_TOO_LONG;
	case SMTP_FAULT_SYNTAX:
		break;
	}
	return REPLY_SYNTAX;
}

// Facts that may have changed since the last message.
static void renew_facts(struct session *s)
{
	s->facts.known &= ~(unsigned)(POLICY_FACT_ACCOUNT | POLICY_FACT_SPACE | POLICY_FACT_GUARD |
		POLICY_FACT_RATE | POLICY_FACT_SENDER);
	s->facts.account_may_submit = s->facts.account_may_relay = false;
	s->facts.login_untrusted = false;
	session_renew_client(s);
}

static enum reply parse(struct session *s, struct transaction *t, struct str argument)
{
	enum smtp_fault fault = smtp_command_parse_mail(argument, &t->sender, &t->mail, &s->detail);

	if (fault)
		return session_command_fault(fault, REPLY_SENDER_BAD);
	s->detail = STR_EMPTY;
	if (t->mail.body == SMTP_BODY_BINARYMIME)
		return REPLY_BINARYMIME;
	if (t->sender.utf8 && !t->mail.smtputf8)
		return REPLY_NEEDS_SMTPUTF8;
	return REPLY_NONE;
}

// What an account may have more is not known yet.
static size_t arena_size(const struct session *s)
{
	uint64_t most = session_limit(s, CONFIG_LIMIT_RECIPIENTS);
	uint64_t others = config_limit_most(s->facts.config, CONFIG_LIMIT_RECIPIENTS);

	if (s->account && others > most)
		most = others;
	return ARENA_MIN + ARENA_RECIPIENT * most;
}

enum reply session_mail(struct session *s, struct str argument)
{
	struct transaction *t;
	enum reply reply;

	renew_facts(s);
	t = transaction_create(arena_size(s));
	reply = parse(s, t, argument);
	if (reply) {
		transaction_destroy(t);
		return reply;
	}
	s->transaction = t;
	s->facts.sender = &t->sender;
	s->facts.mail = &t->mail;
	s->facts.authors = str_from(t->sender.text);
	s->facts.author_count = 0;
	s->facts.owners = STR_EMPTY;
	return session_ask(s, QUESTION_MAIL);
}

void session_decided_mail(struct session *s, const struct policy_verdict *v)
{
	struct transaction *t = s->transaction;

	if (!s->rehearsal)
		s->facts.messages_so_far++; // RFC 9422: all MAIL commands, whatever becomes of them
	switch (v->kind) {
	case POLICY_ALLOW:
		break;
	case POLICY_HOLD:
		str_copy(str_from(v->hold_reason), t->hold_reason, sizeof(t->hold_reason));
		if (!t->hold_reason[0])
			str_copy(str_from(v->rule), t->hold_reason, sizeof(t->hold_reason));
		break;
	case POLICY_DISCARD:
		t->discard = true;
		t->rule = v->rule;
		break;
	default:
		session_answer_verdict(s, v);
		session_reset(s);
		return;
	}
	str_copy(str_from(v->labels), t->labels, sizeof(t->labels));
	s->state = SESSION_MAIL;
	session_answer(s, REPLY_SENDER_OK);
}
