// SPDX-License-Identifier: ISC
// Reading, writing and matching of IP addresses and networks.
#include "base/ipaddr.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff}; // ::ffff:0:0/96
#define MAPPED_BITS 96

static size_t octet_count(const struct ipaddr *a)
{
	return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

static void from_ipv4(const void *octets, struct ipaddr *out)
{
	*out = (struct ipaddr){.family = 4};
	memcpy(out->octets, octets, 4);
}

static void from_ipv6(const uint8_t *octets, struct ipaddr *out)
{
	if (memcmp(octets, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		from_ipv4(octets + sizeof(mapped_prefix), out);
		return;
	}
	*out = (struct ipaddr){.family = 6};
	memcpy(out->octets, octets, 16);
}

int ipaddr_parse(struct str s, struct ipaddr *out)
{
	char text[IPADDR_TEXT_MAX];
	uint8_t octets[16];

	*out = (struct ipaddr){0};
	if (!str_copy(s, text, sizeof(text)))
		return ERR_SYNTAX;
	if (inet_pton(AF_INET, text, octets) == 1)
		from_ipv4(octets, out);
	else if (inet_pton(AF_INET6, text, octets) == 1)
		from_ipv6(octets, out);
	else
		return ERR_SYNTAX;
	return 0;
}

void ipaddr_from_sockaddr(const struct sockaddr *sa, struct ipaddr *out, uint16_t *out_port)
{
	uint16_t port = 0;

	*out = (struct ipaddr){0};
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		from_ipv4(&in.sin_addr, out);
		port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		from_ipv6(in6.sin6_addr.s6_addr, out);
		port = ntohs(in6.sin6_port);
	}
	if (out_port)
		*out_port = port;
}

socklen_t ipaddr_to_sockaddr(const struct ipaddr *a, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (a->family == 4) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&in.sin_addr, a->octets, 4);
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family == 6) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
		memcpy(&in6.sin6_addr, a->octets, 16);
		memcpy(out, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

const char *ipaddr_format(const struct ipaddr *a, char out[IPADDR_TEXT_MAX])
{
	out[0] = '\0';
	if (a->family)
		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->octets, out, IPADDR_TEXT_MAX);
	return out;
}

const char *ipaddr_format_literal(const struct ipaddr *a, char out[IPADDR_TEXT_MAX + 8])
{
	char text[IPADDR_TEXT_MAX];

	snprintf(out, IPADDR_TEXT_MAX + 8, "[%s%s]", a->family == 6 ? "IPv6:" : "",
		ipaddr_format(a, text));
	return out;
}

bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->family == b->family && memcmp(a->octets, b->octets, octet_count(a)) == 0;
}

bool ipaddr_is_loopback(const struct ipaddr *a)
{
	static const struct ipaddr one = {.family = 6, .octets = {[15] = 1}};

	return (a->family == 4 && a->octets[0] == 127) || ipaddr_equal(a, &one);
}

struct ipnet ipaddr_network(const struct ipaddr *a, uint8_t prefix)
{
	size_t count = octet_count(a);
	struct ipnet net = {.prefix = prefix};

	if (prefix > count * 8)
		net.prefix = (uint8_t)(count * 8);
	net.addr.family = a->family;
	for (size_t i = 0; i < count; i++) {
		unsigned bits = net.prefix > i * 8 ? net.prefix - (unsigned)i * 8 : 0;
		unsigned mask = bits >= 8 ? 0xff : 0xff00u >> bits;
		net.addr.octets[i] = (uint8_t)(a->octets[i] & mask);
	}
	return net;
}

int ipnet_parse(struct str s, struct ipnet *out)
{
	ptrdiff_t slash = str_find(s, '/');
	struct str addr_text = slash < 0 ? s : str_slice(s, 0, (size_t)slash);
	struct ipaddr addr;
	uint64_t prefix;
	bool mapped;

	*out = (struct ipnet){0};
	if (ipaddr_parse(addr_text, &addr) < 0)
		return ERR_SYNTAX;
	prefix = octet_count(&addr) * 8;
	if (slash >= 0) {
		struct str digits = str_skip(s, (size_t)slash + 1);
		mapped = addr.family == 4 && str_find(addr_text, ':') >= 0;
		if (digits.len > 3 || str_to_u64(digits, &prefix) < 0)
			return ERR_SYNTAX;
		if (mapped && prefix < MAPPED_BITS)
			return ERR_SYNTAX; // would hold more than IPv4
		if (mapped)
			prefix -= MAPPED_BITS;
		if (prefix > octet_count(&addr) * 8)
			return ERR_SYNTAX;
	}
	*out = ipaddr_network(&addr, (uint8_t)prefix);
	return 0;
}

bool ipnet_contains(const struct ipnet *n, const struct ipaddr *a)
{
	struct ipnet of_a;

	if (a->family == 0 || a->family != n->addr.family)
		return false;
	of_a = ipaddr_network(a, n->prefix);
	return ipaddr_equal(&of_a.addr, &n->addr);
}
