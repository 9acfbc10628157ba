// SPDX-License-Identifier: ISC
#include "base/str.h"

#include "base/error.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static const struct str nothing = {NULL, 0};

static int sign(int n)
{
	return n < 0 ? -1 : n > 0;
}

static void test_equal(void **state)
{
	static const struct {
		struct str a, b;
		bool equal, nocase;
		int order;
	} rows[] = {
		{{"", 0}, {"", 0}, true, true, 0}, {{NULL, 0}, {"", 0}, true, true, 0},
		{{"abc", 3}, {"abc", 3}, true, true, 0}, {{"abc", 3}, {"aBC", 3}, false, true, 1},
		{{"abc", 3}, {"abcd", 4}, false, false, -1},
		{{"abd", 3}, {"abcd", 4}, false, false, 1},
		{{"a\0b", 3}, {"a\0b", 3}, true, true, 0},
		{{"a\0b", 3}, {"a\0c", 3}, false, false, -1},
		{{"@", 1}, {"`", 1}, false, false, -1},		      // 0x20 apart, but no letters
		{{"\xc3\x84", 2}, {"\xc3\xa4", 2}, false, false, -1}, // ASCII only
		{{"\xff", 1}, {"a", 1}, false, false, 1},	      // octets are unsigned
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(str_equal(rows[i].a, rows[i].b), rows[i].equal);
		assert_int_equal(str_equal_nocase(rows[i].a, rows[i].b), rows[i].nocase);
		assert_int_equal(sign(str_compare(rows[i].a, rows[i].b)), rows[i].order);
		assert_int_equal(sign(str_compare(rows[i].b, rows[i].a)), -rows[i].order);
	}
}

static void test_starts_ends(void **state)
{
	assert_true(str_starts(STR("MAIL FROM"), STR("MAIL")));
	assert_true(str_starts(STR("MAIL"), STR("MAIL")));
	assert_true(str_starts(STR("MAIL"), STR_EMPTY));
	assert_true(str_starts(nothing, nothing));
	assert_false(str_starts(STR("MAI"), STR("MAIL")));
	assert_false(str_starts(STR("mail from"), STR("MAIL")));
	assert_true(str_starts_nocase(STR("mail from"), STR("MAIL")));
	assert_false(str_starts_nocase(STR("mai"), STR("MAIL")));
	assert_true(str_ends_nocase(STR("a.EXAMPLE.kr"), STR(".example.KR")));
	assert_false(str_ends_nocase(STR("kr"), STR(".kr")));
	assert_true(str_ends_nocase(STR("kr"), STR_EMPTY));
}

static void test_find(void **state)
{
	assert_int_equal(str_find(STR("a@b@c"), '@'), 1);
	assert_int_equal(str_find_last(STR("a@b@c"), '@'), 3);
	assert_int_equal(str_find(STR("abc"), '@'), -1);
	assert_int_equal(str_find_last(STR("abc"), '@'), -1);
	assert_int_equal(str_find(nothing, 'a'), -1);
	assert_int_equal(str_find_last(nothing, 'a'), -1);
	assert_int_equal(str_find(STR("ab\0c"), '\0'), 2);
	assert_int_equal(str_search(STR("one two"), STR("two")), 4);
	assert_int_equal(str_search(STR("one two"), STR("three")), -1);
	assert_int_equal(str_search(STR("one"), STR("one two")), -1);
	assert_int_equal(str_search(STR("one"), STR_EMPTY), 0);
	assert_int_equal(str_search(nothing, STR("x")), -1);
	assert_int_equal(str_search(STR("\r\r\n"), STR("\r\n")), 1);
}

static void test_slice(void **state)
{
	struct str s = STR("abcdef");

	assert_true(str_equal(str_slice(s, 1, 3), STR("bc")));
	assert_true(str_equal(str_slice(s, 4, 99), STR("ef")));
	assert_true(str_equal(str_slice(s, 99, 100), STR_EMPTY));
	assert_true(str_equal(str_slice(s, 3, 1), STR_EMPTY));
	assert_true(str_equal(str_slice(nothing, 3, 9), STR_EMPTY));
	assert_true(str_equal(str_skip(s, 2), STR("cdef")));
	assert_true(str_equal(str_skip(s, 6), STR_EMPTY));
	assert_true(str_equal(str_skip(s, SIZE_MAX), STR_EMPTY));
	assert_true(str_equal(str_trim(STR("\t a b\r\n")), STR("a b")));
	assert_true(str_equal(str_trim(STR(" \r\n\t")), STR_EMPTY));
	assert_true(str_equal(str_trim(nothing), STR_EMPTY));
	assert_true(str_equal(str_trim(STR("\va\f")), STR("\va\f")));
}

