// SPDX-License-Identifier: ISC
// How unusual is it? Each signal has points; what is done follows from their sum. The numbers were
// found with the simulator in test/guard and are measured there.
#include "policy/guard_internal.h"

#define RAMP_DAYS  14 // in which a new account's caps grow
#define RAMP_START 3  // from this part of them

struct look {
	const struct guard_state *s;
	const struct guard_settings *settings;
	struct guard_verdict *v;
	struct guard_counts ten, hour, day;
};

static void add_reason(struct look *l, enum guard_signal signal, unsigned points, uint32_t minutes,
	uint32_t count, uint32_t usual, uint32_t limit)
{
	struct guard_verdict *v = l->v;

	if (!points)
		return;
	v->reasons[v->reason_count++] = (struct guard_reason){.signal = signal,
		.points = (uint8_t)points, .minutes = minutes, .count = count, .usual = usual,
		.limit = limit};
	v->points += points;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

// ---------------------------------------------------------------- counts in windows

struct window {
	uint32_t minutes, count, usual, limit;
	unsigned points;
};

// Twice the limit is very unusual, four times reason enough.
static void rate(struct window *w)
{
	w->points = w->count < w->limit ? 0 : w->count < 2 * w->limit ? 1 : w->count < 3 * w->limit ? 2 : 3;
}

static void add_worst(struct look *l, enum guard_signal signal, struct window *windows, unsigned count)
{
	struct window *worst = &windows[0];

	for (unsigned n = 0; n < count; n++) {
		rate(&windows[n]);
		if (windows[n].points > worst->points)
			worst = &windows[n];
	}
	add_reason(l, signal, worst->points, worst->minutes, worst->count, worst->usual, worst->limit);
}

static void look_at_volume(struct look *l)
{
	const struct guard_peaks *u = &l->s->usual;
	unsigned slack = l->v->learning ? 4 : 1; // nothing is known yet
	struct window windows[] = {
		{20, l->ten.recipients, u->ten, slack * most(15, 2 * u->ten)},
		{60, l->hour.recipients, u->hour, slack * most(40, 2 * u->hour)},
		{1440, l->day.recipients, u->day, slack * most(120, 2 * u->day)},
	};

	add_worst(l, GUARD_SIGNAL_VOLUME, windows, ARRAY_SIZE(windows));
}

// However many somebody usually adds, a limit never grows beyond the second number: a list's own
// machine has the profile bulk.
static uint32_t limit_of(uint32_t usual, uint32_t from, uint32_t to)
{
	return least(most(from, usual * 5 / 2), to);
}

// New recipients mean little among many known ones.
static uint32_t if_many(uint32_t fresh, uint32_t recipients)
{
	return fresh * 5 >= recipients ? fresh : 0;
}

static void look_at_fresh(struct look *l)
{
	const struct guard_peaks *u = &l->s->usual;
	struct window windows[] = {
		{20, if_many(l->ten.fresh, l->ten.recipients), u->fresh_ten, limit_of(u->fresh_ten, 10, 13)},
		{60, if_many(l->hour.fresh, l->hour.recipients), u->fresh_hour, limit_of(u->fresh_hour, 16, 24)},
		{1440, if_many(l->day.fresh, l->day.recipients), u->fresh_day, limit_of(u->fresh_day, 30, 60)},
	};
	uint32_t creep = l->s->creep / 16 + l->day.fresh;
	unsigned points = creep < 60 ? 0 : creep < 95 ? 1 : creep < 130 ? 2 : 3;

	add_worst(l, GUARD_SIGNAL_FRESH, windows, ARRAY_SIZE(windows));
	if (l->s->creep)
		add_reason(l, GUARD_SIGNAL_CREEP, points, 0, creep, l->s->fresh_mean / 256, 60);
}

// ---------------------------------------------------------------- the others

static void look_at_refused(struct look *l)
{
	uint32_t refused = l->day.refused, finished = l->day.finished, usual, share, limit;
	unsigned points;

	if (refused < 5)
		return;
	usual = (uint32_t)((uint64_t)l->s->refused_mean * 100 / most(l->s->finished_mean, 20));
	share = (uint32_t)((uint64_t)refused * 100 / most(finished, 1));
	limit = most(12, usual * 3);
	points = share < limit ? 0 : share < 2 * limit || refused < 8 ? 1 : share < 3 * limit || refused < 15 ? 2 : 3;
	add_reason(l, GUARD_SIGNAL_REFUSED, points, 1440, share, usual, limit);
}

static void look_at_place(struct look *l)
{
	const struct guard_state *s = l->s;
	uint32_t networks = guard_new_networks(s), limit = most(4, s->usual.networks * 2);
	bool settled = s->now_ms - s->first_ms >= 3 * GUARD_DAY_MS;
	const struct guard_counts *while_ = l->hour.recipients >= 10 ? &l->hour : &l->day;
	uint32_t share = while_->recipients ? (uint32_t)((uint64_t)while_->foreign * 100 / while_->recipients) : 0;

	if (settled)
		add_reason(l, GUARD_SIGNAL_NETWORKS, networks < limit ? 0 : networks < 2 * limit ? 2 : 3,
			1440, networks, s->usual.networks, limit);
	add_reason(l, GUARD_SIGNAL_FOREIGN, share >= 50 && while_->recipients >= 5,
		while_ == &l->hour ? 60 : 1440, share, 0, 50);
}

static void look_at_rest(struct look *l)
{
	uint32_t same = guard_same_bodies(l->s), limit = most(10, 2 * l->s->usual.same);

	add_reason(l, GUARD_SIGNAL_HOUR, l->day.odd >= 4, 1440, l->day.odd, 0, 4);
	add_reason(l, GUARD_SIGNAL_SAME, same < limit ? 0 : same < 4 * limit ? 1 : 2, 1440, same,
		l->s->usual.same, limit);
}

// ---------------------------------------------------------------- caps

// A new account's caps grow; one that is being learned has them whole.
static uint32_t cap_of(const struct look *l, uint32_t cap)
{
	uint64_t created = l->settings->created_ms, from = l->s->first_ms;
	uint64_t age = (l->s->now_ms - (created && created < from ? created : from)) / GUARD_DAY_MS;

	if (l->settings->profile == GUARD_PROFILE_BULK)
		return cap > UINT32_MAX / GUARD_BULK_FACTOR ? UINT32_MAX : cap * GUARD_BULK_FACTOR;
	if (l->settings->client || age >= RAMP_DAYS || l->v->learning)
		return cap;
	return most(1, (uint32_t)(cap / RAMP_START + cap * age * (RAMP_START - 1) / RAMP_START / RAMP_DAYS));
}

// A client that has always sent more than the cap goes on to.
static uint32_t messages_cap(const struct look *l)
{
	uint32_t cap = cap_of(l, l->settings->messages);

	return l->settings->client ? most(cap, 3 * l->s->usual.messages) : cap;
}

static enum guard_action by_cap(uint32_t count, uint32_t cap)
{
	if (!cap || count < cap - cap / 5)
		return GUARD_NONE;
	return count < cap ? GUARD_SLOW : count < 2 * cap ? GUARD_HOLD : GUARD_SUSPEND;
}

static enum guard_action look_at_caps(struct look *l)
{
	uint32_t cap = messages_cap(l), recipients = cap_of(l, l->settings->recipients);
	enum guard_action by_messages = by_cap(l->day.messages, cap);
	enum guard_action by_fresh = l->v->learning || l->settings->profile == GUARD_PROFILE_BULK ?
		GUARD_NONE : by_cap(l->day.fresh, recipients);

	if (l->v->learning) // held only from twice the cap on
		by_messages = l->day.messages < cap ? GUARD_NONE :
			l->day.messages < 2 * cap ? GUARD_SLOW : GUARD_HOLD;
	if (by_messages)
		add_reason(l, GUARD_SIGNAL_CAP_MESSAGES, by_messages, 1440, l->day.messages,
			l->s->usual.messages, cap);
	if (by_fresh)
		add_reason(l, GUARD_SIGNAL_CAP_RECIPIENTS, by_fresh, 1440, l->day.fresh,
			l->s->usual.fresh_day, recipients);
	return by_messages > by_fresh ? by_messages : by_fresh;
}

// ---------------------------------------------------------------- together

static unsigned points_of(const struct guard_verdict *v, enum guard_signal signal)
{
	for (unsigned n = 0; n < v->reason_count; n++)
		if (v->reasons[n].signal == signal)
			return v->reasons[n].points;
	return 0;
}

static bool looks_stolen(const struct guard_verdict *v)
{
	return points_of(v, GUARD_SIGNAL_FOREIGN) || points_of(v, GUARD_SIGNAL_NETWORKS) ||
		points_of(v, GUARD_SIGNAL_REFUSED) >= 2;
}

static enum guard_action by_points(const struct look *l)
{
	const struct guard_verdict *v = l->v;
	unsigned fresh = points_of(v, GUARD_SIGNAL_FRESH), creep = points_of(v, GUARD_SIGNAL_CREEP);
	unsigned refused = points_of(v, GUARD_SIGNAL_REFUSED);
	// Much mail to whom it always writes is no reason as long as it comes from where it always does.
	bool many = fresh || creep || refused >= 2 || points_of(v, GUARD_SIGNAL_NETWORKS) >= 3 ||
		(points_of(v, GUARD_SIGNAL_VOLUME) && looks_stolen(v));

	if (fresh >= 3 || creep >= 3 || (many && v->points >= (looks_stolen(v) ? 4 : 5))) {
		bool goes_on = l->s->action >= GUARD_HOLD && l->s->since_hold >= 50;

		return goes_on && looks_stolen(v) ? GUARD_SUSPEND : GUARD_HOLD;
	}
	many = many || points_of(v, GUARD_SIGNAL_VOLUME) >= 2;
	return many && v->points >= (looks_stolen(v) ? 2 : 3) ? GUARD_SLOW : GUARD_NONE;
}

static bool is_calm(const struct look *l)
{
	return l->hour.recipients < 10 && l->day.recipients < 25 && l->day.refused < 5 &&
		!l->s->creep && guard_new_networks(l->s) < 3;
}

void guard_judge(const struct guard_state *s, const struct guard_settings *settings,
	struct guard_verdict *out)
{
	struct look l;
	enum guard_action wanted, capped;

	out->action = GUARD_NONE;
	out->stepped = false;
	out->points = out->reason_count = 0;
	out->learning = guard_is_learning(s);
	// A client that is learned may carry everybody's mail: its numbers are not known yet.
	if (settings->profile == GUARD_PROFILE_OFF || s->now_ms < s->allowed_until_ms ||
		(settings->client && out->learning))
		return;
	l = (struct look){.s = s, .settings = settings, .v = out, .ten = guard_sum_lately(s),
		.hour = s->of_hour, .day = s->of_day};
	capped = look_at_caps(&l);
	if (!is_calm(&l)) {
		bool numbers = settings->profile == GUARD_PROFILE_NORMAL;

		if (numbers)
			look_at_volume(&l);
		if (numbers && !out->learning)
			look_at_fresh(&l);
		look_at_refused(&l);
		if (!settings->client)
			look_at_place(&l);
		if (numbers)
			look_at_rest(&l);
	}
	wanted = by_points(&l);
	if (out->learning && wanted > GUARD_SLOW)
		wanted = GUARD_SLOW;
	out->action = wanted > capped ? wanted : capped;
	if (out->action > settings->most)
		out->action = settings->most;
}
