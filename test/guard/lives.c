// SPDX-License-Identifier: ISC
// How accounts live: of a thousand, 840 people in offices, 70 who seldom write, 30 who send a newsletter,
// 30 who send invoices each month, 30 machines that mail alerts. One in twenty is hired in the course.
#include "world.h"

#include <stdlib.h>
#include <string.h>

#define OFFICE_COUNT 200 // colleagues

const char *const life_names[LIVES] = {"office", "quiet", "newsletter", "invoices", "machine"};

static uint64_t address(uint64_t kind, uint64_t number)
{
	struct chance c = chance_make(kind, number);

	return chance_u64(&c) & ~(uint64_t)GUARD_OURS;
}

uint64_t colleague(unsigned number)
{
	return address(1, number) | GUARD_OURS;
}

uint64_t stranger(struct account *a)
{
	return address(1000 + a->number, a->next_stranger++);
}

uint64_t network_of(struct chance *c)
{
	struct ipaddr ip = {.family = 4};

	ip.octets[0] = (uint8_t)chance_range(c, 20, 200);
	ip.octets[1] = (uint8_t)chance_below(c, 256);
	ip.octets[2] = (uint8_t)chance_below(c, 256);
	return guard_network_of(&ip);
}

static void add_contact(struct account *a, uint64_t who)
{
	unsigned at = a->contact_count < CONTACTS_MAX ? a->contact_count++ : chance_below(&a->chance, CONTACTS_MAX);

	a->contacts[at] = who;
}

// ---------------------------------------------------------------- who

static void make_networks(struct account *a)
{
	struct chance shared = chance_make(7, a->number / 100); // a hundred in one office
	uint64_t carrier[2] = {network_of(&a->chance), network_of(&a->chance)};

	a->office = network_of(&shared);
	a->home = network_of(&a->chance);
	for (unsigned n = 0; n < 6; n++) // a telephone wanders through its carrier's networks
		a->mobile[n] = (carrier[n % 2] & ~(uint64_t)0xff) | chance_below(&a->chance, 256);
}

static enum life life_of(unsigned number)
{
	unsigned at = number % 100;

	return at < 84 ? LIFE_OFFICE : at < 91 ? LIFE_QUIET : at < 94 ? LIFE_NEWSLETTER :
		at < 97 ? LIFE_INVOICES : LIFE_MACHINE;
}

void account_make(struct account *a, uint64_t seed, unsigned number)
{
	struct chance *c = &a->chance;
	unsigned inside, outside;

	*a = (struct account){.number = number, .chance = chance_make(seed, number)};
	a->life = life_of(number);
	make_networks(a);
	a->hired_day = number % 20 == 7 && a->life == LIFE_OFFICE ? chance_range(c, 15, 55) : 0;
	a->messages_a_day = a->life == LIFE_QUIET ? 0.2 : chance_lognormal(c, 12, 2);
	a->messages_a_day = a->messages_a_day > 120 ? 120 : a->messages_a_day;
	a->new_share = 0.02 + chance_below(c, 80) / 1000.0;
	inside = chance_range(c, 5, 60);
	outside = a->life == LIFE_MACHINE ? 2 : (unsigned)chance_lognormal(c, 60, 2.2);
	for (unsigned n = 0; n < inside && a->life != LIFE_MACHINE; n++)
		add_contact(a, colleague(chance_below(c, OFFICE_COUNT)));
	for (unsigned n = 0; n < outside && n < 600; n++)
		add_contact(a, stranger(a));
	if (chance_is(c, 0.35)) {
		a->away_from = chance_below(c, 60);
		a->away_to = a->away_from + chance_range(c, 4, 16);
	}
	if (a->life == LIFE_NEWSLETTER) {
		a->run_every = chance_is(c, 0.6) ? 7 : chance_is(c, 0.5) ? 14 : 30;
		a->run_size = (unsigned)chance_lognormal(c, 250, 2);
	} else if (a->life == LIFE_INVOICES) {
		a->run_every = 30;
		a->run_size = (unsigned)chance_lognormal(c, 110, 1.8);
	}
	a->run_size = a->run_size > 900 ? 900 : a->run_size;
	a->run_day = a->run_every ? chance_below(c, a->run_every) : 0;
	for (unsigned n = 0; n < a->run_size; n++)
		add_contact(a, stranger(a));
}

// ---------------------------------------------------------------- a day

#define DAY_MAX 6000
struct day {
	struct account *account;
	struct mail *mails;
	unsigned count;
	uint64_t begins_ms;
	uint64_t travel; // network of a journey; 0: at home
};

static struct mail *add(struct day *d, uint64_t at_ms, uint64_t network)
{
	struct mail *m = &d->mails[d->count < DAY_MAX - 1 ? d->count++ : d->count];

	*m = (struct mail){.when_ms = d->begins_ms + at_ms, .network = network,
		.digest = chance_u64(&d->account->chance), .dead = 0.01};
	return m;
}

// Some are written to often, most seldom.
static uint64_t some_contact(struct account *a)
{
	unsigned near = chance_below(&a->chance, a->contact_count) + 1;

	return a->contact_count ? a->contacts[chance_below(&a->chance, near)] : stranger(a);
}

static void add_recipient(struct account *a, struct mail *m, double new_share)
{
	if (m->count == RECIPIENTS_MAX)
		return;
	if (!chance_is(&a->chance, new_share)) {
		m->recipients[m->count++] = some_contact(a);
		return;
	}
	uint64_t who = chance_is(&a->chance, 0.35) ? colleague(chance_below(&a->chance, OFFICE_COUNT)) : stranger(a);

	m->recipients[m->count++] = who;
	m->dead = 0.04;
	if (chance_is(&a->chance, 0.5))
		add_contact(a, who);
}

