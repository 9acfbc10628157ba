// SPDX-License-Identifier: ISC
// What every fuzz target uses: a check that also holds in release builds, and
// pieces of the input in memory of their own, so that reads behind them are seen.
#ifndef PABAL_TEST_FUZZ_H
#define PABAL_TEST_FUZZ_H

#include "base/buf.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A copy that ends where its memory ends; free(copy.data).
static inline struct str exact_copy(struct str s)
{
	char *copy = malloc(s.len ? s.len : 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	return str_make(copy, s.len);
}

static inline bool has_bare_line_end(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '\r' && (i + 1 == s.len || s.data[i + 1] != '\n'))
			return true;
		if (s.data[i] == '\n' && (i == 0 || s.data[i - 1] != '\r'))
			return true;
	}
	return false;
}

static inline bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
			return true;
	return false;
}

#endif
