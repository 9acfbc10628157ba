// SPDX-License-Identifier: ISC
// What thieves do. Slowness is not counted in their way: they have as many connections as they like.
#include "world.h"

#include <stdlib.h>

#define MAILS_MAX 4000

const char *const theft_names[THEFTS] = {"burst, 1 a second", "burst, 10 a second", "burst, 100 a second",
	"trickle, 20 to 190 a day", "rotating sources", "to the owner's contacts", "to colleagues"};

struct thief {
	struct account *account;
	struct chance chance;
	uint64_t network;   // 0: another one for each message
	unsigned to_each;   // recipients of a message
	double dead;
	uint64_t digest;    // 0: another one for each
};

static struct thief make_thief(struct account *a, enum theft kind, uint64_t when_ms)
{
	struct thief t = {.account = a, .chance = chance_make(a->number + 1, when_ms + kind), .to_each = 1};
	struct chance *c = &t.chance;

	t.network = chance_is(c, 0.8) ? network_of(c) : a->home; // else it is a worm in the owner's machine
	t.dead = chance_range(c, 2, 25) / 100.0;
	if (chance_is(c, 0.3))
		t.to_each = chance_range(c, 2, 20);
	if (chance_is(c, 0.3))
		t.digest = chance_u64(c);
	return t;
}

static struct mail begin_mail(struct thief *t, uint64_t when_ms)
{
	return (struct mail){.when_ms = when_ms, .stolen = true, .dead = t->dead,
		.network = t->network ? t->network : network_of(&t->chance),
		.digest = t->digest ? t->digest : chance_u64(&t->chance)};
}

// ---------------------------------------------------------------- the owner goes on meanwhile

struct scene {
	struct watch *watch;
	struct mail *stolen;   // in order
	unsigned count, next;
	uint64_t from_ms;
};

static void thief_until(struct scene *s, uint64_t when_ms)
{
	while (s->next < s->count && s->stolen[s->next].when_ms <= when_ms && !s->watch->stopped_ms)
		watch_mail(s->watch, &s->stolen[s->next++]);
}

static void owner(void *arg, const struct mail *m)
{
	struct scene *s = arg;

	if (m->when_ms < s->from_ms || s->watch->stopped_ms)
		return;
	thief_until(s, m->when_ms);
	if (!s->watch->stopped_ms)
		watch_mail(s->watch, m);
}

static void play(struct account *a, struct watch *w, struct mail *stolen, unsigned count, uint64_t from_ms,
	struct theft_result *out)
{
	struct scene s = {w, stolen, count, 0, from_ms};
	unsigned day = (unsigned)((from_ms - WORLD_MS) / DAY);
	uint64_t end_ms = count ? stolen[count - 1].when_ms + HOUR : from_ms;

	for (; WORLD_MS + day * DAY < end_ms && !w->stopped_ms; day++) {
		account_live(a, day, owner, &s);
		thief_until(&s, WORLD_MS + (day + 1) * DAY - 1);
	}
	watch_until(w, end_ms);
	out->out = w->out;
	// What was held before the first message of the thief does not count.
	out->stopped = w->stopped_ms != 0 || w->state.action >= GUARD_HOLD;
	out->seconds = w->stopped_ms ? (double)(w->stopped_ms - from_ms) / 1000.0 :
		out->stopped ? (double)(w->state.action_ms - from_ms) / 1000.0 : 0;
}

// ---------------------------------------------------------------- kinds

static unsigned spam(struct thief *t, struct mail *mails, uint64_t from_ms, double pause_ms, uint64_t for_ms)
{
	double at = 0;
	unsigned count = 0;

	for (; at < (double)for_ms && count < MAILS_MAX; count++) {
		mails[count] = begin_mail(t, from_ms + (uint64_t)at);
		for (unsigned n = 0; n < t->to_each; n++)
			mails[count].recipients[mails[count].count++] = stranger(t->account);
		at += chance_exp(&t->chance, pause_ms);
	}
	return count;
}

static unsigned to_contacts(struct thief *t, struct mail *mails, uint64_t from_ms)
{
	double pause = (double)chance_range(&t->chance, 500, 30000), at = 0;
	struct account *a = t->account;
	unsigned count = 0;

	t->dead = 0.01;
	for (unsigned n = 0; n < a->contact_count && count < MAILS_MAX; n += t->to_each) {
		struct mail *m = &mails[count++];

		*m = begin_mail(t, from_ms + (uint64_t)at);
		for (unsigned k = n; k < n + t->to_each && k < a->contact_count; k++)
			m->recipients[m->count++] = a->contacts[k];
		at += chance_exp(&t->chance, pause);
	}
	return count;
}

static unsigned to_colleagues(struct thief *t, struct mail *mails, uint64_t from_ms)
{
	double pause = (double)chance_range(&t->chance, 200, 20000), at = 0;
	unsigned all = chance_range(&t->chance, 40, 200), count = 0;

	t->dead = 0;
	for (unsigned n = 0; n < all && count < MAILS_MAX; n += t->to_each) {
		struct mail *m = &mails[count++];

		*m = begin_mail(t, from_ms + (uint64_t)at);
		for (unsigned k = n; k < n + t->to_each && k < all; k++)
			m->recipients[m->count++] = colleague(k);
		at += chance_exp(&t->chance, pause);
	}
	return count;
}

void theft_run(struct account *a, struct watch *w, enum theft kind, uint64_t when_ms, struct theft_result *out)
{
	static struct mail mails[MAILS_MAX];
	struct thief t = make_thief(a, kind, when_ms);
	unsigned count = 0;

	*out = (struct theft_result){0};
	switch (kind) {
	case THEFT_BURST_1:
		count = spam(&t, mails, when_ms, 1000, HOUR);
		break;
	case THEFT_BURST_10:
		count = spam(&t, mails, when_ms, 100, HOUR);
		break;
	case THEFT_BURST_100:
		count = spam(&t, mails, when_ms, 10, HOUR);
		break;
	case THEFT_TRICKLE:
		t.to_each = 1;
		count = spam(&t, mails, when_ms, (double)DAY / chance_range(&t.chance, 20, 190), 30 * DAY);
		break;
	case THEFT_ROTATING:
		t.network = 0;
		t.to_each = 1;
		count = spam(&t, mails, when_ms, chance_range(&t.chance, 2, 120) * 1000.0, 2 * DAY);
		break;
	case THEFT_CONTACTS:
		count = to_contacts(&t, mails, when_ms);
		break;
	case THEFT_INTERNAL:
		count = to_colleagues(&t, mails, when_ms);
		break;
	case THEFTS:
		break;
	}
	play(a, w, mails, count, when_ms, out);
}
