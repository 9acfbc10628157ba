// SPDX-License-Identifier: ISC
// A map from question and name to a copy of the account.
#include "store/known.h"

#include "base/arena.h"
#include "base/memory.h"
#include "store/rows.h"

#define KNOWN_MAX	2048 // about 4 KiB each
#define NAME_MAX_OCTETS 320 // of what is remembered; an address is not longer

struct answer {
	struct store_account account;
	bool exists;
	struct arena arena; // of its strings; bounded by the store's own bounds
};

static void free_answer(struct str key, void *value, void *arg)
{
	struct answer *answer = value;

	arena_finish(&answer->arena);
	mem_free(answer);
}

static void forget(struct known *k)
{
	map_each(&k->map, free_answer, NULL);
	map_finish(&k->map);
}

void known_finish(struct known *k)
{
	forget(k);
}

static bool make_key(enum query query, struct str name, char *space, struct str *out)
{
	if (name.len > NAME_MAX_OCTETS)
		return false;
	space[0] = (char)query;
	if (name.len)
		memcpy(space + 1, name.data, name.len);
	*out = str_make(space, name.len + 1);
	return true;
}

bool known_get(struct known *k, enum query query, struct str name,
	const struct store_account **out_account)
{
	char space[NAME_MAX_OCTETS + 1];
	const struct answer *answer;
	struct str key;

	if (k->changes || !make_key(query, name, space, &key))
		return false;
	answer = map_get(&k->map, key);
	if (!answer)
		return false;
	*out_account = answer->exists ? &answer->account : NULL;
	return true;
}

void known_add(struct known *k, enum query query, struct str name, uint64_t version,
	const struct store_account *account)
{
	char space[NAME_MAX_OCTETS + 1];
	struct answer *answer, *old;
	struct str key;

	if (k->changes || k->version != version || !make_key(query, name, space, &key))
		return;
	if (k->map.count >= KNOWN_MAX)
		forget(k);
	answer = mem_alloc(sizeof(*answer));
	answer->exists = account != NULL;
	if (account)
		rows_copy_account(account, &answer->arena, &answer->account);
	old = map_set(&k->map, key, answer);
	if (old)
		free_answer(key, old, NULL);
}

void known_change_begin(struct known *k)
{
	k->version++;
	k->changes++;
	forget(k);
}

void known_change_end(struct known *k)
{
	BUG_ON(k->changes == 0);
	k->changes--;
}
