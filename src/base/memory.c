// SPDX-License-Identifier: ISC
// Allocation that never fails to its caller, wiping, and random octets.
#include "base/memory.h"

#include "base/error.h"

#include <sodium.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// A request for nothing still gets memory of its own, so that NULL never
// comes back.
static size_t at_least_one(size_t size)
{
	return size ? size : 1;
}

void *mem_alloc(size_t size)
{
	return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
	void *p = calloc(at_least_one(count), at_least_one(size));

	if (!p)
		fatal("out of memory (%zu times %zu octets)", count, size);
	return p;
}

void *mem_resize(void *old, size_t size)
{
	void *p = realloc(old, at_least_one(size));

	if (!p)
		fatal("out of memory (%zu octets)", size);
	return p;
}

void mem_free(void *p)
{
	free(p);
}

void mem_wipe(void *p, size_t size)
{
	if (size)
		explicit_bzero(p, size);
}

int mem_equal_secret(const void *a, const void *b, size_t size)
{
	return size == 0 || sodium_memcmp(a, b, size) == 0;
}

void mem_random(void *out, size_t size)
{
	char *p = out;

	while (size) {
		ssize_t n = getrandom(p, size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("no random octets from the kernel: %s", strerror(errno));
		p += n;
		size -= (size_t)n;
	}
}
