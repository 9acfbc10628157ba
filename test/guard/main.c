// SPDX-License-Identifier: ISC
// guard-simulator: measures the guard. Prints a table, as the manual shows it, or JSON; with --marks it
// fails when a mark is missed.
//
//   guard-simulator [--accounts N] [--days N] [--thefts N] [--seeds A,B,…] [--json] [--marks] [--holds]
#include "world.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX 16
#define LEARN_MS  (14 * DAY)

struct options {
	unsigned accounts, days, thefts;
	uint64_t seeds[SEEDS_MAX];
	unsigned seed_count;
	bool json, marks, holds;
};

struct found {
	struct theft_result *results;
	unsigned count;
};

struct totals {
	unsigned long account_days, messages;
	unsigned slowed, held, suspended, held_by[LIVES], held_new, days_by[LIVES];
	unsigned migration_held, migration_slowed, migration_accounts;
	struct found thefts[THEFTS];
};

static void keep(void *arg, const struct mail *m)
{
	watch_mail(arg, m);
}

static void live(struct account *a, struct watch *w, unsigned from, unsigned days)
{
	for (unsigned day = from; day < days; day++)
		account_live(a, day, keep, w);
	watch_until(w, WORLD_MS + days * DAY);
}

static void begin(struct account *a, struct watch *w, uint64_t seed, unsigned number)
{
	account_make(a, seed, number);
	watch_init(w, seed * 1000003 + number, WORLD_MS, LEARN_MS,
		a->hired_day ? WORLD_MS + a->hired_day * DAY : WORLD_MS - 300 * DAY);
}

// ---------------------------------------------------------------- normal life

static void say_hold(const struct account *a, const struct watch *w, uint64_t seed)
{
	fprintf(stderr, "held: seed %lu account %u %s%s, day %lu:", (unsigned long)seed, a->number, life_names[a->life],
		a->hired_day ? " (hired)" : "", (unsigned long)((w->first_held_ms - WORLD_MS) / DAY));
	for (unsigned n = 0; n < GUARD_SIGNALS; n++)
		if (w->points[n])
			fprintf(stderr, " %s=%u", guard_signal_name(n), w->points[n]);
	fputc('\n', stderr);
}

static void normal_life(const struct options *o, uint64_t seed, struct totals *t)
{
	struct account *a = mem_alloc(sizeof(*a));
	struct watch *w = mem_alloc(sizeof(*w));

	for (unsigned n = 0; n < o->accounts; n++) {
		begin(a, w, seed, n);
		w->forgiving = true;
		live(a, w, 0, o->days);
		t->account_days += o->days - (a->hired_day < o->days ? a->hired_day : o->days);
		t->days_by[a->life] += o->days;
		t->messages += w->messages;
		t->slowed += w->slowed;
		t->held += w->held;
		t->suspended += w->suspended;
		t->held_by[a->life] += w->held;
		t->held_new += a->hired_day ? w->held : 0;
		if (o->holds && w->held)
			say_hold(a, w, seed);
		watch_finish(w);
	}
	mem_free(a);
	mem_free(w);
}

// Everybody at once, with nothing known of anybody: a Monday, and each list and invoices run on it.
static void migration_day(const struct options *o, uint64_t seed, struct totals *t)
{
	struct account *a = mem_alloc(sizeof(*a));
	struct watch *w = mem_alloc(sizeof(*w));

	for (unsigned n = 0; n < o->accounts; n++) {
		begin(a, w, seed + 500, n);
		a->hired_day = 0;
		a->run_day = 0;
		live(a, w, 0, 1);
		t->migration_held += w->held;
		t->migration_slowed += w->slowed;
		t->migration_accounts++;
		watch_finish(w);
	}
	mem_free(a);
	mem_free(w);
}

// ---------------------------------------------------------------- thefts

