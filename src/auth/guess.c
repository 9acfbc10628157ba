// SPDX-License-Identifier: ISC
// A table a kind of entry; a key is the octets of network and name. An entry is blocked as a whole
// until a time; then it is as good as new.
#include "auth/guess.h"

#include "base/memory.h"

// What a pair, an account, an address or a network has done lately. The arrays are of those kinds
// only that need them.
struct entry {
	struct list link;
	enum auth_guess_kind kind;
	struct ipnet network; // family 0: of an account
	uint64_t first_ms;    // of the window
	uint64_t until_ms;    // blocked; 0: not
	enum auth_guess_scope blocked_by;
	unsigned failures, open; // open: under way
	unsigned hash_count;
	uint64_t *hashes; // pair: wrong passwords, a ring; address, network: names
	size_t key_len;
	char key[]; // 1 + 16 octets of network, then the name
};

#define KEY_NETWORK 17

struct key {
	char octets[KEY_NETWORK + AUTH_NAME_MAX];
	size_t len; // 0: there is no such entry
	struct ipnet network;
};

static const struct {
	const char *name;
	enum auth_guess_kind kind;
	bool names;	    // different names count, not failures
	bool known_passes;  // of no concern to an address known for the account
} scopes[AUTH_GUESS_SCOPES] = {
	[AUTH_GUESS_PAIR] = {"account-address", AUTH_GUESS_OF_PAIR, false, false},
	[AUTH_GUESS_ADDRESS] = {"address", AUTH_GUESS_OF_ADDRESS, false, false},
	[AUTH_GUESS_NAMES_ADDRESS] = {"names", AUTH_GUESS_OF_ADDRESS, true, true},
	[AUTH_GUESS_NETWORK] = {"network", AUTH_GUESS_OF_NETWORK, false, true},
	[AUTH_GUESS_NAMES_NETWORK] = {"network-names", AUTH_GUESS_OF_NETWORK, true, true},
	[AUTH_GUESS_ACCOUNT] = {"account", AUTH_GUESS_OF_ACCOUNT, false, true},
};

const char *auth_guess_scope_name(enum auth_guess_scope scope)
{
	return scopes[scope].name;
}

// ---- entries
static struct ipnet network_of(const struct ipaddr *client, enum auth_guess_kind kind)
{
	const struct ipnet none = {0};

	if (kind == AUTH_GUESS_OF_ACCOUNT || client->family == 0)
		return none;
	if (client->family == 6) // a provider gives a customer the whole of it
		return kind == AUTH_GUESS_OF_NETWORK ? none : ipaddr_network(client, 64);
	return ipaddr_network(client, kind == AUTH_GUESS_OF_NETWORK ? 24 : 32);
}

static struct key key_of(const struct auth_guess_attempt *a, enum auth_guess_kind kind)
{
	struct key k = {.network = network_of(&a->client, kind)};
	bool has_name = kind == AUTH_GUESS_OF_PAIR || kind == AUTH_GUESS_OF_ACCOUNT;
	size_t name_len = has_name ? strlen(a->name) : 0;

	if ((kind != AUTH_GUESS_OF_ACCOUNT && k.network.addr.family == 0) ||
		(has_name && name_len == 0))
		return k;
	k.octets[0] = (char)k.network.addr.family;
	memcpy(k.octets + 1, k.network.addr.octets, KEY_NETWORK - 1);
	memcpy(k.octets + KEY_NETWORK, a->name, name_len);
	k.len = KEY_NETWORK + name_len;
	return k;
}

static struct entry *find(
	struct auth_guess *g, const struct auth_guess_attempt *a, enum auth_guess_kind kind)
{
	struct key k = key_of(a, kind);

	return k.len ? map_get(&g->tables[kind].entries, str_make(k.octets, k.len)) : NULL;
}

static void drop(struct auth_guess *g, struct entry *e)
{
	if (!e)
		return;
	(void)map_remove(&g->tables[e->kind].entries, str_make(e->key, e->key_len));
	list_remove(&e->link);
	mem_free(e->hashes);
	mem_free(e);
}

static struct entry *make(struct auth_guess *g, const struct key *k, enum auth_guess_kind kind)
{
	struct auth_guess_table *t = &g->tables[kind];
	struct entry *e;

	if (t->entries.count >= AUTH_GUESS_ENTRIES)
		drop(g, LIST_ENTRY(t->by_age.next, struct entry, link));
	e = mem_alloc(sizeof *e + k->len);
	e->kind = kind;
	e->network = k->network;
	memcpy(e->key, k->octets, k->len);
	e->key_len = k->len;
	list_init(&e->link);
	map_set(&t->entries, str_make(e->key, e->key_len), e);
	return e;
}

