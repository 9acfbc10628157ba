// SPDX-License-Identifier: ISC
// HELO and EHLO (RFC 5321 4.1.1.1): both begin anew. EHLO lists what is offered now.
#include "session/session_internal.h"

#include "base/memory.h"

#include <inttypes.h>

static enum reply take_name(struct session *s, struct str argument, bool esmtp)
{
	struct str name;

	if (smtp_command_parse_helo(argument, &name))
		return REPLY_SYNTAX;
	session_reset(s);
	mem_free(s->helo);
	s->helo = str_dup(name);
	s->esmtp = esmtp;
	s->state = SESSION_READY;
	return REPLY_NONE;
}

enum reply session_helo(struct session *s, struct str argument)
{
	enum reply reply = take_name(s, argument, false);
	struct buf lines = BUF_INIT;

	if (reply)
		return reply;
	buf_add_format(&lines, "250 %.*s\r\n", STR_ARG(s->facts.config->hostname));
	session_answer_lines(s, buf_str(&lines));
	buf_finish(&lines);
	return REPLY_NONE;
}

static void add_limits(struct session *s, struct buf *lines) // RFC 9422
{
	uint64_t messages = session_limit(s, CONFIG_LIMIT_MESSAGES);
	uint64_t recipients = session_limit(s, CONFIG_LIMIT_RECIPIENTS);

	if (!messages && !recipients)
		return;
	buf_add_text(lines, "250-LIMITS");
	if (messages)
		buf_add_format(lines, " MAILMAX=%" PRIu64, messages);
	if (recipients)
		buf_add_format(lines, " RCPTMAX=%" PRIu64, recipients);
	buf_add_text(lines, "\r\n");
}

enum reply session_ehlo(struct session *s, struct str argument)
{
	enum reply reply = take_name(s, argument, true);

	return reply ? reply : session_ask(s, QUESTION_HELLO);
}

// Whatever could not be found out: what is not offered would not come back.
void session_decided_hello(struct session *s, const struct policy_verdict *v)
{
	struct buf lines = BUF_INIT;
	const char *mechanisms;

	s->decided = NULL; // nothing was
	buf_add_format(&lines, "250-%.*s\r\n", STR_ARG(s->facts.config->hostname));
	buf_add_text(&lines, "250-PIPELINING\r\n");
	buf_add_format(&lines, "250-SIZE %" PRIu64 "\r\n", session_limit(s, CONFIG_LIMIT_MESSAGE_SIZE));
	buf_add_text(&lines, "250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n"
			     "250-DSN\r\n250-CHUNKING\r\n");
	if (session_tls_offered(s))
		buf_add_text(&lines, "250-STARTTLS\r\n");
	if (session_auth_offered(s, &mechanisms)) {
		buf_add_format(&lines, "250-AUTH %s\r\n", mechanisms);
		if (s->facts.server->auth_equals)
			buf_add_text(&lines, "250-AUTH=LOGIN PLAIN\r\n");
	}
	add_limits(s, &lines);
	buf_add_text(&lines, "250 HELP\r\n");
	session_answer_lines(s, buf_str(&lines));
	buf_finish(&lines);
}
