// SPDX-License-Identifier: ISC
#include "deliver/hosts.h"

#include "base/memory.h"
#include "base/text.h"

#include <ifaddrs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MX_MAX 64       // records looked at
#define PER_HOST_MAX 4  // addresses of one host and family

enum { FOUR, SIX, FAMILIES };

// MX, then all addresses at once: mail waits no longer when every name server is dead.
_Static_assert(2 * (DNS_ANSWER_MS + DNS_TICK_MS) <= 15000, "a search ends within 15 s");

struct candidate {
	struct hosts_search *search;
	struct dns_question *open[FAMILIES];
	struct ipaddr found[FAMILIES][PER_HOST_MAX];
	unsigned count[FAMILIES];
	uint16_t preference;
	enum dns_status worst;
};

struct hosts_search {
	struct hosts_question q;
	char name[DOMAIN_MAX + 1];
	struct dns_question *mx;
	struct candidate candidates[HOSTS_MAX];
	unsigned open;           // questions about addresses
	bool own_dropped;
	bool by_mx;              // there are MX records
	struct hosts_plan plan;
	hosts_done done;
	void *arg;
};

// ---- ourselves
static void add_own(struct hosts_own *own, const struct ipaddr *address)
{
	if (own->count < HOSTS_OWN_MAX && !hosts_own_has(own, address))
		own->addresses[own->count++] = *address;
}

static void add_interfaces(struct hosts_own *own)
{
	struct ifaddrs *all, *i;
	struct ipaddr address;
	if (getifaddrs(&all) < 0)
		return;
	for (i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		ipaddr_from_sockaddr(i->ifa_addr, &address, NULL);
		add_own(own, &address);
	}
	freeifaddrs(all);
}

void hosts_own_find(struct hosts_own *own, const struct config *config)
{
	*own = (struct hosts_own){.count = 0};
	str_copy(config->hostname, own->hostname, sizeof own->hostname);
	for (size_t i = 0; i < config->server_count; i++) {
		const struct config_server *server = &config->servers[i];
		for (size_t j = 0; j < server->listen_count; j++) {
			if (server->listens[j].port != 25)
				continue;
			if (server->listens[j].address.family)
				add_own(own, &server->listens[j].address);
			else
				own->loopback = true;
		}
	}
	if (own->loopback)
		add_interfaces(own);
}

bool hosts_own_has(const struct hosts_own *own, const struct ipaddr *address)
{
	if (own->loopback && ipaddr_is_loopback(address))
		return true;
	for (unsigned i = 0; i < own->count; i++)
		if (ipaddr_equal(&own->addresses[i], address))
			return true;
	return false;
}

// ---- why not
static void __attribute__((format(printf, 5, 6))) fail(struct hosts_plan *plan, unsigned code,
	const char *enhanced, unsigned blame, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(plan->failure.text, sizeof plan->failure.text, format, args);
	va_end(args);
	plan->failure.outcome = code / 100 == 5 ? SMTP_PERMANENT : SMTP_TEMPORARY;
	plan->failure.code = code;
	snprintf(plan->failure.enhanced, sizeof plan->failure.enhanced, "%s", enhanced);
	plan->blame = blame;
	plan->address_count = 0;
}

static void fail_own(struct hosts_plan *plan, const char *name, bool by_mx)
{
	fail(plan, 554, "5.4.6", 0, by_mx ?
		TEXT("MX of %s points to this server, but %s is not in `domains`") :
		TEXT("%s is this server, but %s is not in `domains`"), name, name);
}

static void fail_by_status(struct hosts_search *s, enum dns_status status)
{
	struct hosts_plan *plan = &s->plan;
	if (status == DNS_BOGUS)
		fail(plan, 451, "4.7.0", 1, TEXT("DNSSEC says forged: the answer about %s does not stand "
			"up to its signatures"), s->name);
	else if (status == DNS_FAILED)
		fail(plan, 451, "4.4.3", 2, TEXT("no answer of the DNS about %s"), s->name);
	else if (!s->q.mx)
		// A mistake in our configuration returns no mail.
		fail(plan, 451, "4.4.4", 1, TEXT("the host %s of the route has no address"), s->name);
	else if (status == DNS_NO_NAME && !s->by_mx)
		fail(plan, 550, "5.1.2", 0, TEXT("the domain %s does not exist"), s->name);
	else if (s->by_mx)
		fail(plan, 550, "5.4.4", 0, TEXT("no host in the MX of %s has an address"), s->name);
	else
		fail(plan, 550, "5.1.2", 0, TEXT("the domain %s has neither MX nor address"), s->name);
}

