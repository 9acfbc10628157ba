// SPDX-License-Identifier: ISC
// What the files of the guard share.
#ifndef PABAL_POLICY_GUARD_INTERNAL_H
#define PABAL_POLICY_GUARD_INTERNAL_H

#include "policy/guard.h"

#define GUARD_MINUTE_MS ((uint64_t)60 * 1000)
#define GUARD_HOUR_MS	(60 * GUARD_MINUTE_MS)
#define GUARD_DAY_MS	(24 * GUARD_HOUR_MS)
#define GUARD_DAYS_MOST 100000 // learned; more are as good

static inline bool guard_is_learning(const struct guard_state *s)
{
	return s->now_ms < s->learning_ms;
}

// ---- guard_windows.c
// The clock goes on to now_ms: windows that are over are emptied, days that are over are learned.
void guard_advance(struct guard_state *s, uint64_t now_ms);
void guard_count_message(struct guard_state *s, uint32_t fresh, uint32_t weight, bool foreign);
void guard_count_outcome(struct guard_state *s, uint32_t refused, uint32_t delivered);
struct guard_counts guard_sum_lately(const struct guard_state *s); // 10 to 20 minutes
void guard_sum_up(struct guard_state *s); // of_hour, of_day

// ---- guard_networks.c
// Notes that the network is used. True: it is young, so what comes from it is foreign.
bool guard_note_network(struct guard_state *s, uint64_t network);
// Networks that are not near each other, first seen in the last day.
uint32_t guard_new_networks(const struct guard_state *s);
// Notes the body; how often it came within a day.
uint32_t guard_note_body(struct guard_state *s, uint64_t digest);
uint32_t guard_same_bodies(const struct guard_state *s);

// ---- guard_usual.c
void guard_end_day(struct guard_state *s);
void guard_note_peaks(struct guard_state *s);
bool guard_is_odd_hour(struct guard_state *s);

// ---- guard_signals.c
void guard_judge(const struct guard_state *s, const struct guard_settings *settings,
	struct guard_verdict *out);

#endif