static void touch(struct auth_guess *g, struct entry *e)
{
	list_remove(&e->link);
	list_add_last(&g->tables[e->kind].by_age, &e->link);
}

static struct entry *take(
	struct auth_guess *g, const struct auth_guess_attempt *a, enum auth_guess_kind kind)
{
	struct key k = key_of(a, kind);
	struct entry *e = find(g, a, kind);

	if (k.len == 0)
		return NULL;
	if (!e)
		e = make(g, &k, kind);
	touch(g, e);
	return e;
}

static void forget(struct entry *e)
{
	e->failures = 0;
	e->hash_count = 0;
	e->until_ms = 0;
}

// What was long ago counts no more.
static void age(const struct auth_guess *g, struct entry *e, uint64_t now_ms)
{
	if (e->until_ms ? now_ms >= e->until_ms : now_ms - e->first_ms > g->limits.window_ms)
		forget(e);
}

static bool has_hash(const struct entry *e, uint64_t hash, unsigned size)
{
	unsigned count = e->hash_count < size ? e->hash_count : size;

	for (unsigned i = 0; i < count; i++)
		if (e->hashes[i] == hash)
			return true;
	return false;
}

// A ring: the oldest goes.
static void add_hash(struct entry *e, uint64_t hash, unsigned size)
{
	if (has_hash(e, hash, size))
		return;
	if (!e->hashes)
		e->hashes = mem_array(size, sizeof e->hashes[0]);
	e->hashes[e->hash_count++ % size] = hash;
}

// ---- limits
static uint64_t count_of(const struct entry *e, enum auth_guess_scope scope)
{
	if (!scopes[scope].names)
		return e->failures;
	return e->hash_count < AUTH_GUESS_NAMES ? e->hash_count : AUTH_GUESS_NAMES;
}

// What is under way may fail, so it counts: else many at once would all be looked at. Where others
// than the guesser log in, only once there are that many failures that somebody does guess there.
static bool is_full(const struct auth_guess *g, const struct entry *e, enum auth_guess_scope scope)
{
	uint64_t most = g->limits.most[scope], count = count_of(e, scope);
	bool shared = scopes[scope].kind == AUTH_GUESS_OF_ADDRESS ||
		      scopes[scope].kind == AUTH_GUESS_OF_NETWORK;

	if (most == 0)
		return false;
	if (count >= most || scopes[scope].names)
		return count >= most;
	return (!shared || count * 2 >= most) && count + e->open >= most;
}

static bool is_refused(struct auth_guess *g, const struct auth_guess_attempt *a, uint64_t now_ms,
	struct auth_guess_refusal *out)
{
	for (unsigned i = 0; i < AUTH_GUESS_SCOPES; i++) {
		struct entry *e = find(g, a, scopes[i].kind);
		if (!e || (a->known && scopes[i].known_passes))
			continue;
		age(g, e, now_ms);
		if (!is_full(g, e, i))
			continue;
		touch(g, e);
		*out = (struct auth_guess_refusal){i, count_of(e, i),
			e->until_ms > now_ms ? e->until_ms - now_ms : 0};
		return true;
	}
	return false;
}

bool auth_guess_ask(struct auth_guess *g, struct auth_guess_attempt *a, struct str name,
	const struct ipaddr *client, uint64_t hash, bool known, uint64_t now_ms,
	struct auth_guess_refusal *out)
{
	struct entry *pair;

	*a = (struct auth_guess_attempt){.hash = hash, .client = *client, .known = known};
	(void)str_copy(str_slice(name, 0, AUTH_NAME_MAX), a->name, sizeof a->name);
	if (is_refused(g, a, now_ms, out))
		return false;
	a->open = true;
	pair = take(g, a, AUTH_GUESS_OF_PAIR);
	a->repeated = pair && has_hash(pair, hash, AUTH_GUESS_WRONG);
	if (a->repeated)
		return true;
	// From now on the same is no other guess, whatever comes of this one.
	if (pair)
		add_hash(pair, hash, AUTH_GUESS_WRONG);
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++) {
		struct entry *e = take(g, a, kind);
		if (e)
			e->open++;
	}
	return true;
}

// ---- ends
// It is not under way any more.
static void settle(struct auth_guess *g, struct auth_guess_attempt *a)
{
	a->open = false;
	if (a->repeated)
		return;
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++) {
		struct entry *e = find(g, a, kind);
		if (e && e->open)
			e->open--;
	}
}

static void add_failure(
	struct auth_guess *g, const struct auth_guess_attempt *a, struct entry *e, uint64_t now_ms)
{
	bool shared = e->kind == AUTH_GUESS_OF_ADDRESS || e->kind == AUTH_GUESS_OF_NETWORK;

