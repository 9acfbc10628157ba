// SPDX-License-Identifier: ISC
#include "message/mailboxes.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WRONG "wrong"

static void note(void *arg, const struct smtp_address *a)
{
	struct buf *out = arg;

	if (buf_len(out))
		buf_add_char(out, ' ');
	buf_add_text(out, a->text);
}

static void expect(const char *value, const char *wanted)
{
	struct buf out = BUF_INIT;
	int err = mailboxes_parse(str_from(value), note, &out);
	const char *got = err ? WRONG : buf_cstr(&out);

	if (strcmp(got, wanted) != 0)
		fail_msg("%s\ngave %s, not %s", value, got, wanted);
	buf_finish(&out);
}

static void test_addresses(void **state)
{
	static const char *const cases[][2] = {
		{"kim@example.kr", "kim@example.kr"},
		{" kim@example.kr ", "kim@example.kr"},
		{"<kim@example.kr>", "kim@example.kr"},
		{"Kim <kim@example.kr>", "kim@example.kr"},
		{"Kim Lee <kim@example.kr>", "kim@example.kr"},
		{"J. Kim <kim@example.kr>", "kim@example.kr"},
		{"\"Kim, Lee\" <kim@example.kr>", "kim@example.kr"},
		{"\"Kim \\\"the\\\" Lee\" <kim@example.kr>", "kim@example.kr"},
		{"=?utf-8?B?6rmA?= <kim@example.kr>", "kim@example.kr"},
		{"\xea\xb9\x80 <kim@example.kr>", "kim@example.kr"},
		{"kim@example.kr, lee@example.kr", "kim@example.kr lee@example.kr"},
		{"Kim <kim@example.kr>,\r\n\tLee\r\n <lee@example.kr>", "kim@example.kr lee@example.kr"},
		{"kim@example.kr,,lee@example.kr,", "kim@example.kr lee@example.kr"},
		{"\r\n kim@example.kr", "kim@example.kr"},
		{"kim@EXAMPLE.kr.", "kim@example.kr"},
		{"KIM@example.kr", "KIM@example.kr"},
		{"kim@b\xc3\xbc" "cher.example", "kim@xn--bcher-kva.example"},
		{"kim@xn--bcher-kva.example", "kim@xn--bcher-kva.example"},
		{"\"kim\"@example.kr", "kim@example.kr"},
		{"\"kim lee\"@example.kr", "\"kim lee\"@example.kr"},
		{"\"kim\".\"lee\"@example.kr", "kim.lee@example.kr"},
		{"\"k\\im\"@example.kr", "kim@example.kr"},
		{"kim . lee @ example . kr", "kim.lee@example.kr"},
		{"kim (that is (really) him) @ (of) example.kr (here)", "kim@example.kr"},
		{"(ceo@example.kr) kim@example.kr", "kim@example.kr"},
		{"kim@example.kr (ceo@example.kr)", "kim@example.kr"},
		{"(a\\)b) kim@example.kr", "kim@example.kr"},
		{"kim@[192.0.2.1]", "kim@[192.0.2.1]"},
		{"\"ceo@example.kr\" <kim@example.kr>", "kim@example.kr"},
		{"<@relay.example,@b.example:kim@example.kr>", "kim@example.kr"},
		{"Staff: kim@example.kr, Lee <lee@example.kr>;", "kim@example.kr lee@example.kr"},
		{"Staff:kim@example.kr;, park@example.kr", "kim@example.kr park@example.kr"},
		{"Nobody:;", ""},
		{"\"a b\": kim@example.kr;", "kim@example.kr"},
		{"", ""},
		{" \t(nothing)", ""},
		{",", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i][0], cases[i][1]);
}

// What two readers could take for different things is taken for nothing.
static void test_wrong(void **state)
{
	static const char *const cases[] = {
		"kim", "Kim Lee", "kim@", "@example.kr", "kim@example.kr lee@example.kr", "<>", "Kim <>",
		"ceo@example.kr <kim@example.kr>", "Kim <kim@example.kr", "Kim kim@example.kr>",
		"Kim <kim@example.kr> Lee", "<kim@example.kr><lee@example.kr>", "kim@exa mple.kr",
		"kim lee@example.kr", "kim@example..kr", ".kim@example.kr", "kim.@example.kr",
		"kim..lee@example.kr", "\"kim@example.kr", "(kim@example.kr", "kim@example.kr)",
		"kim@[192.0.2.1", "a: b: kim@example.kr;;", "Staff: kim@example.kr", "kim@example.kr;",
		"kim\001@example.kr", "kim@exa\001mple.kr", "\"ki\001m\"@example.kr", "<kim@example.kr>>",
		"kim@example.kr; lee@example.kr", ":kim@example.kr;", "\"\"@example.kr", "<@a.example kim@b.kr>",
		"kim@-example.kr", "((((((((((((((((((((((((((((((((((x))))))))))))))))))))))))))))))))))k@e.kr",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.kr",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i], WRONG);
}

static void test_odd_octets(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(mailboxes_parse(STR("ki\0m@example.kr"), note, &out), ERR_SYNTAX);
	assert_int_equal(mailboxes_parse(STR("\xff\xfe <kim@example.kr>"), note, &out), 0);
	assert_int_equal(mailboxes_parse(STR("\xff@example.kr"), note, &out), ERR_SYNTAX);
	buf_finish(&out);
}

static void test_limits(void **state)
{
	struct buf many = BUF_INIT, out = BUF_INIT;

	(void)state;
	for (int i = 0; i < MAILBOXES_MAX; i++)
		buf_add_text(&many, "k@e.kr,");
	assert_int_equal(mailboxes_parse(buf_str(&many), note, &out), 0);
	buf_add_text(&many, "k@e.kr");
	assert_int_equal(mailboxes_parse(buf_str(&many), note, &out), ERR_LIMIT);
	buf_clear(&many);
	while (buf_len(&many) <= MAILBOXES_OCTETS_MAX)
		buf_add_char(&many, ' ');
	assert_int_equal(mailboxes_parse(buf_str(&many), note, &out), ERR_LIMIT);
	buf_finish(&many);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_odd_octets),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
