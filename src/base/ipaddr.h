// SPDX-License-Identifier: ISC
// IP addresses and networks. An IPv4-mapped IPv6 address is IPv4 from the moment
// it is read, before any rule, log or limit sees it.
#ifndef PABAL_BASE_IPADDR_H
#define PABAL_BASE_IPADDR_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct ipaddr {
	uint8_t family;     // 4, 6, or 0 for none
	uint8_t octets[16]; // network order; the first 4 for IPv4
};

struct ipnet {
	struct ipaddr addr; // host bits are zero
	uint8_t prefix;     // 0..32 or 0..128
};

#define IPADDR_TEXT_MAX 46

int ipaddr_parse(struct str s, struct ipaddr *out);   // no brackets, no port
void ipaddr_from_sockaddr(const struct sockaddr *sa, struct ipaddr *out, uint16_t *out_port);
socklen_t ipaddr_to_sockaddr(const struct ipaddr *a, uint16_t port, struct sockaddr_storage *out);
// Writes the usual text ("192.0.2.1", "2001:db8::1") and returns out.
const char *ipaddr_format(const struct ipaddr *a, char out[IPADDR_TEXT_MAX]);
// As RFC 5321 4.1.3 puts it in brackets: "[192.0.2.1]", "[IPv6:2001:db8::1]".
const char *ipaddr_format_literal(const struct ipaddr *a, char out[IPADDR_TEXT_MAX + 8]);
bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b);
bool ipaddr_is_loopback(const struct ipaddr *a);
struct ipnet ipaddr_network(const struct ipaddr *a, uint8_t prefix);
int ipnet_parse(struct str s, struct ipnet *out); // "a/p" or a single address
bool ipnet_contains(const struct ipnet *n, const struct ipaddr *a);

#endif