static void test_split(void **state)
{
	static const struct {
		const char *text;
		const char *parts[5];
	} rows[] = {
		{"a,b,c", {"a", "b", "c"}},
		{"a", {"a"}},
		{"", {""}},
		{",", {"", ""}},
		{"a,", {"a", ""}},
		{",,b", {"", "", "b"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str rest = str_from(rows[i].text);
		struct str part;
		size_t n = 0;

		while (str_split(&rest, ',', &part)) {
			assert_non_null(rows[i].parts[n]);
			assert_true(str_equal(part, str_from(rows[i].parts[n])));
			n++;
		}
		assert_null(rows[i].parts[n]);
		assert_null(rest.data);
	}
}

static void test_to_u64(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} rows[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", ERR_SYNTAX, 0},
		{"18446744073709551620", ERR_SYNTAX, 0},
		{"99999999999999999999999", ERR_SYNTAX, 0},
		{"", ERR_SYNTAX, 0},
		{"-1", ERR_SYNTAX, 0},
		{"+1", ERR_SYNTAX, 0},
		{" 1", ERR_SYNTAX, 0},
		{"1 ", ERR_SYNTAX, 0},
		{"0x1", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 99;
		assert_int_equal(str_to_u64(str_from(rows[i].text), &value), rows[i].err);
		assert_int_equal(value, rows[i].err ? 99 : rows[i].value);
	}
}

static void test_characters(void **state)
{
	char text[] = "AZaz09[@\xc3\x84";

	str_lower(text, strlen(text));
	assert_string_equal(text, "azaz09[@\xc3\x84");
	assert_true(str_is_ascii(STR("a\x7f")));
	assert_true(str_is_ascii(nothing));
	assert_false(str_is_ascii(STR("a\x80")));
	assert_true(str_only(STR("abba"), "ab"));
	assert_true(str_only(nothing, ""));
	assert_false(str_only(STR("abc"), "ab"));
	assert_false(str_only(STR("a\0"), "a")); // the end of the set is no member
}

static void test_utf8(void **state)
{
	static const struct {
		struct str s;
		bool valid;
	} rows[] = {
		{{"", 0}, true},
		{{"abc", 3}, true},
		{{"\0", 1}, true},
		{{"\xed\x95\x9c", 3}, true},	  // U+D55C
		{{"\xf0\x9f\x93\xa7", 4}, true},  // U+1F4E7
		{{"\xf4\x8f\xbf\xbf", 4}, true},  // U+10FFFF
		{{"\xf4\x90\x80\x80", 4}, false}, // past it
		{{"\xc0\x80", 2}, false},	  // overlong NUL
		{{"\xc1\xbf", 2}, false},	  // overlong
		{{"\xe0\x80\x80", 3}, false},	  // overlong
		{{"\xf0\x80\x80\x80", 4}, false}, // overlong
		{{"\xed\xa0\x80", 3}, false},	  // surrogate
		{{"\x80", 1}, false},		  // no lead
		{{"\xed\x95", 2}, false},	  // cut
		{{"a\xff", 2}, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(str_is_utf8(rows[i].s), rows[i].valid);
}

static void test_copies(void **state)
{
	char *copy = str_dup(str_make("abcdef", 3));
	char small[4] = "zzz";

	assert_string_equal(copy, "abc");
	mem_free(copy);
	copy = str_dup(nothing);
	assert_string_equal(copy, "");
	mem_free(copy);

	assert_true(str_copy(STR("abc"), small, sizeof(small)));
	assert_string_equal(small, "abc");
	assert_false(str_copy(STR("abcd"), small, sizeof(small)));
	assert_string_equal(small, "");
	assert_false(str_copy(STR("a\0b"), small, sizeof(small)));
	assert_string_equal(small, "");
	assert_true(str_copy(nothing, small, sizeof(small)));
	assert_false(str_copy(nothing, small, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_starts_ends),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_to_u64),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
