// SPDX-License-Identifier: ISC
// DNS questions of a role, asked of role resolver over its channel.
#ifndef PABAL_NET_DNS_H
#define PABAL_NET_DNS_H

#include "base/ipaddr.h"
#include "ipc/channel.h"

enum dns_status {
	DNS_FOUND,      // at least one record
	DNS_NO_DATA,    // the name exists, not with this type
	DNS_NO_NAME,    // NXDOMAIN
	DNS_FAILED,     // SERVFAIL, time-out, no server: temporary
	DNS_BOGUS,      // DNSSEC says forged: temporary
};
// A bit beside the type: /etc/hosts counts too (names of routes and smart hosts, never of MX).
#define DNS_FROM_HOSTS 0x10000u
enum { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };

struct dns_answer {
	enum dns_status status;
	bool secure;            // validated by DNSSEC
	uint32_t ttl;
	struct str records;     // ipc list of records
};
struct dns_client; // one a role; survives the resolver's restarts
struct dns_client *dns_client_create(uv_loop_t *loop);
void dns_client_destroy(struct dns_client *d); // every open question is answered with DNS_FAILED first
// A channel to a (new) resolver; NULL when it is gone. Open questions are asked again.
void dns_client_set_channel(struct dns_client *d, struct ipc_channel *ch);
void dns_client_resolved(struct dns_client *d, struct str frame_body); // handler of IPC_TYPE_resolved
// A name server that is slower fails this question; what it says later is in the resolver's cache for
// the next try.
#define DNS_ANSWER_MS 7000
#define DNS_TICK_MS 500 // how late that may be noticed
// Exactly one callback, never before the call returns; at the latest after DNS_ANSWER_MS and a tick
// with DNS_FAILED.
typedef void (*dns_done)(void *arg, const struct dns_answer *answer);
struct dns_question;
struct dns_question *dns_ask(struct dns_client *d, const char *name, uint32_t rrtype, dns_done done, void *arg);
void dns_cancel(struct dns_question *q); // the callback will not be called

// The name under which an address has its PTR (RFC 1035 3.5, RFC 3596 2.5); returns out.
#define DNS_REVERSE_MAX 80
const char *dns_reverse_name(const struct ipaddr *a, char out[DNS_REVERSE_MAX]);

// Reading records (RFC 1035 3.3 wire form, names uncompressed by the resolver).
struct dns_mx {
	uint16_t preference;
	char host[256];        // lower case, no trailing dot; "" is the null MX (RFC 7505)
};
bool dns_next_mx(struct str *records, struct dns_mx *out);
bool dns_next_address(struct str *records, struct ipaddr *out); // A or AAAA by length
bool dns_next_name(struct str *records, char out[256]);         // PTR, CNAME

#endif
