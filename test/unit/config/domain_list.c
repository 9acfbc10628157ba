// SPDX-License-Identifier: ISC
#include "config/domain_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static bool on_domain(void *arg, struct str name, unsigned line)
{
	buf_add_format(arg, "%u %.*s\n", line, STR_ARG(name));
	return line < 90;
}

static void on_odd(void *arg, unsigned line, struct str text)
{
	buf_add_format(arg, "%u odd %.*s\n", line, STR_ARG(text));
}

static void test_text(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"", ""},
		{"a.kr", "1 a.kr\n"},
		{"# c\n\n  \nExample.KR\r\n\t b.kr. \t\n", "4 example.kr\n5 b.kr\n"},
		{".a.kr\n*.b.kr\n.kr\n", "1 .a.kr\n2 .b.kr\n3 .kr\n"},
		{"b\xc3\xbc" "cher.example\n", "1 xn--bcher-kva.example\n"},
		{"[1.2.3.4]\na b\n.\n*\n..a\na..b\n-a\na.kr # c\n",
			"1 odd [1.2.3.4]\n2 odd a b\n3 odd .\n4 odd *\n5 odd ..a\n6 odd a..b\n7 odd -a\n"
			"8 odd a.kr # c\n"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		struct domain_list_sink sink = {&out, on_domain, on_odd};
		domain_list_text(str_from(rows[i].text), &sink);
		if (!str_equal(buf_str(&out), str_from(rows[i].expected)))
			fail_msg("%s gives\n%s", rows[i].text, buf_cstr(&out));
		buf_finish(&out);
	}
}

static void test_stops_when_told(void **state)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	struct domain_list_sink sink = {&out, on_domain, on_odd};
	for (int i = 0; i < 100; i++)
		buf_add_text(&text, "a.kr\n");
	domain_list_text(buf_str(&text), &sink);
	assert_true(str_ends_nocase(buf_str(&out), STR("\n90 a.kr\n")));
	buf_finish(&out);
	buf_finish(&text);
}

static void test_cdb_is_not_trusted(void **state)
{
	struct buf out = BUF_INIT;
	struct domain_list_sink sink = {&out, on_domain, on_odd};
	static const char zeros[2048];
	assert_int_equal(domain_list_cdb(STR("a.kr\n"), &sink), ERR_CORRUPT);
	assert_int_equal(domain_list_cdb(str_make(zeros, sizeof zeros), &sink), 0);
	assert_int_equal(buf_len(&out), 0);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_stops_when_told),
		cmocka_unit_test(test_cdb_is_not_trusted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
