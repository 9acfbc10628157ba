// SPDX-License-Identifier: ISC
// Opens the store on what a power cut left and compares it with what was promised.
#ifndef PABAL_CRASH_CHECK_H
#define PABAL_CRASH_CHECK_H

#include "cut.h"
#include "truth.h"

// Requests asked or answered before `moment` (record.h) count. out_count: the first so many
// requests are what the store holds; their number over what was promised is in result.
bool check_store(const char *folder, const struct history *h, size_t moment,
	struct cut_result *result, unsigned *out_count);

#endif
