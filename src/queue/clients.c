// SPDX-License-Identifier: ISC
// Counting connections. A session is counted from open to close, or until its smtpd is gone.
#include "queue/clients.h"

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

#define NETWORK_BITS_4 24
#define NETWORK_BITS_6 64

// Octets that name an address or a network.
struct place {
	uint8_t octets[18]; // family, prefix, address
};

struct counter {
	struct list link;   // in clients.idle while nothing is open
	uint32_t count;     // open
	uint32_t begun;     // in that minute
	uint32_t minute;
	struct place place;
};

#define IDLE_MAX  200000 // places remembered only for what they began in this minute
#define IDLE_STEP 8      // of them forgotten with each new connection

struct record {
	struct list link;   // in clients.all
	unsigned worker;
	uint64_t session;
	struct place address, network;
};

struct clients {
	struct map sessions;  // 8 octets -> struct record
	struct map counters;  // struct place -> struct counter
	struct list all;
	struct list idle;     // struct counter, the one idle for longest first
	size_t idle_count;
	uint32_t count;
	uint32_t begun, minute;
};

static struct str key_of_session(const uint64_t *session)
{
	return str_make(session, sizeof *session);
}

static struct place place_of(const struct ipaddr *a, uint8_t prefix)
{
	struct place p = {{a->family, prefix}};
	struct ipnet net = ipaddr_network(a, prefix);
	memcpy(p.octets + 2, net.addr.octets, 16);
	return p;
}

static struct str key_of_place(const struct place *p)
{
	return str_make(p->octets, sizeof p->octets);
}

static struct counter *counter_at(struct clients *c, const struct place *p)
{
	struct counter *n = map_get(&c->counters, key_of_place(p));
	if (n)
		return n;
	n = mem_alloc(sizeof *n);
	n->place = *p;
	list_init(&n->link);
	map_set(&c->counters, key_of_place(&n->place), n);
	return n;
}

static void drop(struct clients *c, struct counter *n)
{
	c->idle_count -= !list_empty(&n->link);
	list_remove(&n->link);
	(void)map_remove(&c->counters, key_of_place(&n->place));
	mem_free(n);
}

static struct counter *add(struct clients *c, const struct place *p, uint32_t minute)
{
	struct counter *n = counter_at(c, p);
	c->idle_count -= !list_empty(&n->link);
	list_remove(&n->link);
	n->count++;
	if (minute && n->minute != minute)
		n->begun = 0;
	if (minute) {
		n->minute = minute;
		n->begun++;
	}
	return n;
}

// One less is open. What it began in this minute is remembered.
static void take(struct clients *c, const struct place *p)
{
	struct counter *n = map_get(&c->counters, key_of_place(p));
	if (--n->count)
		return;
	if (!n->begun || n->minute != c->minute) {
		drop(c, n);
		return;
	}
	list_add_last(&c->idle, &n->link);
	c->idle_count++;
}

static void forget_minutes(struct clients *c, uint32_t minute)
{
	for (int step = 0; step < IDLE_STEP && !list_empty(&c->idle); step++) {
		struct counter *n = LIST_ENTRY(c->idle.next, struct counter, link);
		if (minute && n->minute == minute && c->idle_count <= IDLE_MAX)
			return;
		drop(c, n);
	}
}

struct clients *clients_create(void)
{
	struct clients *c = mem_alloc(sizeof *c);
	list_init(&c->all);
	list_init(&c->idle);
	return c;
}

static void forget(struct clients *c, struct record *r)
{
	take(c, &r->address);
	take(c, &r->network);
	(void)map_remove(&c->sessions, key_of_session(&r->session));
	list_remove(&r->link);
	c->count--;
	mem_free(r);
}

void clients_destroy(struct clients *c)
{
	if (!c)
		return;
	while (!list_empty(&c->all))
		forget(c, LIST_ENTRY(c->all.next, struct record, link));
	while (!list_empty(&c->idle))
		drop(c, LIST_ENTRY(c->idle.next, struct counter, link));
	map_finish(&c->sessions);
	map_finish(&c->counters);
	mem_free(c);
}

static uint32_t begun(const struct counter *n, uint32_t minute)
{
	return n && minute && n->minute == minute ? n->begun : 0;
}

void clients_open(struct clients *c, unsigned worker, uint64_t session, const struct ipaddr *a,
	uint32_t minute, struct clients_counts *out)
{
	struct record *r = map_get(&c->sessions, key_of_session(&session));
	if (r)
		forget(c, r); // told twice
	r = mem_alloc(sizeof *r);
	r->worker = worker;
	r->session = session;
	r->address = place_of(a, a->family == 4 ? 32 : 128);
	r->network = place_of(a, a->family == 4 ? NETWORK_BITS_4 : NETWORK_BITS_6);
	map_set(&c->sessions, key_of_session(&r->session), r);
	list_add_last(&c->all, &r->link);
	c->count++;
	if (minute && c->minute != minute)
		c->begun = 0;
	if (minute) {
		c->minute = minute;
		c->begun++;
	}
	const struct counter *address = add(c, &r->address, minute);
	const struct counter *network = add(c, &r->network, minute);
	*out = (struct clients_counts){address->count, network->count, c->count,
		begun(address, minute), begun(network, minute), minute ? c->begun : 0};
	forget_minutes(c, minute);
}

void clients_peek(const struct clients *c, const struct ipaddr *a, uint32_t minute,
	struct clients_counts *out)
{
	struct place address = place_of(a, a->family == 4 ? 32 : 128);
	struct place network = place_of(a, a->family == 4 ? NETWORK_BITS_4 : NETWORK_BITS_6);
	const struct counter *of_address = map_get(&c->counters, key_of_place(&address));
	const struct counter *of_network = map_get(&c->counters, key_of_place(&network));
	uint32_t more = minute != 0;
	*out = (struct clients_counts){(of_address ? of_address->count : 0) + 1,
		(of_network ? of_network->count : 0) + 1, c->count + 1, begun(of_address, minute) + more,
		begun(of_network, minute) + more, (minute && c->minute == minute ? c->begun : 0) + more};
}

void clients_close(struct clients *c, unsigned worker, uint64_t session)
{
	struct record *r = map_get(&c->sessions, key_of_session(&session));
	if (r && r->worker == worker)
		forget(c, r);
}

void clients_worker_gone(struct clients *c, unsigned worker)
{
	LIST_EACH(link, &c->all) {
		struct record *r = LIST_ENTRY(link, struct record, link);
		if (r->worker == worker)
			forget(c, r);
	}
}
