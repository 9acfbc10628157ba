// SPDX-License-Identifier: ISC
// One transaction of the client: MAIL, RCPT and DATA in one group where the server
// offers PIPELINING (RFC 2920), else one by one, and a result for each recipient.
#include "base/memory.h"
#include "base/text.h"
#include "smtp/client_internal.h"

#include <stdio.h>

static unsigned reply_class(const struct smtp_client *c)
{
	return c->reader.reply.code / 100;
}

// ---- results

static void settle(struct smtp_client *c, unsigned i, const struct smtp_result *r)
{
	if (c->standing[i] == STANDING_DONE)
		return;
	if (c->standing[i] == STANDING_ACCEPTED)
		c->accepted--;
	c->standing[i] = STANDING_DONE;
	c->message->recipients[i].result = *r;
}

void smtp_client_settle_all(struct smtp_client *c, const struct smtp_result *r)
{
	for (unsigned i = 0; i < c->message->recipient_count; i++)
		settle(c, i, r);
}

static void settle_all_by_reply(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_client_judge(c, &r);
	smtp_client_settle_all(c, &r);
}

void smtp_client_end_transaction(struct smtp_client *c)
{
	mem_free(c->standing);
	c->standing = NULL;
	c->message = NULL;
	c->pipelined = false;
}

// The server may hold a half-made transaction.
static void reset(struct smtp_client *c)
{
	smtp_client_end_transaction(c);
	smtp_client_send(c, "RSET");
	c->phase = PHASE_RSET;
}

static void ready(struct smtp_client *c)
{
	smtp_client_end_transaction(c);
	c->phase = PHASE_READY;
}

// ---- commands

static bool is_ascii(const char *text)
{
	return str_is_ascii(str_from(text));
}

// Nothing in here may end the command line early.
static bool is_safe(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static bool is_word(const char *text)
{
	return text && *text && is_safe(text) && !strchr(text, ' ');
}

static void send_mail(struct smtp_client *c)
{
	static const char *const ret[] = {"", " RET=FULL", " RET=HDRS"};
	const struct smtp_client_message *m = c->message;
	bool dsn = c->has & SMTP_HAS_DSN;
	bool envid = dsn && is_word(m->envid);
	char size[32] = "";

	if (c->has & SMTP_HAS_SIZE)
		snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)m->size);
	smtp_client_send(c, "MAIL FROM:<%s>%s%s%s%s%s%s", m->sender, size,
		m->eightbit ? " BODY=8BITMIME" : "", m->smtputf8 ? " SMTPUTF8" : "",
		dsn ? ret[m->ret] : "", envid ? " ENVID=" : "", envid ? m->envid : "");
}

static void send_rcpt(struct smtp_client *c, unsigned i)
{
	static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	const struct smtp_client_recipient *r = &c->message->recipients[i];
	char notify[64] = "";
	size_t len = 0;
	bool dsn = c->has & SMTP_HAS_DSN;
	bool orcpt = dsn && is_word(r->orcpt) && (is_ascii(r->orcpt) || c->message->smtputf8);

	for (unsigned bit = 0; dsn && bit < ARRAY_SIZE(names); bit++)
		if (r->notify & 1U << bit)
			len += (size_t)snprintf(notify + len, sizeof(notify) - len, "%s%s",
				len ? "," : " NOTIFY=", names[bit]);
	smtp_client_send(c, "RCPT TO:<%s>%s%s%s", r->address, notify, orcpt ? " ORCPT=" : "",
		orcpt ? r->orcpt : "");
}

// ---- what need not be sent at all

static bool needs_smtputf8(const struct smtp_client_message *m)
{
	if (m->smtputf8 || !is_ascii(m->sender))
		return true;
	for (unsigned i = 0; i < m->recipient_count; i++)
		if (!is_ascii(m->recipients[i].address))
			return true;
	return false;
}

static bool has_unsafe_address(const struct smtp_client_message *m)
{
	for (unsigned i = 0; i < m->recipient_count; i++)
		if (!is_safe(m->recipients[i].address))
			return true;
	return !is_safe(m->sender);
}

// Fills r and returns true when this host can never take the message.
static bool cannot_send(
	const struct smtp_client *c, const struct smtp_client_message *m, struct smtp_result *r)
{
	const char *enhanced = NULL, *why = NULL;

	if (c->size_limit && m->size > c->size_limit) { // RFC 1870 6.1
		enhanced = "5.3.4";
		why = TEXT("the message is larger than the server takes");
	} else if (needs_smtputf8(m) && !(c->has & SMTP_HAS_SMTPUTF8)) { // RFC 6531 3.5
		enhanced = "5.6.7";
		why = TEXT("the message needs SMTPUTF8, which the server does not offer");
	} else if (m->eightbit && !(c->has & SMTP_HAS_8BITMIME)) { // RFC 6152 3
		enhanced = "5.6.3";
		why = TEXT("the message needs 8BITMIME, which the server does not offer");
	} else if (has_unsafe_address(m)) {
		enhanced = "5.1.3";
		why = TEXT("an address holds control characters");
	} else {
		return false;
	}
	memset(r, 0, sizeof(*r));
	r->outcome = SMTP_PERMANENT;
	str_copy(str_from(enhanced), r->enhanced, sizeof(r->enhanced));
	str_copy(str_slice(str_from(why), 0, sizeof(r->text) - 1), r->text, sizeof(r->text));
	return true;
}