static unsigned how_many(struct chance *c)
{
	unsigned at = chance_below(c, 1000);

	return at < 760 ? 1 : at < 930 ? chance_range(c, 2, 4) : at < 990 ? chance_range(c, 5, 15) :
		chance_range(c, 16, 40);
}

static uint64_t where(struct day *d, bool at_work)
{
	struct account *a = d->account;
	unsigned at = chance_below(&a->chance, 100);

	if (d->travel)
		return at < 70 ? d->travel : a->mobile[chance_below(&a->chance, 6)];
	if (at_work)
		return at < 85 ? a->office : a->mobile[chance_below(&a->chance, 6)];
	return at < 60 ? a->home : a->mobile[chance_below(&a->chance, 6)];
}

static void write_some(struct day *d, double mean, double new_share)
{
	struct account *a = d->account;
	struct chance *c = &a->chance;
	unsigned count = chance_poisson(c, mean);

	for (unsigned n = 0; n < count; n++) {
		bool at_work = !chance_is(c, 0.12);
		uint64_t hour = at_work ? 8 * HOUR + chance_u64(c) % (10 * HOUR) : 6 * HOUR + chance_u64(c) % (17 * HOUR);
		struct mail *m = add(d, d->travel ? (hour + 9 * HOUR) % DAY : hour, where(d, at_work));
		unsigned to = how_many(c);

		for (unsigned r = 0; r < to; r++)
			add_recipient(a, m, new_share);
	}
}

// Once in a while many new people at once: a project, a fair, an invitation.
static void invite(struct day *d)
{
	struct account *a = d->account;
	struct chance *c = &a->chance;
	uint64_t from = 9 * HOUR + chance_u64(c) % (7 * HOUR);
	unsigned count = (unsigned)chance_lognormal(c, 9, 1.9);
	bool one = chance_is(c, 0.6); // one message for all, or one each over hours

	struct mail *m = one ? add(d, from, where(d, true)) : NULL;
	for (unsigned n = 0; n < count && n < 60; n++) {
		if (!one)
			m = add(d, from + chance_u64(c) % (3 * HOUR), where(d, true));
		add_recipient(a, m, 1);
	}
}

// The end of the list are those it was made with; some leave, some come.
static void run(struct day *d, double new_share, uint64_t ms_each, bool same)
{
	struct account *a = d->account;
	struct chance *c = &a->chance;
	uint64_t at = 9 * HOUR + chance_u64(c) % (8 * HOUR), digest = chance_u64(c);
	unsigned first = a->contact_count > a->run_size ? a->contact_count - a->run_size : 0;

	for (unsigned n = 0; n < a->run_size && d->count < DAY_MAX - 1; n++) {
		struct mail *m = add(d, at, a->office);

		if (first + n < a->contact_count && chance_is(c, new_share))
			a->contacts[first + n] = stranger(a);
		m->recipients[m->count++] = a->contacts[(first + n) % a->contact_count];
		if (same)
			m->digest = digest;
		at += (uint64_t)chance_exp(c, (double)ms_each);
	}
}

static void alert(struct day *d)
{
	struct account *a = d->account;
	struct chance *c = &a->chance;
	unsigned storm = chance_is(c, 0.04) ? chance_range(c, 50, 500) : 0;
	uint64_t from = chance_u64(c) % (20 * HOUR);
	unsigned usual = chance_poisson(c, a->messages_a_day);

	for (unsigned n = 0; n < usual + storm; n++) {
		struct mail *m = add(d, n < storm ? from + chance_u64(c) % (2 * HOUR) : chance_u64(c) % DAY, a->office);

		for (unsigned r = 0; r < a->contact_count && r < 3; r++)
			m->recipients[m->count++] = a->contacts[r];
		if (n < storm && chance_is(c, 0.5))
			m->digest = 7;
	}
}

static int by_time(const void *x, const void *y)
{
	const struct mail *a = x, *b = y;

	return (a->when_ms > b->when_ms) - (a->when_ms < b->when_ms);
}

static void live_day(struct day *d, unsigned day)
{
	struct account *a = d->account;
	struct chance *c = &a->chance;
	bool workday = day % 7 < 5, away = day >= a->away_from && day < a->away_to;
	bool is_run = a->run_every && day % a->run_every == a->run_day % a->run_every;
	bool begins = a->hired_day && day < a->hired_day + 5;

	if (a->life == LIFE_MACHINE) {
		alert(d);
		return;
	}
	if (chance_is(c, 0.02))
		d->travel = network_of(c);
	if (is_run && a->life == LIFE_NEWSLETTER)
		run(d, 0.02, 400, true);
	if (is_run && a->life == LIFE_INVOICES)
		run(d, 0.05, 6000, false);
	write_some(d, a->messages_a_day * (away ? 0.1 : workday ? 1 : 0.08), begins ? 0.3 : a->new_share);
	if (workday && !away && a->life != LIFE_QUIET && chance_is(c, 0.025))
		invite(d);
}

void account_live(struct account *a, unsigned day, give_mail give, void *arg)
{
	static struct mail mails[DAY_MAX];
	struct day d = {.account = a, .mails = mails, .begins_ms = WORLD_MS + day * DAY};

	if (a->hired_day && day < a->hired_day)
		return;
	live_day(&d, day);
	qsort(mails, d.count, sizeof(mails[0]), by_time);
	for (unsigned n = 0; n < d.count; n++)
		if (mails[n].count)
			give(arg, &mails[n]);
}
