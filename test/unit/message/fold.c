// SPDX-License-Identifier: ISC
#include "message/fold.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct buf out;

static void expect(const char *text)
{
	assert_string_equal(buf_cstr(&out), text);
	buf_clear(&out);
}

static void test_field(void **state)
{
	struct fold f;

	fold_field(&f, &out, "Subject", false);
	fold_text(&f, STR("  one\ttwo\r\n three "));
	assert_int_equal(fold_end(&f), 0);
	expect("Subject: one two three\r\n");

	// 78 octets stay on the line, 79 do not.
	fold_field(&f, &out, "Subject", false);
	fold_text(
		&f, STR("0123456789012345678901234567890123456789012345678901234567890 23456789"));
	fold_end(&f);
	expect("Subject: 0123456789012345678901234567890123456789012345678901234567890\r\n"
	       "\t23456789\r\n");
	fold_field(&f, &out, "Subject", false);
	fold_text(&f, STR("012345678901234567890123456789012345678901234567890123456789 23456789"));
	fold_end(&f);
	expect("Subject: 012345678901234567890123456789012345678901234567890123456789 "
	       "23456789\r\n");

	fold_field(&f, &out, "A", false);
	fold_word(&f, STR("b"));
	fold_break(&f);
	fold_word(&f, STR("c"));
	fold_word(&f, STR("d"));
	fold_end(&f);
	expect("A: b\r\n\tc d\r\n");
}

static void test_harmless(void **state)
{
	static const struct {
		const char *word;
		bool utf8;
		const char *expected;
	} cases[] = {
		{"a\r\nX: y", true, "A: a??X: y\r\n"},
		{"a\177b\033[2J", true, "A: a?b?[2J\r\n"},
		{"k\xc3\xb6ln", true, "A: k\xc3\xb6ln\r\n"},
		{"k\xc3\xb6ln", false, "A: k??ln\r\n"},
		{"k\xf6ln", true, "A: k?ln\r\n"},
		{"", true, "A: \r\n"},
	};
	struct fold f;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fold_field(&f, &out, "A", cases[i].utf8);
		fold_word(&f, str_from(cases[i].word));
		fold_end(&f);
		expect(cases[i].expected);
	}
}

static void test_long_word(void **state)
{
	char word[5000];
	struct fold f;
	struct str rest, line;
	size_t letters = 0;

	memset(word, 'x', sizeof(word));
	for (size_t i = 1; i + 2 < sizeof(word); i += 2) // two-octet letters at odd places
		memcpy(word + i, "\xc3\xa4", 2);
	fold_paragraph(&f, &out, "    ", true);
	fold_word(&f, str_make(word, sizeof(word)));
	fold_end(&f);
	rest = buf_str(&out);
	while (str_split(&rest, '\n', &line)) {
		assert_true(line.len <= 999);
		assert_true(str_is_utf8(line));
		for (size_t i = 0; i < line.len; i++)
			letters += line.data[i] == '\xc3';
	}
	assert_int_equal(letters, 2499);
	buf_clear(&out);
}

static void test_atom(void **state)
{
	static const struct {
		const char *name;
		const char *expected;
	} cases[] = {
		{"mail.example.kr", "mail.example.kr"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
		{"[", "?"},
		{"[]", "??"},
		{"[a][b]", "?a??b?"},
		{"a:b", "a?b"},
		{"a (b) by c;", "a??b??by?c?"},
		{"a\r\nb\\\"<@>,", "a??b??????"},
		{"", "unknown"},
	};
	char atom[FOLD_ATOM_MAX], name[400];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_true(str_equal(
			fold_atom(str_from(cases[i].name), atom), str_from(cases[i].expected)));
	memset(name, 'x', sizeof(name));
	assert_int_equal(fold_atom(str_make(name, sizeof(name)), atom).len, FOLD_ATOM_MAX - 1);
}

static void test_bound(void **state)
{
	struct buf small = {.limit = 10};
	struct fold f;

	fold_field(&f, &small, "Subject", false);
	fold_word(&f, STR("too long"));
	assert_int_equal(fold_end(&f), ERR_LIMIT);
	buf_finish(&small);
}

static int finish(void **state)
{
	buf_finish(&out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_long_word),
		cmocka_unit_test(test_atom),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
