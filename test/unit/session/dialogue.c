// SPDX-License-Identifier: ISC
// Conversations as they happen, each in four ways: whole or octet by octet, with answers of
// the host at once or later.
#include "run.h"

#define AUTH_PLAIN "AGtpbUBleGFtcGxlLm9yZwBzZWNyZXQ="
#define MAIL_TO_KIM "MAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\n"
#define LINE66 "0123456789012345678901234567890123456789012345678901234567890123\r\n"

static void no_relay(struct host *h)
{
	h->may_relay = false;
}

static void disabled(struct host *h)
{
	h->account_state = POLICY_ACCOUNT_DISABLED;
}

static void uncertain(struct host *h)
{
	h->account_state = POLICY_ACCOUNT_UNKNOWN;
}

static void no_facts(struct host *h)
{
	h->no_facts = true;
}

static void auth_down(struct host *h)
{
	h->auth_down = true;
}

static void no_mechanisms(struct host *h)
{
	h->no_mechanisms = true;
}

static void store_full(struct host *h)
{
	h->store_full = true;
}

static void commit_full(struct host *h)
{
	h->submit_error = ERR_FULL;
}

static void commit_fails(struct host *h)
{
	h->submit_error = ERR_UNAVAILABLE;
}

static void many_connections(struct host *h)
{
	h->connections = 21;
}

