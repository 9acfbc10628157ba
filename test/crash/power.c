// SPDX-License-Identifier: ISC
// Power cuts: a store works, all it does to its files is recorded, and for moments of that record
// a folder is made as a disk may hold it after a cut there. A store is opened on it and compared
// with what was promised. Then a second store goes on from what such a cut left, and so on: so
// recovery itself is cut, too.
//
//     power store FOLDER SEED        ends with status 0 when nothing is wrong
//     power liar FOLDER SEED WHAT    the disk forgets what it synced: 0 when that is noticed
#include "check.h"
#include "disk.h"
#include "drive.h"
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS	    3
#define GENERATIONS 3	// each after a cut of the one before
#define ASKS	    120 // requests of each
#define STARTS	    2	// of the store, of each
#define SAMPLES	    150 // moments that are no sync, of each

// What the workers did, together.
struct numbers {
	unsigned states, unpromised, swept, wrong;
};

struct trial {
	const char *folder;
	uint64_t seed;
	unsigned lies;
	struct history history;
	struct record_log *log;
	struct numbers *numbers; // shared, one a worker
};

// ---------------------------------------------------------------- states

struct variant {
	const char *words;
	struct disk_choice choice;
};

static const struct variant variants[] = {
	{"only what was synced", {0}},
	{"everything, as when only the process ends", {.entries = 100, .octets = 100}},
	{"entries, and no octets", {.entries = 100}},
	{"octets, and no entries", {.octets = 100}},
	{"some of it, torn at 512", {.entries = 50, .octets = 50, .sector = 512}},
	{"some of it, torn at 4096, with garbage",
		{.entries = 50, .octets = 50, .sector = 4096, .garbage = true}},
	{"most of it, torn at 512, with garbage",
		{.entries = 90, .octets = 95, .sector = 512, .garbage = true}},
	{"most of it, torn at 4096", {.entries = 80, .octets = 90, .sector = 4096}},
	{"little of it, whole writes", {.entries = 20, .octets = 20}},
	{"little of it, torn at 512", {.entries = 90, .octets = 5, .sector = 512}},
};
#define FIRST_RANDOM 4

static bool is_sync(const struct record *r)
{
	return r->kind == RECORD_SYNC || r->kind == RECORD_SYNC_ALL;
}

struct worker {
	struct trial *t;
	struct disk *disk;
	struct numbers *numbers;
	char path[300];
	uint64_t seed;
};

static void tell(const struct worker *w, size_t moment, const struct variant *v, const char *words)
{
	char path[320];

	snprintf(path, sizeof(path), "%s.wrong", w->path);
	disk_write(w->disk, &v->choice, path);
	fprintf(stderr, "cut after %zu of %zu changes, %s: %s\n(as the disk was: %s)\n", moment,
		w->t->log->count, v->words, words, path);
}

static void check_state(struct worker *w, size_t moment, const struct variant *from)
{
	struct variant v = *from;
	struct check_result result;

	v.choice.seed = disk_random(&w->seed) | 1;
	disk_advance(w->disk, moment);
	disk_write(w->disk, &v.choice, w->path);
	w->numbers->states++;
	if (check_store(w->path, &w->t->history, moment, &result)) {
		w->numbers->unpromised += result.unpromised > 0;
		w->numbers->swept += result.swept;
	} else {
		w->numbers->wrong++;
		if (!w->t->lies)
			tell(w, moment, &v, result.words);
	}
}

static const struct variant *some_variant(struct worker *w)
{
	return &variants[FIRST_RANDOM +
			 (disk_random(&w->seed) >> 20) % (ARRAY_SIZE(variants) - FIRST_RANDOM)];
}

// Around a sync: all that may be lost just before it ends, and what it must have kept after it.
static void check_sync(struct worker *w, size_t at)
{
	check_state(w, at, some_variant(w));
	check_state(w, at + 1, &variants[0]);
	check_state(w, at + 1,
		&variants[1 + (disk_random(&w->seed) >> 20) % (ARRAY_SIZE(variants) - 1)]);
}

// Every worker takes the moments of its number.
static int work(struct trial *t, unsigned number)
{
	struct worker w = {.t = t, .numbers = &t->numbers[number], .seed = t->seed ^ (number + 1)};
	size_t step = (t->log->count - t->log->first) / SAMPLES + 1;
	unsigned turn = 0;

	snprintf(w.path, sizeof(w.path), "%s/cut.%u", t->folder, number);
	w.disk = disk_create(t->log, t->lies);
	for (size_t at = t->log->first; at < t->log->count && !w.numbers->wrong; at++) {
		bool sync = is_sync(&t->log->records[at]);

		if ((!sync && at % step) || turn++ % WORKERS != number)
			continue;
		if (sync)
			check_sync(&w, at);
		else
			check_state(&w, at, some_variant(&w));
	}
	disk_destroy(w.disk);
	return 0;
}

