// SPDX-License-Identifier: ISC
// The events of the queue. Each carries the message's id and the session it came in, so that
// `pabal trace` finds the whole story by either.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/event.h"

#include <stdio.h>

static void begin(struct event *e, enum event_level level, const char *name, const struct mail *m)
{
	const struct envelope *v = &m->envelope;
	event_begin(e, level, name, v->id);
	if (v->session)
		event_id(e, "session", v->session);
	event_str(e, "account", v->account);
	event_str(e, "from", v->sender.len ? v->sender : STR("<>"));
}

static const char *name_of(const struct item *i)
{
	static const char *const names[] = {
		[TRY_DELIVERED] = "delivered", [TRY_TEMPORARY] = "deferred",
		[TRY_PERMANENT] = "bounced", [TRY_EXPANDED] = "expanded",
	};
	return i->result < ARRAY_SIZE(names) ? names[i->result] : NULL;
}

void queue_log_result(const struct job *j, const struct item *i)
{
	const struct outcome *o = i->outcome;
	const struct envelope *v = &i->mail->envelope;
	uint64_t now = clock_wall_ms();
	struct event e;
	if (!name_of(i))
		return;
	if (i->result == TRY_TEMPORARY) {
		char rule[sizeof ((struct cause *)0)->rule];
		int n = snprintf(rule, sizeof rule, "%s %.*s", o->status,
			STR_ARG(i->target ? i->target_domain : i->domain));
		queue_cause_add(i->mail->queue, "deferred", str_make(rule, n > 0 ? strlen(rule) : 0));
	}
	begin(&e, EVENT_INFO, "result", i->mail);
	event_str(&e, "to", i->address);
	if (i->target)
		event_text(&e, "for", i->target);
	event_text(&e, "outcome", name_of(i));
	event_text(&e, "host", o->remote[0] ? o->remote : NULL);
	event_text(&e, "tls", j->tls[0] ? j->tls : NULL);
	if (o->code)
		event_u64(&e, "code", o->code);
	event_text(&e, "status", i->expired ? "4.4.7" : o->status);
	event_u64(&e, "delay", now > v->received_ms ? now - v->received_ms : 0);
	event_u64(&e, "tries", i->tries + (i->result != TRY_TEMPORARY));
	if (i->result == TRY_TEMPORARY)
		event_u64(&e, "next", i->next_ms > now ? i->next_ms - now : 0);
	event_text(&e, "reason", o->text[0] ? o->text : NULL);
	event_emit(&e);
	if (i->expired)
		queue_log_expired(i, "tried for as long as queue { life } says");
}

void queue_log_expired(const struct item *i, const char *why)
{
	struct event e;
	begin(&e, EVENT_WARNING, "expire", i->mail);
	event_str(&e, "to", i->address);
	event_text(&e, "reason", why);
	event_emit(&e);
}

void queue_log_bounce(const struct mail *of, const struct item *report)
{
	struct event e;
	begin(&e, EVENT_INFO, "bounce", of);
	event_str(&e, "to", report->address);
	event_id(&e, "report", report->mail->envelope.id);
	event_emit(&e);
}

void queue_log_limit(const struct item *i, const char *rule, const char *where, uint64_t count,
	uint64_t limit)
{
	struct event e;
	begin(&e, EVENT_INFO, "limit", i->mail);
	event_str(&e, "to", i->address);
	event_text(&e, "rule", rule);
	event_text(&e, "where", where);
	event_u64(&e, "count", count);
	event_u64(&e, "limit", limit);
	event_emit(&e);
}

void queue_log_hold(const struct mail *m, const struct item *i, struct str reason)
{
	struct event e;
	begin(&e, EVENT_WARNING, "hold", m);
	event_str(&e, "to", i->address);
	event_str(&e, "reason", reason);
	event_emit(&e);
}