	age(g, e, now_ms);
	if (e->failures == 0)
		e->first_ms = now_ms;
	e->failures++;
	// Who has logged in from here as this one does not go through a list of names.
	if (shared && !a->known && a->name[0])
		add_hash(e, hash_octets(a->name, strlen(a->name)), AUTH_GUESS_NAMES);
	for (unsigned i = 0; i < AUTH_GUESS_SCOPES && !e->until_ms; i++)
		if (scopes[i].kind == e->kind && g->limits.most[i] &&
			count_of(e, i) >= g->limits.most[i]) {
			e->until_ms = now_ms + g->limits.block_ms;
			e->blocked_by = i;
		}
}

uint64_t auth_guess_failed(struct auth_guess *g, struct auth_guess_attempt *a, uint64_t now_ms)
{
	const struct entry *e;

	if (a->open)
		settle(g, a);
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS && !a->repeated; kind++) {
		struct entry *counted = take(g, a, kind);
		if (counted)
			add_failure(g, a, counted, now_ms);
	}
	e = find(g, a, AUTH_GUESS_OF_ADDRESS);
	e = e ? e : find(g, a, AUTH_GUESS_OF_ACCOUNT);
	return e ? e->failures : 0;
}

static void drop_if_idle(struct auth_guess *g, struct entry *e)
{
	if (e && !e->open && !e->failures)
		drop(g, e);
}

void auth_guess_succeeded(struct auth_guess *g, struct auth_guess_attempt *a)
{
	struct entry *pair, *address;

	if (!a->open)
		return;
	settle(g, a);
	pair = find(g, a, AUTH_GUESS_OF_PAIR);
	address = find(g, a, AUTH_GUESS_OF_ADDRESS);
	if (pair)
		forget(pair);
	if (address && address->failures && !address->until_ms)
		address->failures--;
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
		drop_if_idle(g, find(g, a, kind));
}

void auth_guess_dropped(struct auth_guess *g, struct auth_guess_attempt *a)
{
	struct entry *pair;

	if (!a->open)
		return;
	settle(g, a);
	// Nobody learnt whether it was wrong.
	pair = a->repeated ? NULL : find(g, a, AUTH_GUESS_OF_PAIR);
	for (unsigned i = 0; pair && i < AUTH_GUESS_WRONG && i < pair->hash_count; i++)
		if (pair->hashes[i] == a->hash)
			pair->hashes[i] = 0;
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
		drop_if_idle(g, find(g, a, kind));
}

// ---- what is blocked
static struct auth_guess_block block_of(const struct entry *e, uint64_t now_ms)
{
	return (struct auth_guess_block){.scope = e->blocked_by,
		.name = str_make(e->key + KEY_NETWORK, e->key_len - KEY_NETWORK),
		.network = e->network,
		.count = count_of(e, e->blocked_by),
		.left_ms = e->until_ms - now_ms};
}

uint64_t auth_guess_each(struct auth_guess *g, uint64_t now_ms,
	void (*each)(void *arg, const struct auth_guess_block *b), void *arg)
{
	uint64_t count = 0;

	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
		LIST_EACH(link, &g->tables[kind].by_age) {
			const struct entry *e = LIST_ENTRY(link, struct entry, link);
			if (e->until_ms <= now_ms)
				continue;
			struct auth_guess_block b = block_of(e, now_ms);
			count++;
			if (each)
				each(arg, &b);
		}
	return count;
}

static bool is_meant(const struct entry *e, const struct str *name, const struct ipnet *network)
{
	struct str own = str_make(e->key + KEY_NETWORK, e->key_len - KEY_NETWORK);

	if (!name && !network)
		return true;
	if (name && own.len && str_equal(own, *name))
		return true;
	return network && e->network.addr.family && e->network.prefix >= network->prefix &&
	       ipnet_contains(network, &e->network.addr);
}

uint64_t auth_guess_clear(struct auth_guess *g, const struct str *name, const struct ipnet *network,
	uint64_t now_ms)
{
	uint64_t count = 0;

	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
		LIST_EACH(link, &g->tables[kind].by_age) {
			struct entry *e = LIST_ENTRY(link, struct entry, link);
			if (!is_meant(e, name, network))
				continue;
			count += e->until_ms > now_ms;
			forget(e);
			drop_if_idle(g, e);
		}
	return count;
}

void auth_guess_init(struct auth_guess *g, const struct auth_guess_limits *limits)
{
	*g = (struct auth_guess){.limits = *limits};
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++)
		list_init(&g->tables[kind].by_age);
}

void auth_guess_finish(struct auth_guess *g)
{
	for (unsigned kind = 0; kind < AUTH_GUESS_KINDS; kind++) {
		LIST_EACH(link, &g->tables[kind].by_age)
			drop(g, LIST_ENTRY(link, struct entry, link));
		map_finish(&g->tables[kind].entries);
	}
}
