// SPDX-License-Identifier: ISC
// AUTH as a client: PLAIN (RFC 4616) with its response in the command, or LOGIN.
#include "base/memory.h"
#include "base/text.h"
#include "smtp/client_internal.h"

// RFC 4954 4: a refused AUTH leaves the mail in the queue; it is our set-up that is wrong.
static void fail(struct smtp_client *c, const char *enhanced, const char *why)
{
	smtp_client_send(c, "QUIT");
	smtp_client_fail_text(c, enhanced, why, false);
}

void smtp_client_wipe_answers(struct smtp_client *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++)
		buf_finish_wipe(&c->answers[i]);
	c->answer_count = c->answer_next = 0;
}

// What was sent is gone from output; its memory still holds the password.
static void wipe_output(struct smtp_client *c)
{
	if (!buf_len(&c->output) && c->output.data)
		mem_wipe(c->output.data, c->output.size);
}

static void start_plain(struct smtp_client *c, const char *user, const char *password)
{
	struct buf message = BUF_INIT;

	buf_add_char(&message, '\0');
	buf_add_text(&message, user);
	buf_add_char(&message, '\0');
	buf_add_text(&message, password);
	buf_add_base64(&c->answers[0], buf_str(&message));
	buf_finish_wipe(&message);
	c->answer_count = 1; // also asked for by servers that know no initial response
	smtp_client_send(c, "AUTH PLAIN %s", buf_cstr(&c->answers[0]));
}

static void start_login(struct smtp_client *c, const char *user, const char *password)
{
	buf_add_base64(&c->answers[0], str_from(user));
	buf_add_base64(&c->answers[1], str_from(password));
	c->answer_count = 2;
	smtp_client_send(c, "AUTH LOGIN");
}

void smtp_client_auth(
	struct smtp_client *c, const char *user, const char *password, bool plaintext_ok)
{
	if (c->phase != PHASE_AUTH_WAIT)
		return;
	if (!(c->has & SMTP_HAS_AUTH)) {
		fail(c, "4.7.0", TEXT("the server does not offer authentication"));
		return;
	}
	if (!c->tls && !plaintext_ok) {
		fail(c, "4.7.11", TEXT("the password is not sent without TLS"));
		return;
	}
	c->phase = PHASE_AUTH;
	if (c->mechanisms & MECHANISM_PLAIN)
		start_plain(c, user, password);
	else if (c->mechanisms & MECHANISM_LOGIN)
		start_login(c, user, password);
	else
		fail(c, "4.7.0", TEXT("the server offers no mechanism known here (PLAIN, LOGIN)"));
}

void smtp_client_on_auth(struct smtp_client *c)
{
	unsigned code = c->reader.reply.code;
	struct smtp_result r;

	wipe_output(c);
	if (code == 334 && c->answer_next < c->answer_count) {
		smtp_client_send(c, "%s", buf_cstr(&c->answers[c->answer_next++]));
	} else if (code == 334 && c->answer_next == c->answer_count) {
		c->answer_next++;
		smtp_client_send(c, "*"); // gives up; the answer is 501
	} else if (code / 100 == 2) {
		smtp_client_wipe_answers(c);
		c->phase = PHASE_READY;
	} else if (code / 100 == 3) {
		smtp_client_fail_unexpected(c);
	} else {
		smtp_client_judge(c, &r);
		r.outcome = SMTP_TEMPORARY;
		r.enhanced[0] = '4';
		smtp_client_send(c, "QUIT");
		smtp_client_fail(c, &r, code / 100 == 4);
	}
}
