// SPDX-License-Identifier: ISC
// RCPT (RFC 5321 4.1.1.3): whether the recipient is taken is policy's question alone.
#include "session/session_internal.h"

static int add_quoted(struct buf *out, struct str local)
{
	int err = buf_add_char(out, '"');

	for (size_t i = 0; i < local.len && !err; i++) {
		if (local.data[i] == '"' || local.data[i] == '\\')
			err = buf_add_char(out, '\\');
		if (!err)
			err = buf_add_char(out, local.data[i]);
	}
	return err ? err : buf_add_char(out, '"');
}

// RELAYCLIENT's value is put behind the whole address, as qmail-smtpd does, so it may change the
// domain: kim@example.org and "@fixme" are "kim@example.org"@fixme.
static enum reply add_suffix(struct smtp_address *to, struct str suffix)
{
	struct buf whole = {.limit = 2 * SMTP_ADDRESS_MAX}, made = {.limit = 4 * SMTP_ADDRESS_MAX};
	struct smtp_address parsed;
	int err;

	if (!suffix.len || to->null || to->postmaster)
		return REPLY_NONE;
	err = buf_add_format(&whole, "%s@%s%.*s", to->local, to->domain, STR_ARG(suffix));
	if (!err) {
		struct str text = buf_str(&whole);
		size_t at = (size_t)str_find_last(text, '@');
		err = add_quoted(&made, str_slice(text, 0, at));
		if (!err)
			err = buf_add_str(&made, str_skip(text, at));
	}
	if (!err)
		err = smtp_address_parse(buf_str(&made), &parsed);
	if (!err)
		*to = parsed;
	buf_finish(&whole);
	buf_finish(&made);
	return err ? REPLY_RECIPIENT_BAD : REPLY_NONE;
}

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
	const struct client_rule *rule = s->facts.client_rule;
	enum reply reply = parse(s, t, argument);

	// Only where the address alone gives the right: who logs in is no RELAYCLIENT.
	if (!reply && rule && rule->action == CLIENT_RELAY && !s->account && !s->facts.server->require_auth) {
		reply = add_suffix(&t->recipient, rule->relay_suffix);
		s->detail = reply ? rule->relay_suffix : STR_EMPTY; // what is wrong is not the client's
	}
	if (reply) {
		t->recipient.text[0] = '\0'; // is not the one before either
		return reply;
	}
	s->facts.recipient = &t->recipient;
	s->facts.known &= ~(unsigned)(POLICY_FACT_RECIPIENT | POLICY_FACT_RATE);
	s->facts.local_size = 0;
	s->facts.local_size_where = STR_EMPTY;
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
	session_note_local_size(s);
	s->facts.recipients_so_far++;
	s->state = SESSION_RCPT;
	session_answer(s, REPLY_RECIPIENT_OK);
}