static const struct {
	const char *what;
	int server;
	const char *script, *replies;
	unsigned messages;
	void (*with)(struct host *h);
} dialogues[] = {
	{"a message", SERVER_MX,
		"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\n"
		"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n",
		"220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0", 1},
	{"two in one connection, HELO", SERVER_MX,
		"HELO c\r\n" MAIL_TO_KIM "DATA\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"
		"DATA\r\n.\r\nQUIT\r\n",
		"220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0", 2},
	{"chunks", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "BDAT 4\r\na: bBDAT 8\r\n\r\n\r\nQUITBDAT 2 LAST\r\n\r\nQUIT\r\n",
		"220 250 250/2.1.0 250/2.1.5 250/2.0.0 250/2.0.0 250/2.0.0 221/2.0.0", 1},
	{"one chunk, nothing in it", SERVER_MX, "EHLO c\r\n" MAIL_TO_KIM "BDAT 0 LAST\r\nQUIT\r\n",
		"220 250 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0", 1},
	{"a chunk without recipients is taken off the wire", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<a@b.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\nRCPT TO:<kim@example.org>\r\n",
		"220 250 250/2.1.0 554/5.5.1 250/2.0.0 503/5.5.1", 0},
	{"chunks before anything", SERVER_MX, "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n",
		"220 503/5.5.1 503/5.5.1 250/2.0.0", 0},
	{"a chunk after the last", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "BDAT 2 LAST\r\n\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
		"220 250 250/2.1.0 250/2.1.5 250/2.0.0 503/5.5.1 250/2.0.0", 1},
	{"a bad chunk kills the message and the chunks behind it", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "BDAT 3\r\na\nbBDAT 6 LAST\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n",
		"220 250 250/2.1.0 250/2.1.5 554/5.6.0 503/5.5.1 503/5.5.1 250/2.0.0", 0},
	{"DATA after BDAT", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "BDAT 2\r\n\r\nDATA\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n",
		"220 250 250/2.1.0 250/2.1.5 250/2.0.0 503/5.5.1 503/5.5.1 250/2.0.0", 0},
	{"a chunk of no size ends the session", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "BDAT x LAST\r\nQUIT\r\nNOOP\r\n",
		"220 250 250/2.1.0 250/2.1.5 501/5.5.4", 0},
	{"a chunk of endless size too", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "BDAT 18446744073709551615 LAST\r\nQUIT\r\n",
		"220 250 250/2.1.0 250/2.1.5 552/5.3.4", 0},
	// order
	{"commands before HELO", SERVER_MX,
		"MAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\nAUTH PLAIN =\r\nNOOP\r\n"
		"RSET\r\nHELP\r\nVRFY kim\r\nEXPN all\r\nQUIT\r\n",
		"220 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 250/2.0.0 250/2.0.0 214/2.0.0 252/2.5.0 "
		"502/5.5.1 221/2.0.0", 0},
	{"no recipients", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\nQUIT\r\n",
		"220 250 250/2.1.0 550/5.1.1 554/5.5.1 221/2.0.0", 0},
	{"MAIL twice", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<a@b.example>\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<kim@example.org>\r\n"
		"DATA\r\n.\r\n", "220 250 250/2.1.0 503/5.5.1 250/2.1.5 354 250/2.0.0", 1},
	{"EHLO gives a message up", SERVER_MX,
		"EHLO c\r\n" MAIL_TO_KIM "EHLO c\r\nDATA\r\nRCPT TO:<kim@example.org>\r\n",
		"220 250 250/2.1.0 250/2.1.5 250 503/5.5.1 503/5.5.1", 0},
	{"a bad EHLO does not", SERVER_MX, "EHLO c\r\n" MAIL_TO_KIM "EHLO\r\nDATA\r\n.\r\n",
		"220 250 250/2.1.0 250/2.1.5 501/5.5.4 354 250/2.0.0", 1},
	{"arguments where none belong", SERVER_MX, "RSET x\r\nQUIT now\r\nEHLO c\r\nSTARTTLS x\r\nVRFY\r\n",
		"220 501/5.5.4 501/5.5.4 250 501/5.5.4 501/5.5.4", 0},
	{"what is no command", SERVER_MX, "FOO\r\n\r\n \r\nLHLO c\r\nETRN x\r\nTURN\r\nMAILFROM:<a>\r\n",
		"220 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 502/5.5.1 500/5.5.1 500/5.5.1", 0},
	{"a browser", SERVER_MX, "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO c\r\n", "220 500/5.5.1", 0},
	{"bare line ends in commands", SERVER_MX,
		"NOOP\nNOOP\r\nNOOP\rNOOP\r\nEHLO c\n\r\nNOOP\r\n",
		"220 500/5.5.2 500/5.5.2 500/5.5.2 250/2.0.0", 0},
	{"parameters", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<a@b.example> SIZE=1000001\r\nMAIL FROM:<a@b.example> FOO=1\r\n"
		"MAIL FROM:<a@b.example> SIZE=x\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\n"
		"MAIL FROM:<a@b.example> SIZE=1000000 BODY=8BITMIME RET=HDRS ENVID=q SMTPUTF8\r\n"
		"RCPT TO:<kim@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;kim@example.org\r\n"
		"RCPT TO:<kim@example.org> NOTIFY=WHAT\r\nRCPT TO:<kim@example.org> FOO\r\n",
		"220 250 552/5.3.4 555/5.5.4 501/5.5.4 555/5.5.4 250/2.1.0 250/2.1.5 501/5.5.4 555/5.5.4", 0},
	{"addresses", SERVER_MX,
		"EHLO c\r\nMAIL FROM:a@b.example\r\nMAIL FROM:<a>\r\nMAIL FROM:<postmaster>\r\nMAIL FROM:<>\r\n"
		"RCPT TO:<>\r\nRCPT TO:<a b@example.org>\r\nRCPT TO:<postmaster>\r\nRCPT TO:<abuse@example.org>\r\n"
		"RCPT TO:<maybe@example.org>\r\nRCPT TO:<a@elsewhere.example>\r\n",
		"220 250 501/5.1.7 501/5.1.7 501/5.1.7 250/2.1.0 501/5.1.3 501/5.1.3 250/2.1.5 250/2.1.5 "
		"451/4.3.0 550/5.7.1", 0},
	{"UTF-8 without SMTPUTF8", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<\346\261\237@b.example>\r\nMAIL FROM:<a@b.example>\r\n"
		"RCPT TO:<kim\303\251@example.org>\r\nRSET\r\nMAIL FROM:<\346\261\237@b.example> SMTPUTF8\r\n"
		"RCPT TO:<kim\303\251@example.org>\r\n",
		"220 250 553/5.6.7 250/2.1.0 553/5.6.7 250/2.0.0 250/2.1.0 250/2.1.5", 0},
	// TLS and login
	{"submission", SERVER_SUBMISSION,
		"EHLO c\r\nMAIL FROM:<kim@example.org>\r\nAUTH PLAIN " AUTH_PLAIN "\r\nSTARTTLS\r\n\x01"
		"MAIL FROM:<kim@example.org>\r\nEHLO c\r\nMAIL FROM:<kim@example.org>\r\n"
		"AUTH PLAIN " AUTH_PLAIN "\r\nMAIL FROM:<kim@example.org>\r\nRCPT TO:<a@elsewhere.example>\r\n"
		"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nSTARTTLS\r\nQUIT\r\n",
		"220 250 530/5.7.0 530/5.7.0 220/2.0.0 503/5.5.1 250 530/5.7.0 235/2.7.0 250/2.1.0 "
		"250/2.1.5 354 250/2.0.0 503/5.5.1 221/2.0.0", 1},
	{"without the right to relay", SERVER_SUBMISSION,
		"STARTTLS\r\n\x01" "EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\nMAIL FROM:<kim@example.org>\r\n"
		"RCPT TO:<a@elsewhere.example>\r\nRCPT TO:<kim@example.org>\r\n",
		"220 220/2.0.0 250 235/2.7.0 250/2.1.0 550/5.7.1 250/2.1.5", 0, no_relay},
	{"a disabled account", SERVER_OFFERING,
		"EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\nMAIL FROM:<kim@example.org>\r\n",
		"220 250 235/2.7.0 550/5.7.1", 0, disabled},
	{"an account that cannot be looked up", SERVER_OFFERING,
		"EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\nMAIL FROM:<kim@example.org>\r\n",
		"220 250 235/2.7.0 451/4.3.0", 0, uncertain},
	{"AUTH in steps", SERVER_OFFERING,
		"EHLO c\r\nAUTH PLAIN\r\n" AUTH_PLAIN "\r\nAUTH PLAIN\r\n", "220 250 334 235/2.7.0 503/5.5.1", 0},
	{"AUTH LOGIN", SERVER_OFFERING, "EHLO c\r\nAUTH login\r\na2lt\r\nc2VjcmV0\r\n",
		"220 250 334 334 235/2.7.0", 0},
	{"AUTH gone wrong", SERVER_OFFERING,
		"EHLO c\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n!!\r\nAUTH PLAIN A\r\nAUTH FOO\r\nAUTH\r\n"
		"AUTH PLAIN =\r\n*\r\nAUTH PLAIN AAA=\r\nAUTH PLAIN AAB=\r\nNOOP\r\n",
		"220 250 334 501/5.7.0 334 501/5.5.2 501/5.5.2 504/5.5.4 501/5.5.4 334 501/5.7.0 "
		"535/5.7.8 501/5.5.2 250/2.0.0", 0},
	{"AUTH with a bare line end", SERVER_OFFERING, "EHLO c\r\nAUTH PLAIN\r\nAA\nAA\r\nNOOP\r\n",
		"220 250 334 500/5.5.6 250/2.0.0", 0},
	{"AUTH within a message", SERVER_OFFERING, "EHLO c\r\nMAIL FROM:<>\r\nAUTH PLAIN\r\nSTARTTLS\r\n",
		"220 250 250/2.1.0 503/5.5.1 503/5.5.1", 0},
	{"AUTH where there is none", SERVER_MX, "EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\n",
		"220 250 502/5.5.1", 0},
	{"AUTH guessed", SERVER_OFFERING,
		"EHLO c\r\nAUTH PLAIN AGEAYQ==\r\nAUTH PLAIN AGEAYQ==\r\nAUTH PLAIN AGEAYQ==\r\n"
		"AUTH PLAIN AGEAYQ==\r\nAUTH PLAIN AGEAYQ==\r\nAUTH PLAIN AGEAYQ==\r\n",
		"220 250 535/5.7.8 535/5.7.8 535/5.7.8 535/5.7.8 535/5.7.8 421/4.7.0", 0},
	{"AUTH without its service", SERVER_OFFERING, "EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\nNOOP\r\n",
		"220 250 454/4.7.0 250/2.0.0", 0, auth_down},
	{"AUTH without mechanisms", SERVER_OFFERING, "EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\n",
		"220 250 454/4.7.0", 0, no_mechanisms},
	{"STARTTLS on a port without", SERVER_PLAIN, "EHLO c\r\nSTARTTLS\r\nNOOP\r\n",
		"220 250 502/5.5.1 250/2.0.0", 0},
	// limits
	{"recipients", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim0@example.org>\r\nRCPT TO:<kim1@example.org>\r\n"
		"RCPT TO:<kim2@example.org>\r\nRCPT TO:<kim3@example.org>\r\nRCPT TO:<kim4@example.org>\r\n"
		"RCPT TO:<kim5@example.org>\r\nRCPT TO:<kim6@example.org>\r\nRCPT TO:<kim7@example.org>\r\n"
		"RCPT TO:<kim8@example.org>\r\nRCPT TO:<kim9@example.org>\r\nRCPT TO:<kima@example.org>\r\n"
		"DATA\r\n.\r\n",
		"220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 250/2.1.5 250/2.1.5 250/2.1.5 250/2.1.5 "
		"250/2.1.5 250/2.1.5 250/2.1.5 452/4.5.3 354 250/2.0.0", 1},
	{"messages", SERVER_MX,
		"EHLO c\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\n"
		"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\n"
		"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\n",
		"220 250 250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 "
		"250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 "
		"250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 421/4.7.0", 0},
	{"errors", SERVER_MX,
		"a\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\nNOOP\r\n",
		"220 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 "
		"500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 "
		"500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 421/4.7.0", 0},
	// our own trouble
	{"too many connections", SERVER_MX, "EHLO c\r\n", "421/4.7.0", 0, many_connections},
	{"nobody answers", SERVER_MX, "EHLO c\r\n", "421/4.3.0", 0, no_facts},
	{"disk full", SERVER_MX, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n",
		"220 250 452/4.3.1 503/5.5.1", 0, store_full},
	{"no room to commit", SERVER_MX, "EHLO c\r\n" MAIL_TO_KIM "DATA\r\n.\r\nNOOP\r\nDATA\r\n",
		"220 250 250/2.1.0 250/2.1.5 354 452/4.3.1 250/2.0.0 503/5.5.1", 0, commit_full},
	{"no commit", SERVER_MX, "EHLO c\r\n" MAIL_TO_KIM "BDAT 2 LAST\r\n\r\nRCPT TO:<kim@example.org>\r\n",
		"220 250 250/2.1.0 250/2.1.5 451/4.3.0 503/5.5.1", 0, commit_fails},
};

