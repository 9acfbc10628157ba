// SPDX-License-Identifier: ISC
// What is usual: at the end of each day the highest of the day goes a bounded step towards what is
// remembered, so that nobody can teach the guard much in a short time. A day on which mail was held
// teaches nothing.
#include "policy/guard_internal.h"

#define WEEK_HOURS    168
#define WEEK_MOST     60000
#define ODD_DAYS      14  // of experience before an hour can be odd
#define ODD_MESSAGES  60
#define STEP_LEAST    5   // a peak may grow by that much a day, or by half of itself
#define DECAY	      64  // a peak shrinks by the 64th part of what is missing: half in 44 days
#define MEAN_DAYS     20  // of the means
#define YOUNG_DAYS    10 // somebody new writes to new people; the caps are lower then
#define FRESH_MOST    10000
#define CREEP_CALM    (30 * 16)
#define CREEP_MOST    (1u << 24)
#define LEARN_FACTOR  8   // larger steps while it is only learned

static void raise(uint32_t *value, uint32_t now)
{
	if (now > *value)
		*value = now;
}

void guard_note_peaks(struct guard_state *s)
{
	const struct guard_counts ten = guard_sum_lately(s), hour = s->of_hour, day = s->of_day;
	struct guard_peaks *t = &s->today;

	raise(&t->ten, ten.recipients);
	raise(&t->hour, hour.recipients);
	raise(&t->day, day.recipients);
	raise(&t->fresh_ten, ten.fresh);
	raise(&t->fresh_hour, hour.fresh);
	raise(&t->fresh_day, day.fresh);
	raise(&t->messages, day.messages);
	raise(&t->networks, guard_new_networks(s));
	raise(&t->same, guard_same_bodies(s));
}

static void learn_peak(uint32_t *usual, uint32_t today, bool learning)
{
	uint32_t step = *usual / 2 > STEP_LEAST ? *usual / 2 : STEP_LEAST;

	if (learning) // the first of each kind is taken as it is, almost
		step = step * LEARN_FACTOR > 200 ? step * LEARN_FACTOR : 200;
	if (today > *usual)
		*usual += today - *usual < step ? today - *usual : step;
	else
		*usual -= (*usual - today + DECAY - 1) / DECAY;
}

// new recipients beyond what is usual go on adding up; a calm day takes some away.
static void learn_creep(struct guard_state *s)
{
	uint32_t fresh = (s->today.fresh_day < FRESH_MOST ? s->today.fresh_day : FRESH_MOST) * 16;
	uint32_t usual = s->fresh_mean / 16 * 5 / 4 + (s->days < YOUNG_DAYS ? 13 : 7) * 16;

	if (fresh > usual)
		s->creep += s->creep < CREEP_MOST ? fresh - usual : 0;
	else
		s->creep -= usual - fresh < s->creep ? usual - fresh : s->creep;
}

static void learn_means(struct guard_state *s)
{
	const struct guard_counts day = s->of_day;
	uint32_t fresh = (s->today.fresh_day < FRESH_MOST ? s->today.fresh_day : FRESH_MOST) * 256;
	uint32_t bound = s->fresh_mean * 2 + 20 * 256;

	if (fresh > bound) // one day that was allowed teaches no more than others
		fresh = bound;
	if (fresh > s->fresh_mean) // what is suspicious is not learned
		s->fresh_mean += s->creep < CREEP_CALM ? (fresh - s->fresh_mean) / MEAN_DAYS : 0;
	else
		s->fresh_mean -= (s->fresh_mean - fresh) / MEAN_DAYS;
	s->refused_mean -= s->refused_mean / 16;
	s->finished_mean -= s->finished_mean / 16;
	s->refused_mean += day.refused / 8;
	s->finished_mean += day.finished / 8;
}

void guard_end_day(struct guard_state *s)
{
	bool learning = guard_is_learning(s) || s->now_ms < s->allowed_until_ms;
	const uint32_t *today = (const uint32_t *)&s->today;
	uint32_t *usual = (uint32_t *)&s->usual;

	if (!s->held_today && s->action < GUARD_HOLD) {
		for (size_t n = 0; n < sizeof(s->today) / sizeof(*today); n++)
			learn_peak(&usual[n], today[n], learning);
		learn_means(s);
		s->days += s->days < GUARD_DAYS_MOST;
	}
	if (!learning && s->action < GUARD_HOLD)
		learn_creep(s);
	if (s->day % 7 == 0)
		for (unsigned h = 0; h < WEEK_HOURS; h++)
			s->week[h] -= s->week[h] / 8;
	s->held_today = s->action >= GUARD_HOLD;
	s->today = (struct guard_peaks){0};
}

// Days of the week count from the first day of 1970, a Thursday; which one it is does not matter.
static bool is_odd(const struct guard_state *s)
{
	uint32_t all = 0, at_hour = 0, on_day = 0, now = s->hour % WEEK_HOURS;

	for (unsigned h = 0; h < WEEK_HOURS; h++) {
		unsigned apart = (h % 24 + 24 - now % 24) % 24;

		all += s->week[h];
		if (apart <= 1 || apart == 23)
			at_hour += s->week[h];
		if (h / 24 == now / 24)
			on_day += s->week[h];
	}
	return all >= ODD_MESSAGES && (at_hour * 100 < all || on_day * 100 < all);
}

bool guard_is_odd_hour(struct guard_state *s)
{
	if (s->days < ODD_DAYS)
		return false;
	if (s->odd_for != s->hour)
		s->odd = is_odd(s);
	s->odd_for = s->hour;
	return s->odd;
}
