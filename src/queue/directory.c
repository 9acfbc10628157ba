// SPDX-License-Identifier: ISC
// Who exists, and where aliases lead: the store's directory with a small memory in front of it. Only this process changes
// accounts, so the memory is right as long as every change clears it; the store answers in the
// order it was asked.
#include "queue/queue_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "queue/rights.h"
#include "smtp/address.h"
#include "store/mailboxes.h"

#define ENTRIES_MAX 10000
#define ENTRY_OCTETS_MAX 4096 // of the texts of one
#define KEY_MAX     (1 + SMTP_ADDRESS_MAX)

struct entry {
	struct list link;          // in directory.used, most recent first
	struct directory_entry answer;
	size_t key_len;
	char key[];                // 'a' or 'n' and the name; behind it the texts of answer
};

struct directory {
	struct store *store;
	struct map entries;
	struct list used;
	uint64_t generation;       // of the memory: cleared once more
};

struct question {
	struct directory *directory;
	uint64_t generation;
	directory_done done;
	void *arg;
	size_t key_len;
	char key[KEY_MAX];
};

struct directory *queue_directory_create(struct store *s)
{
	struct directory *d = mem_alloc(sizeof *d);
	d->store = s;
	list_init(&d->used);
	return d;
}

static void forget(struct directory *d, struct entry *e)
{
	(void)map_remove(&d->entries, str_make(e->key, e->key_len));
	list_remove(&e->link);
	mem_free(e);
}

void queue_directory_clear(struct directory *d)
{
	d->generation++;
	while (!list_empty(&d->used))
		forget(d, LIST_ENTRY(d->used.next, struct entry, link));
}

unsigned queue_directory_cached(const struct directory *d)
{
	return (unsigned)d->entries.count;
}

// The store has answered every question before.
void queue_directory_destroy(struct directory *d)
{
	if (!d)
		return;
	queue_directory_clear(d);
	map_finish(&d->entries);
	mem_free(d);
}

static void remember(struct directory *d, const struct question *q, const struct directory_entry *a)
{
	const struct str *from[] = DIRECTORY_ALL_TEXTS(a);
	size_t len = q->key_len;
	for (unsigned i = 0; i < DIRECTORY_ALL_COUNT; i++)
		len += from[i]->len;
	if (len > ENTRY_OCTETS_MAX)
		return; // a large list, which is asked for each time
	struct entry *e = mem_alloc(sizeof *e + len);
	struct str *to[] = DIRECTORY_ALL_TEXTS(&e->answer);
	char *at = e->key + q->key_len;
	e->answer = *a;
	e->key_len = q->key_len;
	memcpy(e->key, q->key, q->key_len);
	for (unsigned i = 0; i < DIRECTORY_ALL_COUNT; i++) {
		if (from[i]->len)
			memcpy(at, from[i]->data, from[i]->len);
		*to[i] = str_make(at, from[i]->len);
		at += from[i]->len;
	}
	struct entry *old = map_get(&d->entries, str_make(e->key, e->key_len));
	if (old)
		forget(d, old); // asked twice before the first answer
	if (d->entries.count >= ENTRIES_MAX)
		forget(d, LIST_ENTRY(d->used.prev, struct entry, link));
	map_set(&d->entries, str_make(e->key, e->key_len), e);
	list_add_first(&d->used, &e->link);
}

static void fill(struct directory_entry *out, const struct store_account *a, struct buf *networks,
	struct buf *servers)
{
	queue_limits(a, false, networks);
	queue_limits(a, true, servers);
	*out = (struct directory_entry){.id = a->id, .enabled = a->enabled, .locked = a->locked,
		.expires_ms = a->expires_ms, .rights = queue_rights(a), .name = a->name,
		.networks = buf_str(networks), .servers = buf_str(servers), .act_as = a->act_as,
		.reason = a->lock_reason, .send_as = a->send_as, .groups = a->group_names,
		.quota = store_account_quota(a)};
	quota_inherit(&out->quota, &a->domain_quota);
}

static void give(struct question *q, int err, const struct store_account *a, const struct store_address *at)
{
	struct directory *d = q->directory;
	struct directory_entry answer = {0};
	struct buf networks = BUF_INIT, servers = BUF_INIT;
	if (a)
		fill(&answer, a, &networks, &servers);
	answer.err = err;
	if (at) {
		answer.kind = at->kind;
		answer.key = at->key;
		answer.targets = at->targets;
	}
	if ((!err || err == ERR_NOT_FOUND) && q->generation == d->generation)
		remember(d, q, &answer);
	q->done(q->arg, &answer);
	buf_finish(&networks);
	buf_finish(&servers);
	mem_free(q);
}

static void on_account(void *arg, int err, const struct store_account *a)
{
	give(arg, err, err ? NULL : a, NULL);
}

static void on_address(void *arg, int err, const struct store_address *a)
{
	give(arg, !err && a->kind != STORE_ADDRESS_ACCOUNT ? ERR_NOT_FOUND : err,
		err ? NULL : a->account, err ? NULL : a);
}

static void ask(struct directory *d, char kind, struct str name, directory_done done, void *arg)
{
	struct question *q;
	char key[KEY_MAX];
	if (name.len + 1 > sizeof key) {
		struct directory_entry none = {.err = ERR_NOT_FOUND, .key = name};
		done(arg, &none);
		return;
	}
	key[0] = kind;
	if (name.len)
		memcpy(key + 1, name.data, name.len);
	struct entry *e = map_get(&d->entries, str_make(key, name.len + 1));
	if (e) {
		list_remove(&e->link);
		list_add_first(&d->used, &e->link);
		struct directory_entry answer = e->answer;
		done(arg, &answer);
		return;
	}
	q = mem_alloc(sizeof *q);
	*q = (struct question){.directory = d, .generation = d->generation, .done = done, .arg = arg,
		.key_len = name.len + 1};
	memcpy(q->key, key, name.len + 1);
	if (kind == 'a')
		store_address_find(d->store, name, on_address, q);
	else
		store_account_get(d->store, name, on_account, q);
}

void queue_directory_address(struct directory *d, struct str key, directory_done done, void *arg)
{
	ask(d, 'a', key, done, arg);
}

void queue_directory_account(struct directory *d, struct str name, directory_done done, void *arg)
{
	ask(d, 'n', name, done, arg);
}
