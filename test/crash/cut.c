// SPDX-License-Identifier: ISC
#include "cut.h"

#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3
#define SAMPLES 150 // moments that are no sync

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
#define VARIANTS     (sizeof(variants) / sizeof(variants[0]))

bool cut_is_sync(const struct record *r)
{
	return r->kind == RECORD_SYNC || r->kind == RECORD_SYNC_ALL;
}

struct worker {
	const struct cut *cut;
	struct disk *disk;
	struct cut_numbers *numbers; // shared with the parent
	char path[300];
	uint64_t seed;
};

static void tell(const struct worker *w, size_t moment, const struct variant *v, const char *words)
{
	char path[320];

	snprintf(path, sizeof(path), "%s.wrong", w->path);
	disk_write(w->disk, &v->choice, path);
	fprintf(stderr, "cut after %zu of %zu changes, %s: %s\n(as the disk was: %s)\n", moment,
		w->cut->log->count, v->words, words, path);
}

static void check_state(struct worker *w, size_t moment, const struct variant *from)
{
	struct variant v = *from;
	struct cut_result result = {.words = ""};

	v.choice.seed = disk_random(&w->seed) | 1;
	disk_advance(w->disk, moment);
	disk_write(w->disk, &v.choice, w->path);
	w->numbers->states++;
	if (w->cut->check(w->cut->arg, w->path, moment, &result)) {
		w->numbers->unpromised += result.unpromised > 0;
		w->numbers->swept += result.swept;
	} else {
		w->numbers->wrong++;
		if (!w->cut->lies)
			tell(w, moment, &v, result.words);
	}
}

static const struct variant *some_variant(struct worker *w)
{
	return &variants[FIRST_RANDOM + (disk_random(&w->seed) >> 20) % (VARIANTS - FIRST_RANDOM)];
}

// Around a sync: all that may be lost just before it ends, and what it must have kept after it.
static void check_sync(struct worker *w, size_t at)
{
	check_state(w, at, some_variant(w));
	check_state(w, at + 1, &variants[0]);
	check_state(w, at + 1, &variants[1 + (disk_random(&w->seed) >> 20) % (VARIANTS - 1)]);
}

// Every worker takes the moments of its number.
static int work(const struct cut *cut, unsigned number, struct cut_numbers *numbers)
{
	struct worker w = {.cut = cut, .numbers = numbers, .seed = cut->seed ^ (number + 1) << 1};
	size_t step = (cut->log->count - cut->log->first) / SAMPLES + 1;
	unsigned turn = 0;

	snprintf(w.path, sizeof(w.path), "%s/cut.%u", cut->folder, number);
	w.disk = disk_create(cut->log, cut->lies);
	for (size_t at = cut->log->first; at < cut->log->count && !numbers->wrong; at++) {
		bool sync = cut_is_sync(&cut->log->records[at]);

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

static void add_numbers(struct cut_numbers *total, const struct cut_numbers *n)
{
	total->states += n->states;
	total->unpromised += n->unpromised;
	total->swept += n->swept;
	total->wrong += n->wrong;
}

bool cut_everywhere(const struct cut *cut, struct cut_numbers *total)
{
	size_t size = WORKERS * sizeof(struct cut_numbers);
	struct cut_numbers *numbers =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[WORKERS];

	if (numbers == MAP_FAILED)
		return false;
	for (unsigned i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(work(cut, i, &numbers[i]));
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int status = -1;

		if (pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0) {
			fprintf(stderr, "process %u ended with %d\n", i, status);
			total->wrong++;
		}
		add_numbers(total, &numbers[i]);
	}
	munmap(numbers, size);
	return total->wrong == 0;
}

bool cut_nowhere(const struct cut *cut, const char *path)
{
	char copy[300], command[700];
	struct disk *d = disk_create(cut->log, 0);
	bool same;

	snprintf(copy, sizeof(copy), "%s/copy", cut->folder);
	disk_advance(d, cut->log->count);
	disk_write(d, &variants[1].choice, copy);
	disk_destroy(d);
	snprintf(command, sizeof(command), "diff -r '%s' '%s' >&2", path, copy);
	same = system(command) == 0;
	if (!same)
		fprintf(stderr, "the record differs from the folder\n");
	return same;
}
