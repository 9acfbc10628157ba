// SPDX-License-Identifier: ISC
// What goes wrong lately, for `pabal status`: causes of refusals and deferrals with their numbers,
// and the guess that somebody between us and the world closes port 25.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/text.h"

#include <stdio.h>

#define PORT25_WINDOW_MS (30 * 60000)

// ---- causes
static struct cause *oldest(struct trouble *t)
{
	struct cause *found = &t->causes[0];
	for (unsigned n = 1; n < t->cause_count; n++)
		if (t->causes[n].last_ms < found->last_ms)
			found = &t->causes[n];
	return found;
}

void queue_cause_add(struct queue *q, const char *event, struct str rule)
{
	struct trouble *t = &q->trouble;
	struct cause *c = NULL;
	rule = str_slice(rule, 0, sizeof c->rule - 1);
	for (unsigned n = 0; n < t->cause_count && !c; n++)
		if (!strcmp(t->causes[n].event, event) && str_equal(str_from(t->causes[n].rule), rule))
			c = &t->causes[n];
	if (!c) {
		c = t->cause_count < QUEUE_CAUSES ? &t->causes[t->cause_count++] : oldest(t);
		c->count = 0;
		snprintf(c->event, sizeof c->event, "%s", event);
		if (!str_copy(rule, c->rule, sizeof c->rule))
			snprintf(c->rule, sizeof c->rule, "?");
	}
	c->count++;
	c->last_ms = clock_wall_ms();
}

void queue_note_refusal(struct queue *q, struct str rule)
{
	queue_cause_add(q, "refuse", rule);
}

// ---- port 25
// What follows the nth dot from the end.
static struct str last_labels(struct str domain, unsigned dots)
{
	for (size_t n = domain.len; n > 0; n--)
		if (domain.data[n - 1] == '.' && !--dots)
			return str_skip(domain, n);
	return domain;
}

// The part that has one owner: "example.kr" of "mail.example.kr", "example.co.kr" of
// "mail.example.co.kr". A guess by lengths is good enough here.
static struct str owner_of(struct str domain)
{
	struct str last = last_labels(domain, 1), two = last_labels(domain, 2);
	bool registry = last.len == 2 && two.len <= last.len + 4 && two.len < domain.len;
	return registry ? last_labels(domain, 3) : two;
}

static bool are_related(struct str domain, struct str remote, const char *other, const char *other_remote)
{
	if (remote.len && str_equal(remote, str_from(other_remote)))
		return true;
	return str_equal(owner_of(domain), owner_of(str_from(other)));
}

static void forget_old(struct trouble *t, uint64_t now)
{
	unsigned kept = 0;
	for (unsigned n = 0; n < t->timeout_count; n++)
		if (t->timeouts[n].at_ms + PORT25_WINDOW_MS > now)
			t->timeouts[kept++] = t->timeouts[n];
	t->timeout_count = kept;
}

static void tell_port25(const struct trouble *t)
{
	struct event e;
	event_begin(&e, EVENT_WARNING, "queue", 0);
	event_text(&e, "rule", "port25-blocked");
	event_format(&e, "reason", TEXT("the provider seems to block port 25: connections to %s, %s and %s "
		"timed out; send by a smart host: route \"*\" { smtp \"host:587\" user \"...\" "
		"password-file \"...\" }"), t->timeouts[0].domain, t->timeouts[1].domain,
		t->timeouts[2].domain);
	event_emit(&e);
}

void queue_port25_failed(struct queue *q, struct str domain, const struct outcome *o)
{
	struct trouble *t = &q->trouble;
	uint64_t now = clock_monotonic_ms();
	// No answer from the DNS is our network too, but not this.
	if (t->port25_blocked || !o || !strcmp(o->status, "4.4.3"))
		return;
	forget_old(t, now);
	for (unsigned n = 0; n < t->timeout_count; n++)
		if (are_related(domain, str_from(o->remote), t->timeouts[n].domain, t->timeouts[n].remote))
			return;
	snprintf(t->timeouts[t->timeout_count].domain, sizeof t->timeouts[0].domain, "%.*s", STR_ARG(domain));
	snprintf(t->timeouts[t->timeout_count].remote, sizeof t->timeouts[0].remote, "%s", o->remote);
	t->timeouts[t->timeout_count++].at_ms = now;
	if (t->timeout_count < ARRAY_SIZE(t->timeouts))
		return;
	t->port25_blocked = true;
	tell_port25(t);
}

void queue_port25_answered(struct queue *q)
{
	struct trouble *t = &q->trouble;
	if (t->port25_blocked)
		event_report(EVENT_INFO, "queue", "%s", TEXT("hosts answer on port 25 again"));
	t->port25_blocked = false;
	t->timeout_count = 0;
}
