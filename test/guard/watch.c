// SPDX-License-Identifier: ISC
// The guard asked and told as the queue does it.
#include "world.h"

#include "base/memory.h"

struct outcome {
	uint64_t when_ms;
	unsigned refused, delivered;
};

void watch_init(struct watch *w, uint64_t seed, uint64_t installed_ms, uint64_t learn_ms, uint64_t created_ms)
{
	*w = (struct watch){.chance = chance_make(seed, 99), .settings = {.most = GUARD_SUSPEND,
		.messages = 1000, .recipients = 200, .learn_until_ms = installed_ms + learn_ms,
		.created_ms = created_ms}};
}

void watch_finish(struct watch *w)
{
	mem_free(w->outcomes);
}

// ---------------------------------------------------------------- what becomes of mail, later

static void swap(struct outcome *a, struct outcome *b)
{
	struct outcome c = *a;

	*a = *b;
	*b = c;
}

static void push(struct watch *w, struct outcome o)
{
	size_t at = w->outcome_count++;

	if (w->outcome_count > w->outcome_size) {
		w->outcome_size = w->outcome_size * 2 + 64;
		w->outcomes = mem_resize(w->outcomes, w->outcome_size * sizeof(o));
	}
	w->outcomes[at] = o;
	for (; at && w->outcomes[at].when_ms < w->outcomes[(at - 1) / 2].when_ms; at = (at - 1) / 2)
		swap(&w->outcomes[at], &w->outcomes[(at - 1) / 2]);
}

static struct outcome pop(struct watch *w)
{
	struct outcome first = w->outcomes[0];
	size_t at = 0, child;

	w->outcomes[0] = w->outcomes[--w->outcome_count];
	while ((child = 2 * at + 1) < w->outcome_count) {
		if (child + 1 < w->outcome_count && w->outcomes[child + 1].when_ms < w->outcomes[child].when_ms)
			child++;
		if (w->outcomes[at].when_ms <= w->outcomes[child].when_ms)
			break;
		swap(&w->outcomes[at], &w->outcomes[child]);
		at = child;
	}
	return first;
}

// Most hosts say at once that they take it or not; some take it first and bounce it minutes later.
static void send_off(struct watch *w, const struct mail *m)
{
	for (unsigned n = 0; n < m->count; n++) {
		bool dead = chance_is(&w->chance, m->dead);
		uint64_t ms = dead && chance_is(&w->chance, 0.5) ? (uint64_t)chance_exp(&w->chance, 5.0 * MINUTE) :
			500 + (uint64_t)chance_exp(&w->chance, 5.0 * SECOND);

		push(w, (struct outcome){m->when_ms + ms, dead, !dead});
	}
}

// ---------------------------------------------------------------- the guard

static void note(struct watch *w, const struct guard_verdict *v)
{
	if (!v->stepped)
		return;
	w->slowed += v->action == GUARD_SLOW;
	w->held += v->action == GUARD_HOLD;
	w->suspended += v->action == GUARD_SUSPEND;
	for (unsigned n = 0; n < v->reason_count && v->action == GUARD_HOLD; n++)
		w->points[v->reasons[n].signal] = v->reasons[n].points;
	if (v->action >= GUARD_HOLD && !w->first_held_ms)
		w->first_held_ms = w->state.now_ms;
	// Somebody looks at it in the working day, or the next morning.
	if (v->action >= GUARD_HOLD && w->forgiving && !w->released_at_ms)
		w->released_at_ms = w->state.now_ms + chance_range(&w->chance, 20, 16 * 60) * MINUTE;
}

static void release(struct watch *w)
{
	for (unsigned n = 0; n < w->held_count; n++)
		guard_add_contact(&w->state, w->held_recipients[n]);
	w->held_count = 0;
	guard_allow(&w->state, w->released_at_ms, w->released_at_ms + DAY);
	w->released_at_ms = 0;
}

void watch_until(struct watch *w, uint64_t when_ms)
{
	struct guard_verdict v;

	while (w->outcome_count && w->outcomes[0].when_ms <= when_ms) {
		struct outcome o = pop(w);

		guard_outcome(&w->state, o.when_ms, o.refused, o.delivered, &w->settings, &v);
		note(w, &v);
	}
	if (w->released_at_ms && w->released_at_ms <= when_ms)
		release(w);
}

void watch_mail(struct watch *w, const struct mail *m)
{
	struct guard_message message = {.now_ms = m->when_ms, .network = m->network, .digest = m->digest,
		.recipients = m->recipients, .recipient_count = m->count};
	struct guard_verdict v;

	watch_until(w, m->when_ms);
	w->messages++;
	guard_submit(&w->state, &message, &w->settings, &v);
	note(w, &v);
	if (v.action < GUARD_HOLD) {
		w->out += m->stolen ? m->count : 0;
		send_off(w, m);
		return;
	}
	if (m->stolen && !w->stopped_ms)
		w->stopped_ms = m->when_ms;
	for (unsigned n = 0; n < m->count && w->held_count < ARRAY_SIZE(w->held_recipients); n++)
		w->held_recipients[w->held_count++] = m->recipients[n];
}
