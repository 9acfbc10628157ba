// SPDX-License-Identifier: ISC
#include "net/proxy.h"

#include "base/error.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define OCTETS(literal) {literal, sizeof(literal) - 1}
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\2\1" "\xc6\x33\x64\7" "\xd4\x31" "\0\x19" // 192.0.2.1:54321 -> 198.51.100.7:25
#define V6 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2" \
	"\xd4\x31" "\1\xd1"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\7" \
	"\xd4\x31" "\0\x19"

struct row {
	struct str octets;
	int result;
	const char *is;  // "CLIENT PORT SERVER PORT", "local"
	size_t more;     // octets behind the header, which are not its own
};

static const struct row rows[] = {
	// ---- version 1
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321 25\r\nEHLO x\r\n"), 0,
		"192.0.2.1 54321 198.51.100.7 25", 8},
	{OCTETS("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), 0, "2001:db8::1 0 2001:db8::2 65535"},
	{OCTETS("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 1 25\r\n"), 0,
		"192.0.2.1 1 198.51.100.7 25"},
	{OCTETS("PROXY UNKNOWN\r\n"), 0, "local"},
	{OCTETS("PROXY UNKNOWN ffff:f...f:ffff what ever 65535 65535\r\n"), 0, "local"},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321 25"), ERR_NOT_FOUND},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321 25\n"), ERR_NOT_FOUND},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321 25\nEHLO x\r\n"), ERR_SYNTAX},
	{OCTETS("proxy TCP4 192.0.2.1 198.51.100.7 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("EHLO mail.example.org\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY \r\n"), ERR_SYNTAX},
	{OCTETS("PROXY\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP5 192.0.2.1 198.51.100.7 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321 25 1\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 54321 25 \r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4  192.0.2.1 198.51.100.7 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 054321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 65536 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1 198.51.100.7 -1 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.256 198.51.100.7 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 2001:db8::1 2001:db8::2 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP6 192.0.2.1 198.51.100.7 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY TCP4 192.0.2.1\0 198.51.100.7 54321 25\r\n"), ERR_SYNTAX},
	{OCTETS("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxx\r\n"), 0, "local"}, // 107 octets
	{OCTETS("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxx\r\n"), ERR_SYNTAX},
	// ---- version 2
	{OCTETS(SIGNATURE "\x21\x11\0\x0c" V4 "EHLO"), 0, "192.0.2.1 54321 198.51.100.7 25", 4},
	{OCTETS(SIGNATURE "\x21\x21\0\x24" V6), 0, "2001:db8::1 54321 2001:db8::2 465"},
	{OCTETS(SIGNATURE "\x21\x21\0\x24" MAPPED), 0, "192.0.2.1 54321 198.51.100.7 25"},
	{OCTETS(SIGNATURE "\x20\0\0\0"), 0, "local"},
	{OCTETS(SIGNATURE "\x20\x11\0\x0c" V4), 0, "local"},
	{OCTETS(SIGNATURE "\x20\x31\0\3abcEHLO"), 0, "local", 4},
	{OCTETS(SIGNATURE "\x21\0\0\2zz"), 0, "local"},
	{OCTETS(SIGNATURE "\x21\x11\0\x14" V4 "\1\0\5local"), 0, "192.0.2.1 54321 198.51.100.7 25"},
	{OCTETS(SIGNATURE "\x21\x11\0\x12" V4 "\x04\0\0" "\xea\0\0"), 0, "192.0.2.1 54321 198.51.100.7 25"},
	{OCTETS(SIGNATURE "\x21\x11\0\x13" V4 "\3\0\4" "\x5c\x2a\xa9\x79"), 0,
		"192.0.2.1 54321 198.51.100.7 25"},
	{OCTETS(SIGNATURE "\x21\x11\0\x13" V4 "\3\0\4" "\x5c\x2a\xa9\x78"), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x21\x11\0\x12" V4 "\3\0\3" "\0\0\0"), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x21\x11\0\x0e" V4 "\1\0"), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x21\x11\0\x10" V4 "\1\0\2x"), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x21\x11\0\x0b" V4), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x21\x21\0\x0c" V4), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x21\x12\0\x0c" V4), ERR_SYNTAX}, // UDP
	{OCTETS(SIGNATURE "\x21\x31\0\x0c" V4), ERR_SYNTAX}, // Unix
	{OCTETS(SIGNATURE "\x22\x11\0\x0c" V4), ERR_SYNTAX},
	{OCTETS(SIGNATURE "\x11\x11\0\x0c" V4), ERR_SYNTAX},
	{OCTETS("\r\n\r\n\0\r\nQUIT\r"), ERR_SYNTAX},
	{OCTETS(SIGNATURE), ERR_NOT_FOUND},
	{OCTETS(SIGNATURE "\x21\x11\0\x0c\xc0\0\2"), ERR_NOT_FOUND},
	{OCTETS(SIGNATURE "\x21\x11\x10\0"), ERR_NOT_FOUND}, // 4096
	{OCTETS(SIGNATURE "\x21\x11\x10\1"), ERR_LIMIT},
	{OCTETS(SIGNATURE "\x21\x11\xff\xff"), ERR_LIMIT},
};

