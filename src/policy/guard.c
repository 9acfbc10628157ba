// SPDX-License-Identifier: ISC
// The guard's steps: an event goes into the windows, the signals are looked at, and what is in
// force changes. More is done at once; less only by itself after slowness, else by an administrator.
#include "policy/guard_internal.h"

#include "base/text.h"

#define CALM_MS	   GUARD_HOUR_MS // without a reason: slowness ends
#define FULL_COUNT 10		 // recipients of a message count fully, those beyond by half

static const char *const actions[] = {"none", "slow", "hold", "suspend"};
static const char *const profiles[] = {"normal", "bulk", "off"};
static const struct {
	const char *name, *words;
} signals[] = {
	[GUARD_SIGNAL_VOLUME] = {"recipients", TEXT_MARK("recipients")},
	[GUARD_SIGNAL_FRESH] = {"new-recipients", TEXT_MARK("recipients it never wrote to before")},
	[GUARD_SIGNAL_CREEP] = {"new-recipients-over-days",
		TEXT_MARK("recipients it never wrote to before, beyond the usual, added up over days")},
	[GUARD_SIGNAL_REFUSED] = {"refused", TEXT_MARK("percent of recipients refused or bounced")},
	[GUARD_SIGNAL_NETWORKS] = {"networks", TEXT_MARK("networks it was never used from before")},
	[GUARD_SIGNAL_FOREIGN] = {"foreign-network",
		TEXT_MARK("percent of the recipients written to from a network that is new")},
	[GUARD_SIGNAL_HOUR] = {"hour", TEXT_MARK("messages at an hour or on a day at which it never sends")},
	[GUARD_SIGNAL_SAME] = {"same-message", TEXT_MARK("times the same message")},
	[GUARD_SIGNAL_CAP_MESSAGES] = {"messages-a-day", TEXT_MARK("messages in a day (the cap)")},
	[GUARD_SIGNAL_CAP_RECIPIENTS] = {"new-recipients-a-day",
		TEXT_MARK("recipients in a day it never wrote to before (the cap)")},
};

const char *guard_action_name(enum guard_action action)
{
	return actions[action];
}

const char *guard_profile_name(enum guard_profile profile)
{
	return profiles[profile];
}

bool guard_profile_parse(struct str word, enum guard_profile *out)
{
	*out = GUARD_PROFILE_NORMAL;
	if (!word.len)
		return true;
	for (size_t n = 0; n < ARRAY_SIZE(profiles); n++)
		if (str_equal(word, str_from(profiles[n]))) {
			*out = (enum guard_profile)n;
			return true;
		}
	return false;
}

const char *guard_signal_name(enum guard_signal signal)
{
	return signals[signal].name;
}

const char *guard_signal_words(enum guard_signal signal)
{
	return signals[signal].words;
}

// ---------------------------------------------------------------- what is in force

static void step(struct guard_state *s, const struct guard_settings *settings, struct guard_verdict *v)
{
	if (s->action > settings->most)
		s->action = settings->most;
	if (v->action > s->action) {
		s->action = v->action;
		s->action_ms = s->now_ms;
		v->stepped = true;
		if (v->action >= GUARD_HOLD)
			s->held_today = true;
	}
	if (v->action >= s->action && v->action)
		s->calm_ms = s->now_ms;
	if (s->action == GUARD_SLOW && s->now_ms - s->calm_ms >= CALM_MS)
		s->action = GUARD_NONE;
	v->action = s->action;
}

static void settle(struct guard_state *s, const struct guard_settings *settings, struct guard_verdict *v)
{
	guard_judge(s, settings, v);
	step(s, settings, v);
}

static void begin(struct guard_state *s, uint64_t now_ms, const struct guard_settings *settings)
{
	s->learning_ms = s->learn_until_ms > settings->learn_until_ms ? s->learn_until_ms :
		settings->learn_until_ms;
	guard_advance(s, now_ms);
}

static uint32_t weigh(uint32_t count)
{
	return count <= FULL_COUNT ? count : FULL_COUNT + (count - FULL_COUNT + 1) / 2;
}

// Our own people are less strange: two of them count as one.
static uint32_t count_fresh(const struct guard_state *s, const struct guard_message *m)
{
	uint32_t ours = 0, others = 0;

	for (uint32_t n = 0; n < m->recipient_count; n++) {
		if (guard_knows(s, m->recipients[n]))
			continue;
		if (m->recipients[n] & GUARD_OURS)
			ours++;
		else
			others++;
	}
	return weigh(others + (ours + 1) / 2);
}

static void learn_message(struct guard_state *s, const struct guard_message *m)
{
	uint16_t *hour = &s->week[s->hour % ARRAY_SIZE(s->week)];

	for (uint32_t n = 0; n < m->recipient_count; n++)
		guard_add_contact(s, m->recipients[n]);
	if (*hour < UINT16_MAX)
		(*hour)++;
}

void guard_submit(struct guard_state *s, const struct guard_message *m,
	const struct guard_settings *settings, struct guard_verdict *out)
{
	uint32_t fresh, weight = weigh(m->recipient_count);
	bool foreign;

	begin(s, m->now_ms, settings);
	fresh = guard_is_learning(s) ? 0 : count_fresh(s, m);
	foreign = m->network && guard_note_network(s, m->network);
	(void)guard_note_body(s, m->digest);
	guard_count_message(s, fresh, weight, foreign);
	settle(s, settings, out);
	if (s->action >= GUARD_HOLD) {
		s->since_hold += weight;
		return;
	}
	s->since_hold = 0;
	learn_message(s, m);
}

void guard_outcome(struct guard_state *s, uint64_t now_ms, uint32_t refused, uint32_t delivered,
	const struct guard_settings *settings, struct guard_verdict *out)
{
	begin(s, now_ms, settings);
	guard_count_outcome(s, refused, delivered);
	*out = (struct guard_verdict){.action = s->action};
	if (refused)
		settle(s, settings, out);
}

void guard_look(const struct guard_state *s, const struct guard_settings *settings,
	struct guard_verdict *out)
{
	guard_judge(s, settings, out);
	out->action = s->action;
}

// ---------------------------------------------------------------- what an administrator says

void guard_allow(struct guard_state *s, uint64_t now_ms, uint64_t until_ms)
{
	guard_advance(s, now_ms);
	s->action = GUARD_NONE;
	s->since_hold = 0;
	s->creep = 0;
	s->held_today = false;
	s->allowed_until_ms = until_ms;
	guard_note_peaks(s);
}

void guard_learn(struct guard_state *s, uint64_t now_ms, uint64_t until_ms)
{
	guard_advance(s, now_ms);
	s->learn_until_ms = s->learning_ms = until_ms;
	s->creep = 0;
}
