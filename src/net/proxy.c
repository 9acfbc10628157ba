// SPDX-License-Identifier: ISC
// Reading the header of the PROXY protocol; who may send one is not decided here.
#include "net/proxy.h"

#include "base/error.h"
#include "base/text.h"

#define V1_WORD "PROXY"
#define TLV_FIRST 3 // octets of a TLV before its value

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static int bad(struct proxy_header *out, const char *why)
{
	out->why = why;
	return ERR_SYNTAX;
}

// ---- version 1: one line of text
// A port without sign or leading zero, as the protocol wants it.
static bool take_port(struct str word, uint16_t *out)
{
	uint64_t value;

	if (str_to_u64(word, &value) || value > 65535 || (word.len > 1 && word.data[0] == '0'))
		return false;
	*out = (uint16_t)value;
	return true;
}

// Family before an IPv4-mapped address becomes IPv4: by how it is written.
static bool take_address(struct str word, bool v6, struct ipaddr *out)
{
	return (str_find(word, ':') >= 0) == v6 && !ipaddr_parse(word, out);
}

static int parse_words(struct str words, struct proxy_header *out)
{
	struct str family, source, target, source_port, target_port;
	bool v6;

	if (!str_split(&words, ' ', &family))
		return bad(out, TEXT("the address family is missing"));
	if (str_equal(family, STR("UNKNOWN"))) { // whatever follows is to be ignored
		out->local = true;
		return 0;
	}
	v6 = str_equal(family, STR("TCP6"));
	if (!v6 && !str_equal(family, STR("TCP4")))
		return bad(out, TEXT("the address family is none of TCP4, TCP6 and UNKNOWN"));
	if (!str_split(&words, ' ', &source) || !str_split(&words, ' ', &target) ||
		!str_split(&words, ' ', &source_port) || !str_split(&words, ' ', &target_port) ||
		words.data)
		return bad(out, TEXT("two addresses and two ports are expected, a space between"));
	if (!take_address(source, v6, &out->client) || !take_address(target, v6, &out->server))
		return bad(out, TEXT("an address is not one of its family"));
	if (!take_port(source_port, &out->client_port) || !take_port(target_port, &out->server_port))
		return bad(out, TEXT("a port is no number up to 65535"));
	return 0;
}

static int parse_v1(struct str octets, struct proxy_header *out, size_t *used)
{
	struct str prefix = STR(V1_WORD " ");
	struct str line = str_slice(octets, 0, PROXY_V1_MAX);
	ptrdiff_t end;

	if (!str_equal(str_slice(octets, 0, prefix.len), str_slice(prefix, 0, octets.len)))
		return bad(out, TEXT("it does not begin with a PROXY header"));
	end = str_search(line, STR("\r\n"));
	if (end < 0 && line.len < PROXY_V1_MAX)
		return ERR_NOT_FOUND;
	if (end < 0)
		return bad(out, TEXT("the line is longer than 107 octets"));
	out->version = 1;
	*used = (size_t)end + 2;
	return parse_words(str_slice(line, prefix.len, (size_t)end), out);
}

