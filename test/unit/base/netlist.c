// SPDX-License-Identifier: ISC
#include "base/netlist.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void lists_are_read_and_written_in_one_form(void **state)
{
	static const struct {
		const char *given, *made; // made NULL: wrong
		const char *bad;
	} rows[] = {
		{"", ""},
		{"192.0.2.1", "192.0.2.1"},
		{" 192.0.2.0/24,2001:DB8::/32 ", "192.0.2.0/24 2001:db8::/32"},
		{"192.0.2.1/32 2001:db8::1/128", "192.0.2.1 2001:db8::1"},
		{"any", "0.0.0.0/0 ::/0"},
		{"10.0.0.0/8 office", NULL, "office"},
		{"10.0.0.0/33", NULL, "10.0.0.0/33"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		struct str bad = STR_EMPTY;
		int err = netlist_parse(str_from(rows[i].given), &out, &bad);

		assert_int_equal(err == 0, rows[i].made != NULL);
		if (rows[i].made)
			assert_string_equal(buf_cstr(&out), rows[i].made);
		else
			assert_true(str_equal(bad, str_from(rows[i].bad)));
		buf_finish(&out);
	}
}

static void addresses_are_found_in_them(void **state)
{
	static const struct {
		const char *list, *address;
		bool in;
	} rows[] = {
		{"", "192.0.2.1", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"10.0.0.0/8 192.0.2.0/24", "192.0.2.200", true},
		{"10.0.0.0/8 192.0.2.0/24", "192.0.3.1", false},
		{"10.0.0.0/8", "::ffff:10.1.1.1", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"0.0.0.0/0 ::/0", "2001:db8::1", true},
		{"rubbish 2001:db8::/32", "2001:db8::1", true},
	};
	struct ipaddr address;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ipaddr_parse(str_from(rows[i].address), &address), 0);
		assert_int_equal(netlist_has(str_from(rows[i].list), &address), rows[i].in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read_and_written_in_one_form),
		cmocka_unit_test(addresses_are_found_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
