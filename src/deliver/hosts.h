// SPDX-License-Identifier: ISC
// Which hosts and addresses mail for a domain is offered to, in order: MX (RFC 5321 5.1) or the one
// host of a route. Bounded, and never ourselves.
#ifndef PABAL_DELIVER_HOSTS_H
#define PABAL_DELIVER_HOSTS_H

#include "base/domain.h"
#include "config/config.h"
#include "net/dns.h"
#include "smtp/client.h"

#define HOSTS_MAX 8
#define HOSTS_ADDRESSES_MAX 10
#define HOSTS_OWN_MAX 64

// Where we are reached ourselves on port 25, so that no mail is sent round in a circle.
struct hosts_own {
	char hostname[DOMAIN_MAX + 1];
	struct ipaddr addresses[HOSTS_OWN_MAX];
	unsigned count;
	bool loopback; // all of it
};
// From the listeners in the configuration and the interfaces of the machine. A configuration
// without servers (a role that may not see them) leaves the name alone.
void hosts_own_find(struct hosts_own *own, const struct config *config);
bool hosts_own_has(const struct hosts_own *own, const struct ipaddr *address);

struct hosts_address {
	struct ipaddr address;
	uint8_t host;        // index in plan.hosts
	bool failed;         // for whoever tries: comes after the others
};

struct hosts_plan {
	char hosts[HOSTS_MAX][DOMAIN_MAX + 1];
	struct hosts_address addresses[HOSTS_ADDRESSES_MAX]; // in the order of trying
	unsigned host_count, address_count;
	uint32_t ttl;               // seconds, of the shortest record
	struct smtp_result failure; // why there are no addresses
	unsigned blame;             // ipc tried.blame, for the failure
};

struct hosts_question {
	struct dns_client *dns;
	const struct hosts_own *own; // must live as long as the search
	const char *name;    // a domain, or "[address]"
	bool mx;             // false: name is a host (of a route); /etc/hosts counts, nothing is ourselves
	struct ipaddr source;// family 0: any; else only addresses of its family are of use
};

// True when the name is an address: *out is complete, nothing need be asked.
bool hosts_from_literal(const struct hosts_question *q, struct hosts_plan *out);

struct hosts_search;
// Exactly one callback, never before the call returns; the plan is borrowed for its time.
typedef void (*hosts_done)(void *arg, const struct hosts_plan *plan);
struct hosts_search *hosts_find(const struct hosts_question *q, hosts_done done, void *arg);
void hosts_cancel(struct hosts_search *s); // no callback; NULL is fine

#endif
