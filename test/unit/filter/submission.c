// SPDX-License-Identifier: ISC
#include "filter/stage.h"

#include "message/edit.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define WALL 1795309200000ULL // Sun, 22 Nov 2026 01:00:00 UTC
#define DATE "Date: Sun, 22 Nov 2026 10:00:00 +0900\r\n"

static struct config config;

// The message as it would be sent, with a generated Message-ID shown as "<ID>".
static void render_sent(const struct stage_result *result, struct str body, struct buf *out)
{
	struct render r;
	struct str literal;
	uint64_t offset, len;
	struct buf whole = BUF_INIT;
	ptrdiff_t at;

	assert_int_equal(
		render_init(&r, buf_str(&result->fields), buf_str(&result->edits), body.len), 0);
	while (render_next(&r, &literal, &offset, &len)) {
		buf_add_str(&whole, literal);
		buf_add_str(&whole, str_slice(body, offset, offset + len));
		render_advance(&r, len);
	}
	at = str_search(buf_str(&result->fields), STR("Message-ID: <"));
	if (at >= 0) {
		struct str rest = str_skip(buf_str(&result->fields), (size_t)at);
		size_t id_len = (size_t)str_find(rest, '\r');

		assert_true(str_ends_nocase(str_slice(rest, 0, id_len), STR("@mail.example.kr>")));
		buf_add_str(out, str_slice(buf_str(&whole), 0, (size_t)at));
		buf_add_text(out, "Message-ID: <ID>");
		buf_add_str(out, str_skip(buf_str(&whole), (size_t)at + id_len));
	} else {
		buf_add_str(out, buf_str(&whole));
	}
	buf_finish(&whole);
}

static void run(const char *text, const char *expected, size_t step)
{
	struct stage_facts facts = {
		.config = &config, .submission = true, .id = 4711, .wall_ms = WALL};
	struct stage_run *r = stage_run_create(&facts);
	struct str body = str_from(text);
	const struct stage_result *result;
	struct buf sent = BUF_INIT;

	for (size_t at = 0; at < body.len; at += step)
		stage_run_octets(r, str_slice(body, at, at + step));
	result = stage_run_end(r);
	assert_int_equal(result->code, 0);
	render_sent(result, body, &sent);
	assert_string_equal(buf_cstr(&sent), expected);
	buf_finish(&sent);
	stage_run_destroy(r);
}

static const struct {
	const char *body;
	const char *sent;
} cases[] = {
	// Nothing to mend.
	{"Date: x\r\nMessage-ID: <1@x>\r\n\r\ntext\r\n",
		"Date: x\r\nMessage-ID: <1@x>\r\n\r\ntext\r\n"},
	{"DATE: x\r\nmessage-id: <1@x>\r\n\r\ntext\r\n",
		"DATE: x\r\nmessage-id: <1@x>\r\n\r\ntext\r\n"},
	// One or both are missing; what stands in the text does not count.
	{"Message-ID: <1@x>\r\n\r\nDate: x\r\n", DATE "Message-ID: <1@x>\r\n\r\nDate: x\r\n"},
	{"Date: x\r\n\r\ntext\r\n", "Message-ID: <ID>\r\nDate: x\r\n\r\ntext\r\n"},
	{"To: a@b\r\n\r\ntext\r\n", DATE "Message-ID: <ID>\r\nTo: a@b\r\n\r\ntext\r\n"},
	{"\r\ntext\r\n", DATE "Message-ID: <ID>\r\n\r\ntext\r\n"},
	{"", DATE "Message-ID: <ID>\r\n"},
	// Blind copies, folded, several, next to each other, last, all there is.
	{"Date: x\r\nBcc: a@b,\r\n c@d\r\nMessage-ID: <1@x>\r\n\r\nBcc: text\r\n",
		"Date: x\r\nMessage-ID: <1@x>\r\n\r\nBcc: text\r\n"},
	{"bcc: a\r\nBCC : b\r\nDate: x\r\nResent-Bcc: c\r\nMessage-ID: "
	 "<1@x>\r\nBcc:\r\n\r\ntext\r\n",
		"Date: x\r\nMessage-ID: <1@x>\r\n\r\ntext\r\n"},
	{"Bcc: a\r\n", DATE "Message-ID: <ID>\r\n"},
	{"Date: x\r\nMessage-ID: <1@x>\r\nBcc: a", "Date: x\r\nMessage-ID: <1@x>\r\n"},
	{"Date: x\r\nMessage-ID: <1@x>\r\nX-Bcc: a\r\n\r\n",
		"Date: x\r\nMessage-ID: <1@x>\r\nX-Bcc: a\r\n\r\n"},
	// No empty line in front of the text.
	{"hello\r\n", DATE "Message-ID: <ID>\r\n\r\nhello\r\n"},
	{"Date: x\r\nBcc: a\r\nhello world\r\nBcc: b\r\n",
		"Message-ID: <ID>\r\nDate: x\r\n\r\nhello world\r\nBcc: b\r\n"},
};

static void test_table(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run(cases[i].body, cases[i].sent, 1);
		run(cases[i].body, cases[i].sent, 5);
		run(cases[i].body, cases[i].sent, strlen(cases[i].body) + 1);
	}
}

// Mail that was not submitted here is left alone.
static void test_not_submission(void **state)
{
	struct stage_facts facts = {.config = &config};
	struct stage_run *r = stage_run_create(&facts);
	const struct stage_result *result;

	stage_run_octets(r, STR("Bcc: a\r\nhello\r\n"));
	result = stage_run_end(r);
	assert_int_equal(result->code, 0);
	assert_int_equal(buf_len(&result->fields), 0);
	assert_int_equal(buf_len(&result->edits), 0);
	stage_run_destroy(r);
}

// Edits are bounded; neighbours need only one.
static void test_bounded(void **state)
{
	struct stage_facts facts = {.config = &config, .submission = true, .wall_ms = WALL};
	struct stage_run *r = stage_run_create(&facts);
	const struct stage_result *result;

	for (int i = 0; i < 100000; i++)
		stage_run_octets(r, STR("Bcc: a\r\n"));
	result = stage_run_end(r);
	assert_int_equal(result->code, 0);
	assert_true(buf_len(&result->edits) < 100);
	stage_run_destroy(r);

	r = stage_run_create(&facts);
	for (int i = 0; i < 100000; i++)
		stage_run_octets(r, STR("Bcc: a\r\nTo: b\r\n"));
	result = stage_run_end(r);
	assert_int_equal(result->code, 552);
	assert_string_equal(result->rule, "header-size");
	assert_true(result->edits.size <= 1 << 20);
	stage_run_destroy(r);
}

static int setup(void **state)
{
	config.hostname = STR("mail.example.kr");
	config.limits.header_size = 1 << 30;
	config.limits.hops = 50;
	setenv("TZ", "KST-9", 1);
	tzset();
	clock_prepare();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_not_submission),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
