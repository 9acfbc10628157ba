// SPDX-License-Identifier: ISC
#include "message/warning.h"

#include "base/error.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static struct warning simple(void)
{
	return (struct warning){.to = STR("kim@example.kr"), .from = STR("postmaster@example.kr"),
		.hostname = STR("mail.example.kr"), .id = 1, .wall_ms = 1795338256000,
		.limits = {.octets = 1 << 30, .octets_soft = 900 << 20},
		.usage = {.octets = 950 << 20, .messages = 77}};
}

static bool has(const struct buf *text, const char *words)
{
	return str_search(buf_str(text), str_from(words)) >= 0;
}

static void test_what_it_says(void **state)
{
	struct buf text = BUF_INIT;
	struct warning w = simple();
	assert_int_equal(warning_write(&text, &w), 0);
	assert_true(has(&text, "From: Mail system <postmaster@example.kr>\r\n"));
	assert_true(has(&text, "To: <kim@example.kr>\r\n"));
	assert_true(has(&text, "Subject: Your mailbox is nearly full\r\n"));
	assert_true(has(&text, "@mail.example.kr>\r\n"));
	assert_true(has(&text, "Auto-Submitted: auto-generated\r\n"));
	assert_true(has(&text, "950M of 1.0G.") || has(&text, "950M of 1G."));
	assert_false(has(&text, "messages of"));
	assert_true(has(&text, "When it is full"));
	buf_clear(&text);
	w.limits = (struct quota_limits){.messages_soft = 70};
	assert_int_equal(warning_write(&text, &w), 0);
	assert_true(has(&text, "77 messages."));
	assert_false(has(&text, "When it is full")); // it never is
	buf_finish(&text);
}

// Every line ends in CRLF and is short, whatever the addresses are.
static void check_lines(struct str text)
{
	struct str line;
	while (text.len && str_split(&text, '\n', &line)) {
		assert_true(line.len && line.data[line.len - 1] == '\r');
		assert_true(line.len <= 998);
		assert_true(str_find(str_slice(line, 0, line.len - 1), '\r') < 0);
	}
}

static void test_every_language_and_address(void **state)
{
	static const char *const languages[] = {"en", "ko"};
	char longest[600];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	const struct str addresses[] = {STR("kim@example.kr"), STR("김@example.kr"), str_from(longest),
		STR("a\r\nBcc: b@example.org")};
	for (size_t l = 0; l < ARRAY_SIZE(languages); l++) {
		text_set_language(languages[l]);
		for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
			struct buf text = BUF_INIT;
			struct warning w = simple();
			w.to = addresses[i];
			assert_int_equal(warning_write(&text, &w), 0);
			check_lines(buf_str(&text));
			assert_true(str_is_utf8(buf_str(&text)));
			assert_false(has(&text, "\nBcc:"));
			buf_finish(&text);
		}
	}
	text_set_language("en");
}

static void test_too_little_room(void **state)
{
	struct buf text = {.limit = 100};
	struct warning w = simple();
	assert_int_equal(warning_write(&text, &w), ERR_LIMIT);
	assert_int_equal(buf_len(&text), 0);
	buf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_says),
		cmocka_unit_test(test_every_language_and_address),
		cmocka_unit_test(test_too_little_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
