// SPDX-License-Identifier: ISC
// DATA, BDAT and dot stuffing, in pieces of every size. The rows are the
// smuggling forms as well: only CRLF.CRLF ends a message.
#include "smtp/body.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// STR() for a constant table.
#define LIT(literal)                                                                               \
	{                                                                                          \
		"" literal, sizeof(literal) - 1                                                    \
	}

#define LIMITS ((struct smtp_limits){.body_line = 20, .message_size = 60})

static const struct {
	struct str input;
	struct str output;
	enum smtp_body_fault fault;
	size_t used; // 0: no end was found
} rows[] = {
	{LIT(".\r\n"), LIT(""), SMTP_BODY_OK, 3},
	{LIT("a\r\n.\r\n"), LIT("a\r\n"), SMTP_BODY_OK, 6},
	{LIT("a\r\n.\r\nQUIT\r\n"), LIT("a\r\n"), SMTP_BODY_OK, 6},
	{LIT("\r\n.\r\n"), LIT("\r\n"), SMTP_BODY_OK, 5},
	{LIT("\r\n\r\n\r\n.\r\n.\r\n"), LIT("\r\n\r\n\r\n"), SMTP_BODY_OK, 9},
	{LIT("..\r\n.\r\n"), LIT(".\r\n"), SMTP_BODY_OK, 7},
	{LIT("...a\r\n.b\r\nc.\r\n.\r\n"), LIT("..a\r\nb\r\nc.\r\n"), SMTP_BODY_OK, 17},
	{LIT("a.b\r\n. \r\n.\r\n"), LIT("a.b\r\n \r\n"), SMTP_BODY_OK, 12},
	{LIT("a\r\n"), LIT("a\r\n"), SMTP_BODY_OK, 0},
	{LIT("a\r\n."), LIT("a\r\n"), SMTP_BODY_OK, 0},
	{LIT("a\r\n.\r"), LIT("a\r\n"), SMTP_BODY_OK, 0},
	{LIT("\xea\xb9\x80\xff\r\n.\r\n"), LIT("\xea\xb9\x80\xff\r\n"), SMTP_BODY_OK, 9},
	// no end, and a fault
	{LIT("a\n.\nb\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 10},
	{LIT("a\n.\r\nMAIL\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 14},
	{LIT("a\r.\rb\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 10},
	{LIT("a\r\n.\nb\r\n.\r\n"), LIT("a\r\n"), SMTP_BODY_BARE, 11},
	{LIT("a\r\n.\rb\r\n.\r\n"), LIT("a\r\n"), SMTP_BODY_BARE, 11},
	{LIT("a\r.\r\nb\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 11},
	{LIT("a\r\r\nb\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 10},
	{LIT("a\r\r\n.\r\nMAIL\r\n"), LIT("a"), SMTP_BODY_BARE, 7},
	{LIT("a\n\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 7},
	{LIT("a\n\r.\r\n"), LIT("a"), SMTP_BODY_BARE, 0},
	{LIT("a\r\n.\r\r\nb\r\n.\r\n"), LIT("a\r\n"), SMTP_BODY_BARE, 13},
	{LIT("a\r\n..\n\r\n.\r\n"), LIT("a\r\n."), SMTP_BODY_BARE, 11},
	{LIT("\n.\r\n"), LIT(""), SMTP_BODY_BARE, 0},
	{LIT("\r.\r\n"), LIT(""), SMTP_BODY_BARE, 0},
	{LIT("a\0b\r\n.\r\n"), LIT("a"), SMTP_BODY_NUL, 8},
	{LIT("\0\r\n.\r\n"), LIT(""), SMTP_BODY_NUL, 6},
	{LIT("a\r\n.\0\r\n.\r\n"), LIT("a\r\n"), SMTP_BODY_NUL, 10},
	{LIT("a\r\0\n\r\n.\r\n"), LIT("a"), SMTP_BODY_BARE, 9},
	{LIT("a\r\n.\r\n\0\n\r"), LIT("a\r\n"), SMTP_BODY_OK, 6},
	// bounds; the first fault is the one told
	{LIT("12345678901234567890\r\n.\r\n"), LIT("12345678901234567890\r\n"), SMTP_BODY_OK, 25},
	{LIT(".12345678901234567890\r\n.\r\n"), LIT("12345678901234567890\r\n"), SMTP_BODY_OK, 26},
	{LIT("123456789012345678901\r\n.\r\n"), LIT("12345678901234567890"), SMTP_BODY_LONG_LINE,
		26},
	{LIT("123456789012345678901\n\r\n.\r\n"), LIT("12345678901234567890"), SMTP_BODY_LONG_LINE,
		27},
	{LIT("1234567890\n12345678901\r\n.\r\n"), LIT("1234567890"), SMTP_BODY_BARE, 27},
	{LIT("123456789012345678\r\n123456789012345678\r\n123456789012345678\r\n.\r\n"),
		LIT("123456789012345678\r\n123456789012345678\r\n123456789012345678\r\n"),
		SMTP_BODY_OK, 63},
	{LIT("123456789012345678\r\n123456789012345678\r\n123456789012345678\r\nx\r\n.\r\n"),
		LIT("123456789012345678\r\n123456789012345678\r\n123456789012345678\r\n"),
		SMTP_BODY_TOO_LARGE, 66},
	{LIT("123456789012345678\r\n123456789012345678\r\n1234567890123456789\r\nx\n\r\n.\r\n"),
		LIT("123456789012345678\r\n123456789012345678\r\n1234567890123456789\r"),
		SMTP_BODY_TOO_LARGE, 68},
};

static void collect(void *arg, struct str octets)
{
	assert_true(octets.len > 0);
	buf_add_str(arg, octets);
}

static void decode(size_t row, size_t step)
{
	struct smtp_limits limits = LIMITS;
	struct str input = rows[row].input;
	struct buf out = BUF_INIT;
	struct smtp_data d;
	size_t from = 0, used;
	bool ended = false;

	smtp_data_init(&d);
	while (from < input.len && !ended) {
		size_t len = input.len - from < step ? input.len - from : step;
		char *piece = malloc(len); // at the end of its memory

		memcpy(piece, input.data + from, len);
		ended = smtp_data_read(&d, str_make(piece, len), &limits, collect, &out, &used);
		assert_true(used <= len && (ended || used == len));
		from += used;
		free(piece);
	}
	if (!str_equal(buf_str(&out), rows[row].output) || d.fault != rows[row].fault)
		fail_msg("row %zu step %zu: fault %d, %.*s", row, step, d.fault,
			STR_ARG(buf_str(&out)));
	assert_int_equal(ended ? from : 0, rows[row].used);
	assert_int_equal(d.size, rows[row].output.len);
	buf_finish(&out);
}

static void test_data(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t step = 1; step <= rows[i].input.len; step++)
			decode(i, step);
}

static void test_data_takes_nothing(void **state)
{
	struct smtp_limits limits = LIMITS;
	struct smtp_data d;
	size_t used = 9;

	smtp_data_init(&d);
	assert_false(smtp_data_read(&d, STR(""), &limits, collect, NULL, &used));
	assert_int_equal(used, 0);
}

static void test_chunks(void **state)
{
	static const struct {
		struct str body;
		enum smtp_body_fault fault;
		bool tail;
	} chunks[] = {
		{LIT(""), SMTP_BODY_OK, false},
		{LIT("a\r\n"), SMTP_BODY_OK, false},
		{LIT("a\r\n.\r\nb\r\n"), SMTP_BODY_OK, false},
		{LIT("a"), SMTP_BODY_OK, true},
		{LIT("a\r\n."), SMTP_BODY_OK, true},
		{LIT("\r\n"), SMTP_BODY_OK, false},
		{LIT("a\nb\r\n"), SMTP_BODY_BARE, false},
		{LIT("\n"), SMTP_BODY_BARE, false},
		{LIT("a\rb\r\n"), SMTP_BODY_BARE, false},
		{LIT("a\r\r\n"), SMTP_BODY_BARE, false},
		{LIT("a\r"), SMTP_BODY_BARE, false},
		{LIT("\r"), SMTP_BODY_BARE, false},
		{LIT("a\0\r\n"), SMTP_BODY_NUL, false},
		{LIT("a\r\0"), SMTP_BODY_BARE, false},
		{LIT("12345678901234567890\r\n"), SMTP_BODY_OK, false},
		{LIT("123456789012345678901\r\n"), SMTP_BODY_LONG_LINE, false},
		{LIT("123456789012345678\r\n123456789012345678\r\n123456789012345678\r\n"),
			SMTP_BODY_OK, false},
		{LIT("123456789012345678\r\n123456789012345678\r\n1234567890123456789\r\n\n"),
			SMTP_BODY_TOO_LARGE, false},
	};
	struct smtp_limits limits = LIMITS;

	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		for (size_t step = 1; step <= chunks[i].body.len + 1; step++) {
			struct smtp_chunks c;
			struct str tail;

			smtp_chunks_init(&c);
			for (size_t at = 0; at < chunks[i].body.len; at += step) {
				smtp_chunks_check(
					&c, str_slice(chunks[i].body, at, at + step), &limits);
				smtp_chunks_check(&c, STR_EMPTY, &limits);
			}
			smtp_chunks_end(&c, &tail);
			if (c.fault != chunks[i].fault)
				fail_msg("row %zu step %zu: %d", i, step, c.fault);
			assert_int_equal(c.size, chunks[i].body.len);
			assert_int_equal(tail.len, chunks[i].tail ? 2 : 0);
		}
	}
}

static void test_stuff(void **state)
{
	static const struct {
		struct str body;
		const char *wire; // NULL: refused
	} stuff[] = {
		{LIT(""), ".\r\n"},
		{LIT("a\r\n"), "a\r\n.\r\n"},
		{LIT("a"), "a\r\n.\r\n"},
		{LIT(".\r\n"), "..\r\n.\r\n"},
		{LIT("."), "..\r\n.\r\n"},
		{LIT("a.\r\n.b\r\n..c\r\n\r\n.\r\n"), "a.\r\n..b\r\n...c\r\n\r\n..\r\n.\r\n"},
		{LIT("\r\n"), "\r\n.\r\n"},
		{LIT("a\n"), NULL},
		{LIT("\n"), NULL},
		{LIT("a\r"), NULL},
		{LIT("a\r\r\n"), NULL},
		{LIT("a\r.\r\n"), NULL},
		{LIT("a\r\n\n.\r\n"), NULL},
		{LIT(".\n"), NULL},
		{LIT("a\n.\r\n"), NULL},
		{LIT("a\r\nb\rc"), NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(stuff); i++) {
		for (size_t step = 1; step <= stuff[i].body.len + 1; step++) {
			struct buf out = BUF_INIT;
			struct smtp_stuff s;
			int err = 0;

			smtp_stuff_init(&s);
			for (size_t at = 0; at < stuff[i].body.len && !err; at += step) {
				err = smtp_stuff_write(
					&s, str_slice(stuff[i].body, at, at + step), &out);
				if (!err)
					err = smtp_stuff_write(&s, STR_EMPTY, &out);
			}
			// Nothing was put out so far that a bare CR or LF is in.
			for (size_t k = 0; k < buf_len(&out); k++) {
				if (out.data[k] == '\n')
					assert_true(k > 0 && out.data[k - 1] == '\r');
				if (out.data[k] == '\r')
					assert_true(
						k + 1 < buf_len(&out) && out.data[k + 1] == '\n');
			}
			if (!err)
				err = smtp_stuff_end(&s, &out);
			assert_int_equal(err, stuff[i].wire ? 0 : ERR_SYNTAX);
			if (!err)
				assert_string_equal(buf_cstr(&out), stuff[i].wire);
			buf_finish(&out);
		}
	}
}

static void test_stuff_bound(void **state)
{
	struct buf out = {.limit = 8};
	struct smtp_stuff s;

	smtp_stuff_init(&s);
	assert_int_equal(smtp_stuff_write(&s, STR("0123456789"), &out), ERR_LIMIT);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_data_takes_nothing),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_stuff),
		cmocka_unit_test(test_stuff_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
