// SPDX-License-Identifier: ISC
// A set of keys that answers "certainly not" or "perhaps" (a Bloom filter): ten bits a key,
// wrong in about one of a hundred. Stored, so its hash is the same in every process.
#ifndef PABAL_STORE_KEYS_H
#define PABAL_STORE_KEYS_H

#include "base/buf.h"

#define KEYS_COUNT_MAX	 4096
#define KEYS_SIZE(count) (((count)*10 + 63) / 64 * 8) // octets for that many keys

// kind keeps keys of different meaning apart. Letters compare without ASCII case.
uint64_t keys_hash(char kind, struct str key);
uint64_t keys_hash_number(char kind, uint64_t number);
void keys_add(uint8_t *set, size_t size, uint64_t hash); // size as KEYS_SIZE gives it, not 0
bool keys_has(struct str set, uint64_t hash);

#endif
