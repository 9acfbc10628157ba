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

struct guard_counts guard_sum_tens(const struct guard_state *s, unsigned count)
{
	struct guard_counts sum = {0};

	for (unsigned n = 0; n < count; n++)
		add(&sum, &s->tens[(s->ten + GUARD_TENS - n) % GUARD_TENS]);
	return sum;
}

struct guard_counts guard_sum_day(const struct guard_state *s)
{
	struct guard_counts sum = {0};

	for (unsigned n = 0; n < GUARD_HOURS; n++)
		add(&sum, &s->hours[n]);
	return sum;
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
	uint32_t day = (uint32_t)(now_ms / GUARD_DAY_MS);

	if (s->now_ms && now_ms + BACK_MS < s->now_ms) {
		forget_windows(s);
		begin(s, now_ms);
	}
	if (!s->now_ms)
		begin(s, now_ms);
	if (now_ms <= s->now_ms)
		return;
	for (unsigned n = 0; s->day < day && n < 400; n++) { // days of silence are learned, too
		guard_end_day(s);
		s->day++;
	}
	s->day = day;
	s->now_ms = now_ms;
	turn(s->tens, GUARD_TENS, &s->ten, (uint32_t)(now_ms / (10 * GUARD_MINUTE_MS)));
	turn(s->hours, GUARD_HOURS, &s->hour, (uint32_t)(now_ms / GUARD_HOUR_MS));
}

void guard_count_message(struct guard_state *s, uint32_t fresh, uint32_t weight, bool foreign)
{
	struct guard_counts c = {.messages = 1, .odd = guard_is_odd_hour(s), .recipients = weight, .fresh = fresh,
		.foreign = foreign ? weight : 0};

	add(&s->tens[s->ten % GUARD_TENS], &c);
	add(&s->hours[s->hour % GUARD_HOURS], &c);
}

void guard_count_outcome(struct guard_state *s, uint32_t refused, uint32_t delivered)
{
	struct guard_counts c = {.refused = refused, .finished = refused + delivered};

	add(&s->tens[s->ten % GUARD_TENS], &c);
	add(&s->hours[s->hour % GUARD_HOURS], &c);
}
