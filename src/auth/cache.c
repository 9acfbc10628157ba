// SPDX-License-Identifier: ISC
// A map by key and a list by age.
#include "auth/cache.h"

#include "base/memory.h"

#include <sodium.h>

struct entry {
	struct list link;
	uint64_t added_ms;
	uint64_t name_hash;
	char *note; // own memory, or NULL
	size_t note_len;
	unsigned char key[AUTH_CACHE_KEY];
};

static struct str key_of(const unsigned char *key)
{
	return str_make(key, AUTH_CACHE_KEY);
}

void auth_cache_init(struct auth_cache *c)
{
	*c = (struct auth_cache){0};
	list_init(&c->by_age);
	mem_random(c->secret, sizeof c->secret);
}

void auth_cache_key(const struct auth_cache *c, struct str name, struct str password,
	unsigned char out[AUTH_CACHE_KEY])
{
	crypto_generichash_state state;
	uint64_t name_len = name.len; // so that no name and password run together

	crypto_generichash_init(&state, c->secret, sizeof c->secret, AUTH_CACHE_KEY);
	crypto_generichash_update(&state, (const unsigned char *)&name_len, sizeof name_len);
	crypto_generichash_update(&state, (const unsigned char *)name.data, name.len);
	crypto_generichash_update(&state, (const unsigned char *)password.data, password.len);
	crypto_generichash_final(&state, out, AUTH_CACHE_KEY);
	mem_wipe(&state, sizeof state);
}

static void drop(struct auth_cache *c, struct entry *e)
{
	(void)map_remove(&c->entries, key_of(e->key));
	list_remove(&e->link);
	mem_free(e->note);
	mem_free(e);
}

static void drop_oldest(struct auth_cache *c)
{
	drop(c, LIST_ENTRY(c->by_age.next, struct entry, link));
}

bool auth_cache_has(struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY], uint64_t now_ms,
	uint64_t life_ms)
{
	while (!list_empty(&c->by_age) &&
		now_ms - LIST_ENTRY(c->by_age.next, struct entry, link)->added_ms > life_ms)
		drop_oldest(c);
	return life_ms && map_get(&c->entries, key_of(key));
}

void auth_cache_add(struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY], struct str name,
	uint64_t now_ms)
{
	auth_cache_add_note(c, key, name, now_ms, STR_EMPTY);
}

struct str auth_cache_note(const struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY])
{
	const struct entry *e = map_get(&c->entries, key_of(key));

	return e && e->note ? str_make(e->note, e->note_len) : STR_EMPTY;
}

void auth_cache_add_note(struct auth_cache *c, const unsigned char key[AUTH_CACHE_KEY],
	struct str name, uint64_t now_ms, struct str note)
{
	struct entry *e = map_get(&c->entries, key_of(key));

	if (e) {
		list_remove(&e->link);
	} else {
		if (c->entries.count >= AUTH_CACHE_MAX)
			drop_oldest(c);
		e = mem_alloc(sizeof *e);
		memcpy(e->key, key, AUTH_CACHE_KEY);
		e->name_hash = hash_octets(name.data, name.len);
		map_set(&c->entries, key_of(key), e);
	}
	e->added_ms = now_ms;
	mem_free(e->note);
	e->note = note.len ? str_dup(note) : NULL;
	e->note_len = note.len;
	list_add_last(&c->by_age, &e->link);
}

void auth_cache_forget(struct auth_cache *c, struct str name)
{
	uint64_t hash = hash_octets(name.data, name.len);

	LIST_EACH(link, &c->by_age) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		if (name.len == 0 || e->name_hash == hash)
			drop(c, e);
	}
}

void auth_cache_finish(struct auth_cache *c)
{
	auth_cache_forget(c, STR_EMPTY);
	map_finish(&c->entries);
	mem_wipe(c->secret, sizeof c->secret);
}
