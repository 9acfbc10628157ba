// SPDX-License-Identifier: ISC
#include "base/buf.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static void test_add(void **state)
{
	struct buf b = BUF_INIT;

	assert_int_equal(buf_len(&b), 0);
	assert_true(str_equal(buf_str(&b), STR_EMPTY));
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_int_equal(buf_add_text(&b, "250"), 0);
	assert_int_equal(buf_add_char(&b, ' '), 0);
	assert_int_equal(buf_add_str(&b, STR("o\0k")), 0);
	assert_int_equal(buf_add_format(&b, " %d%s", 12, "x"), 0);
	assert_int_equal(buf_add_format(&b, "%s", ""), 0);
	assert_true(str_equal(buf_str(&b), STR("250 o\0k 12x")));
	buf_clear(&b);
	assert_int_equal(buf_len(&b), 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_add_text(&b, "abc");
	assert_string_equal(buf_cstr(&b), "abc");
	assert_int_equal(buf_len(&b), 3);
	buf_finish(&b);
	buf_finish(&b);
	assert_int_equal(buf_add_text(&b, "again"), 0);
	buf_finish_wipe(&b);
	assert_null(b.data);
}

static void test_limit(void **state)
{
	struct buf b = {.limit = 10};

	assert_int_equal(buf_add_text(&b, "12345"), 0);
	assert_int_equal(buf_add_text(&b, "678901"), ERR_LIMIT);
	assert_int_equal(buf_add_format(&b, "%06d", 1), ERR_LIMIT);
	assert_int_equal(buf_add_hex(&b, STR("abc")), ERR_LIMIT);
	assert_int_equal(buf_add_base64(&b, STR("abcd")), ERR_LIMIT);
	assert_int_equal(buf_add_base64_decoded(&b, STR("AAAAAAAA")), ERR_LIMIT);
	assert_null(buf_reserve(&b, 6));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(str_equal(buf_str(&b), STR("12345")));
	assert_int_equal(buf_add_format(&b, "%05d", 67), 0);
	assert_int_equal(buf_add_char(&b, 'x'), ERR_LIMIT);
	assert_string_equal(buf_cstr(&b), "1234500067"); // the NUL is not counted
	// What was consumed makes room.
	buf_consume(&b, 4);
	assert_int_equal(buf_add_text(&b, "abcd"), 0);
	assert_int_equal(buf_add_char(&b, 'x'), ERR_LIMIT);
	assert_string_equal(buf_cstr(&b), "500067abcd");
	// A bound set below what is held only stops adding.
	b.limit = 3;
	assert_int_equal(buf_add_char(&b, 'x'), ERR_LIMIT);
	buf_finish(&b);
}

static void test_queue(void **state)
{
	struct buf b = {.limit = 5000};
	unsigned in = 0, seen = 0;

	// A queue that is never empty keeps its order and its memory bounded.
	for (unsigned round = 0; round < 20000; round++) {
		for (unsigned k = 0; k < 7 && buf_len(&b) < 4990; k++)
			assert_int_equal(buf_add_char(&b, (char)(in++ % 251)), 0);
		for (unsigned k = 0; k < 6; k++) {
			assert_int_equal((unsigned char)b.data[b.start], seen++ % 251);
			buf_consume(&b, 1);
		}
		assert_true(b.size <= 4 * 5000);
	}
	while (buf_len(&b)) {
		assert_int_equal((unsigned char)b.data[b.start], seen++ % 251);
		buf_consume(&b, 1);
	}
	assert_int_equal(in, seen);
	assert_null(b.data); // larger than a page and empty: given back
	buf_add_text(&b, "small");
	buf_consume(&b, 5);
	assert_non_null(b.data); // kept
	buf_finish(&b);
}

static void test_reserve(void **state)
{
	struct buf b = BUF_INIT;
	char *to = buf_reserve(&b, 100000);

	assert_non_null(to);
	memset(to, 'a', 100000);
	buf_commit(&b, 60000);
	assert_int_equal(buf_len(&b), 60000);
	buf_consume(&b, 59999);
	assert_true(str_equal(buf_str(&b), STR("a")));
	assert_non_null(buf_reserve(&b, 0));
	buf_release(&b);
	assert_null(b.data);
	assert_non_null(buf_reserve(&b, 0));
	buf_finish(&b);
}

static void test_large_format(void **state)
{
	struct buf b = BUF_INIT;

	assert_int_equal(buf_add_format(&b, "%20000s|", "x"), 0);
	assert_int_equal(buf_len(&b), 20001);
	assert_int_equal(str_find(buf_str(&b), 'x'), 19999);
	buf_finish(&b);
}

static void test_base64(void **state)
{
	static const struct { // RFC 4648 10, and a few more
		struct str plain;
		const char *coded;
	} rows[] = {
		{{"", 0}, ""},
		{{"f", 1}, "Zg=="},
		{{"fo", 2}, "Zm8="},
		{{"foo", 3}, "Zm9v"},
		{{"foob", 4}, "Zm9vYg=="},
		{{"fooba", 5}, "Zm9vYmE="},
		{{"foobar", 6}, "Zm9vYmFy"},
		{{"\0user\0pass", 10}, "AHVzZXIAcGFzcw=="},
		{{"\xff\xff\xff", 3}, "////"},
		{{"\xfb\xef\xbe", 3}, "++++"},
		{{"\0\0\0", 3}, "AAAA"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT;
		assert_int_equal(buf_add_base64(&b, rows[i].plain), 0);
		assert_string_equal(buf_cstr(&b), rows[i].coded);
		buf_clear(&b);
		assert_int_equal(buf_add_base64_decoded(&b, str_from(rows[i].coded)), 0);
		assert_true(str_equal(buf_str(&b), rows[i].plain));
		buf_finish(&b);
	}
}

static void test_base64_refuses(void **state)
{
	static const char *const rows[] = {
		"Z",
		"Zg",
		"Zg=",
		"Zm9vY",
		"=",
		"====",
		"Z===",
		"Zg==Zg==",
		"Zm8=Zm9v",
		"Z=9v",
		"=m9v",
		"Zm=v",
		"Zm9 ",
		"Zm9\n",
		" Zm9v",
		"Zm9v\r\n",
		"Zm-_",
		"*",
		"Zh==",
		"Zm9=", // left-over bits
		"Zm9v====",
	};
	struct buf b = BUF_INIT;

	buf_add_text(&b, "before");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(buf_add_base64_decoded(&b, str_from(rows[i])), ERR_SYNTAX);
		assert_string_equal(buf_cstr(&b), "before");
	}
	assert_int_equal(buf_add_base64_decoded(&b, STR("Zm\0v")), ERR_SYNTAX);
	buf_finish(&b);
}

static void test_base64_exact_limit(void **state)
{
	struct buf b = {.limit = 4};

	assert_int_equal(buf_add_base64_decoded(&b, STR("Zm9vYg==")), 0);
	assert_string_equal(buf_cstr(&b), "foob");
	buf_finish(&b);
}

static void test_hex(void **state)
{
	struct buf b = BUF_INIT;

	assert_int_equal(buf_add_hex(&b, STR_EMPTY), 0);
	assert_int_equal(buf_add_hex(&b, STR("\0\x0f\xf0\xff"
					     "A")),
		0);
	assert_string_equal(buf_cstr(&b), "000ff0ff41");
	buf_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_large_format),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64_refuses),
		cmocka_unit_test(test_base64_exact_limit),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