static void check_header(const struct row *row, const struct proxy_header *h, size_t used)
{
	char client[IPADDR_TEXT_MAX], server[IPADDR_TEXT_MAX], is[160];

	assert_int_equal(used, row->octets.len - row->more);
	snprintf(is, sizeof is, "%s %u %s %u", ipaddr_format(&h->client, client), h->client_port,
		ipaddr_format(&h->server, server), h->server_port);
	assert_string_equal(h->local ? "local" : is, row->is);
	assert_int_equal(h->version, row->octets.data[0] == 'P' ? 1 : 2);
	if (h->local)
		assert_int_equal(h->client.family + h->server.family, 0);
}

// What is said of a part of it never changes when the rest comes: more is wanted until one octet
// decides.
static void headers_are_read_whole_and_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		bool decided = false;

		for (size_t len = 0; len <= row->octets.len; len++) {
			char *copy = mem_alloc(len + 1); // its end is the end of its memory
			struct proxy_header h;
			size_t used;
			memcpy(copy + 1, row->octets.data, len);
			int result = proxy_parse(str_make(copy + 1, len), &h, &used);

			if (decided || len == row->octets.len || result != ERR_NOT_FOUND)
				assert_int_equal(result, row->result);
			decided = result != ERR_NOT_FOUND;
			if (result == 0)
				check_header(row, &h, used);
			if (result && result != ERR_NOT_FOUND)
				assert_true(h.why[0] != '\0');
			mem_free(copy);
		}
	}
}

static void its_tlvs_can_be_walked(void **state)
{
	struct str octets = OCTETS(SIGNATURE "\x21\x11\0\x1b" V4 "\x02\0\4mail\xea\0\0\xeb\0\2xy");
	struct proxy_header h;
	struct str value;
	uint8_t type;
	size_t used;

	(void)state;
	assert_int_equal(proxy_parse(octets, &h, &used), 0);
	assert_true(proxy_next_tlv(&h.tlvs, &type, &value) && type == PROXY_TLV_AUTHORITY);
	assert_true(str_equal(value, STR("mail")));
	assert_true(proxy_next_tlv(&h.tlvs, &type, &value) && type == 0xea && value.len == 0);
	assert_true(proxy_next_tlv(&h.tlvs, &type, &value) && type == 0xeb);
	assert_true(str_equal(value, STR("xy")));
	assert_false(proxy_next_tlv(&h.tlvs, &type, &value));
}

// However long a header is, reading it takes about as long as its octets.
static void two_checksums_are_one_too_many(void **state)
{
	struct str octets = OCTETS(SIGNATURE "\x21\x11\0\x1a" V4 "\3\0\4" "\xcd\x76\xeb\x31" "\3\0\4\0\0\0\0");
	struct proxy_header h;
	size_t used;

	(void)state;
	assert_int_equal(proxy_parse(octets, &h, &used), ERR_SYNTAX);
	assert_string_equal(h.why, "it has two checksums");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_whole_and_octet_by_octet),
		cmocka_unit_test(its_tlvs_can_be_walked),
		cmocka_unit_test(two_checksums_are_one_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
