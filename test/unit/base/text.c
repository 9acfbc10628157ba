// SPDX-License-Identifier: ISC
#include "base/text.h"

#include "base/error.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <stdlib.h>

static const struct {
	const char *english;
	const char *korean;
} entries[] = {
#define TEXT_ENTRY(english, korean) {english, korean},
#include "base/texts.def"
#undef TEXT_ENTRY
};

// Runs first: nothing has chosen a language yet.
static void test_environment_at_first_use(void **state)
{
	setenv("LC_ALL", "ko_KR.UTF-8", 1);
	assert_string_equal(err_text(ERR_NOT_FOUND), "찾을 수 없습니다");
	// From then on it stays.
	setenv("LC_ALL", "C", 1);
	assert_string_equal(err_text(ERR_NOT_FOUND), "찾을 수 없습니다");
	text_set_language(NULL);
	assert_string_equal(err_text(ERR_NOT_FOUND), "not found");
}

static void test_languages(void **state)
{
	static const struct {
		const char *language;
		bool korean;
	} rows[] = {
		{"ko", true},
		{"ko_KR", true},
		{"ko_KR.UTF-8", true},
		{"ko_KR.utf8", true},
		{"ko-KR", true},
		{"KO", true},
		{"ko_KR.UTF-8@x", true},
		{"ko_KR.eucKR", false},
		{"kok_IN", false},
		{"en", false},
		{"en_US.UTF-8", false},
		{"C", false},
		{"C.UTF-8", false},
		{"", false},
		{"k", false},
		{"de_DE.UTF-8", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		text_set_language(rows[i].language);
		assert_string_equal(text_lookup("not found"),
			rows[i].korean ? "찾을 수 없습니다" : "not found");
	}
}

static void test_environment_order(void **state)
{
	static const struct {
		const char *all, *messages, *lang;
		bool korean;
	} rows[] = {
		{"", "", "", false},
		{"", "", "ko_KR.UTF-8", true},
		{"", "ko_KR.UTF-8", "C", true},
		{"", "C", "ko_KR.UTF-8", false},
		{"ko_KR.UTF-8", "C", "C", true},
		{"C", "ko_KR.UTF-8", "ko_KR.UTF-8", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setenv("LC_ALL", rows[i].all, 1);
		setenv("LC_MESSAGES", rows[i].messages, 1);
		setenv("LANG", rows[i].lang, 1);
		text_set_language(NULL);
		assert_string_equal(text_lookup("not found"),
			rows[i].korean ? "찾을 수 없습니다" : "not found");
	}
	unsetenv("LC_ALL");
	unsetenv("LC_MESSAGES");
	unsetenv("LANG");
	text_set_language(NULL);
	assert_string_equal(text_lookup("not found"), "not found");
}

static void test_what_is_not_there(void **state)
{
	static const char unknown[] = "a text that nobody translated";

	text_set_language("ko");
	assert_ptr_equal(text_lookup(unknown), unknown);
	assert_string_equal(text_lookup(""), "");
}

// The conversions of a format, in order and without flags: "%-5s %zu" is "s zu".
static void conversions(const char *format, char *out)
{
	for (const char *p = format; *p; p++) {
		if (*p != '%')
			continue;
		p++;
		if (*p == '%')
			continue;
		for (; *p && !strchr("diouxXeEfgGcspn", *p); p++)
			if (strchr("hlzjt*$", *p))
				*out++ = *p;
		*out++ = *p;
		*out++ = ' ';
		if (!*p)
			break;
	}
	*out = '\0';
}

static void test_table(void **state)
{
	text_set_language("ko");
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		const char *english = entries[i].english;
		const char *korean = entries[i].korean;
		char wanted[512], got[512];

		assert_true(strlen(english) < 500 && strlen(korean) < 500);
		conversions(english, wanted);
		conversions(korean, got);
		if (strcmp(wanted, got))
			fail_msg("conversions differ: \"%s\" and \"%s\"", english, korean);
		if (strcmp(text_lookup(english), korean)) // also: no English twice
			fail_msg("\"%s\" is \"%s\"", english, text_lookup(english));
		assert_true(str_is_utf8(str_from(korean)));
		assert_true(strlen(korean) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment_at_first_use),
		cmocka_unit_test(test_languages),
		cmocka_unit_test(test_environment_order),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
