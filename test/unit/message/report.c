// SPDX-License-Identifier: ISC
#include "message/report.h"

#include "message/edit.h"

#include "base/clock.h"
#include "base/error.h"
#include "smtp/parameters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define WALL	  1795309200000ULL // Sun, 22 Nov 2026 01:00:00 UTC
#define MAX_PARTS 4

static struct buf out;
static struct envelope original;
static struct report_recipient recipient;
static struct report report;

static const char body[] = "Message-ID: <1@laptop.example.kr>\r\n"
			   "Subject: dinner on\r\n Sunday\r\n"
			   "Bcc: park@example.kr\r\n"
			   "\r\n"
			   "Are you coming?\r\n";

// A report as a mail program sees it.
static struct {
	struct str header;
	struct str parts[MAX_PARTS];
	unsigned count;
} seen;

static bool contains(struct str s, const char *text)
{
	return str_search(s, str_from(text)) >= 0;
}

// Takes the multipart apart and checks what holds of every message.
static void take_apart(void)
{
	struct str whole = buf_str(&out), rest, line;
	ptrdiff_t at;
	char delimiter[64];
	size_t len;

	for (rest = whole; str_split(&rest, '\n', &line);) {
		assert_true(line.len <= 999);
		assert_true(line.len == 0 ? rest.data == NULL : line.data[line.len - 1] == '\r');
		if (line.len > 0)
			assert_true(str_find(str_slice(line, 0, line.len - 1), '\r') < 0);
	}
	at = str_search(whole, STR("\r\n\r\n"));
	assert_true(at > 0);
	seen.header = str_slice(whole, 0, (size_t)at + 2);
	at = str_search(seen.header, STR("boundary=\""));
	assert_true(at > 0);
	rest = str_skip(seen.header, (size_t)at + 10);
	assert_true(str_split(&rest, '"', &line));
	snprintf(delimiter, sizeof(delimiter), "\r\n--%.*s", STR_ARG(line));
	len = strlen(delimiter);
	seen.count = 0;
	at = str_search(whole, str_from(delimiter));
	rest = str_skip(whole, (size_t)at + len);
	while (str_starts(rest, STR("\r\n"))) {
		at = str_search(rest, str_from(delimiter));
		assert_true(at > 0 && seen.count < MAX_PARTS);
		seen.parts[seen.count++] = str_slice(rest, 2, (size_t)at);
		rest = str_skip(rest, (size_t)at + len);
	}
	assert_true(str_equal(rest, STR("--\r\n")));
}

static void write_report(void)
{
	buf_clear(&out);
	assert_int_equal(report_write(&out, &report), 0);
	take_apart();
}

static int reset(void **state)
{
	original = (struct envelope){.sender = STR("kim@example.kr"),
		.envid = STR("QQ+3D1"),
		.received_ms = WALL,
		.size = sizeof(body) - 1,
		.headers = STR("Received: from laptop by mail.example.kr\r\n")};
	recipient = (struct report_recipient){.address = STR("lee@example.org"),
		.orcpt = STR("rfc822;lee+2Bx@example.org"),
		.action = REPORT_FAILED,
		.status = STR("5.1.1"),
		.remote = STR("mx.example.org"),
		.diagnostic = STR("550 5.1.1 no such user"),
		.last_try_ms = WALL + 60000};
	report = (struct report){.original = &original,
		.original_body = str_from(body),
		.body_complete = true,
		.recipients = &recipient,
		.recipient_count = 1,
		.hostname = STR("mail.example.kr"),
		.to = STR("kim@example.kr"),
		.id = 4711,
		.wall_ms = WALL + 61000};
	return 0;
}

