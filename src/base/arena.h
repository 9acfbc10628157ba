// SPDX-License-Identifier: ISC
// Memory that lives as long as one transaction or one configuration and is given back at once.
#ifndef PABAL_BASE_ARENA_H
#define PABAL_BASE_ARENA_H

#include "base/str.h"

// All zero is a valid empty arena. Owned by whoever holds the struct.
struct arena {
	struct arena_block *blocks;
	size_t used;  // octets handed out
	size_t limit; // 0: no bound
};

void arena_finish(struct arena *a); // frees everything; usable again
// Zeroed, aligned for any type. NULL only when the bound would be passed.
void *arena_alloc(struct arena *a, size_t size);
// Copies; data is NUL-terminated behind len. data NULL when the bound would be passed.
struct str arena_str(struct arena *a, struct str s);
char *arena_format(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