static void test_dialogues(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++)
		run_script(dialogues[i].server, str_from(dialogues[i].script), dialogues[i].replies,
			dialogues[i].messages, dialogues[i].with);
}

// A host that answers each chunk: the body is what was in the chunks.
static void test_what_is_kept(void **state)
{
	for (unsigned how = 0; how < HOW; how++) {
		struct host h = {0};

		begin_run(&h, SERVER_MX, how);
		send_script(&h, STR("EHLO c.example\r\nMAIL FROM:<a@b.example> ENVID=7\r\n"
			"RCPT TO:<kim@example.org>\r\nRCPT TO:<kim2@Example.Org>\r\nDATA\r\n"
			"Subject: x\r\n\r\n..dot\r\n.\r\n"
			"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nBDAT 4\r\n\r\nx\rBDAT 5 LAST\r\n\n.\r\ny"));
		assert_int_equal(h.count, 2);
		assert_string_equal(buf_cstr(&h.messages[0].sender), "a@b.example");
		assert_string_equal(buf_cstr(&h.messages[0].recipients), "kim@example.org,kim2@example.org");
		assert_string_equal(buf_cstr(&h.messages[0].body), "Subject: x\r\n\r\n.dot\r\n");
		assert_string_equal(buf_cstr(&h.messages[1].sender), "");
		assert_string_equal(buf_cstr(&h.messages[1].body), "\r\nx\r\n.\r\ny\r\n");
		assert_int_equal(str_search(buf_str(&h.messages[0].headers), STR("Received: from c.example")), 0);
		assert_true(str_search(buf_str(&h.messages[1].headers), STR("<kim@example.org>")) > 0 ||
			str_search(buf_str(&h.messages[1].headers), STR("kim@example.org")) > 0);
		assert_true(str_search(buf_str(&h.messages[0].headers), STR("kim@example.org")) < 0);
		said_has(&h, "250 2.0.0 accepted: ");
		host_finish(&h);
	}
}

