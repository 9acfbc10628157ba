// SPDX-License-Identifier: ISC
// Who wrote to whom: header fields, and the logs of four servers.
#include "message/sent.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void note(void *arg, struct str from, struct str to)
{
	(void)buf_add_format(arg, "%.*s>%.*s ", STR_ARG(from), STR_ARG(to));
}

static void test_mail(void **state)
{
	static const struct {
		const char *mail, *pairs;
	} rows[] = {
		{"From: kim@example.org\nTo: lee@example.net\n\nbody: To: x@y.z\n", "kim@example.org>lee@example.net "},
		{"To: lee@example.net\r\nFrom: \"Kim, J.\" <kim@example.org>\r\n\r\n", "kim@example.org>lee@example.net "},
		{"To: a@example.net,\n\tB <b@example.net>,\n c@example.net (C (d@example.net) e)\nCc: f@example.net\n"
		 "Bcc: g@example.net\n", ">a@example.net >b@example.net >c@example.net >f@example.net >g@example.net "},
		{"To: undisclosed-recipients:;\n\n", ""},
		{"To: friends: a@example.net, b@example.net;\n\n", ">a@example.net >b@example.net "},
		{"To: \"x@example.net\" <a@example.net>\n\n", ">a@example.net "},
		{"To: \"quoted\"@example.net\n\n", ""},
		{"To: a@example.net\nTo : b@example.net\nX-To: c@example.net\n\n", ">a@example.net "},
		{"Resent-To: a@example.net\nReply-To: b@example.net\n\n", ""},
		{"To: no address\nno field at all\n\n", ""},
		{"To: @example.net, a@, <>, a@b@c\n\n", ""},
		{"From: a@b.c, d@e.f\nTo: x@example.net\n\n", "a@b.c>x@example.net "},
		{"", ""},
		{"To: (unclosed a@example.net\nCc: b@example.net\n\n", ">b@example.net "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf pairs = BUF_INIT;

		sent_read_mail(str_from(rows[i].mail), note, &pairs);
		assert_string_equal(buf_cstr(&pairs), rows[i].pairs);
		buf_finish(&pairs);
	}
}

static void test_logs(void **state)
{
	static const struct {
		const char *lines, *pairs;
	} rows[] = {
		{"Nov  1 10:00:00 mx postfix/smtpd[6]: 4ABC: client=pc[192.0.2.1]\n"
		 "Nov  1 10:00:00 mx postfix/qmgr[7]: 4ABC: from=<kim@example.org>, size=1, nrcpt=2 (queue active)\n"
		 "Nov  1 10:00:01 mx postfix/smtp[8]: 4ABC: to=<lee@example.net>, relay=mx[192.0.2.2]:25, status=sent\n"
		 "Nov  1 10:00:01 mx postfix/smtp[8]: 4ABC: to=<han@example.net>, orig_to=<x@y.z>, status=bounced\n"
		 "Nov  1 10:00:01 mx postfix/smtp[8]: 5ABC: to=<who@example.net>, status=sent\n",
			"kim@example.org>lee@example.net kim@example.org>han@example.net "},
		{"Nov  1 10:00:00 mx sendmail[9]: u1: from=<kim@example.org>, size=7, class=0, nrcpts=2\n"
		 "Nov  1 10:00:02 mx sendmail[9]: u1: to=<lee@example.net>,<han@example.net>, delay=00:00:02, stat=Sent\n",
			"kim@example.org>lee@example.net kim@example.org>han@example.net "},
		{"@4000000 info msg 77: bytes 500 from <kim@example.org> qp 12 uid 89\n"
		 "@4000000 starting delivery 5: msg 77 to remote lee@example.net\n"
		 "@4000000 starting delivery 6: msg 77 to local han@example.org\n"
		 "@4000000 delivery 5: success: 192.0.2.1_accepted\n",
			"kim@example.org>lee@example.net kim@example.org>han@example.org "},
		{"2026-11-22 10:00:00 1abcDE-000001-Ab <= kim@example.org H=pc [192.0.2.1] P=esmtpsa S=500\n"
		 "2026-11-22 10:00:01 1abcDE-000001-Ab => lee@example.net R=dnslookup T=remote_smtp\n"
		 "2026-11-22 10:00:01 1abcDE-000001-Ab -> han@example.net R=dnslookup T=remote_smtp\n"
		 "2026-11-22 10:00:01 1abcDE-000001-Ab => box <box@example.org> R=local T=local\n"
		 "2026-11-22 10:00:01 1abcDE-000001-Ab Completed\n",
			"kim@example.org>lee@example.net kim@example.org>han@example.net kim@example.org>box@example.org "},
		{"2026-11-22 10:00:00 1abc <= <> R=1 U=mail\n2026-11-22 10:00:01 1abc => lee@example.net R=x\n", ""},
		{"nonsense\n\n]: \n]: :\n]: a: from=\n]: a: to=,,,\n<= <= =>\n", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str rest = str_from(rows[i].lines), line;
		struct sent_log *log = sent_log_create();
		struct buf pairs = BUF_INIT;

		while (rest.len && str_split(&rest, '\n', &line))
			sent_log_line(log, line, note, &pairs);
		assert_string_equal(buf_cstr(&pairs), rows[i].pairs);
		buf_finish(&pairs);
		sent_log_destroy(log);
	}
}

// Names come again, and there are more than are remembered.
static void test_memory_is_bounded(void **state)
{
	struct sent_log *log = sent_log_create();
	struct buf pairs = BUF_INIT;
	char line[200];

	for (unsigned n = 0; n < 2 * SENT_MESSAGES + 10; n++) {
		snprintf(line, sizeof(line), "x[1]: id%u: from=<kim%u@example.org>, size=1", n % (SENT_MESSAGES + 5), n);
		sent_log_line(log, str_from(line), note, &pairs);
	}
	sent_log_line(log, STR("x[1]: id4: to=<lee@example.net>, stat=Sent"), note, &pairs);
	assert_int_equal(buf_len(&pairs), 0); // forgotten
	sent_log_line(log, STR("x[1]: id9: to=<lee@example.net>, stat=Sent"), note, &pairs);
	assert_string_equal(buf_cstr(&pairs), "kim65550@example.org>lee@example.net ");
	buf_finish(&pairs);
	sent_log_destroy(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
