// SPDX-License-Identifier: ISC
#include "auth/name.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NAME(text) {"" text, sizeof(text) - 1}
#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void key_form(void **state)
{
	(void)state;
	static const struct {
		struct str name;
		const char *default_domain, *key; // NULL: refused
	} rows[] = {
		{NAME("kim@example.kr"), "", "kim@example.kr"},
		{NAME("Kim@Example.KR."), "", "kim@example.kr"},
		{NAME("kim"), "example.kr", "kim@example.kr"},
		{NAME("kim"), "", "kim"},
		{NAME("kim@other.test"), "example.kr", "kim@other.test"},
		{NAME("a@b@example.kr"), "", "a@b@example.kr"},
		{NAME("a b@example.kr"), "", "a b@example.kr"},
		{NAME("\xea\xb9\x80@\xed\x95\x9c\xea\xb5\xad.kr"), "", "\xea\xb9\x80@xn--3e0b707e.kr"},
		{NAME(LONG_64 "@example.kr"), "", LONG_64 "@example.kr"},
		{NAME(LONG_64 "a@example.kr"), "", NULL},
		{NAME(""), "example.kr", NULL},
		{NAME("@example.kr"), "", NULL},
		{NAME("kim@"), "example.kr", NULL},
		{NAME("kim@exa mple.kr"), "", NULL},
		{NAME("kim@[192.0.2.1]"), "", NULL},
		{NAME("kim\0@example.kr"), "", NULL},
		{NAME("ki\tm@example.kr"), "", NULL},
		{NAME("\xff@example.kr"), "", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char key[AUTH_NAME_MAX + 1];
		int err = auth_name_key(rows[i].name, str_from(rows[i].default_domain), key);
		assert_int_equal(err, rows[i].key ? 0 : ERR_SYNTAX);
		assert_string_equal(key, rows[i].key ? rows[i].key : "");
	}
}

static void usual_form(void **state)
{
	static const struct {
		const char *key;
		bool usual;
	} rows[] = {
		{"kim@example.kr", true}, {"kim", true}, {"kim lee@example.kr", true},
		{"\xea\xb9\x80@example.kr", true}, {"\xc3\xbc@example.kr", true}, // composed
		{"kim @example.kr", false}, {" kim@example.kr", false}, {"kim  lee@example.kr", false},
		{"kim ", false}, {"\xef\xbd\x8bim@example.kr", false}, // a wide k
		{"\xc3\x9c@example.kr", false}, // upper case
		{"u\xcc\x88@example.kr", false}, // in two parts
		{"kim\xc2\xa0@example.kr", false}, // another blank
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (auth_name_is_usual(str_from(rows[i].key)) != rows[i].usual)
			fail_msg("\"%s\"", rows[i].key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_form),
		cmocka_unit_test(usual_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
