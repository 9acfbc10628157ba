// SPDX-License-Identifier: ISC
// Opens the store on what a power cut left and compares it with what was promised.
#ifndef PABAL_CRASH_CHECK_H
#define PABAL_CRASH_CHECK_H

#include "truth.h"

struct check_result {
	unsigned count;	     // the first `count` requests are what the store holds
	unsigned unpromised; // of these without an answer before the cut
	unsigned swept;	     // files
	char words[400];     // what is wrong
};
// Requests asked or answered before `moment` (record.h) count. False: something is wrong.
bool check_store(
	const char *folder, const struct history *h, size_t moment, struct check_result *out);

#endif
