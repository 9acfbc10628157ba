// SPDX-License-Identifier: ISC
#include "message/trace.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define WALL 1795309200000ULL // Sun, 22 Nov 2026 01:00:00 UTC
#define ID   12345678901234ULL

static struct buf out;

static void expect(const char *text)
{
	assert_string_equal(buf_cstr(&out), text);
	buf_clear(&out);
}

static struct trace_received base_facts(void)
{
	struct trace_received t = {
		.helo = STR("laptop.example.kr"),
		.reverse = STR("host-1.example.net"),
		.hostname = STR("mail.example.kr"),
		.esmtp = true,
		.id = ID,
		.wall_ms = WALL,
	};

	ipaddr_parse(STR("192.0.2.1"), &t.client);
	return t;
}

// The text expected before and behind the id.
static void expect_received(const struct trace_received *t, const char *before, const char *behind)
{
	struct buf expected = BUF_INIT;
	char id[ID_TEXT_MAX];

	assert_int_equal(trace_add_received(&out, t), 0);
	buf_add_format(&expected, "%s%s%s", before, id_format(t->id, id), behind);
	expect(buf_cstr(&expected));
	buf_finish(&expected);
}

static void test_received(void **state)
{
	struct trace_received t = base_facts();

	expect_received(&t,
		"Received: from laptop.example.kr (host-1.example.net [192.0.2.1])\r\n"
		"\tby mail.example.kr with ESMTP id ",
		";\r\n"
		"\tSun, 22 Nov 2026 10:00:00 +0900\r\n");
	t.tls = t.auth = true;
	t.tls_version = STR("TLSv1.3");
	t.tls_cipher = STR("TLS_AES_256_GCM_SHA384");
	t.tls_bits = 256;
	t.recipient = STR("kim@example.kr");
	t.reverse = STR_EMPTY;
	ipaddr_parse(STR("2001:db8::1"), &t.client);
	expect_received(&t,
		"Received: from laptop.example.kr ([IPv6:2001:db8::1])\r\n"
		"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits))\r\n"
		"\tby mail.example.kr with ESMTPSA id ",
		"\r\n"
		"\tfor <kim@example.kr>; Sun, 22 Nov 2026 10:00:00 +0900\r\n");
	t = base_facts();
	t.client.family = 0;
	t.esmtp = false;
	expect_received(&t,
		"Received: from laptop.example.kr\r\n"
		"\tby mail.example.kr with SMTP id ",
		";\r\n"
		"\tSun, 22 Nov 2026 10:00:00 +0900\r\n");
}

// RFC 3848, RFC 6531 4.3.
static void test_protocols(void **state)
{
	static const struct {
		bool esmtp, tls, auth, utf8;
		const char *expected;
	} cases[] = {
		{false, false, false, false, "with SMTP id"},
		{true, false, false, false, "with ESMTP id"},
		{true, true, false, false, "with ESMTPS id"},
		{true, false, true, false, "with ESMTPA id"},
		{true, true, true, false, "with ESMTPSA id"},
		{true, false, false, true, "with UTF8SMTP id"},
		{true, true, false, true, "with UTF8SMTPS id"},
		{true, false, true, true, "with UTF8SMTPA id"},
		{true, true, true, true, "with UTF8SMTPSA id"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct trace_received t = base_facts();

		t.esmtp = cases[i].esmtp;
		t.tls = cases[i].tls;
		t.auth = cases[i].auth;
		t.utf8 = cases[i].utf8;
		assert_int_equal(trace_add_received(&out, &t), 0);
		assert_non_null(strstr(buf_cstr(&out), cases[i].expected));
		buf_clear(&out);
	}
}

// Nothing a client says becomes a line, a clause or a comment of its own.
static void test_hostile(void **state)
{
	struct trace_received t = base_facts();
	char text[300];

	t.client.family = 0;
	t.helo = STR("a\r\nBcc: x");
	expect_received(&t,
		"Received: from a??Bcc??x\r\n"
		"\tby mail.example.kr with ESMTP id ",
		";\r\n"
		"\tSun, 22 Nov 2026 10:00:00 +0900\r\n");
	t.helo = STR("good.example(by");
	t.recipient = STR("a@b>;\r\nX: <y");
	expect_received(&t,
		"Received: from good.example?by\r\n"
		"\tby mail.example.kr with ESMTP id ",
		"\r\n"
		"\tfor <a@b>;??X: <y>; Sun, 22 Nov 2026 10:00:00 +0900\r\n");
	t = base_facts();
	memset(text, 'h', sizeof(text));
	t.helo = str_make(text, 255);
	t.reverse = str_make(text, 253);
	t.tls = true;
	t.tls_version = str_make(text, sizeof(text));
	assert_int_equal(trace_add_received(&out, &t), 0);
	for (struct str rest = buf_str(&out), line; str_split(&rest, '\n', &line);)
		assert_true(line.len < 400);
	buf_clear(&out);
}

static void test_utf8(void **state)
{
	struct trace_received t = base_facts();

	t.recipient = STR("\xea\xb9\x80@example.kr");
	t.utf8 = true;
	trace_add_received(&out, &t);
	assert_non_null(strstr(buf_cstr(&out), "for <\xea\xb9\x80@example.kr>;"));
	buf_clear(&out);
	t.utf8 = false;
	trace_add_received(&out, &t);
	assert_non_null(strstr(buf_cstr(&out), "for <???@example.kr>;"));
	buf_clear(&out);
}

static void test_small_fields(void **state)
{
	struct str first;
	struct buf second = BUF_INIT;

	trace_add_date(&out, WALL);
	expect("Date: Sun, 22 Nov 2026 10:00:00 +0900\r\n");
	trace_add_delivered_to(&out, STR("kim@example.kr"));
	expect("Delivered-To: kim@example.kr\r\n");
	trace_add_delivered_to(&out, STR("a\r\nX: y@example.kr"));
	expect("Delivered-To: a??X: y@example.kr\r\n");
	trace_add_return_path(&out, STR_EMPTY);
	expect("Return-Path: <>\r\n");
	trace_add_return_path(&out, STR("\"a b\"@example.kr"));
	expect("Return-Path: <\"a b\"@example.kr>\r\n");

	trace_add_message_id(&out, ID, STR("mail.example.kr"));
	trace_add_message_id(&second, ID, STR("mail.example.kr"));
	first = buf_str(&out);
	assert_true(str_starts(first, STR("Message-ID: <")));
	assert_true(str_ends_nocase(first, STR("@mail.example.kr>\r\n")));
	assert_false(str_equal(first, buf_str(&second)));
	buf_clear(&out);
	buf_finish(&second);
}

// A bound that is reached leaves no half field.
static void test_bound(void **state)
{
	struct trace_received t = base_facts();
	size_t whole;

	t.recipient = STR("kim@example.kr");
	trace_add_received(&out, &t);
	whole = buf_len(&out);
	buf_clear(&out);
	for (size_t limit = 5; limit <= whole + 4; limit++) {
		struct buf b = {.limit = limit};

		buf_add_text(&b, "A:b\r\n");
		assert_int_equal(trace_add_received(&b, &t), ERR_LIMIT);
		assert_true(str_equal(buf_str(&b), STR("A:b\r\n")));
		buf_finish(&b);
	}
}

static int setup(void **state)
{
	setenv("TZ", "KST-9", 1);
	tzset();
	clock_prepare();
	return 0;
}

static int finish(void **state)
{
	buf_finish(&out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_small_fields),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, setup, finish);
}
