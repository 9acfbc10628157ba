// SPDX-License-Identifier: ISC
// One table for both kinds: keys begin with what they are.
#include "auth/guess.h"

#include "auth/name.h"
#include "base/memory.h"

struct entry {
	struct list link;
	uint64_t last_ms;
	uint64_t attempt;
	unsigned failures;
	size_t key_len;
	char key[];
};

struct key {
	char octets[1 + AUTH_NAME_MAX];
	size_t len;
};

static struct key key_of_name(struct str name)
{
	struct key k = {.octets = {'n'}, .len = 1};
	struct str part = str_slice(name, 0, sizeof k.octets - 1);

	if (part.len)
		memcpy(k.octets + 1, part.data, part.len);
	k.len += part.len;
	return k;
}

// Of a provider's /64 every address belongs to one customer.
static struct key key_of_address(const struct ipaddr *client)
{
	struct key k = {.octets = {'a'}, .len = 1};
	size_t len = client->family == 4 ? 4 : client->family == 6 ? 8 : 0;

	memcpy(k.octets + 1, client->octets, len);
	k.len = len ? 1 + len : 0;
	return k;
}

static struct entry *find(const struct auth_guess *g, const struct key *k)
{
	return k->len ? map_get(&g->entries, str_make(k->octets, k->len)) : NULL;
}

static void drop(struct auth_guess *g, struct entry *e)
{
	if (!e)
		return;
	(void)map_remove(&g->entries, str_make(e->key, e->key_len));
	list_remove(&e->link);
	mem_free(e);
}

static struct entry *make(struct auth_guess *g, const struct key *k)
{
	if (g->entries.count >= AUTH_GUESS_ENTRIES)
		drop(g, LIST_ENTRY(g->by_age.next, struct entry, link));
	struct entry *e = mem_alloc(sizeof *e + k->len);
	memcpy(e->key, k->octets, k->len);
	e->key_len = k->len;
	map_set(&g->entries, str_make(k->octets, k->len), e);
	list_init(&e->link);
	return e;
}

void auth_guess_init(struct auth_guess *g)
{
	*g = (struct auth_guess){0};
	list_init(&g->by_age);
}

void auth_guess_finish(struct auth_guess *g)
{
	LIST_EACH(link, &g->by_age)
		drop(g, LIST_ENTRY(link, struct entry, link));
	map_finish(&g->entries);
}

static uint64_t delay_of(const struct entry *e, uint64_t now_ms)
{
	if (!e || e->failures < AUTH_GUESS_FREE || now_ms - e->last_ms > AUTH_GUESS_WINDOW_MS)
		return 0;
	unsigned doublings = e->failures - AUTH_GUESS_FREE;
	return doublings >= 3 ? AUTH_GUESS_MAX_MS : 1000ULL << doublings;
}

uint64_t auth_guess_delay(
	const struct auth_guess *g, struct str name, const struct ipaddr *client, uint64_t now_ms)
{
	struct key n = key_of_name(name), a = key_of_address(client);
	uint64_t by_name = delay_of(find(g, &n), now_ms);
	uint64_t by_address = delay_of(find(g, &a), now_ms);

	return by_name > by_address ? by_name : by_address;
}

static void count(struct auth_guess *g, const struct key *k, uint64_t attempt, uint64_t now_ms)
{
	struct entry *e = find(g, k);

	if (k->len == 0)
		return;
	if (!e)
		e = make(g, k);
	if (now_ms - e->last_ms > AUTH_GUESS_WINDOW_MS)
		e->failures = 0;
	if (e->failures == 0 || e->attempt != attempt)
		e->failures++;
	e->attempt = attempt;
	e->last_ms = now_ms;
	list_remove(&e->link);
	list_add_last(&g->by_age, &e->link);
}

void auth_guess_failed(struct auth_guess *g, struct str name, const struct ipaddr *client,
	uint64_t attempt, uint64_t now_ms)
{
	struct key n = key_of_name(name), a = key_of_address(client);

	count(g, &n, attempt, now_ms);
	count(g, &a, attempt, now_ms);
}

void auth_guess_succeeded(struct auth_guess *g, struct str name, const struct ipaddr *client)
{
	struct key n = key_of_name(name), a = key_of_address(client);
	struct entry *address = find(g, &a);

	drop(g, find(g, &n));
	if (address && --address->failures == 0)
		drop(g, address);
}
