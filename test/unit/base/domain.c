// SPDX-License-Identifier: ISC
#include "base/domain.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#define L63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static void test_normalise(void **state)
{
	static const struct {
		const char *text;
		const char *form; // NULL: refused
	} rows[] = {
		{"example.kr", "example.kr"},
		{"EXAMPLE.Kr", "example.kr"},
		{"example.kr.", "example.kr"},
		{"localhost", "localhost"},
		{"_dmarc.example.kr", "_dmarc.example.kr"},
		{"a-b.c--d.kr", "a-b.c--d.kr"},
		{"1.2.3", "1.2.3"},
		{L63 ".kr", L63 ".kr"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"b\xc3\xbc"
		 "cher.example",
			"xn--bcher-kva.example"},
		{"B\xc3\x9c"
		 "CHER.Example.",
			"xn--bcher-kva.example"},
		{"bu\xcc\x88"
		 "cher.example",
			"xn--bcher-kva.example"},   // not composed
		{"fa\xc3\x9f.de", "xn--fa-hia.de"}, // not "fass.de"
		{"\xed\x95\x9c\xea\xb8\x80.\xed\x95\x9c\xea\xb5\xad", "xn--bj0bj06e.xn--3e0b707e"},
		{"\xe4\xbe\x8b\xe3\x80\x82\xed\x95\x9c\xea\xb5\xad",
			"xn--fsq.xn--3e0b707e"}, // U+3002
		{"\xef\xbc\xa1.kr", "a.kr"},	 // fullwidth A
		{"_x.\xed\x95\x9c\xea\xb5\xad", "_x.xn--3e0b707e"},
		{"", NULL},
		{".", NULL},
		{"..", NULL},
		{".example.kr", NULL},
		{"example..kr", NULL},
		{"example.kr..", NULL},
		{"*.example.kr", NULL},
		{"exam ple.kr", NULL},
		{"example.kr\n", NULL},
		{"-a.kr", NULL},
		{"a-.kr", NULL},
		{"a/b.kr", NULL},
		{"[192.0.2.1]", NULL},
		{"a@b.kr", NULL},
		{"a%b.kr", NULL},
		{"a" L63 ".kr", NULL},
		{"\xef\xbc\x8f.kr", NULL},     // fullwidth '/'
		{"\xef\xbc\x8a.kr", NULL},     // fullwidth '*'
		{"\xe2\x80\x8b.kr", NULL},     // nothing but a zero-width space
		{"\xf0\x9f\x93\xa7.kr", NULL}, // a picture is no letter
		{"\xed\x95.kr", NULL},	       // cut UTF-8
		{"\xc0\xae.kr", NULL},	       // overlong dot
		{"\xff.kr", NULL},
	};
	char out[DOMAIN_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = domain_normalise(str_from(rows[i].text), out);
		if (err != (rows[i].form ? 0 : ERR_SYNTAX))
			fail_msg("%s: %d, %s", rows[i].text, err, out);
		assert_string_equal(out, rows[i].form ? rows[i].form : "");
		if (err == 0) { // the form is the form of itself
			char again[DOMAIN_MAX + 1];
			assert_int_equal(domain_normalise(str_from(out), again), 0);
			assert_string_equal(again, out);
		}
	}
	assert_int_equal(domain_normalise(STR("example\0.kr"), out), ERR_SYNTAX);
	assert_int_equal(domain_normalise(STR("ex\xc3\xa4mple\0.kr"), out), ERR_SYNTAX);
	assert_int_equal(domain_normalise((struct str){NULL, 0}, out), ERR_SYNTAX);
}

static void test_lengths(void **state)
{
	char name[2000];
	char out[DOMAIN_MAX + 1];

	// 63 + 1 + 63 + 1 + 63 + 1 + 61 = 253
	strcpy(name, L63 "." L63 "." L63 "." L63);
	name[253] = '\0';
	assert_int_equal(domain_normalise(str_from(name), out), 0);
	assert_string_equal(out, name);
	strcat(name, "."); // the dot is not counted
	assert_int_equal(domain_normalise(str_from(name), out), 0);
	strcpy(name, L63 "." L63 "." L63 "." L63);
	name[254] = '\0';
	assert_int_equal(domain_normalise(str_from(name), out), ERR_SYNTAX);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(domain_normalise(str_from(name), out), ERR_SYNTAX);
	// Too long only after the conversion, and too long to convert at all.
	for (size_t labels = 0; labels < 600; labels++)
		memcpy(name + labels * 3, "\xc3\xa4.", 3);
	name[1800] = '\0';
	assert_int_equal(domain_normalise(str_from(name), out), ERR_SYNTAX);
	name[999] = '\0';
	assert_int_equal(domain_normalise(str_from(name), out), ERR_SYNTAX);
	name[30] = '\0';
	assert_int_equal(domain_normalise(str_from(name), out), 0);
}

static void test_matches(void **state)
{
	static const struct {
		const char *pattern;
		const char *domain;
		bool matches;
	} rows[] = {
		{"example.kr", "example.kr", true},
		{"example.kr", "a.example.kr", false},
		{"example.kr", "xexample.kr", false},
		{"*.example.kr", "a.example.kr", true},
		{"*.example.kr", "a.b.example.kr", true},
		{"*.example.kr", "example.kr", false},
		{"*.example.kr", ".example.kr", false},
		{"*.example.kr", "xexample.kr", false},
		{".example.kr", "a.example.kr", true},
		{".example.kr", "example.kr", false},
		{".example.kr", "a.example.kr.evil", false},
		{"*", "example.kr", true},
		{"*", "", true},
		{"", "example.kr", false},
		{".", "example.kr", false},
		{"*.", "example.kr", false},
		{"*kr", "example.kr", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			domain_matches(str_from(rows[i].pattern), str_from(rows[i].domain)),
			rows[i].matches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