// The same recipient twice is one recipient, unless the reports about it differ.
static void test_recipient_twice(void **state)
{
	struct host h = {0};

	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"
		"RCPT TO:<kim@EXAMPLE.org>\r\nRCPT TO:<kim@example.org> NOTIFY=NEVER\r\nDATA\r\n.\r\n"));
	expect_replies(&h, "220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354 250/2.0.0");
	assert_string_equal(buf_cstr(&h.messages[0].recipients), "kim@example.org,kim@example.org");
	host_finish(&h);
}

// Two mailboxes of another host may differ in nothing else.
static void test_recipients_by_case(void **state)
{
	struct host h = {0};

	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kima@example.org>\r\n"
		"RCPT TO:<kimA@example.org>\r\nDATA\r\n.\r\n"));
	expect_replies(&h, "220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0");
	assert_string_equal(buf_cstr(&h.messages[0].recipients), "kima@example.org,kimA@example.org");
	host_finish(&h);
}

// A client that only says NOOP or EHLO is sent away in the end.
static void test_idle_verbs(void **state)
{
	static const char *const verbs[] = {"NOOP\r\n", "EHLO c\r\n", "RSET\r\n", "HELP\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		struct host h = {0};
		int said = 0;

		begin_run(&h, SERVER_MX, 0);
		for (; !h.closed && said < 1000; said++)
			host_send(&h, str_from(verbs[i]));
		assert_int_equal(said, 120);
		said_has(&h, "421 4.7.0 too many errors");
		host_finish(&h);
	}
}