static void test_failed(void **state)
{
	write_report();
	assert_true(contains(
		seen.header, "From: Mail Delivery System <postmaster@mail.example.kr>\r\n"));
	assert_true(contains(seen.header, "To: <kim@example.kr>\r\n"));
	assert_true(contains(seen.header, "Subject: Your message was not delivered\r\n"));
	assert_true(contains(seen.header, "Date: Sun, 22 Nov 2026 10:01:01 +0900\r\n"));
	assert_true(contains(seen.header, "Message-ID: <"));
	assert_true(contains(seen.header, "In-Reply-To: <1@laptop.example.kr>\r\n"));
	assert_true(contains(seen.header, "References: <1@laptop.example.kr>\r\n"));
	assert_true(contains(seen.header, "Auto-Submitted: auto-replied\r\n"));
	assert_true(contains(seen.header, "MIME-Version: 1.0\r\n"));
	assert_true(contains(
		seen.header, "Content-Type: multipart/report; report-type=delivery-status;\r\n"));
	assert_true(contains(seen.header, "Content-Transfer-Encoding: 7bit\r\n"));
	assert_int_equal(seen.count, 3);

	// Words: what happened, what the other host said, what to do.
	assert_true(
		str_starts(seen.parts[0], STR("Content-Type: text/plain; charset=us-ascii\r\n")));
	assert_true(contains(seen.parts[0], "This is the mail system at mail.example.kr."));
	assert_true(contains(seen.parts[0], "sent on Sun, 22 Nov 2026 10:00:00 +0900.\r\n"));
	assert_true(contains(seen.parts[0], "subject is: dinner on Sunday\r\n"));
	assert_true(
		contains(seen.parts[0], "<lee@example.org>\r\n    The message was not delivered"));
	assert_true(contains(seen.parts[0], "The mail server mx.example.org said:\r\n"
					    "        550 5.1.1 no such user\r\n"));
	assert_true(contains(seen.parts[0], "What this means: There is no such mailbox"));
	assert_true(contains(seen.parts[0], "What you can do: Check the spelling"));

	assert_true(str_equal(
		seen.parts[1], STR("Content-Type: message/delivery-status\r\n"
				   "Content-Transfer-Encoding: 7bit\r\n"
				   "\r\n"
				   "Original-Envelope-Id: QQ=1\r\n"
				   "Reporting-MTA: dns; mail.example.kr\r\n"
				   "Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0900\r\n"
				   "\r\n"
				   "Original-Recipient: rfc822; lee+x@example.org\r\n"
				   "Final-Recipient: rfc822; lee@example.org\r\n"
				   "Action: failed\r\n"
				   "Status: 5.1.1\r\n"
				   "Remote-MTA: dns; mx.example.org\r\n"
				   "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
				   "Last-Attempt-Date: Sun, 22 Nov 2026 10:01:00 +0900\r\n")));

	assert_true(str_equal(seen.parts[2], STR("Content-Type: text/rfc822-headers\r\n"
						 "Content-Transfer-Encoding: 7bit\r\n"
						 "\r\n"
						 "Received: from laptop by mail.example.kr\r\n"
						 "Message-ID: <1@laptop.example.kr>\r\n"
						 "Subject: dinner on\r\n Sunday\r\n"
						 "Bcc: park@example.kr\r\n")));
}

// RFC 3461 4.3: RET=FULL gives the message back, of a failure only, as it was sent on.
static void test_whole_message(void **state)
{
	struct buf edits = BUF_INIT;
	ptrdiff_t bcc = str_search(str_from(body), STR("Bcc"));
	struct edit e = {.offset = (uint64_t)bcc, .remove = 22};

	edit_add(&edits, &e);
	original.edits = buf_str(&edits);
	original.ret = SMTP_RET_FULL;
	write_report();
	assert_true(str_equal(seen.parts[2], STR("Content-Type: message/rfc822\r\n"
						 "Content-Transfer-Encoding: 7bit\r\n"
						 "\r\n"
						 "Received: from laptop by mail.example.kr\r\n"
						 "Message-ID: <1@laptop.example.kr>\r\n"
						 "Subject: dinner on\r\n Sunday\r\n"
						 "\r\n"
						 "Are you coming?\r\n")));
	assert_true(contains(seen.parts[0], "The message is attached."));

	recipient.action = REPORT_DELAYED;
	write_report();
	assert_true(contains(seen.parts[2], "text/rfc822-headers"));
	assert_false(contains(seen.parts[2], "Are you coming"));

	recipient.action = REPORT_FAILED;
	original.ret = SMTP_RET_HDRS;
	write_report();
	assert_true(contains(seen.parts[2], "text/rfc822-headers"));
	assert_false(contains(seen.parts[2], "park@example.kr"));

	// Damaged edits never keep a report from being sent.
	original.edits = STR("damaged");
	write_report();
	assert_int_equal(seen.count, 3);
	buf_finish(&edits);
}

