// SPDX-License-Identifier: ISC
// The events of a session. Each carries the session's id, so that the story of one client
// can be told even when nothing was queued.
#include "session/session_internal.h"

#include "base/event.h"

#define TO_MAX 512 // octets of the recipients in an accept event

static void begin(struct session *s, struct event *e, const char *name, uint64_t id)
{
	event_begin(e, EVENT_INFO, name, id);
	event_id(e, "session", s->id);
	event_addr(e, "client", &s->facts.client);
	event_str(e, "server", s->facts.server->name);
	event_text(e, "account", s->account);
}

static void add_tls(struct session *s, struct event *e)
{
	if (s->tls)
		event_format(e, "tls", "%s %s", s->tls->version, s->tls->cipher);
}

static void add_path(struct session *s, struct event *e)
{
	struct transaction *t = s->transaction;

	if (!t)
		return;
	event_text(e, "from", t->sender.null ? "<>" : t->sender.text);
	if (s->verb == SMTP_RCPT)
		event_str(e, "to", str_from(t->recipient.text));
	else if (t->count)
		event_str(e, "to", t->recipients[0].address);
}

static const char *verb_of(const struct session *s)
{
	if (s->state == SESSION_DATA)
		return "DATA";
	if (s->state == SESSION_CHUNK)
		return "BDAT";
	return s->verb ? smtp_verb_name(s->verb) : NULL;
}

void session_report_connect(struct session *s)
{
	struct event e;

	if (!s->begun || s->connect_told || s->rehearsal)
		return;
	s->connect_told = true;
	begin(s, &e, "connect", s->id);
	event_text(&e, "name", s->client_name);
	if (s->proxy.family)
		event_addr(&e, "proxy", &s->proxy);
	event_u64(&e, "port", s->client_port);
	add_tls(s, &e);
	event_text(&e, "reason", s->early ? "early-talker" : NULL);
	event_emit(&e);
}

void session_report_refusal(struct session *s, const struct smtp_reply *r,
	const struct session_cause *why)
{
	struct event e;

	if (s->rehearsal)
		return; // must not look like an attack
	begin(s, &e, "refuse", s->id);
	add_path(s, &e);
	event_text(&e, "verb", verb_of(s));
	if (r->code)
		event_u64(&e, "code", r->code);
	event_text(&e, "status", r->enhanced[0] ? r->enhanced : NULL);
	event_text(&e, "rule", why->rule);
	event_text(&e, "where", why->where && why->where[0] ? why->where : NULL);
	if (why->limit) {
		event_u64(&e, "count", why->count);
		event_u64(&e, "limit", why->limit);
	}
	event_text(&e, "reason", r->text);
	event_emit(&e);
}

void session_report_auth(struct session *s, const struct smtp_reply *r, const char *rule,
	struct str reason)
{
	struct event e;

	if (s->rehearsal)
		return;
	begin(s, &e, "auth", s->id);
	if (!s->account) // so that the story of an account has the logins that failed
		event_str(&e, "account", str_slice(s->tried, 0, SMTP_ADDRESS_MAX));
	event_u64(&e, "code", r->code);
	event_text(&e, "status", r->enhanced);
	event_text(&e, "rule", rule);
	event_str(&e, "reason", reason);
	add_tls(s, &e);
	event_emit(&e);
}

void session_report_accept(struct session *s, uint64_t message_id, const char *rule)
{
	struct transaction *t = s->transaction;
	struct buf to = {.limit = TO_MAX};
	struct event e;

	for (unsigned i = 0; i < t->count; i++)
		if ((i && buf_add_char(&to, ',')) || buf_add_str(&to, t->recipients[i].address))
			break;
	begin(s, &e, "accept", message_id ? message_id : s->id);
	event_text(&e, "from", t->sender.null ? "<>" : t->sender.text);
	event_str(&e, "to", buf_str(&to));
	event_u64(&e, "recipients", t->count);
	event_u64(&e, "size", body_size(t->body));
	event_u64(&e, "code", 250);
	event_text(&e, "rule", rule);
	add_tls(s, &e);
	event_emit(&e);
	buf_finish(&to);
}

void session_report_disconnect(struct session *s, const char *reason)
{
	struct event e;

	if (s->reported || s->rehearsal)
		return;
	s->reported = true;
	session_report_connect(s); // who left before it was decided about
	begin(s, &e, "disconnect", s->id);
	event_text(&e, "reason", reason);
	event_u64(&e, "messages", s->accepted);
	event_u64(&e, "errors", s->errors);
	event_emit(&e);
}
