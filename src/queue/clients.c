// SPDX-License-Identifier: ISC
// Counting open connections. A session is counted from open to close, or until its smtpd is gone.
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
	uint32_t count;
};

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
	uint32_t count;
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

static uint32_t change(struct clients *c, const struct place *p, int by)
{
	struct str key = str_make(p->octets, sizeof p->octets);
	struct counter *n = map_get(&c->counters, key);
	if (!n) {
		n = mem_alloc(sizeof *n);
		map_set(&c->counters, key, n);
	}
	n->count += (uint32_t)by;
	uint32_t now = n->count;
	if (!now) {
		(void)map_remove(&c->counters, key);
		mem_free(n);
	}
	return now;
}

struct clients *clients_create(void)
{
	struct clients *c = mem_alloc(sizeof *c);
	list_init(&c->all);
	return c;
}

static void forget(struct clients *c, struct record *r)
{
	(void)change(c, &r->address, -1);
	(void)change(c, &r->network, -1);
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
	map_finish(&c->sessions);
	map_finish(&c->counters);
	mem_free(c);
}

void clients_open(struct clients *c, unsigned worker, uint64_t session, const struct ipaddr *a,
	struct clients_counts *out)
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
	out->address = change(c, &r->address, 1);
	out->network = change(c, &r->network, 1);
	out->all = c->count;
}

static uint32_t count_at(const struct clients *c, struct place p)
{
	const struct counter *n = map_get(&c->counters, str_make(p.octets, sizeof p.octets));
	return n ? n->count : 0;
}

void clients_peek(const struct clients *c, const struct ipaddr *a, struct clients_counts *out)
{
	out->address = count_at(c, place_of(a, a->family == 4 ? 32 : 128)) + 1;
	out->network = count_at(c, place_of(a, a->family == 4 ? NETWORK_BITS_4 : NETWORK_BITS_6)) + 1;
	out->all = c->count + 1;
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