// ---- the end of a search
static void finish(struct hosts_search *s)
{
	s->done(s->arg, &s->plan);
	mem_free(s);
}

void hosts_cancel(struct hosts_search *s)
{
	if (!s)
		return;
	dns_cancel(s->mx);
	for (unsigned i = 0; i < HOSTS_MAX; i++)
		for (unsigned f = 0; f < FAMILIES; f++)
			dns_cancel(s->candidates[i].open[f]);
	mem_free(s);
}

// ---- addresses
static void add_address(struct hosts_search *s, unsigned host, unsigned family, unsigned n)
{
	const struct candidate *c = &s->candidates[host];
	struct hosts_plan *plan = &s->plan;
	if (n >= c->count[family] || plan->address_count >= HOSTS_ADDRESSES_MAX)
		return;
	plan->addresses[plan->address_count++] =
		(struct hosts_address){.address = c->found[family][n], .host = (uint8_t)host};
}

// An address of ours takes its host away and all that are no better (RFC 5321 5.1).
static unsigned hosts_before_own(struct hosts_search *s)
{
	unsigned count = s->plan.host_count;
	for (unsigned i = 0; s->q.mx && i < count; i++) {
		const struct candidate *c = &s->candidates[i];
		bool own = false;
		for (unsigned f = 0; f < FAMILIES; f++)
			for (unsigned n = 0; n < c->count[f]; n++)
				own |= hosts_own_has(s->q.own, &c->found[f][n]);
		if (!own)
			continue;
		s->own_dropped = true;
		while (i > 0 && s->candidates[i - 1].preference == c->preference)
			i--;
		return i;
	}
	return count;
}

static enum dns_status worst_status(const struct hosts_search *s, unsigned hosts)
{
	enum dns_status worst = DNS_NO_DATA;
	bool all_unknown = hosts > 0;
	for (unsigned i = 0; i < hosts; i++) {
		if (s->candidates[i].worst > DNS_NO_NAME && s->candidates[i].worst > worst)
			worst = s->candidates[i].worst;
		all_unknown = all_unknown && s->candidates[i].worst == DNS_NO_NAME;
	}
	return worst == DNS_NO_DATA && all_unknown ? DNS_NO_NAME : worst;
}

static bool any_of_family(const struct hosts_search *s, unsigned hosts, unsigned family)
{
	for (unsigned i = 0; i < hosts; i++)
		if (s->candidates[i].count[family])
			return true;
	return false;
}

static void make_plan(struct hosts_search *s)
{
	unsigned hosts = hosts_before_own(s);
	uint8_t only = s->q.source.family;
	for (unsigned i = 0; i < hosts; i++)
		for (unsigned n = 0; n < PER_HOST_MAX; n++) {
			if (only != 4)
				add_address(s, i, SIX, n);
			if (only != 6)
				add_address(s, i, FOUR, n);
		}
	if (s->plan.address_count)
		return;
	if (s->own_dropped && hosts == 0)
		fail_own(&s->plan, s->name, s->by_mx);
	else if (only && any_of_family(s, hosts, only == 4 ? SIX : FOUR))
		fail(&s->plan, 451, "4.4.4", 1,
			TEXT("%s has no address of the kind of the `source` of its route"), s->name);
	else
		fail_by_status(s, worst_status(s, hosts));
}

static void note_ttl(struct hosts_search *s, const struct dns_answer *a)
{
	if (a->status == DNS_FOUND && a->ttl < s->plan.ttl)
		s->plan.ttl = a->ttl;
}

static void on_addresses(struct candidate *c, unsigned family, const struct dns_answer *a)
{
	struct hosts_search *s = c->search;
	struct str records = a->records;
	struct ipaddr address;
	c->open[family] = NULL;
	note_ttl(s, a);
	if (a->status > c->worst)
		c->worst = a->status;
	while (a->status == DNS_FOUND && dns_next_address(&records, &address)) {
		unsigned f = address.family == 6 ? SIX : FOUR;
		if (c->count[f] < PER_HOST_MAX)
			c->found[f][c->count[f]++] = address;
	}
	if (--s->open)
		return;
	make_plan(s);
	finish(s);
}

static void on_four(void *arg, const struct dns_answer *a)
{
	on_addresses(arg, FOUR, a);
}

static void on_six(void *arg, const struct dns_answer *a)
{
	on_addresses(arg, SIX, a);
}

static void ask_addresses(struct hosts_search *s)
{
	uint32_t flags = s->q.mx ? 0 : DNS_FROM_HOSTS;
	for (unsigned i = 0; i < s->plan.host_count; i++) {
		struct candidate *c = &s->candidates[i];
		c->search = s;
		c->open[FOUR] = dns_ask(s->q.dns, s->plan.hosts[i], DNS_A | flags, on_four, c);
		c->open[SIX] = dns_ask(s->q.dns, s->plan.hosts[i], DNS_AAAA | flags, on_six, c);
		s->open += 2;
	}
}

