// SPDX-License-Identifier: ISC
// The simulated world: accounts that live as people and machines do, thieves, and the guard as
// queue/guard.c wires it: asked when a message is submitted, told of bounces minutes later. The
// numbers of lives are guesses of ours, written in lives.c for everybody to see and to doubt.
#ifndef PABAL_TEST_GUARD_WORLD_H
#define PABAL_TEST_GUARD_WORLD_H

#include "policy/guard.h"

#include <stdint.h>

#define SECOND	 ((uint64_t)1000)
#define MINUTE	 (60 * SECOND)
#define HOUR	 (60 * MINUTE)
#define DAY	 (24 * HOUR)
#define WORLD_MS ((uint64_t)20000 * DAY + 3 * DAY) // a Monday

// ---------------------------------------------------------------- chance (random.c)
struct chance {
	uint64_t state;
};
struct chance chance_make(uint64_t seed, uint64_t what);
uint64_t chance_u64(struct chance *c);
unsigned chance_below(struct chance *c, unsigned most);           // 0 .. most - 1
unsigned chance_range(struct chance *c, unsigned from, unsigned to); // with both
bool chance_is(struct chance *c, double probability);
double chance_exp(struct chance *c, double mean);
unsigned chance_poisson(struct chance *c, double mean);
double chance_lognormal(struct chance *c, double median, double spread);

// ---------------------------------------------------------------- one message
#define RECIPIENTS_MAX 100
struct mail {
	uint64_t when_ms, network, digest;
	unsigned count;
	uint64_t recipients[RECIPIENTS_MAX];
	double dead;   // share of them that does not exist
	bool stolen;
};

// ---------------------------------------------------------------- accounts (lives.c)
enum life { LIFE_OFFICE, LIFE_QUIET, LIFE_NEWSLETTER, LIFE_INVOICES, LIFE_MACHINE, LIVES };
extern const char *const life_names[LIVES];

#define CONTACTS_MAX 1500
struct account {
	struct chance chance;
	unsigned number;
	enum life life;
	unsigned hired_day;         // of a new one; 0: was there before
	double messages_a_day, new_share;
	unsigned contact_count;
	uint64_t contacts[CONTACTS_MAX];
	uint64_t office, home, mobile[6];
	unsigned away_from, away_to; // a holiday
	unsigned run_day, run_every, run_size; // newsletters, invoices
	uint64_t next_stranger;
};
void account_make(struct account *a, uint64_t seed, unsigned number);
// All mail of that day, in order. give is called for each.
typedef void (*give_mail)(void *arg, const struct mail *m);
void account_live(struct account *a, unsigned day, give_mail give, void *arg);
uint64_t stranger(struct account *a);              // somebody nobody here wrote to
uint64_t colleague(unsigned number);               // one of ours
uint64_t network_of(struct chance *c);             // anywhere

// ---------------------------------------------------------------- the guard at work (watch.c)
struct outcome; // that is on its way
struct watch {
	struct guard_state state;
	struct guard_settings settings;
	struct chance chance;
	struct outcome *outcomes;   // a heap by time
	size_t outcome_count, outcome_size;
	uint64_t released_at_ms;    // when the administrator comes
	bool forgiving;             // there is an administrator, who finds that it was right
	uint64_t held_recipients[4000];
	unsigned held_count;
	// counted
	unsigned slowed, held, suspended;
	unsigned long messages;
	unsigned out;               // recipients of stolen mail that went out
	uint64_t stopped_ms;        // when stolen mail was first held
	unsigned points[GUARD_SIGNALS]; // of the last hold
	uint64_t first_held_ms;
};
void watch_init(struct watch *w, uint64_t seed, uint64_t installed_ms, uint64_t learn_ms, uint64_t created_ms);
void watch_finish(struct watch *w);
void watch_mail(struct watch *w, const struct mail *m);
void watch_until(struct watch *w, uint64_t when_ms); // what happens meanwhile

// ---------------------------------------------------------------- thefts (thefts.c)
enum theft { THEFT_BURST_1, THEFT_BURST_10, THEFT_BURST_100, THEFT_TRICKLE, THEFT_ROTATING, THEFT_CONTACTS,
	THEFT_INTERNAL, THEFTS };
extern const char *const theft_names[THEFTS];
struct theft_result {
	unsigned out;
	bool stopped;
	double seconds; // to the first held message
};
// The account has lived so far under w; the thief begins at when_ms, and the owner goes on.
void theft_run(struct account *a, struct watch *w, enum theft kind, uint64_t when_ms, struct theft_result *out);

#endif
