// SPDX-License-Identifier: ISC
// Hash table from octet strings to pointers, keyed per process (SipHash), so
// that a peer cannot choose colliding keys.
#ifndef PABAL_BASE_MAP_H
#define PABAL_BASE_MAP_H

#include "base/str.h"

// All zero is a valid empty map. Keys are copied; values belong to the caller.
struct map {
	struct map_entry **buckets;
	size_t bucket_count;
	size_t count;
};

void map_finish(struct map *m); // frees the entries, not the values
void *map_get(const struct map *m, struct str key);            // NULL: none
void *map_set(struct map *m, struct str key, void *value);     // returns the old value or NULL
void *map_remove(struct map *m, struct str key);               // returns the value or NULL
// Calls each entry; removing the entry being visited is allowed.
void map_each(struct map *m, void (*visit)(struct str key, void *value, void *arg), void *arg);

// Keyed hash of octets: 64 bits, different in every process.
uint64_t hash_octets(const void *data, size_t len);
// The same with a key of one's own, for tables that several processes use.
uint64_t hash_octets_keyed(const uint8_t key[16], const void *data, size_t len);

#endif
