// SPDX-License-Identifier: ISC
// A rehearsal says what a client would be told, and why; nothing comes of it.
#include "run.h"

#define HELLO "EHLO c\r\n"
#define KIM HELLO "MAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\n"

static const char *kind_name(enum policy_kind kind)
{
	static const char *const names[] = {[POLICY_ALLOW] = "allow", [POLICY_HOLD] = "hold",
		[POLICY_DEFER] = "defer", [POLICY_REFUSE] = "refuse", [POLICY_DROP] = "drop",
		[POLICY_DISCARD] = "discard", [POLICY_NEED] = "need"};

	return names[kind];
}

static void look(void *arg, const struct session_seen *seen)
{
	struct host *h = arg;
	const struct policy_facts *f = seen->facts;

	buf_add_format(&h->seen, "%s %s %u %s", seen->step, kind_name(seen->kind), seen->reply->code,
		seen->rule[0] ? seen->rule : "-");
	if (seen->rule_text[0])
		buf_add_format(&h->seen, " (%s)", seen->rule_text);
	if (!strcmp(seen->step, "rcpt"))
		buf_add_format(&h->seen, " %s", f->recipient ? f->recipient->text : "?");
	if (!strcmp(seen->step, "mail"))
		buf_add_format(&h->seen, " %s", f->sender ? f->sender->text : "?");
	buf_add_text(&h->seen, "\n");
}

static void no_event(const struct event *e, void *arg)
{
	fail_msg("an event: %s", e->name);
}

// Of every way to feed it.
static void expect_seen(int server, struct session_rehearsal how, bool may_relay, struct str script,
	const char *expected)
{
	how.seen = look;
	event_set_tap(no_event, NULL);
	for (unsigned way = 0; way < HOW; way++) {
		struct host h = {.account_state = POLICY_ACCOUNT_ENABLED, .may_relay = may_relay,
			.rehearsal = &how};

		begin_run(&h, server, way);
		send_script(&h, script);
		assert_string_equal(buf_cstr(&h.seen), expected);
		assert_int_equal(h.count, 0);
		assert_false(h.start_tls || h.spool_opens || h.exchange || h.submission);
		host_finish(&h);
	}
	event_set_tap(NULL, NULL);
}

static void test_verdicts_are_seen(void **state)
{
	expect_seen(SERVER_MX, (struct session_rehearsal){0}, false,
		STR(KIM "RCPT TO:<nobody@example.org>\r\nRCPT TO:<x@elsewhere.example>\r\n"
			"RCPT TO:<maybe@example.org>\r\nRCPT TO:x\r\nFOO\r\n"),
		"connect allow 220 allow\n"
		"hello allow 250 -\n"
		"mail allow 250 allow a@b.example\n"
		"rcpt allow 250 local-recipient kim@example.org\n"
		"rcpt refuse 550 unknown-recipient nobody@example.org\n"
		"rcpt refuse 550 relay-denied x@elsewhere.example\n"
		"rcpt defer 451 recipient-uncertain maybe@example.org\n"
		"rcpt refuse 501 syntax ?\n"
		"other refuse 500 unknown-command\n");
}

static void test_as_if_logged_in(void **state)
{
	struct session_rehearsal how = {.tls = true, .account = STR("kim@example.org")};

	expect_seen(SERVER_SUBMISSION, (struct session_rehearsal){0}, true, STR(KIM),
		"connect allow 220 allow\nhello allow 250 -\nmail refuse 530 require-tls a@b.example\n"
		"rcpt refuse 503 sequence ?\n");
	how.account = STR_EMPTY;
	expect_seen(SERVER_SUBMISSION, how, true, STR(HELLO "MAIL FROM:<a@b.example>\r\n"),
		"connect allow 220 allow\nhello allow 250 -\nmail refuse 530 require-auth a@b.example\n");
	how.account = STR("kim@example.org");
	expect_seen(SERVER_SUBMISSION, how, true,
		STR(KIM "RCPT TO:<x@elsewhere.example>\r\n"),
		"connect allow 220 allow\nhello allow 250 -\nmail allow 250 allow a@b.example\n"
		"rcpt allow 250 local-recipient kim@example.org\n"
		"rcpt allow 250 relay-account x@elsewhere.example\n");
	expect_seen(SERVER_SUBMISSION, how, false,
		STR(HELLO "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n"),
		"connect allow 220 allow\nhello allow 250 -\nmail allow 250 allow a@b.example\n"
		"rcpt refuse 550 relay-denied x@elsewhere.example\n");
}

// The octets of a chunk are no commands in a rehearsal either.
static void test_nothing_is_carried_out(void **state)
{
	static const struct session_rehearsal how = {.seen = NULL};
	struct str script = STR(KIM "DATA\r\nBDAT 6 LAST\r\nQUIT\r\n"
		"BDAT 0 LAST\r\nSTARTTLS\r\nAUTH PLAIN AGtpbUBleGFtcGxlLm9yZwBzZWNyZXQ=\r\nAUTH LOGIN\r\n"
		"RSET\r\nNOOP\r\nQUIT\r\n");

	for (unsigned way = 0; way < HOW; way++) {
		struct host h = {.account_state = POLICY_ACCOUNT_ENABLED, .rehearsal = &how};

		begin_run(&h, SERVER_OFFERING, way);
		send_script(&h, script);
		expect_replies(&h, "220 250 250/2.1.0 250/2.1.5 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 "
			"503/5.5.1 503/5.5.1 250/2.0.0 250/2.0.0 221/2.0.0");
		said_has(&h, "rehearsal");
		assert_int_equal(h.count, 0);
		assert_false(h.start_tls || h.spool_opens || h.exchange);
		assert_true(h.closed);
		host_finish(&h);
	}
}

// A machine that asks a thousand times is neither an attacker nor at an end.
static void test_nothing_is_counted(void **state)
{
	static const struct session_rehearsal how = {.seen = look};
	struct host h = {.rehearsal = &how};
	struct buf script = BUF_INIT;

	begin_run(&h, SERVER_MX, 0);
	buf_add_text(&script, HELLO);
	for (int i = 0; i < 1000; i++)
		buf_add_text(&script, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.example>\r\n"
			"RSET\r\nFOO\r\n");
	host_send(&h, buf_str(&script));
	assert_false(h.closed);
	assert_true(str_ends_nocase(buf_str(&h.seen), STR("other refuse 500 unknown-command\n")));
	buf_finish(&script);
	host_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts_are_seen),
		cmocka_unit_test(test_as_if_logged_in),
		cmocka_unit_test(test_nothing_is_carried_out),
		cmocka_unit_test(test_nothing_is_counted),
	};

	host_init_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
