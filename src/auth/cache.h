// SPDX-License-Identifier: ISC
// Remembers for a short time which name and password were right, under a keyed hash: no password
// can be read from it, and a copy of it is worth nothing to another process.
#ifndef PABAL_AUTH_CACHE_H
#define PABAL_AUTH_CACHE_H

#include "base/list.h"
#include "base/map.h"

#define AUTH_CACHE_KEY 32    // octets
#define AUTH_CACHE_MAX 20000 // entries; the oldest goes first

struct auth_cache {
	struct map entries;
	struct list by_age;
	unsigned char secret[32]; // of the hash; random, of this process
};

void auth_cache_init(struct auth_cache *c);
void auth_cache_finish(struct auth_cache *c);
// The key of a name and a password. Also used to see that two attempts are the same.
void auth_cache_key(const struct auth_cache *c, struct str name, struct str password,
	unsigned char out[AUTH_CACHE_KEY]);
// True when it was added at most life_ms ago. A hit does not make it younger.
bool auth_cache_has(struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY], uint64_t now_ms,
	uint64_t life_ms);
void auth_cache_add(struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY], struct str name,
	uint64_t now_ms);
// The same with a few octets that belong to it.
void auth_cache_add_note(struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY],
	struct str name, uint64_t now_ms, struct str note);
// Valid until the next call for this cache; empty when there is none.
struct str auth_cache_note(const struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY]);
void auth_cache_forget(struct auth_cache *c, struct str name); // "": everything

#endif
