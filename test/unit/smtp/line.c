// SPDX-License-Identifier: ISC
// What lines come out of a stream, whole and octet by octet.
#include "smtp/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

// STR() for a constant table.
#define LIT(literal)                                                                               \
	{                                                                                          \
		"" literal, sizeof(literal) - 1                                                    \
	}

#define LIMIT	  20
#define TRACE_MAX 400

// Input, and what comes out: lines joined by '|', "!long", "!bare".
static const struct {
	struct str input;
	const char *expected;
} rows[] = {
	{LIT(""), ""},
	{LIT("QUIT\r\n"), "QUIT|"},
	{LIT("\r\n"), "|"},
	{LIT("NOOP\r\nQUIT\r\n"), "NOOP|QUIT|"},
	{LIT("NOOP\r\nQUI"), "NOOP|"},
	{LIT("NOOP\nQUIT\r\n"), "!bare|"},
	{LIT("NOOP\n"), ""}, // never an end
	{LIT("NO\rOP\r\nQUIT\r\n"), "!bare|QUIT|"},
	{LIT("NOOP\r\r\nQUIT\r\n"), "!bare|QUIT|"},
	{LIT("\nNOOP\r\nQUIT\r\n"), "!bare|QUIT|"},
	{LIT("\n\r\nQUIT\r\n"), "!bare|QUIT|"},
	{LIT("NO\0OP\r\nQUIT\r\n"), "!bare|QUIT|"},
	{LIT("123456789012345678\r\nQUIT\r\n"), "123456789012345678|QUIT|"},
	{LIT("1234567890123456789\r\nQUIT\r\n"), "!long|QUIT|"},
	{LIT("12345678901234567890\r\nQUIT\r\n"), "!long|QUIT|"},
	{LIT("12345678901234567890 and so on, far over the bound\r\nQUIT\r\n"), "!long|QUIT|"},
	{LIT("12345678901234567890\n\r\r\n\r\n"), "!long||"},
	{LIT("12345678901234567890123\rQUIT\nNOOP\r\nQUIT\r\n"), "!long|QUIT|"},
};

static void feed(struct str input, size_t step, char *trace)
{
	struct smtp_line l = {0};
	size_t from = 0, to = 0, used;
	struct str line;

	*trace = '\0';
	while (to < input.len) {
		to = to + step < input.len ? to + step : input.len;
		for (;;) {
			enum smtp_line_status status =
				smtp_line_take(&l, str_slice(input, from, to), LIMIT, &line, &used);
			from += used;
			assert_true(from <= to);
			if (status == SMTP_LINE_MORE)
				break;
			trace += sprintf(trace, "%.*s|",
				status == SMTP_LINE_READY ? (int)line.len : 5,
				status == SMTP_LINE_READY  ? line.data
				: status == SMTP_LINE_BARE ? "!bare"
							   : "!long");
		}
		assert_true(to - from < LIMIT); // what must be kept is bounded
	}
}

static void test_lines(void **state)
{
	char trace[TRACE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t step = 1; step <= rows[i].input.len + 1; step++) {
			feed(rows[i].input, step, trace);
			assert_string_equal(trace, rows[i].expected);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
