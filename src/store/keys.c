// SPDX-License-Identifier: ISC
// The hash is FNV-1a with a last mixing; four bits are taken from it.
#include "store/keys.h"

#define BITS_A_KEY 4

static uint64_t add_octet(uint64_t hash, unsigned char octet)
{
	return (hash ^ octet) * UINT64_C(0x100000001b3);
}

static uint64_t mix(uint64_t hash)
{
	hash ^= hash >> 33;
	hash *= UINT64_C(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

uint64_t keys_hash(char kind, struct str key)
{
	uint64_t hash = add_octet(UINT64_C(0xcbf29ce484222325), (unsigned char)kind);

	for (size_t i = 0; i < key.len; i++)
		hash = add_octet(hash, (unsigned char)char_lower(key.data[i]));
	return mix(hash);
}

uint64_t keys_hash_number(char kind, uint64_t number)
{
	return mix(number ^ (uint64_t)(unsigned char)kind << 56);
}

// Bit n of a key: two halves make as many independent hashes as are wanted.
static size_t bit(uint64_t hash, unsigned n, size_t size)
{
	uint32_t low = (uint32_t)hash, high = (uint32_t)(hash >> 32) | 1;

	return (size_t)(low + n * (uint64_t)high) % (size * 8);
}

void keys_add(uint8_t *set, size_t size, uint64_t hash)
{
	for (unsigned n = 0; n < BITS_A_KEY; n++) {
		size_t at = bit(hash, n, size);
		set[at / 8] |= (uint8_t)(1u << at % 8);
	}
}

bool keys_has(struct str set, uint64_t hash)
{
	for (unsigned n = 0; n < BITS_A_KEY && set.len; n++) {
		size_t at = bit(hash, n, set.len);
		if (!((unsigned char)set.data[at / 8] >> at % 8 & 1))
			return false;
	}
	return set.len > 0;
}