void smtp_client_message(struct smtp_client *c, struct smtp_client_message *message)
{
	struct smtp_result r;
	bool closed = c->phase == PHASE_CLOSED;

	BUG_ON(!closed && c->phase != PHASE_READY);
	c->try_next = closed && c->failure_try_next;
	if (closed || !message->recipient_count || cannot_send(c, message, &r)) {
		for (unsigned i = 0; i < message->recipient_count; i++)
			message->recipients[i].result = closed ? c->failure : r;
		return;
	}
	c->message = message;
	c->standing = mem_array(message->recipient_count, 1);
	c->current = 0;
	c->accepted = 0;
	c->pipelined = c->has & SMTP_HAS_PIPELINING;
	message->smtputf8 = needs_smtputf8(message);
	c->phase = PHASE_MAIL;
	send_mail(c);
	if (!c->pipelined)
		return;
	for (unsigned i = 0; i < message->recipient_count; i++)
		send_rcpt(c, i);
	smtp_client_send(c, "DATA");
}

// ---- replies

void smtp_client_on_mail(struct smtp_client *c)
{
	if (reply_class(c) == 3) {
		smtp_client_fail_unexpected(c);
		return;
	}
	c->phase = PHASE_RCPT;
	if (reply_class(c) == 2) {
		if (!c->pipelined)
			send_rcpt(c, 0);
		return;
	}
	c->try_next = reply_class(c) == 4;
	settle_all_by_reply(c);
	if (!c->pipelined) // no transaction was opened
		ready(c);
}

static void judge_recipient(struct smtp_client *c)
{
	struct smtp_result r;

	if (c->standing[c->current] == STANDING_DONE) // MAIL was refused
		return;
	if (reply_class(c) == 2) {
		c->standing[c->current] = STANDING_ACCEPTED;
		c->accepted++;
		return;
	}
	smtp_client_judge(c, &r);
	// "Too many recipients" is said with 552 by old servers (RFC 5321 4.5.3.1.10).
	if (r.code == 552 && c->accepted &&
		(!c->reader.reply.enhanced[0] || !strcmp(r.enhanced, "5.5.3"))) {
		r.outcome = SMTP_TEMPORARY;
		r.enhanced[0] = '4';
	}
	settle(c, c->current, &r);
}

void smtp_client_on_rcpt(struct smtp_client *c)
{
	if (reply_class(c) == 3) {
		smtp_client_fail_unexpected(c);
		return;
	}
	judge_recipient(c);
	if (++c->current < c->message->recipient_count) {
		if (!c->pipelined)
			send_rcpt(c, c->current);
		return;
	}
	c->phase = PHASE_DATA;
	if (c->pipelined)
		return;
	if (c->accepted)
		smtp_client_send(c, "DATA");
	else
		reset(c);
}

void smtp_client_on_data(struct smtp_client *c)
{
	if (c->reader.reply.code == 354 && c->accepted) {
		c->phase = PHASE_BODY;
	} else if (c->reader.reply.code == 354) {
		// RFC 2920 3.1: end it with a lone dot. LMTP would not answer that: leave.
		c->phase = PHASE_LONE_DOT;
		smtp_client_send(c, ".");
		if (c->options.lmtp)
			smtp_client_fail_text(c, "4.5.0",
				TEXT("the server wants a message for nobody"), c->try_next);
	} else if (reply_class(c) >= 4) {
		settle_all_by_reply(c);
		reset(c);
	} else {
		smtp_client_fail_unexpected(c);
	}
}

// The server did not wait for the end of the body. What it refuses is refused; the
// connection is out of step.
void smtp_client_on_body(struct smtp_client *c)
{
	struct smtp_result r;

	if (reply_class(c) < 4) {
		smtp_client_fail_unexpected(c);
		return;
	}
	smtp_client_judge(c, &r);
	smtp_client_fail(c, &r, false);
}

void smtp_client_body_sent(struct smtp_client *c)
{
	if (c->phase != PHASE_BODY)
		return;
	c->phase = PHASE_FINAL;
	c->current = 0;
}

// RFC 2033 4.2: LMTP answers once for each accepted recipient, in their order.
void smtp_client_on_final(struct smtp_client *c)
{
	struct smtp_result r;

	if (reply_class(c) == 3) {
		smtp_client_fail_unexpected(c);
		return;
	}
	smtp_client_judge(c, &r);
	if (!c->options.lmtp) {
		smtp_client_settle_all(c, &r);
	} else {
		while (c->standing[c->current] != STANDING_ACCEPTED)
			c->current++;
		settle(c, c->current, &r);
	}
	if (!c->accepted)
		ready(c);
}

void smtp_client_on_lone_dot(struct smtp_client *c)
{
	reset(c);
}

void smtp_client_on_rset(struct smtp_client *c)
{
	if (reply_class(c) == 2)
		c->phase = PHASE_READY;
	else
		smtp_client_fail_unexpected(c);
}
