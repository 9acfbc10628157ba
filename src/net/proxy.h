// SPDX-License-Identifier: ISC
// The PROXY protocol, versions 1 and 2 (HAProxy's "The PROXY protocol", sections 2.1 and 2.2): the
// header in which a proxy says whom it speaks for. A pure parser: no socket, no memory.
#ifndef PABAL_NET_PROXY_H
#define PABAL_NET_PROXY_H

#include "base/ipaddr.h"

#define PROXY_V1_MAX  107  // octets of a header in version 1, CRLF and all
#define PROXY_V2_FIRST 16  // octets before the part whose length they name
#define PROXY_V2_MAX  4096 // octets of that part; the protocol allows 65,535
#define PROXY_HEADER_MAX (PROXY_V2_FIRST + PROXY_V2_MAX)

struct proxy_header {
	unsigned version;           // 1 or 2
	// The proxy speaks for itself (LOCAL, a health check) or does not know for whom (UNKNOWN): the
	// connection's own addresses hold, and the four fields below are empty.
	bool local;
	struct ipaddr client, server; // whom it speaks for, and where that one had connected to
	uint16_t client_port, server_port;
	struct str tlvs;            // of version 2: raw, walked with proxy_next_tlv; points into octets
	const char *why;            // of ERR_SYNTAX and ERR_LIMIT: words for the log
};

enum { // types of a TLV (section 2.2.1 onwards) that somebody here looks at
	PROXY_TLV_AUTHORITY = 0x02,
	PROXY_TLV_CRC32C = 0x03,
	PROXY_TLV_CUSTOM_FIRST = 0xe0, PROXY_TLV_CUSTOM_LAST = 0xef, // for the use of whoever sends it
};

// Reads the header that octets begin with. 0: *out is filled and *used octets belong to it.
// ERR_NOT_FOUND: it is a header so far, more octets are needed. ERR_SYNTAX: it is none, or a broken
// one (also a wrong CRC32c), said at the first octet that cannot be; ERR_LIMIT: longer than
// PROXY_V2_MAX. Addresses are TCP over IPv4 or IPv6 only; an IPv4-mapped one is IPv4.
int proxy_parse(struct str octets, struct proxy_header *out, size_t *used);
// Takes the next TLV off *rest; false at the end. The parser has checked that all of them fit.
bool proxy_next_tlv(struct str *rest, uint8_t *out_type, struct str *out_value);

#endif
