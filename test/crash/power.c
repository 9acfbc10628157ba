// SPDX-License-Identifier: ISC
// Power cuts: a store works, all it does to its files is recorded, and for moments of that record
// a folder is made as a disk may hold it after a cut there. A store is opened on it and compared
// with what was promised. Then a second store goes on from what such a cut left, and so on: so
// recovery itself is cut, too. The same, without the going on, for mailboxes (mailbox.c).
//
//     power store|mailbox FOLDER SEED [WHAT]
//
// Status 0: nothing is wrong. With WHAT the disk forgets what it synced of these files, and status
// 0 means that it was noticed.
#include "check.h"
#include "cut.h"
#include "disk.h"
#include "drive.h"
#include "mailbox.h"
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define GENERATIONS 3	// each after a cut of the one before
#define ASKS	    120 // requests of each
#define STARTS	    2	// of the store, of each

struct trial {
	struct cut cut;
	struct history history;
	struct record_log *log;
};

static void generation_path(const struct trial *t, unsigned generation, char out[300])
{
	snprintf(out, 300, "%s/store.%u", t->cut.folder, generation);
}

static void record(struct trial *t, unsigned generation)
{
	char path[300];

	generation_path(t, generation, path);
	mkdir(path, 0700);
	// Every second one without unnamed files, as on a file system that has none.
	record_start(path, generation % 2 == 0);
	drive(&t->history, path, STARTS, ASKS, t->cut.seed + generation);
	t->cut.log = t->log = record_stop();
}

static bool check(void *arg, const char *path, size_t moment, struct cut_result *out)
{
	struct trial *t = arg;
	unsigned count;

	return check_store(path, &t->history, moment, out, &count);
}

// Makes the folder of the next generation from a cut of this one, and forgets what was not kept.
static bool cut_once(struct trial *t, unsigned generation)
{
	struct disk *d = disk_create(t->log, 0);
	uint64_t seed = (t->cut.seed ^ (generation + 1) * 0x9e3779b97f4a7c15U) | 1;
	size_t length = t->log->count - t->log->first;
	size_t moment = t->log->first + length / 4 + (disk_random(&seed) >> 20) % (length / 2);
	struct disk_choice choice = {.entries = 60, .octets = 60, .sector = 512, .seed = seed};
	struct cut_result result = {.words = ""};
	unsigned kept = 0;
	char path[300];
	bool good;

	disk_advance(d, moment);
	snprintf(path, sizeof(path), "%s/copy", t->cut.folder);
	disk_write(d, &choice, path);
	good = check_store(path, &t->history, moment, &result, &kept);
	if (!good)
		fprintf(stderr, "cut between: %s\n", result.words);
	generation_path(t, generation + 1, path);
	disk_write(d, &choice, path);
	disk_destroy(d);
	t->history.count = kept;
	// All of these are answered: the next generation has moments of its own.
	for (unsigned i = 0; i < kept; i++)
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
		t->changes += !cut_is_sync(r);
		t->syncs += cut_is_sync(r);
		t->moves += cut_is_sync(r) && r->node == database;
	}
}

static bool run_stores(struct trial *t)
{
	unsigned generations = t->cut.lies ? 1 : GENERATIONS;
	struct cut_numbers total = {0};
	struct traffic traffic = {0};
	bool good = true;

	t->cut.check = check;
	t->cut.arg = t;
	for (unsigned i = 0; i < generations && good; i++) {
		char path[300];

		generation_path(t, i, path);
		record(t, i);
		count_traffic(t->log, &traffic);
		good = cut_nowhere(&t->cut, path) && cut_everywhere(&t->cut, &total);
		if (good && i + 1 < generations)
			good = cut_once(t, i);
		record_log_destroy(t->log);
	}
	printf("store, seed %llu: %u changes, %u syncs, the log was moved %u times; %u states "
	       "after a cut, %u of them with more than was promised, %u files swept, %u wrong\n",
		(unsigned long long)t->cut.seed, traffic.changes, traffic.syncs, traffic.moves,
		total.states, total.unpromised, total.swept, total.wrong);
	return good;
}

static unsigned lie_of(const char *what)
{
	static const char *const words[] = {"folders", "files", "database", "log"};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(what, words[i]) == 0)
			return 1U << i;
	}
	return 0;
}

int main(int count, char **words)
{
	static struct trial t;
	bool good;

	if (count == 5)
		t.cut.lies = lie_of(words[4]);
	if (count < 4 || count > 5 || (count == 5 && !t.cut.lies)) {
		fprintf(stderr, "power store|mailbox FOLDER SEED [folders|files|database|log]\n");
		return 2;
	}
	t.cut.folder = words[2];
	t.cut.seed = strtoull(words[3], NULL, 10) | 1;
	good = strcmp(words[1], "mailbox") == 0 ? mailbox_run(&t.cut) : run_stores(&t);
	return good == (t.cut.lies == 0) ? 0 : 1;
}