static void test_ehlo_lists(void **state)
{
	struct host h = {0};

	begin_run(&h, SERVER_SUBMISSION, 0);
	said_has(&h, "220 mail.example.org ESMTP\r\n");
	host_send(&h, STR("EHLO c\r\n"));
	said_has(&h, "250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n"
		"250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250-STARTTLS\r\n"
		"250-LIMITS MAILMAX=10 RCPTMAX=10\r\n250 HELP\r\n");
	host_send(&h, STR("STARTTLS\r\n"));
	buf_clear(&h.said);
	host_send(&h, STR("EHLO c\r\n"));
	said_has(&h, "250-CHUNKING\r\n250-AUTH PLAIN LOGIN\r\n250-LIMITS");
	buf_clear(&h.said);
	host_send(&h, STR("AUTH PLAIN " AUTH_PLAIN "\r\nEHLO c\r\n"));
	said_has(&h, "250-CHUNKING\r\n250-LIMITS");
	host_finish(&h);
}

static void test_help_of_sendmail(void **state)
{
	struct host h = {0};

	host_servers[SERVER_MX].help = CONFIG_HELP_SENDMAIL;
	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR("HELP\r\n"));
	host_servers[SERVER_MX].help = CONFIG_HELP_PLAIN;
	said_has(&h, "502 5.3.0 HELP not implemented\r\n");
	host_finish(&h);
}