static void thefts(const struct options *o, uint64_t seed, struct totals *t)
{
	struct account *a = mem_alloc(sizeof(*a)), *copy = mem_alloc(sizeof(*copy));
	struct watch *w = mem_alloc(sizeof(*w)), *then = mem_alloc(sizeof(*then));

	for (unsigned n = 0; n < o->thefts; n++) {
		struct chance c = chance_make(seed, 424242 + n);
		unsigned number = chance_below(&c, 1000), day = chance_range(&c, 16, 55);
		uint64_t when = WORLD_MS + day * DAY + chance_u64(&c) % DAY;

		begin(a, w, seed, number);
		w->forgiving = true;
		if (a->hired_day > day - 2)
			a->hired_day = day - 2;
		live(a, w, 0, day);
		watch_until(w, WORLD_MS + (day + 1) * DAY);
		w->forgiving = false;
		guard_allow(&w->state, w->state.now_ms, w->state.now_ms); // nothing of before is left open
		for (enum theft kind = 0; kind < THEFTS; kind++) {
			struct found *f = &t->thefts[kind];

			*copy = *a;
			*then = *w;
			then->outcomes = NULL;
			then->outcome_count = then->outcome_size = 0;
			then->out = 0;
			then->stopped_ms = then->released_at_ms = 0;
			theft_run(copy, then, kind, when, &f->results[f->count++]);
			watch_finish(then);
		}
		watch_finish(w);
	}
	mem_free(a);
	mem_free(copy);
	mem_free(w);
	mem_free(then);
}

// ---------------------------------------------------------------- numbers

static int by_out(const void *x, const void *y)
{
	const struct theft_result *a = x, *b = y;

	return (a->out > b->out) - (a->out < b->out);
}

static int by_seconds(const void *x, const void *y)
{
	const struct theft_result *a = x, *b = y;

	return (a->seconds > b->seconds) - (a->seconds < b->seconds);
}

struct summary {
	unsigned median, ninety, worst, stopped, count;
	double seconds;
};

static struct summary summary_of(struct found *f)
{
	struct summary s = {.count = f->count};

	if (!f->count)
		return s;
	qsort(f->results, f->count, sizeof(f->results[0]), by_seconds);
	for (unsigned n = 0; n < f->count; n++)
		s.stopped += f->results[n].stopped;
	s.seconds = s.stopped ? f->results[f->count - s.stopped / 2 - 1].seconds : 0;
	qsort(f->results, f->count, sizeof(f->results[0]), by_out);
	s.median = f->results[f->count / 2].out;
	s.ninety = f->results[f->count * 9 / 10].out;
	s.worst = f->results[f->count - 1].out;
	return s;
}

static double holds_per_1000(const struct totals *t)
{
	return t->account_days ? (t->held + t->suspended) * 1000.0 / (double)t->account_days : 0;
}

static const char *time_text(double seconds, char out[32])
{
	if (seconds < 90)
		snprintf(out, 32, "%.0f s", seconds);
	else if (seconds < 2 * 3600)
		snprintf(out, 32, "%.0f min", seconds / 60);
	else if (seconds < 2 * 86400)
		snprintf(out, 32, "%.0f h", seconds / 3600);
	else
		snprintf(out, 32, "%.1f days", seconds / 86400);
	return out;
}

static void print_table(const struct options *o, struct totals *t)
{
	char text[32];

	puts("| theft | mails out, median | 9 of 10 below | worst | stopped | held after (median) |");
	puts("|---|---|---|---|---|---|");
	for (unsigned n = 0; n < THEFTS; n++) {
		struct summary s = summary_of(&t->thefts[n]);

		printf("| %s | %u | %u | %u | %.0f %% | %s |\n", theft_names[n], s.median, s.ninety, s.worst,
			s.count ? 100.0 * s.stopped / s.count : 0, time_text(s.seconds, text));
	}
	puts("");
	puts("| normal life | accounts | account-days | wrong holds | per 1,000 account-days |");
	puts("|---|---|---|---|---|");
	for (unsigned n = 0; n < LIVES; n++)
		printf("| %s | | %u | %u | %.2f |\n", life_names[n], t->days_by[n], t->held_by[n],
			t->days_by[n] ? t->held_by[n] * 1000.0 / t->days_by[n] : 0);
	printf("| all (of these hired lately: %u) | %u | %lu | %u | %.2f |\n", t->held_new,
		o->accounts * o->seed_count, t->account_days, t->held, holds_per_1000(t));
	printf("\nSlowed without need: %u times, %.2f per 1,000 account-days. Suspended without need: %u.\n",
		t->slowed, t->slowed * 1000.0 / (double)(t->account_days ? t->account_days : 1), t->suspended);
	printf("A migration day of %u accounts without history: %u held, %u slowed.\n", t->migration_accounts,
		t->migration_held, t->migration_slowed);
}

