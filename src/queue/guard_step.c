// SPDX-License-Identifier: ISC
// What is done when the guard says so: smtpd is told, an incident is kept, what waits in the queue is
// held, an account is locked, people are told.
#include "queue/guard.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"
#include "queue/admin_internal.h"
#include "store/guards.h"

#include <stdlib.h>

#define NETWORKS_SHOWN 10

// ---------------------------------------------------------------- smtpd

void guard_tell_state(struct guard_subject *s)
{
	struct queue *q = s->guard->queue;
	enum guard_action now = guard_in_force(s);
	if (now == s->told)
		return;
	s->told = (uint8_t)now;
	if (q->o.guard_changed)
		q->o.guard_changed(q->o.arg, s->name, (uint8_t)now,
			now == GUARD_SLOW ? (uint32_t)q->config->guard.delay : 0);
}

void queue_guard_states(struct queue *q, queue_guard_state each, void *arg)
{
	if (!q->guard)
		return;
	LIST_EACH(link, &q->guard->used) {
		const struct guard_subject *s = LIST_ENTRY(link, struct guard_subject, link);
		if (s->told)
			each(arg, s->name, s->told,
				s->told == GUARD_SLOW ? (uint32_t)q->config->guard.delay : 0);
	}
}

// ---------------------------------------------------------------- the evidence

static json_t *reasons_of(const struct guard_verdict *v)
{
	json_t *list = json_array();
	for (unsigned n = 0; n < v->reason_count; n++) {
		const struct guard_reason *r = &v->reasons[n];
		json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "signal",
			guard_signal_name(r->signal), "points", (int)r->points, "minutes",
			(json_int_t)r->minutes, "count", (json_int_t)r->count, "usual",
			(json_int_t)r->usual, "limit", (json_int_t)r->limit));
	}
	return list;
}

static json_t *networks_of(const struct guard_state *state)
{
	json_t *list = json_array();
	char text[IPADDR_TEXT_MAX + 4];
	for (unsigned n = 0; n < GUARD_NETWORKS && json_array_size(list) < NETWORKS_SHOWN; n++) {
		const struct guard_network *w = &state->networks[n];
		if (!w->network || state->hour - w->last_hour >= 24)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:I, s:b}", "network",
			guard_network_format(w->network, text), "messages", (json_int_t)w->messages,
			"new", state->hour - w->first_hour < 14 * 24));
	}
	return list;
}

static json_t *examples_of(const struct guard_subject *s)
{
	json_t *list = json_array();
	for (unsigned n = 0; n < GUARD_EXAMPLES; n++)
		if (s->examples[n][0])
			json_array_append_new(list, queue_json_text(str_from(s->examples[n])));
	return list;
}

json_t *guard_evidence_json(const struct guard_subject *s, const struct guard_verdict *v)
{
	return json_pack("{s:s, s:I, s:o, s:o, s:o}", "action", guard_action_name(s->state.action), "points",
		(json_int_t)v->points, "reasons", reasons_of(v), "networks", networks_of(&s->state),
		"recipients", examples_of(s));
}

// ---------------------------------------------------------------- the incident

static void log_step(const struct guard_subject *s, const struct guard_verdict *v)
{
	struct event e;
	struct str account = s->name, client = s->name;
	event_begin(&e, s->state.action ? EVENT_WARNING : EVENT_INFO, "guard", s->incident);
	if (str_starts(s->name, STR(STORE_SUBJECT_ACCOUNT)))
		event_str(&e, "account", str_skip(account, sizeof STORE_SUBJECT_ACCOUNT - 1));
	else
		event_str(&e, "client", str_skip(client, sizeof STORE_SUBJECT_CLIENT - 1));
	event_text(&e, "action", guard_action_name(s->state.action));
	for (unsigned n = 0; v && n < v->reason_count; n++)
		event_format(&e, guard_signal_name(v->reasons[n].signal), "%u of %u", v->reasons[n].count,
			v->reasons[n].limit);
	event_emit(&e);
}

