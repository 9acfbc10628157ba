// SPDX-License-Identifier: ISC
// The first word: the verdict on the client, then the banner.
#include "session/session_internal.h"

#include "base/memory.h"

void session_begin(struct session *s, bool early_talker)
{
	if (s->state != SESSION_OPENING || s->wait != SESSION_WAIT_NONE)
		return;
	session_enter(s);
	s->early = early_talker;
	if (early_talker) // RFC 5321 3.1: the client waits for the banner
		s->errors++;
	s->begun = true;
	session_ask(s, QUESTION_CONNECT);
	session_leave(s);
}

void session_decided_connect(struct session *s, const struct policy_verdict *v)
{
	const struct config_server *server = s->facts.server;
	struct smtp_reply banner;

	session_report_connect(s); // only now the client's name is known
	if (v->kind != POLICY_ALLOW && v->kind != POLICY_HOLD) {
		session_answer_verdict(s, v);
		session_close(s, v->rule);
		return;
	}
	// No product and no version: nobody needs them but who looks for holes.
	if (server->banner.len)
		smtp_reply_set(&banner, 220, "", "%.*s", STR_ARG(server->banner));
	else
		smtp_reply_set(&banner, 220, "", "%.*s ESMTP", STR_ARG(s->facts.config->hostname));
	smtp_reply_write(&s->output, &banner);
	session_show(s, &banner, NULL, NULL);
	s->state = SESSION_GREETED;
}

void session_secured(struct session *s, const struct session_tls *tls)
{
	bool opening = s->state == SESSION_OPENING && s->wait == SESSION_WAIT_NONE && s->implicit_tls;

	if (s->tls || !(opening || s->wait == SESSION_WAIT_TLS))
		return;
	s->wait = SESSION_WAIT_NONE;
	s->tls = mem_alloc(sizeof(*tls));
	*s->tls = *tls;
	s->facts.tls = true;
}