static void print_json(struct totals *t)
{
	printf("{\"account_days\":%lu,\"messages\":%lu,\"wrong_holds\":%u,\"wrong_suspensions\":%u,"
		"\"wrong_holds_per_1000\":%.4f,\"wrong_slows\":%u,\"migration_accounts\":%u,"
		"\"migration_holds\":%u,\"thefts\":[", t->account_days, t->messages, t->held, t->suspended,
		holds_per_1000(t), t->slowed, t->migration_accounts, t->migration_held);
	for (unsigned n = 0; n < THEFTS; n++) {
		struct summary s = summary_of(&t->thefts[n]);

		printf("%s{\"kind\":\"%s\",\"count\":%u,\"median\":%u,\"ninety\":%u,\"worst\":%u,\"stopped\":%u,"
			"\"seconds\":%.1f}", n ? "," : "", theft_names[n], s.count, s.median, s.ninety, s.worst,
			s.stopped, s.seconds);
	}
	puts("]}");
}

static bool mark(const char *what, double is, double most)
{
	if (is <= most)
		return true;
	fprintf(stderr, "mark missed: %s is %.2f, at most %.2f\n", what, is, most);
	return false;
}

static bool meets_marks(struct totals *t)
{
	bool good = mark("wrong holds per 1,000 account-days", holds_per_1000(t), 0.5);

	good = mark("wrong holds on a migration day of 1,000 accounts",
		t->migration_held * 1000.0 / (t->migration_accounts ? t->migration_accounts : 1), 4.9) && good;
	for (unsigned n = 0; n <= THEFT_TRICKLE; n++) {
		struct summary s = summary_of(&t->thefts[n]);

		good = mark(theft_names[n], s.worst, n == THEFT_TRICKLE ? 300 : 50) && good;
	}
	return good;
}

// ---------------------------------------------------------------- words

static void take_seeds(struct options *o, const char *words)
{
	o->seed_count = 0;
	for (char *end; *words && o->seed_count < SEEDS_MAX; words = *end ? end + 1 : end)
		o->seeds[o->seed_count++] = strtoull(words, &end, 10);
}

static bool take(struct options *o, int argc, char **argv)
{
	for (int n = 1; n < argc; n++) {
		const char *value = n + 1 < argc ? argv[n + 1] : "";

		if (!strcmp(argv[n], "--json"))
			o->json = true;
		else if (!strcmp(argv[n], "--marks"))
			o->marks = true;
		else if (!strcmp(argv[n], "--holds"))
			o->holds = true;
		else if (!strcmp(argv[n], "--accounts") && ++n)
			o->accounts = (unsigned)atoi(value);
		else if (!strcmp(argv[n], "--days") && ++n)
			o->days = (unsigned)atoi(value);
		else if (!strcmp(argv[n], "--thefts") && ++n)
			o->thefts = (unsigned)atoi(value);
		else if (!strcmp(argv[n], "--seeds") && ++n)
			take_seeds(o, value);
		else
			return false;
	}
	return o->seed_count > 0;
}

int main(int argc, char **argv)
{
	struct options o = {.accounts = 1000, .days = 60, .thefts = 300, .seeds = {1, 2, 3, 4, 5}, .seed_count = 5};
	struct totals t = {0};
	bool good;

	if (!take(&o, argc, argv)) {
		fputs("usage: guard-simulator [--accounts N] [--days N] [--thefts N] [--seeds A,B] [--json] "
			"[--marks] [--holds]\n", stderr);
		return 2;
	}
	for (unsigned n = 0; n < THEFTS; n++)
		t.thefts[n].results = mem_array(o.thefts * o.seed_count + 1, sizeof(struct theft_result));
	for (unsigned n = 0; n < o.seed_count; n++) {
		normal_life(&o, o.seeds[n], &t);
		migration_day(&o, o.seeds[n], &t);
		thefts(&o, o.seeds[n], &t);
	}
	if (o.json)
		print_json(&t);
	else
		print_table(&o, &t);
	good = !o.marks || meets_marks(&t);
	for (unsigned n = 0; n < THEFTS; n++)
		mem_free(t.thefts[n].results);
	return good ? 0 : 1;
}