// ---- MX
struct mx {
	struct dns_mx record;
	uint32_t luck; // order among equals
};

static int by_preference(const void *a, const void *b)
{
	const struct mx *x = a, *y = b;
	if (x->record.preference != y->record.preference)
		return x->record.preference < y->record.preference ? -1 : 1;
	return (x->luck > y->luck) - (x->luck < y->luck);
}

static unsigned read_mx(struct str records, struct mx list[MX_MAX])
{
	unsigned count = 0;
	while (count < MX_MAX && dns_next_mx(&records, &list[count].record))
		mem_random(&list[count++].luck, sizeof list->luck);
	qsort(list, count, sizeof *list, by_preference);
	return count;
}

// How many are left before our own name.
static unsigned cut_own_name(struct hosts_search *s, const struct mx *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(list[i].record.host, s->q.own->hostname) != 0)
			continue;
		s->own_dropped = true;
		while (i > 0 && list[i - 1].record.preference == list[i].record.preference)
			i--;
		return i;
	}
	return count;
}

static void take_mx(struct hosts_search *s, struct str records)
{
	struct mx list[MX_MAX];
	unsigned count = read_mx(records, list);
	s->by_mx = true;
	if (count == 1 && !list[0].record.host[0]) {
		fail(&s->plan, 556, "5.1.10", 0, TEXT("the domain %s takes no mail (null MX)"), s->name);
		return;
	}
	count = cut_own_name(s, list, count);
	for (unsigned i = 0; i < count && s->plan.host_count < HOSTS_MAX; i++) {
		if (!list[i].record.host[0]) // a null MX beside others says nothing
			continue;
		s->candidates[s->plan.host_count].preference = list[i].record.preference;
		strcpy(s->plan.hosts[s->plan.host_count++], list[i].record.host);
	}
	if (s->plan.host_count == 0 && s->own_dropped)
		fail_own(&s->plan, s->name, true);
	else if (s->plan.host_count == 0)
		fail_by_status(s, DNS_NO_DATA);
}

static void take_name_itself(struct hosts_search *s)
{
	strcpy(s->plan.hosts[0], s->name);
	s->plan.host_count = 1;
}

static void on_mx(void *arg, const struct dns_answer *a)
{
	struct hosts_search *s = arg;
	s->mx = NULL;
	note_ttl(s, a);
	if (a->status == DNS_FOUND)
		take_mx(s, a->records);
	else if (a->status == DNS_NO_DATA)
		take_name_itself(s);
	else
		fail_by_status(s, a->status);
	if (s->plan.host_count)
		ask_addresses(s);
	else
		finish(s);
}

// ---- entry
bool hosts_from_literal(const struct hosts_question *q, struct hosts_plan *out)
{
	struct str inside = str_from(q->name);
	struct ipaddr address;
	if (inside.len < 2 || inside.data[0] != '[' || inside.data[inside.len - 1] != ']')
		return false;
	inside = str_slice(inside, 1, inside.len - 1);
	if (str_starts_nocase(inside, STR("IPv6:")))
		inside = str_skip(inside, 5);
	*out = (struct hosts_plan){.host_count = 1, .ttl = UINT32_MAX};
	if (ipaddr_parse(inside, &address)) {
		fail(out, 550, "5.1.2", 0, TEXT("%s is no address of a host"), q->name);
		return true;
	}
	ipaddr_format(&address, out->hosts[0]);
	if (q->mx && hosts_own_has(q->own, &address))
		fail_own(out, q->name, false);
	else if (q->source.family && q->source.family != address.family)
		fail(out, 451, "4.4.4", 1,
			TEXT("%s has no address of the kind of the `source` of its route"), q->name);
	else
		out->addresses[out->address_count++] = (struct hosts_address){.address = address};
	return true;
}

struct hosts_search *hosts_find(const struct hosts_question *q, hosts_done done, void *arg)
{
	struct hosts_search *s = mem_alloc(sizeof *s);
	s->q = *q;
	s->plan.ttl = UINT32_MAX;
	s->done = done;
	s->arg = arg;
	// A name that is too long becomes "", which no DNS knows.
	str_copy(str_from(q->name), s->name, sizeof s->name);
	s->q.name = s->name;
	if (q->mx) {
		s->mx = dns_ask(q->dns, s->name, DNS_MX, on_mx, s);
	} else {
		take_name_itself(s);
		ask_addresses(s);
	}
	return s;
}
