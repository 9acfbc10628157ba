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
	const struct config_server *server = s->facts.server;
	uint64_t max_recipients = policy_limit(&s->facts, CONFIG_LIMIT_RECIPIENTS);

	if (!server->max_messages && !max_recipients)
		return;
	buf_add_text(lines, "250-LIMITS");
	if (server->max_messages)
		buf_add_format(lines, " MAILMAX=%" PRIu64, server->max_messages);
	if (max_recipients)
		buf_add_format(lines, " RCPTMAX=%" PRIu64, max_recipients);
	buf_add_text(lines, "\r\n");
}

enum reply session_ehlo(struct session *s, struct str argument)
{
	enum reply reply = take_name(s, argument, true);
	struct buf lines = BUF_INIT;
	const char *mechanisms;

	if (reply)
		return reply;
	buf_add_format(&lines, "250-%.*s\r\n", STR_ARG(s->facts.config->hostname));
	buf_add_text(&lines, "250-PIPELINING\r\n");
	buf_add_format(&lines, "250-SIZE %" PRIu64 "\r\n", policy_limit(&s->facts, CONFIG_LIMIT_MESSAGE_SIZE));
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
	return REPLY_NONE;
}
