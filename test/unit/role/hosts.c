// SPDX-License-Identifier: ISC
#include "role/hosts.h"

#include "base/ipaddr.h"
#include "ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char table[] =
	"127.0.0.1\tlocalhost\n"
	"::1 localhost ip6-localhost\n"
	"# 192.0.2.1 commented\n"
	"192.0.2.2 first second # third\n"
	"192.0.2.3\tSmart.Example.KR   smart\r\n"
	"192.0.2.4 smart.example.kr\n"
	"  192.0.2.5   \t indented  \t \n"
	"2001:db8::6 six\n"
	"192.0.2.7\n"
	"no-address name\n"
	"192.0.2.300 wrong\n"
	"192.0.2.8/24 network\n"
	"\n"
	"#\n"
	" \t \n"
	"192.0.2.9 twice twice\n"
	"192.0.2.10 \xec\x84\xb8 \xff\n"
	"192.0.2.11 last";

// The addresses as words, one blank between.
static const char *look_up(const struct hosts *h, const char *name, int family, bool *out_found)
{
	static char words[1024];
	struct buf records = BUF_INIT;
	struct ipc_record record;
	int err = 0;
	words[0] = '\0';
	*out_found = hosts_lookup(h, str_from(name), family, &records);
	struct str rest = buf_str(&records);
	while (ipc_next_record(&rest, &record, &err)) {
		struct ipaddr address = {.family = (uint8_t)(record.rdata.len == 4 ? 4 : 6)};
		char text[IPADDR_TEXT_MAX];
		memcpy(address.octets, record.rdata.data, record.rdata.len);
		snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s", words[0] ? " " : "",
			ipaddr_format(&address, text));
	}
	assert_int_equal(err, 0);
	buf_finish(&records);
	return words;
}

static void names_of_the_table(void **state)
{
	static const struct {
		const char *name;
		int family;
		bool found;
		const char *addresses;
	} rows[] = {
		{"localhost", 4, true, "127.0.0.1"},
		{"localhost", 6, true, "::1"},
		{"LOCALHOST.", 4, true, "127.0.0.1"},
		{"ip6-localhost", 6, true, "::1"},
		{"ip6-localhost", 4, true, ""}, // there, with the other family only
		{"commented", 4, false, ""},
		{"first", 4, true, "192.0.2.2"},
		{"second", 4, true, "192.0.2.2"},
		{"third", 4, false, ""},
		{"smart.example.kr", 4, true, "192.0.2.3 192.0.2.4"},
		{"smart.example.kr.", 4, true, "192.0.2.3 192.0.2.4"},
		{"smart.example.kr", 6, true, ""},
		{"smart", 4, true, "192.0.2.3"},
		{"smar", 4, false, ""},
		{"smart.example", 4, false, ""},
		{"indented", 4, true, "192.0.2.5"},
		{"six", 6, true, "2001:db8::6"},
		{"192.0.2.7", 4, false, ""},
		{"name", 4, false, ""},
		{"wrong", 4, false, ""},
		{"network", 4, false, ""},
		{"twice", 4, true, "192.0.2.9"},
		{"\xec\x84\xb8", 4, true, "192.0.2.10"},
		{"last", 4, true, "192.0.2.11"},
		{"", 4, false, ""},
		{".", 4, false, ""},
		{"#", 4, false, ""},
	};
	struct hosts h = {0};
	(void)state;
	buf_add(&h.text, table, sizeof table - 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool found;
		const char *addresses = look_up(&h, rows[i].name, rows[i].family, &found);
		if (found != rows[i].found || strcmp(addresses, rows[i].addresses))
			fail_msg("%s: %d \"%s\"", rows[i].name, found, addresses);
	}
	buf_finish(&h.text);
}

static void any_octets_in_the_table(void **state)
{
	uint64_t seed = 7;
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct hosts h = {0};
		bool found;
		buf_add(&h.text, table, sizeof table - 1);
		for (unsigned i = 0; i < 40; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			h.text.data[(seed >> 33) % (sizeof table - 1)] = (char)(seed >> 25);
		}
		(void)look_up(&h, "smart.example.kr", 4, &found);
		(void)look_up(&h, "localhost", 6, &found);
		buf_finish(&h.text);
	}
}

static void an_empty_table_knows_nobody(void **state)
{
	struct hosts h = {0};
	bool found;
	(void)state;
	assert_string_equal(look_up(&h, "localhost", 4, &found), "");
	assert_false(found);
}

static void the_file_of_this_machine(void **state)
{
	struct hosts h = {0};
	(void)state;
	hosts_refresh(&h);
	struct str first = buf_str(&h.text);
	hosts_refresh(&h); // unchanged: not read again
	assert_ptr_equal(buf_str(&h.text).data, first.data);
	assert_int_equal(buf_len(&h.text), first.len);
	h.changed_ns++; // as after a change
	hosts_refresh(&h);
	assert_int_equal(buf_len(&h.text), first.len);
	buf_finish(&h.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_table),
		cmocka_unit_test(any_octets_in_the_table),
		cmocka_unit_test(an_empty_table_knows_nobody),
		cmocka_unit_test(the_file_of_this_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