// True: nothing was wrong.
static bool cut_everywhere(struct trial *t, struct numbers *total)
{
	pid_t pids[WORKERS];
	bool ended = true;

	memset(t->numbers, 0, WORKERS * sizeof(t->numbers[0]));
	for (unsigned i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(work(t, i));
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int status = -1;

		if (pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			ended = false;
		total->states += t->numbers[i].states;
		total->unpromised += t->numbers[i].unpromised;
		total->swept += t->numbers[i].swept;
		total->wrong += t->numbers[i].wrong;
	}
	if (!ended)
		total->wrong++;
	return total->wrong == 0;
}

// ---------------------------------------------------------------- generations

static void generation_path(const struct trial *t, unsigned generation, char out[300])
{
	snprintf(out, 300, "%s/store.%u", t->folder, generation);
}

static void record(struct trial *t, unsigned generation)
{
	char path[300];

	generation_path(t, generation, path);
	mkdir(path, 0700);
	record_start(path);
	drive(&t->history, path, STARTS, ASKS, t->seed + generation);
	t->log = record_stop();
}

// The record has to explain every octet that is in the folder now.
static bool compare_with_folder(struct trial *t, unsigned generation)
{
	char path[300], copy[300], command[700];
	struct disk *d = disk_create(t->log, 0);
	bool same;

	generation_path(t, generation, path);
	snprintf(copy, sizeof(copy), "%s/copy", t->folder);
	disk_advance(d, t->log->count);
	disk_write(d, &variants[1].choice, copy);
	disk_destroy(d);
	snprintf(command, sizeof(command), "diff -r '%s' '%s' >&2", path, copy);
	same = system(command) == 0;
	if (!same)
		fprintf(stderr, "the record differs from the folder\n");
	return same;
}

// Makes the folder of the next generation from a cut of this one, and forgets what was not kept.
static bool cut_once(struct trial *t, unsigned generation)
{
	struct disk *d = disk_create(t->log, 0);
	uint64_t seed = (t->seed ^ (generation + 1) * 0x9e3779b97f4a7c15U) | 1;
	size_t length = t->log->count - t->log->first;
	size_t moment = t->log->first + length / 4 + (disk_random(&seed) >> 20) % (length / 2);
	struct disk_choice choice = {.entries = 60, .octets = 60, .sector = 512, .seed = seed};
	struct check_result result;
	char path[300];
	bool good;

	disk_advance(d, moment);
	snprintf(path, sizeof(path), "%s/copy", t->folder);
	disk_write(d, &choice, path);
	good = check_store(path, &t->history, moment, &result);
	if (!good)
		fprintf(stderr, "cut between: %s\n", result.words);
	generation_path(t, generation + 1, path);
	disk_write(d, &choice, path);
	disk_destroy(d);
	t->history.count = result.count;
	// All of these are answered: the next generation has moments of its own.
	for (unsigned i = 0; i < t->history.count; i++)
		t->history.asks[i].asked = t->history.asks[i].done = 1;
	return good;
}

// What was done to the disk in all generations.
struct traffic {
	unsigned changes, syncs, moves; // moves: of the log into queue.db
};

static void count_traffic(const struct record_log *log, struct traffic *t)
{
	uint32_t database = RECORD_NOTHING;

	for (size_t i = 0; i < log->count; i++) {
		const struct record *r = &log->records[i];

		if (r->kind == RECORD_ENTRY && strcmp(r->name, "queue.db") == 0)
			database = r->target;
		if (i < log->first)
			continue;
		t->changes += !is_sync(r);
		t->syncs += is_sync(r);
		t->moves += is_sync(r) && r->node == database;
	}
}

static bool run_generations(struct trial *t, unsigned generations)
{
	struct numbers total = {0};
	struct traffic traffic = {0};
	bool good = true;

	for (unsigned i = 0; i < generations && good; i++) {
		record(t, i);
		count_traffic(t->log, &traffic);
		good = compare_with_folder(t, i) && cut_everywhere(t, &total);
		if (good && i + 1 < generations)
			good = cut_once(t, i);
		record_log_destroy(t->log);
	}
	printf("seed %llu: %u changes, %u syncs, the log was moved %u times; %u states after a "
	       "cut, %u of them with more than was promised, %u files swept, %u wrong\n",
		(unsigned long long)t->seed, traffic.changes, traffic.syncs, traffic.moves,
		total.states, total.unpromised, total.swept, total.wrong);
	return good;
}

static unsigned lie_of(const char *what)
{
	static const char *const words[] = {"folders", "spool", "database", "log"};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(what, words[i]) == 0)
			return 1U << i;
	}
	return 0;
}

int main(int count, char **words)
{
	static struct trial t;
	bool liar = count == 5 && strcmp(words[1], "liar") == 0;

	if (!liar && (count != 4 || strcmp(words[1], "store") != 0)) {
		fprintf(stderr, "power store FOLDER SEED | power liar FOLDER SEED WHAT\n");
		return 2;
	}
	t.folder = words[2];
	t.seed = strtoull(words[3], NULL, 10) | 1;
	t.numbers = mmap(NULL, WORKERS * sizeof(t.numbers[0]), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t.numbers == MAP_FAILED)
		return 2;
	if (!liar)
		return run_generations(&t, GENERATIONS) ? 0 : 1;
	t.lies = lie_of(words[4]);
	return run_generations(&t, 1) ? 1 : 0;
}
