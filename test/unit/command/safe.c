// SPDX-License-Identifier: ISC
#include "command/safe.h"

#include "base/memory.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void what_moves_a_terminal_is_shown_as_a_question(void **state)
{
	static const struct {
		const char *text, *line, *lines; // as one line, and where lines stay
	} rows[] = {
		{"", "", ""},
		{"plain text ~!\"\\", "plain text ~!\"\\", "plain text ~!\"\\"},
		{"한글 ｗ é 😀", "한글 ｗ é 😀", "한글 ｗ é 😀"},
		{"\x1b[31mred", "?[31mred", "?[31mred"},
		{"a\nb\tc", "a?b?c", "a\nb\tc"},
		{"a\r\nb\rc\r", "a??b?c?", "a\nb?c?"},
		{"\x7f\x01\x1f", "???", "???"},
		{"a\xc2\x9b" "31mb\xc2\x85", "a?31mb?", "a?31mb?"}, // C1 controls
		{"\xc2\xa0", "\xc2\xa0", "\xc2\xa0"},
		{"\xe2\x80\xaeright\xe2\x81\xa6", "?right?", "?right?"}, // direction
		{"\xe2\x80\x99\xe2\x82\xac", "\xe2\x80\x99\xe2\x82\xac", "\xe2\x80\x99\xe2\x82\xac"},
		{"\xe2", "\xe2", "\xe2"}, // cut: nothing behind it is read
		{"\xe2\x80", "\xe2\x80", "\xe2\x80"},
		{"\xc2", "\xc2", "\xc2"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *line = safe_text(rows[i].text, false), *lines = safe_text(rows[i].text, true);
		assert_string_equal(line, rows[i].line);
		assert_string_equal(lines, rows[i].lines);
		mem_free(line);
		mem_free(lines);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_moves_a_terminal_is_shown_as_a_question),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
