// SPDX-License-Identifier: ISC
// What a session does for an administrator who asks what a client would be told: it takes his word
// for TLS and the login, and shows an observer why it said what it said.
#include "session/session_internal.h"

#include "base/memory.h"

void session_rehearse(struct session *s, const struct session_rehearsal *how)
{
	s->rehearsal = true;
	s->seen = how->seen;
	if (how->tls) {
		s->tls = mem_alloc(sizeof(*s->tls));
		s->tls->active = true;
		s->facts.tls = true;
	}
	if (how->account.len) {
		s->account = str_dup(how->account);
		s->facts.account = str_from(s->account);
	}
}

static const char *step_of(const struct session *s)
{
	if (s->state == SESSION_OPENING)
		return "connect";
	switch (s->verb) {
	case SMTP_HELO:
	case SMTP_EHLO:
		return "hello";
	case SMTP_MAIL:
		return "mail";
	case SMTP_RCPT:
		return "rcpt";
	default:
		return "other";
	}
}

// Of a reply that the dialogue gives by itself.
static enum policy_kind kind_of(const struct smtp_reply *r)
{
	if (!r->code || r->code == 421)
		return POLICY_DROP;
	return r->code < 400 ? POLICY_ALLOW : r->code < 500 ? POLICY_DEFER : POLICY_REFUSE;
}

void session_show_observer(struct session *s, const struct smtp_reply *r, const char *rule,
	const char *rule_text)
{
	const struct policy_verdict *v = s->decided;
	const struct transaction *t = s->transaction;
	struct policy_facts facts = s->facts;
	struct session_seen seen = {.step = step_of(s), .reply = r, .facts = &facts};

	// A verdict that lets a recipient pass may still find no room for it: then the reply is right.
	if (v && (r->code < 400 || v->reply.code == r->code)) { // also 0: closed without a word
		seen.kind = v->kind;
		seen.rule = v->rule;
		seen.rule_text = v->rule_text;
		seen.delay_ms = v->delay_ms;
	} else {
		seen.kind = kind_of(r);
		seen.rule = rule ? rule : "";
		seen.rule_text = rule_text ? rule_text : "";
	}
	if (t)
		facts.sender = &t->sender;
	if (t && s->verb == SMTP_RCPT && t->recipient.text[0])
		facts.recipient = &t->recipient;
	s->seen(s->arg, &seen);
}
