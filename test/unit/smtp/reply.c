// SPDX-License-Identifier: ISC
// Replies written and read.
#include "smtp/reply.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

// STR() for a constant table.
#define LIT(literal)                                                                               \
	{                                                                                          \
		"" literal, sizeof(literal) - 1                                                    \
	}

static void test_write(void **state)
{
	static const struct {
		unsigned code;
		const char *enhanced;
		const char *text;
		const char *expected;
	} rows[] = {
		{250, "2.1.0", "sender ok", "250 2.1.0 sender ok\r\n"},
		{354, "", "go on", "354 go on\r\n"},
		{250, "2.0.0", "", "250 2.0.0 \r\n"},
		{550, "5.7.1", "no <a\r\nb>", "550 5.7.1 no <a??b>\r\n"},
		{550, "5.7.1", "no \x1b[1m\x7f\t", "550 5.7.1 no ?[1m??\r\n"},
		{550, "5.1.1", "김 \xff\xc2\x85 \xea\xb9", "550 5.1.1 김 ??? ??\r\n"},
	};
	struct buf out = BUF_INIT;
	struct smtp_reply r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		smtp_reply_set(&r, rows[i].code, rows[i].enhanced, "%s", rows[i].text);
		assert_int_equal(smtp_reply_write(&out, &r), 0);
		assert_string_equal(buf_cstr(&out), rows[i].expected);
		buf_clear(&out);
	}
	buf_finish(&out);
}

static void test_write_bounds(void **state)
{
	struct buf out = BUF_INIT;
	struct smtp_reply r;
	char longest[2000];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	smtp_reply_set(&r, 550, "5.123.123", "%s", longest);
	assert_int_equal(smtp_reply_write(&out, &r), 0);
	assert_true(buf_len(&out) > SMTP_REPLY_TEXT_MAX && buf_len(&out) <= 512);
	buf_clear(&out);
	out.limit = 10;
	assert_int_equal(smtp_reply_write(&out, &r), ERR_LIMIT);
	assert_int_equal(buf_len(&out), 0);
	buf_finish(&out);
}

#define LIMITS ((struct smtp_limits){.reply_lines = 4, .reply_line = 30})

static const struct {
	struct str input;
	const char *expected; // "code enhanced text|" for each reply, then what is left
} rows[] = {
	{LIT(""), ""},
	{LIT("220 mx.example.kr ESMTP\r\n"), "220  mx.example.kr ESMTP|"},
	{LIT("250\r\n"), "250  |"},
	{LIT("250 \r\n"), "250  |"},
	{LIT("250 2.1.5 ok\r\n"), "250 2.1.5 ok|"},
	{LIT("250 2.1.5\r\n"), "250 2.1.5 |"},
	{LIT("250 5.1.5 ok\r\n"), "250  5.1.5 ok|"},
	{LIT("550 5.1.5x ok\r\n"), "550  5.1.5x ok|"},
	{LIT("550 5.1234.1 ok\r\n"), "550  5.1234.1 ok|"},
	{LIT("550 5.123.123 ok\r\n"), "550 5.123.123 ok|"},
	{LIT("550 5..1 ok\r\n"), "550  5..1 ok|"},
	{LIT("250-a\r\n250-SIZE 10\r\n250 c\r\n"), "250  a\nSIZE 10\nc|"},
	{LIT("550-5.7.1 a\r\n550 5.7.2 b\r\n"), "550 5.7.2 a\nb|"},
	{LIT("550-5.7.1 a\r\n550 b\r\n"), "550  a\nb|"},
	{LIT("250-a\r\n550 b\r\n"), "550  a\nb|"},
	{LIT("250 a\n354 b\n"), "250  a|354  b|"},
	{LIT("250 a\r\n354 b\r\n250 c\r\n"), "250  a|354  b|250  c|"},
	{LIT("250-a\r\n250-b\r\n250-c\r\n250 d\r\n"), "250  a\nb\nc\nd|"},
	{LIT("250-a\r\n250-b\r\n250-c\r\n250-d\r\n250 e\r\n"), "!"},
	{LIT("250 345678901234567890123456\r\n"), "250  345678901234567890123456|"},
	{LIT("250 3456789012345678901234567\r\n"), "!"},
	{LIT("250 345678901234567890123456789012345678901234567890"), "!"},
	{LIT("hello\r\n"), "!"},
	{LIT("\r\n"), "!"},
	{LIT("25\r\n"), "!"},
	{LIT("2500 a\r\n"), "!"},
	{LIT("250_a\r\n"), "!"},
	{LIT("150 a\r\n"), "!"},
	{LIT("650 a\r\n"), "!"},
	{LIT("2a0 a\r\n"), "!"},
	{LIT("HTTP/1.1 400 Bad\r\n"), "!"},
	{LIT("220-a\r\n\r\n220 b\r\n"), "!"},
};

static void feed(struct str input, size_t step, char *trace)
{
	struct smtp_limits limits = LIMITS;
	struct smtp_reply_reader reader = {0};
	size_t from = 0, to = 0, used;
	enum smtp_reply_status status = SMTP_REPLY_MORE;

	*trace = '\0';
	while (to < input.len && status != SMTP_REPLY_BROKEN) {
		to = to + step < input.len ? to + step : input.len;
		do {
			status = smtp_reply_read(
				&reader, str_slice(input, from, to), &limits, &used);
			from += used;
			if (status == SMTP_REPLY_READY)
				trace += sprintf(trace, "%u %s %s|", reader.reply.code,
					reader.reply.enhanced, buf_cstr(&reader.reply.text));
			if (status == SMTP_REPLY_BROKEN)
				trace += sprintf(trace, "!");
		} while (status == SMTP_REPLY_READY && from < to);
		assert_true(from <= to);
	}
	smtp_reply_reader_finish(&reader);
}

static void test_read(void **state)
{
	char trace[400];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t step = 1; step <= rows[i].input.len + 1; step++) {
			feed(rows[i].input, step, trace);
			assert_string_equal(trace, rows[i].expected);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_bounds),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
