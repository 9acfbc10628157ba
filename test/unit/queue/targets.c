// SPDX-License-Identifier: ISC
// Right sides of aliases, taken apart.
#include "queue/targets.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const kinds[] = {[TARGET_ADDRESS] = "", [TARGET_PLAIN] = "plain:",
	[TARGET_DOMAIN] = "domain:", [TARGET_PROGRAM] = "program:", [TARGET_FILE] = "file:",
	[TARGET_INCLUDE] = "include:", [TARGET_WRONG] = "wrong:"};

static void expect(struct str list, const char *wanted)
{
	struct buf out = BUF_INIT;
	struct target t;
	while (queue_target_next(&list, &t))
		buf_add_format(&out, "%s[%s%.*s]", buf_len(&out) ? " " : "", kinds[t.kind], STR_ARG(t.text));
	assert_string_equal(buf_cstr(&out), wanted);
	buf_finish(&out);
}

static void parts(void **state)
{
	static const char *const cases[][2] = {
		{"kim", "[kim]"},
		{" kim ,lee@example.kr,", "[kim] [lee@example.kr]"},
		{",, ,", ""},
		{"", ""},
		{"\\kim, \"\\\\lee\"", "[plain:kim] [plain:lee]"},
		{"\"|/usr/bin/vacation -a, kim\"", "[program:/usr/bin/vacation -a, kim]"},
		{"|/bin/cat", "[program:/bin/cat]"},
		{"|\"/bin/cat -n, x\", kim", "[program:/bin/cat -n, x] [kim]"},
		{"\"|echo \\\"a, b\\\"\"", "[program:echo \"a, b\"]"},
		{"/var/mail/archive, kim", "[file:/var/mail/archive] [kim]"},
		{"\"/var/mail/a, b\"", "[file:/var/mail/a, b]"},
		{":include:/etc/list, :INCLUDE: /x", "[include:/etc/list] [include:/x]"},
		{"@example.kr", "[domain:example.kr]"},
		{"Kim <kim@example.kr>, \"Kim, Lee\" <lee@example.kr>", "[kim@example.kr] [lee@example.kr]"},
		{"\"kim lee\"@example.kr", "[\"kim lee\"@example.kr]"},
		{"\"kim\"", "[kim]"},
		{"\"kim, lee", "[\"kim, lee]"},
		{"|", "[wrong:]"}, {"\\", "[wrong:]"}, {"@", "[wrong:]"}, {"\"\"", "[wrong:]"},
		{"\"kim\" x\"", "[wrong:kim]"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(str_from(cases[i][0]), cases[i][1]);
}

static void long_parts(void **state)
{
	struct buf list = BUF_INIT;
	struct target t;
	for (int i = 0; i < TARGET_MAX; i++)
		buf_add_char(&list, 'x');
	buf_add_text(&list, ", kim");
	struct str rest = buf_str(&list);
	assert_true(queue_target_next(&rest, &t));
	assert_int_equal(t.kind, TARGET_WRONG);
	assert_int_equal(t.text.len, TARGET_MAX - 1);
	assert_true(queue_target_next(&rest, &t));
	assert_int_equal(t.kind, TARGET_ADDRESS);
	assert_false(queue_target_next(&rest, &t));
	buf_clear(&list);
	buf_add_char(&list, '"');
	for (int i = 0; i < 5 * TARGET_MAX; i++)
		buf_add_char(&list, 'x');
	buf_add_char(&list, '"');
	rest = buf_str(&list);
	assert_true(queue_target_next(&rest, &t));
	assert_int_equal(t.kind, TARGET_WRONG);
	buf_finish(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(parts), cmocka_unit_test(long_parts)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
