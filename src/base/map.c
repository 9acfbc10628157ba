// SPDX-License-Identifier: ISC
// Chained hash table; doubles when there are as many entries as chains.
#include "base/map.h"

#include "base/memory.h"

#include <sodium.h>

#include <pthread.h>

#define FIRST_BUCKETS 16

struct map_entry {
	struct map_entry *next;
	void *value;
	uint64_t hash;
	size_t len;
	char key[];
};

static unsigned char hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
	mem_random(hash_key, sizeof(hash_key));
}

_Static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8, "SipHash-2-4");

uint64_t hash_octets_keyed(const uint8_t key[16], const void *data, size_t len)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, len ? data : (const void *)"", len, key);
	return hash;
}

uint64_t hash_octets(const void *data, size_t len)
{
	pthread_once(&hash_key_once, make_hash_key);
	return hash_octets_keyed(hash_key, data, len);
}

// The link that points to the entry of key, or to the NULL that ends its chain.
// m has buckets.
static struct map_entry **find(const struct map *m, struct str key, uint64_t hash)
{
	struct map_entry **link = &m->buckets[hash & (m->bucket_count - 1)];

	while (*link) {
		struct map_entry *entry = *link;
		if (entry->hash == hash && str_equal(str_make(entry->key, entry->len), key))
			break;
		link = &entry->next;
	}
	return link;
}

static void grow(struct map *m)
{
	size_t count = m->bucket_count ? m->bucket_count * 2 : FIRST_BUCKETS;
	struct map_entry **buckets = mem_array(count, sizeof(struct map_entry *));

	for (size_t i = 0; i < m->bucket_count; i++) {
		struct map_entry *entry = m->buckets[i];
		while (entry) {
			struct map_entry *next = entry->next;
			struct map_entry **head = &buckets[entry->hash & (count - 1)];
			entry->next = *head;
			*head = entry;
			entry = next;
		}
	}
	mem_free(m->buckets);
	m->buckets = buckets;
	m->bucket_count = count;
}

void map_finish(struct map *m)
{
	for (size_t i = 0; i < m->bucket_count; i++) {
		struct map_entry *entry = m->buckets[i];
		while (entry) {
			struct map_entry *next = entry->next;
			mem_free(entry);
			entry = next;
		}
	}
	mem_free(m->buckets);
	*m = (struct map){0};
}

void *map_get(const struct map *m, struct str key)
{
	struct map_entry *entry;

	if (m->count == 0)
		return NULL;
	entry = *find(m, key, hash_octets(key.data, key.len));
	return entry ? entry->value : NULL;
}

void *map_set(struct map *m, struct str key, void *value)
{
	uint64_t hash = hash_octets(key.data, key.len);
	struct map_entry **link;
	struct map_entry *entry;
	void *old;

	if (m->count >= m->bucket_count)
		grow(m);
	link = find(m, key, hash);
	if (*link) {
		old = (*link)->value;
		(*link)->value = value;
		return old;
	}
	entry = mem_alloc(sizeof(*entry) + key.len);
	entry->value = value;
	entry->hash = hash;
	entry->len = key.len;
	if (key.len)
		memcpy(entry->key, key.data, key.len);
	*link = entry;
	m->count++;
	return NULL;
}

void *map_remove(struct map *m, struct str key)
{
	struct map_entry **link;
	struct map_entry *entry;
	void *value;

	if (m->count == 0)
		return NULL;
	link = find(m, key, hash_octets(key.data, key.len));
	entry = *link;
	if (!entry)
		return NULL;
	value = entry->value;
	*link = entry->next;
	mem_free(entry);
	m->count--;
	return value;
}

void map_each(struct map *m, void (*visit)(struct str key, void *value, void *arg), void *arg)
{
	for (size_t i = 0; i < m->bucket_count; i++) {
		struct map_entry *entry = m->buckets[i];
		while (entry) {
			struct map_entry *next = entry->next;
			visit(str_make(entry->key, entry->len), entry->value, arg);
			entry = next;
		}
	}
}