// ---- version 2: binary
static unsigned u16_at(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

// CRC32c (Castagnoli, RFC 4960 appendix B) of a header whose checksum at `hole` counts as zero.
static uint32_t crc32c(const uint8_t *p, size_t len, size_t hole)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= i >= hole && i < hole + 4 ? 0 : p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

bool proxy_next_tlv(struct str *rest, uint8_t *out_type, struct str *out_value)
{
	const uint8_t *p = (const uint8_t *)rest->data;

	if (rest->len < TLV_FIRST || rest->len - TLV_FIRST < u16_at(p + 1))
		return false;
	*out_type = p[0];
	*out_value = str_slice(*rest, TLV_FIRST, TLV_FIRST + u16_at(p + 1));
	*rest = str_skip(*rest, TLV_FIRST + out_value->len);
	return true;
}

static int check_crc(struct str header, struct str value, struct proxy_header *out)
{
	const uint8_t *p = (const uint8_t *)value.data;
	size_t at = (size_t)(value.data - header.data);

	if (value.len != 4)
		return bad(out, TEXT("its checksum has not four octets"));
	if (crc32c((const uint8_t *)header.data, header.len, at) != (u16_at(p) << 16 | u16_at(p + 2)))
		return bad(out, TEXT("its checksum does not fit"));
	return 0;
}

static int check_tlvs(struct str header, struct proxy_header *out)
{
	struct str rest = out->tlvs, value;
	bool checked = false; // once: the work for one header is bounded
	uint8_t type;

	while (proxy_next_tlv(&rest, &type, &value)) {
		if (type != PROXY_TLV_CRC32C)
			continue;
		if (checked)
			return bad(out, TEXT("it has two checksums"));
		if (check_crc(header, value, out))
			return ERR_SYNTAX;
		checked = true;
	}
	return rest.len ? bad(out, TEXT("a TLV is longer than the header")) : 0;
}

static void set_address(struct ipaddr *out, int family, const uint8_t *octets)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} from = {.any = {.sa_family = (sa_family_t)family}};
	uint16_t port;

	if (family == AF_INET)
		memcpy(&from.v4.sin_addr, octets, 4);
	else
		memcpy(&from.v6.sin6_addr, octets, 16);
	ipaddr_from_sockaddr(&from.any, out, &port);
}

static int take_block(struct str part, unsigned family, struct proxy_header *out)
{
	const uint8_t *p = (const uint8_t *)part.data;
	size_t size = family == 0x11 ? 4 : 16, block = 2 * size + 4;

	if (part.len < block)
		return bad(out, TEXT("it is too short for its addresses"));
	set_address(&out->client, family == 0x11 ? AF_INET : AF_INET6, p);
	set_address(&out->server, family == 0x11 ? AF_INET : AF_INET6, p + size);
	out->client_port = (uint16_t)u16_at(p + 2 * size);
	out->server_port = (uint16_t)u16_at(p + 2 * size + 2);
	out->tlvs = str_skip(part, block);
	return 0;
}

static int parse_body(struct str header, struct proxy_header *out)
{
	const uint8_t *p = (const uint8_t *)header.data;
	struct str part = str_skip(header, PROXY_V2_FIRST);
	unsigned family = p[13];
	int result;

	out->version = 2;
	if (p[12] == 0x20 || family == 0x00) { // LOCAL: family and addresses are to be ignored
		out->local = true;
		return 0;
	}
	if (family != 0x11 && family != 0x21)
		return bad(out, TEXT("it speaks of neither TCP over IPv4 nor TCP over IPv6"));
	result = take_block(part, family, out);
	return result ? result : check_tlvs(header, out);
}

static int parse_v2(struct str octets, struct proxy_header *out, size_t *used)
{
	const uint8_t *p = (const uint8_t *)octets.data;
	size_t known = octets.len < sizeof signature ? octets.len : sizeof signature;
	size_t part;

	if (memcmp(p, signature, known) != 0)
		return bad(out, TEXT("it does not begin with a PROXY header"));
	if (octets.len > 12 && p[12] != 0x20 && p[12] != 0x21)
		return bad(out, TEXT("its version or command is unknown"));
	if (octets.len < PROXY_V2_FIRST)
		return ERR_NOT_FOUND;
	part = u16_at(p + 14);
	if (part > PROXY_V2_MAX) {
		out->why = TEXT("it is longer than 4096 octets");
		return ERR_LIMIT;
	}
	if (octets.len - PROXY_V2_FIRST < part)
		return ERR_NOT_FOUND;
	*used = PROXY_V2_FIRST + part;
	return parse_body(str_slice(octets, 0, *used), out);
}

int proxy_parse(struct str octets, struct proxy_header *out, size_t *used)
{
	*out = (struct proxy_header){.tlvs = STR_EMPTY, .why = ""};
	*used = 0;
	if (!octets.len)
		return ERR_NOT_FOUND;
	return octets.data[0] == signature[0] ? parse_v2(octets, out, used) : parse_v1(octets, out, used);
}
