// SPDX-License-Identifier: ISC
// Who a message says it is from, gathered from its fields.
#include "filter/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct config config = {.limits = {.hops = 50, .header_size = 1 << 20}};

// What was gathered: those of From:, "|", those of Sender:; or the rule of the refusal.
static void run(const char *text, size_t step, struct buf *out)
{
	struct stage_facts facts = {.config = &config, .authors = true, .sender = STR_EMPTY};
	struct stage_run *r = stage_run_create(&facts);
	struct str body = str_from(text), rest, one;
	const struct stage_result *result;
	unsigned number = 0;

	for (size_t at = 0; at < body.len; at += step)
		stage_run_octets(r, str_slice(body, at, at + step));
	result = stage_run_end(r);
	buf_clear(out);
	rest = buf_str(&result->authors);
	while (!result->code && rest.len && str_split(&rest, '\n', &one))
		buf_add_format(out, "%s%.*s", number++ == result->author_count ? "|" : number > 1 ? " " : "",
			STR_ARG(one));
	if (result->code)
		buf_add_text(out, result->rule);
	stage_run_destroy(r);
}

static const char *const cases[][2] = {
	{"From: kim@example.kr\r\n\r\nx\r\n", "kim@example.kr"},
	{"Subject: x\r\n\r\nFrom: ceo@example.kr\r\n", ""},
	{"Subject: x\r\n", ""},
	{"from:kim@example.kr\r\nFROM : lee@example.kr\r\n\r\n", "kim@example.kr lee@example.kr"},
	{"From: kim@example.kr\r\nSender: lee@example.kr\r\n\r\n", "kim@example.kr|lee@example.kr"},
	{"Sender: lee@example.kr\r\nFrom: kim@example.kr\r\n\r\n", "kim@example.kr|lee@example.kr"},
	{"Sender: lee@example.kr\r\n\r\n", "|lee@example.kr"},
	{"From:\r\n Kim\r\n\t<kim@example.kr>\r\n\r\n", "kim@example.kr"},
	{"X-From: ceo@example.kr\r\nFrom: kim@example.kr\r\n\r\n", "kim@example.kr"},
	{"From: a@x.kr, b@x.kr\r\nFrom: c@x.kr\r\nSender: d@x.kr\r\n\r\n", "a@x.kr b@x.kr c@x.kr|d@x.kr"},
	{"From: kim\r\n\r\n", "header-from"},
	{"From:\r\n\r\n", "header-from"},
	{"From: nobody:;\r\n\r\n", "header-from"},
	{"From: kim@example.kr\r\nFrom: ceo@example.kr <kim@example.kr>\r\n\r\n", "header-from"},
	{"From: kim@example.kr\r\nSender: <>\r\n\r\n", "header-from"},
};

static void test_gathering(void **state)
{
	static const size_t steps[] = {1, 3, 7, 4096};
	struct buf out = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
			run(cases[i][0], steps[k], &out);
			assert_string_equal(buf_cstr(&out), cases[i][1]);
		}
	buf_finish(&out);
}

static void test_limits(void **state)
{
	struct buf message = BUF_INIT, out = BUF_INIT;

	(void)state;
	buf_add_text(&message, "From: k@e.kr");
	for (int i = 1; i < STAGE_AUTHORS_MAX; i++)
		buf_add_format(&message, ",\r\n k%d@e.kr", i);
	buf_add_text(&message, "\r\n\r\n");
	run(buf_cstr(&message), 1000, &out);
	assert_string_not_equal(buf_cstr(&out), "header-from");
	buf_clear(&message);
	buf_add_text(&message, "From: k@e.kr");
	for (int i = 0; i < STAGE_AUTHORS_MAX; i++)
		buf_add_format(&message, ",\r\n k%d@e.kr", i);
	buf_add_text(&message, "\r\n\r\n");
	run(buf_cstr(&message), 1000, &out);
	assert_string_equal(buf_cstr(&out), "header-from");
	// One that is longer than what is kept: its end was not seen.
	buf_clear(&message);
	buf_add_text(&message, "From: k@e.kr");
	for (int i = 0; i < 40000; i++)
		buf_add_char(&message, ' ');
	buf_add_text(&message, ", ceo@e.kr\r\n\r\n");
	run(buf_cstr(&message), 1000, &out);
	assert_string_equal(buf_cstr(&out), "header-from");
	buf_finish(&message);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gathering),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
