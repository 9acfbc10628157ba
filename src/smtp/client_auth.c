// SPDX-License-Identifier: ISC
// AUTH as a client (RFC 4954): carries challenges to the driver and its answers back.
#include "base/memory.h"
#include "base/text.h"
#include "smtp/client_internal.h"

#include <stdio.h>

#define COMMAND_OCTETS 510 // of a line without its end: a longer first response waits to be asked for
#define CHALLENGE_OCTETS 8192

// What was sent is gone from output; its memory still holds the secret.
static void wipe_output(struct smtp_client *c)
{
	if (!buf_len(&c->output) && c->output.data)
		mem_wipe(c->output.data, c->output.size);
}

void smtp_client_auth_wipe(struct smtp_client *c)
{
	buf_finish_wipe(&c->challenge);
	buf_finish_wipe(&c->initial);
	c->initial_waits = false;
}

static bool waits(const struct smtp_client *c, enum smtp_client_auth_stage stage)
{
	return c->phase == PHASE_AUTH_WAIT && c->auth_stage == stage;
}

// ---- the driver's side
enum smtp_client_auth_stage smtp_client_auth_stage(const struct smtp_client *c)
{
	return c->auth_stage;
}

const char *smtp_client_auth_mechanisms(const struct smtp_client *c)
{
	return c->mechanisms;
}

unsigned smtp_client_auth_code(const struct smtp_client *c)
{
	return c->reader.reply.code;
}

struct str smtp_client_auth_challenge(const struct smtp_client *c)
{
	return buf_str(&c->challenge);
}

static void add_response(struct buf *out, struct str response)
{
	if (response.len)
		buf_add_base64(out, response);
	else
		buf_add_char(out, '='); // RFC 4954 4: there is one, and it is empty
}

void smtp_client_auth_start(struct smtp_client *c, const char *mechanism, struct str initial)
{
	if (!waits(c, SMTP_AUTH_BEGIN) && !waits(c, SMTP_AUTH_REFUSED))
		return;
	smtp_client_auth_wipe(c);
	c->auth_cancelled = false;
	if (initial.data)
		add_response(&c->initial, initial);
	size_t len = strlen("AUTH  ") + strlen(mechanism) + buf_len(&c->initial);
	c->initial_waits = initial.data && len > COMMAND_OCTETS;
	c->phase = PHASE_AUTH;
	if (initial.data && !c->initial_waits)
		smtp_client_send(c, "AUTH %s %s", mechanism, buf_cstr(&c->initial));
	else
		smtp_client_send(c, "AUTH %s", mechanism);
	if (!c->initial_waits)
		smtp_client_auth_wipe(c);
}

void smtp_client_auth_answer(struct smtp_client *c, struct str response)
{
	if (!waits(c, SMTP_AUTH_CHALLENGE))
		return;
	buf_add_base64(&c->output, response);
	buf_add_text(&c->output, "\r\n");
	c->phase = PHASE_AUTH;
}

void smtp_client_auth_cancel(struct smtp_client *c)
{
	if (!waits(c, SMTP_AUTH_CHALLENGE))
		return;
	c->auth_cancelled = true;
	smtp_client_send(c, "*"); // the answer is 501
	c->phase = PHASE_AUTH;
}

void smtp_client_auth_done(struct smtp_client *c)
{
	if (!waits(c, SMTP_AUTH_ACCEPTED))
		return;
	smtp_client_auth_wipe(c);
	c->phase = PHASE_READY;
}

// RFC 4954 4: a refused AUTH leaves the mail in the queue; it is our set-up that is wrong.
void smtp_client_auth_fail(struct smtp_client *c, const char *enhanced, const char *why)
{
	struct smtp_result r = {.outcome = SMTP_TEMPORARY};
	bool try_next = false;

	if (c->phase != PHASE_AUTH_WAIT)
		return;
	if (c->auth_stage == SMTP_AUTH_REFUSED && !c->auth_cancelled) {
		smtp_client_judge(c, &r);
		try_next = r.outcome == SMTP_TEMPORARY;
		r.outcome = SMTP_TEMPORARY;
		r.enhanced[0] = '4';
	} else {
		(void)str_copy(str_from(enhanced), r.enhanced, sizeof r.enhanced);
	}
	snprintf(r.text, sizeof r.text, "%s", why);
	smtp_client_send(c, "QUIT");
	smtp_client_fail(c, &r, try_next);
}

// ---- the server's side
static void wait_for_driver(struct smtp_client *c, enum smtp_client_auth_stage stage)
{
	c->phase = PHASE_AUTH_WAIT;
	c->auth_stage = stage;
}

static void on_challenge(struct smtp_client *c)
{
	struct str text = buf_str(&c->reader.reply.text);

	if (c->auth_cancelled) {
		smtp_client_fail_unexpected(c);
		return;
	}
	if (c->initial_waits) { // it was too long for the command
		buf_add_str(&c->output, buf_str(&c->initial));
		buf_add_text(&c->output, "\r\n");
		smtp_client_auth_wipe(c);
		return;
	}
	buf_clear(&c->challenge);
	wait_for_driver(c, SMTP_AUTH_CHALLENGE);
	// LOGIN prompts of some servers are plain words: base64 or nothing.
	if (text.len <= CHALLENGE_OCTETS && buf_add_base64_decoded(&c->challenge, text) == 0)
		return;
	if (text.len > CHALLENGE_OCTETS)
		smtp_client_auth_cancel(c);
}

void smtp_client_on_auth(struct smtp_client *c)
{
	unsigned code = c->reader.reply.code;

	wipe_output(c);
	if (code == 334)
		on_challenge(c);
	else if (code / 100 == 3 || (code / 100 == 2 && c->auth_cancelled))
		smtp_client_fail_unexpected(c);
	else
		wait_for_driver(c, code / 100 == 2 ? SMTP_AUTH_ACCEPTED : SMTP_AUTH_REFUSED);
}