static void test_actions(void **state)
{
	static const struct {
		enum report_action action;
		const char *subject, *field;
	} cases[] = {
		{REPORT_FAILED, "Your message was not delivered", "Action: failed\r\n"},
		{REPORT_DELAYED, "Your message is delayed", "Action: delayed\r\n"},
		{REPORT_DELIVERED, "Your message was delivered", "Action: delivered\r\n"},
		{REPORT_RELAYED, "Your message was passed on", "Action: relayed\r\n"},
		{REPORT_EXPANDED, "Your message was passed on", "Action: expanded\r\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		recipient.action = cases[i].action;
		recipient.will_retry_until_ms = WALL + 86400000;
		write_report();
		assert_true(contains(seen.header, cases[i].subject));
		assert_true(contains(seen.parts[1], cases[i].field));
		assert_int_equal(contains(seen.parts[1],
					 "Will-Retry-Until: Mon, 23 Nov 2026 10:00:00 +0900\r\n"),
			cases[i].action == REPORT_DELAYED);
		assert_int_equal(contains(seen.parts[0], "You need not send it again"),
			cases[i].action == REPORT_DELAYED);
		assert_int_equal(contains(seen.parts[0], "What you can do"),
			cases[i].action == REPORT_FAILED);
	}
}

// The subject tells of the worst; each recipient has its own block.
static void test_several(void **state)
{
	struct report_recipient several[3] = {recipient, recipient, recipient};
	unsigned blocks = 0;

	several[0].action = REPORT_DELIVERED;
	several[0].diagnostic = several[0].remote = several[0].orcpt = STR_EMPTY;
	several[0].status = STR("2.0.0");
	several[2].address = STR("choi@example.net");
	several[2].remote = several[2].orcpt = STR_EMPTY;
	several[2].status = STR("5.4.7");
	several[2].diagnostic = STR("could not be reached for 5 days");
	report.recipients = several;
	report.recipient_count = 3;
	write_report();
	assert_true(contains(seen.header, "Subject: Your message was not delivered\r\n"));
	for (struct str rest = seen.parts[1], line; str_split(&rest, '\n', &line);)
		blocks += str_starts(line, STR("Final-Recipient:"));
	assert_int_equal(blocks, 3);
	assert_true(
		contains(seen.parts[1], "\r\n\r\nFinal-Recipient: rfc822; choi@example.net\r\n"));
	assert_true(contains(
		seen.parts[1], "Diagnostic-Code: X-Local; could not be reached for 5 days\r\n"));
	assert_true(contains(seen.parts[0], "The reason:\r\n        could not be reached"));
}

static void test_to_postmaster(void **state)
{
	original.sender = STR_EMPTY;
	original.bounce = true;
	report.to = STR("postmaster");
	write_report();
	assert_true(contains(seen.header, "To: <postmaster@mail.example.kr>\r\n"));
	assert_true(contains(seen.header, "Subject: A message was not delivered\r\n"));
	assert_true(contains(seen.parts[0], "a message from <>"));
}

// RFC 6533.
static void test_utf8(void **state)
{
	original.smtputf8 = true;
	original.sender = report.to = STR("\xea\xb9\x80@example.kr");
	recipient.address = STR("\xec\x9d\xb4@example.org");
	recipient.orcpt = STR_EMPTY;
	write_report();
	assert_true(contains(seen.header, "To: <\xea\xb9\x80@example.kr>\r\n"));
	assert_true(contains(seen.header, "Content-Transfer-Encoding: 8bit\r\n"));
	assert_true(contains(seen.parts[0], "text/plain; charset=utf-8\r\n"));
	assert_true(contains(seen.parts[0], "<\xec\x9d\xb4@example.org>"));
	assert_true(contains(seen.parts[1], "Content-Type: message/global-delivery-status\r\n"));
	assert_true(
		contains(seen.parts[1], "Final-Recipient: utf-8; \xec\x9d\xb4@example.org\r\n"));
	assert_true(contains(seen.parts[2], "Content-Type: message/global-headers\r\n"));
	original.ret = SMTP_RET_FULL;
	write_report();
	assert_true(contains(seen.parts[2], "Content-Type: message/global\r\n"));
}

// What the other host or the sender wrote cannot break the report.
static void test_hostile(void **state)
{
	static const char start[] = "550 a\r\n--b\r\n\r\nBcc: \x80\xff\033[2J";
	char diagnostic[3000];

	memset(diagnostic, 'x', sizeof(diagnostic));
	memcpy(diagnostic, start, strlen(start));
	recipient.diagnostic = str_make(diagnostic, sizeof(diagnostic));
	recipient.remote = STR("mx\r\nX: y");
	recipient.address = STR("a\r\nb@example.org");
	recipient.orcpt = STR("rfc822;a+0D+0Ab@example.org");
	recipient.status = STR("5.1.1\r\nX: y");
	original.envid = STR("a+0D+0Ab");
	report.original_body = STR("Subject: a\001b\r\nMessage-ID: <a b>\r\n\r\n");
	write_report();
	assert_int_equal(seen.count, 3);
	assert_false(contains(seen.header, "In-Reply-To"));
	assert_false(contains(seen.parts[0], "Its subject"));
	assert_true(contains(seen.parts[1], "Original-Envelope-Id: a b\r\n"));
	assert_true(contains(seen.parts[1], "Final-Recipient: rfc822; a??b@example.org\r\n"));
	assert_true(contains(seen.parts[1], "Original-Recipient: rfc822; a??b@example.org\r\n"));
	assert_false(contains(seen.parts[1], "\r\nX:"));
	assert_false(contains(seen.parts[0], "\033"));
}

// A long subject line, a body over 64 KiB, only the beginning of a body, no body at all.
static void test_sizes(void **state)
{
	struct buf big = BUF_INIT;

	original.ret = SMTP_RET_FULL;
	buf_add_text(&big, "Subject: ");
	for (int i = 0; i < 2000; i++)
		buf_add_char(&big, 'x');
	buf_add_text(&big, "\r\nTo: lee@example.org\r\n\r\nshort\r\n");
	report.original_body = buf_str(&big);
	write_report();
	assert_true(contains(seen.parts[2], "text/rfc822-headers"));
	assert_true(contains(seen.parts[2], "x\r\nTo: lee@example.org\r\n"));

	buf_clear(&big);
	buf_add_str(&big, STR("Subject: big\r\n\r\n"));
	while (buf_len(&big) < 65536)
		buf_add_text(&big, "0123456789\r\n");
	report.original_body = buf_str(&big);
	write_report();
	assert_true(str_ends_nocase(seen.parts[2], STR("mail.example.kr\r\nSubject: big\r\n")));

	// A header section that does not end within the bound: whole fields only.
	buf_clear(&big);
	while (buf_len(&big) < 70000)
		buf_add_text(&big, "X-Filler: 0123456789\r\n");
	report.original_body = buf_str(&big);
	write_report();
	assert_true(str_ends_nocase(seen.parts[2], STR("\r\nX-Filler: 0123456789\r\n")));
	assert_true(seen.parts[2].len < 66000);

	report.original_body = STR("Subject: part\r\nX-Cut: he");
	report.body_complete = false;
	original.size = 1000000;
	write_report();
	assert_true(str_ends_nocase(seen.parts[2], STR("\r\nSubject: part\r\n")));

	report.original_body = STR_EMPTY;
	original.headers = STR_EMPTY;
	write_report();
	assert_int_equal(seen.count, 2);
	buf_finish(&big);
}

static void test_eightbit(void **state)
{
	report.original_body = STR("Subject: x\r\n\r\nk\xc3\xb6ln\r\n");
	write_report();
	assert_true(contains(seen.header, "Content-Transfer-Encoding: 7bit\r\n"));
	original.ret = SMTP_RET_FULL;
	write_report();
	assert_true(contains(seen.header, "Content-Transfer-Encoding: 8bit\r\n"));
	assert_true(contains(seen.parts[0], "Content-Transfer-Encoding: 7bit\r\n"));
	assert_true(contains(seen.parts[2], "Content-Transfer-Encoding: 8bit\r\n"));
}

static void test_bound(void **state)
{
	write_report();
	for (size_t limit = 3; limit < buf_len(&out); limit += 97) {
		struct buf small = {.limit = limit};

		buf_add_text(&small, "abc");
		assert_int_equal(report_write(&small, &report), ERR_LIMIT);
		assert_true(str_equal(buf_str(&small), STR("abc")));
		buf_finish(&small);
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
		cmocka_unit_test_setup(test_failed, reset),
		cmocka_unit_test_setup(test_whole_message, reset),
		cmocka_unit_test_setup(test_actions, reset),
		cmocka_unit_test_setup(test_several, reset),
		cmocka_unit_test_setup(test_to_postmaster, reset),
		cmocka_unit_test_setup(test_utf8, reset),
		cmocka_unit_test_setup(test_hostile, reset),
		cmocka_unit_test_setup(test_sizes, reset),
		cmocka_unit_test_setup(test_eightbit, reset),
		cmocka_unit_test_setup(test_bound, reset),
	};

	return cmocka_run_group_tests(tests, setup, finish);
}
