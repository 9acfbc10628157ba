// SPDX-License-Identifier: ISC
// Counting by time: six windows of ten minutes, twenty-four of an hour.
#include "policy/guard_internal.h"

#define BACK_MS GUARD_DAY_MS // a clock that is set back by more begins anew

#define MANY	24000000 // more is as good as that: nothing below can overflow

static void add_one(uint32_t *to, uint32_t more)
{
	*to = more < MANY && *to < MANY - more ? *to + more : MANY;
}

static void add(struct guard_counts *to, const struct guard_counts *c)
{
	add_one(&to->messages, c->messages);
	add_one(&to->odd, c->odd);
	add_one(&to->recipients, c->recipients);
	add_one(&to->fresh, c->fresh);
	add_one(&to->foreign, c->foreign);
	add_one(&to->refused, c->refused);
	add_one(&to->finished, c->finished);
}

struct guard_counts guard_sum_lately(const struct guard_state *s)
{
	struct guard_counts sum = s->tens[s->ten % GUARD_TENS];

	add(&sum, &s->tens[(s->ten + GUARD_TENS - 1) % GUARD_TENS]);
	return sum;
}

void guard_sum_up(struct guard_state *s)
{
	s->of_hour = s->of_day = (struct guard_counts){0};
	for (unsigned n = 0; n < GUARD_TENS; n++)
		add(&s->of_hour, &s->tens[n]);
	for (unsigned n = 0; n < GUARD_HOURS; n++)
		add(&s->of_day, &s->hours[n]);
}

// Empties the windows between the newest one and now.
static void turn(struct guard_counts *windows, unsigned count, uint32_t *newest, uint32_t now)
{
	uint32_t passed = now - *newest;

	for (uint32_t n = 1; n <= passed && n <= count; n++)
		windows[(*newest + n) % count] = (struct guard_counts){0};
	*newest = now;
}

static void forget_windows(struct guard_state *s)
{
	memset(s->tens, 0, sizeof(s->tens));
	memset(s->hours, 0, sizeof(s->hours));
	guard_sum_up(s);
	memset(s->bodies, 0, sizeof(s->bodies));
	s->today = (struct guard_peaks){0};
}

static void begin(struct guard_state *s, uint64_t now_ms)
{
	if (!s->first_ms || now_ms < s->first_ms)
		s->first_ms = now_ms;
	s->now_ms = now_ms;
	s->ten = (uint32_t)(now_ms / (10 * GUARD_MINUTE_MS));
	s->hour = (uint32_t)(now_ms / GUARD_HOUR_MS);
	s->day = (uint32_t)(now_ms / GUARD_DAY_MS);
}

void guard_advance(struct guard_state *s, uint64_t now_ms)
{
	uint32_t day = (uint32_t)(now_ms / GUARD_DAY_MS), ten = (uint32_t)(now_ms / (10 * GUARD_MINUTE_MS));

	if (s->now_ms && now_ms + BACK_MS < s->now_ms) {
		forget_windows(s);
		begin(s, now_ms);
	}
	if (!s->now_ms)
		begin(s, now_ms);
	if (now_ms <= s->now_ms)
		return;
	if (s->ten == ten) {
		s->now_ms = now_ms;
		return;
	}
	if (s->action < GUARD_HOLD) // the highest of a window is what it is at its end
		guard_note_peaks(s);
	for (unsigned n = 0; s->day < day && n < 400; n++) { // days of silence are learned, too
		guard_end_day(s);
		s->day++;
	}
	s->day = day;
	s->now_ms = now_ms;
	turn(s->tens, GUARD_TENS, &s->ten, ten);
	turn(s->hours, GUARD_HOURS, &s->hour, (uint32_t)(now_ms / GUARD_HOUR_MS));
	guard_sum_up(s);
}

static void count(struct guard_state *s, const struct guard_counts *c)
{
	add(&s->tens[s->ten % GUARD_TENS], c);
	add(&s->hours[s->hour % GUARD_HOURS], c);
	add(&s->of_hour, c);
	add(&s->of_day, c);
}

void guard_count_message(struct guard_state *s, uint32_t fresh, uint32_t weight, bool foreign)
{
	struct guard_counts c = {.messages = 1, .odd = guard_is_odd_hour(s), .recipients = weight, .fresh = fresh,
		.foreign = foreign ? weight : 0};

	count(s, &c);
}

void guard_count_outcome(struct guard_state *s, uint32_t refused, uint32_t delivered)
{
	struct guard_counts c = {.refused = refused, .finished = refused + delivered};

	count(s, &c);
}
