// SPDX-License-Identifier: ISC
// Allocation that ends the process when memory ends (sizes from the network
// are bounded before they get here), and wiping.
#ifndef PABAL_BASE_MEMORY_H
#define PABAL_BASE_MEMORY_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull)); // zeroed
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); // zeroed
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
void mem_free(void *p); // NULL is fine
// Overwrites with zeros in a way the compiler keeps.
void mem_wipe(void *p, size_t size);
// True when equal; time depends on size only.
int mem_equal_secret(const void *a, const void *b, size_t size);
// Random octets from the kernel; fatal when there are none.
void mem_random(void *out, size_t size);

#endif