static void put_incident(struct guard_subject *s, const struct guard_verdict *v, uint64_t ended_ms)
{
	struct store_batch *b = store_batch_create();
	json_t *json = guard_evidence_json(s, v);
	char *text = json_dumps(json, JSON_COMPACT);
	struct store_incident i = {.id = s->incident, .subject = s->name, .action = s->incident_most,
		.started_ms = s->incident_ms, .ended_ms = ended_ms,
		.evidence = str_from(text ? text : "{}")};
	store_batch_put_incident(b, &i);
	store_apply(s->guard->queue->store, b, NULL, NULL);
	free(text);
	json_decref(json);
}

static void begin_incident(struct guard_subject *s)
{
	s->incident = id_next(s->guard->queue->ids);
	s->incident_ms = clock_wall_ms();
	s->incident_most = GUARD_NONE;
}

static void end_incident(struct guard_subject *s)
{
	struct guard_settings settings = guard_settings_of(s);
	struct guard_verdict v;
	guard_look(&s->state, &settings, &v);
	put_incident(s, &v, clock_wall_ms());
	log_step(s, NULL);
	s->incident = 0;
	s->incident_most = GUARD_NONE;
}

// ---------------------------------------------------------------- locking an account

static struct str account_of(const struct guard_subject *s)
{
	return str_skip(s->name, sizeof STORE_SUBJECT_ACCOUNT - 1);
}

// The account may be gone when the answer comes: only its name is kept.
struct lock {
	struct queue *queue;
	struct store_account values;
	char name[SMTP_ADDRESS_MAX];
};

static void on_lock_set(void *arg, int err)
{
	struct lock *l = arg;
	if (!err)
		queue_account_changed(l->queue, str_from(l->name));
	else
		event_report(EVENT_ERROR, "guard", "account %s cannot be %s: %s", l->name,
			l->values.locked ? "locked" : "unlocked", err_text(err));
	mem_free(l);
}

static struct lock *create_lock(struct guard_subject *s, bool locked)
{
	struct lock *l = mem_alloc(sizeof *l);
	l->queue = s->guard->queue;
	if (!str_copy(account_of(s), l->name, sizeof l->name)) {
		mem_free(l);
		return NULL;
	}
	l->values = (struct store_account){.name = str_from(l->name), .locked = locked,
		.lock_reason = locked ? STR(GUARD_LOCK_REASON) : STR_EMPTY};
	return l;
}

static void lock_account(struct guard_subject *s)
{
	struct lock *l = create_lock(s, true);
	if (l)
		store_account_set(l->queue->store, &l->values, STORE_SET_LOCK, on_lock_set, l);
}

// Only what we locked ourselves.
static void on_lock_seen(void *arg, int err, const struct store_account *a)
{
	struct lock *l = arg;
	if (!err && a->locked && str_starts(a->lock_reason, STR("guard")))
		store_account_set(l->queue->store, &l->values, STORE_SET_LOCK, on_lock_set, l);
	else
		mem_free(l);
}

static void unlock_account(struct guard_subject *s)
{
	struct lock *l = create_lock(s, false);
	if (l)
		store_account_get(l->queue->store, l->values.name, on_lock_seen, l);
}

// ---------------------------------------------------------------- steps

static void stepped(struct guard_subject *s, const struct guard_verdict *v)
{
	enum guard_action now = guard_in_force(s);
	if (!s->incident)
		begin_incident(s);
	if (v->action > s->incident_most)
		s->incident_most = v->action;
	s->written_ms = 0; // with the next beat
	put_incident(s, v, 0);
	log_step(s, v);
	if (now >= GUARD_HOLD)
		guard_sweep(s->guard, s->name, GUARD_SWEEP_HOLD, NULL, NULL);
	if (now == GUARD_SUSPEND && s->is_account)
		lock_account(s);
	guard_report(s, v);
}

void guard_act(struct guard_subject *s, const struct guard_verdict *v)
{
	if (v->stepped)
		stepped(s, v);
	else if (s->incident && s->state.action == GUARD_NONE)
		end_incident(s);
	guard_tell_state(s);
}

void guard_end_incident(struct guard_subject *s)
{
	if (s->incident)
		end_incident(s);
	if (s->is_account)
		unlock_account(s);
	guard_tell_state(s);
	s->written_ms = 0;
	guard_mark(s);
}
