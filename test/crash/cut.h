// SPDX-License-Identifier: ISC
// Cuts the power at every sync of a record, and at moments between, and has what is left checked.
#ifndef PABAL_CRASH_CUT_H
#define PABAL_CRASH_CUT_H

#include "record.h"

struct cut_result {
	unsigned unpromised; // what is there and was not promised before the cut
	unsigned swept;	     // files removed
	char words[400];     // what is wrong
};

// What all checks found, together.
struct cut_numbers {
	unsigned states, unpromised, swept, wrong;
};

struct cut {
	const char *folder; // for what is made; it stays
	const struct record_log *log;
	uint64_t seed;
	unsigned lies; // disk.h; then the first fault is the end, and it is not told
	// Is the folder at path what it may be after a cut at that moment? False: words are filled.
	// Called in processes of their own.
	bool (*check)(void *arg, const char *path, size_t moment, struct cut_result *out);
	void *arg;
};
// Adds to total. True: nothing was wrong.
bool cut_everywhere(const struct cut *cut, struct cut_numbers *total);
// Replayed without a cut, is the record what is in this folder? Then nothing is missing in it.
bool cut_nowhere(const struct cut *cut, const char *path);

bool cut_is_sync(const struct record *r);

#endif