// What came in plain behind STARTTLS is never obeyed, and nothing said before it counts.
static void test_starttls_forgets(void **state)
{
	struct host h = {.account_state = POLICY_ACCOUNT_ENABLED, .later = true};

	begin_run(&h, SERVER_OFFERING, 2);
	host_send(&h, STR("EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<>\r\n"));
	expect_replies(&h, "220 250 235/2.7.0 220/2.0.0");
	assert_int_equal(h.dropped, strlen("EHLO evil\r\nMAIL FROM:<>\r\n"));
	host_send(&h, STR("MAIL FROM:<>\r\nEHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\n"));
	expect_replies(&h, "220 250 235/2.7.0 220/2.0.0 503/5.5.1 250 235/2.7.0");
	host_finish(&h);
}

static void test_tls_at_once(void **state)
{
	static const struct session_tls tls = {.active = true, .version = "TLSv1.3",
		.cipher = "TLS_AES_256_GCM_SHA384", .bits = 256};
	struct host h = {.connections = 1, .account_state = POLICY_ACCOUNT_ENABLED};
	struct session_options o = {.config = &host_config, .server = &host_servers[SERVER_SUBMISSION],
		.host = &host_table, .arg = &h, .client = {4, {203, 0, 113, 7}}, .id = 5,
		.implicit_tls = true};

	h.session = session_create(&o);
	assert_false(session_wants_input(h.session));
	session_secured(h.session, &tls);
	session_begin(h.session, false);
	host_send(&h, STR("EHLO c\r\nSTARTTLS\r\nAUTH PLAIN " AUTH_PLAIN "\r\n"
		"MAIL FROM:<kim@example.org>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\n.\r\n"));
	expect_replies(&h, "220 250 503/5.5.1 235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0");
	assert_true(str_search(buf_str(&h.messages[0].headers), STR("with ESMTPSA")) > 0);
	assert_true(str_search(buf_str(&h.messages[0].headers), STR("TLS_AES_256_GCM_SHA384")) > 0);
	assert_string_equal(buf_cstr(&h.messages[0].account), "kim@example.org");
	host_finish(&h);
}

// The rights are asked at each MAIL: what is taken away in between is gone.
static void test_right_taken_away(void **state)
{
	struct host h = {.account_state = POLICY_ACCOUNT_ENABLED, .may_relay = true};

	begin_run(&h, SERVER_OFFERING, 0);
	host_send(&h, STR("EHLO c\r\nAUTH PLAIN " AUTH_PLAIN "\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRSET\r\n"));
	h.may_relay = false;
	host_send(&h, STR("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRSET\r\n"));
	h.account_state = POLICY_ACCOUNT_DISABLED;
	host_send(&h, STR("MAIL FROM:<>\r\n"));
	expect_replies(&h, "220 250 235/2.7.0 250/2.1.0 250/2.1.5 250/2.0.0 250/2.1.0 550/5.7.1 "
		"250/2.0.0 550/5.7.1");
	host_finish(&h);
}

// A new configuration holds at once.
static void test_reconfigured(void **state)
{
	struct config other = host_config;
	struct host h = {0};

	other.domains.count = 0;
	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\n"));
	session_reconfigure(h.session, &other, &host_servers[SERVER_MX]);
	host_send(&h, STR("RCPT TO:<kim@example.org>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	expect_replies(&h, "220 250 250/2.1.0 550/5.7.1 250/2.0.0 250/2.1.0 550/5.7.1");
	host_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_what_is_kept),
		cmocka_unit_test(test_recipient_twice),
		cmocka_unit_test(test_recipients_by_case),
		cmocka_unit_test(test_idle_verbs),
		cmocka_unit_test(test_ehlo_lists),
		cmocka_unit_test(test_help_of_sendmail),
		cmocka_unit_test(test_starttls_forgets),
		cmocka_unit_test(test_tls_at_once),
		cmocka_unit_test(test_right_taken_away),
		cmocka_unit_test(test_reconfigured),
	};

	host_init_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
