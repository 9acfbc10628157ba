// SPDX-License-Identifier: ISC
// Each verb, done, failed or interrupted, and then each next verb: what follows is answered as
// RFC 5321 says, and nothing of what failed is left behind.
#include "run.h"

#define AUTH_PLAIN "AGtpbUBleGFtcGxlLm9yZwBzZWNyZXQ="

enum phase { GREETED, READY, SENDER, RECIPIENT, CHUNKS, PHASES };

// What was said before, each beginning at the banner, and where it leaves the session.
static const struct before {
	const char *script;
	enum phase phase;
	void (*with)(struct host *h);
} before[] = {
#define H "EHLO c\r\n"
#define M H "MAIL FROM:<a@b.example>\r\n"
#define R M "RCPT TO:<kim@example.org>\r\n"
#define B R "BDAT 2\r\n\r\n"
	// nothing yet
	{"", GREETED},
	{"NOOP\r\n", GREETED},
	{"EHLO\r\n", GREETED},
	{"HELO a b c\r\n", GREETED},
	{"FOO\r\n", GREETED},
	{"MAIL FROM:<a@b.example>\r\n", GREETED},
	{"RCPT TO:<kim@example.org>\r\n", GREETED},
	{"DATA\r\n", GREETED},
	{"BDAT 0 LAST\r\n", GREETED},
	{"BDAT 6\r\nQUIT\r\n", GREETED},
	{"AUTH PLAIN\r\n", GREETED},
	{"RSET\r\n", GREETED},
	{"STARTTLS x\r\n", GREETED},
	{"NOOP\n\r\n", GREETED},
	// STARTTLS forgets everything
	{"STARTTLS\r\n", GREETED},
	{H "STARTTLS\r\n", GREETED},
	{H "AUTH PLAIN " AUTH_PLAIN "\r\nSTARTTLS\r\n", GREETED},
	// after HELO
	{"HELO c\r\n", READY},
	{H, READY},
	{H "EHLO\r\n", READY},
	{H "HELO c\r\n", READY},
	{H "FOO\r\n", READY},
	{H "RSET\r\n", READY},
	{H "MAIL FROM:a@b\r\n", READY},
	{H "MAIL FROM:<a@b.example> FOO=x\r\n", READY},
	{H "MAIL FROM:<a@b.example> SIZE=999999999999\r\n", READY},
	{H "MAIL\r\n", READY},
	{H "RCPT TO:<kim@example.org>\r\n", READY},
	{H "DATA\r\n", READY},
	{H "BDAT 6 LAST\r\nQUIT\r\n", READY},
	{H "AUTH FOO\r\n", READY},
	{H "AUTH PLAIN\r\n*\r\n", READY},
	{H "AUTH PLAIN\r\n!\r\n", READY},
	{H "AUTH PLAIN\r\nAA\rAA\r\n", READY},
	{H "AUTH PLAIN AGEAYQ==\r\n", READY},
	{H "AUTH PLAIN " AUTH_PLAIN "\r\n", READY},
	{H "STARTTLS x\r\n", READY},
	{M "RSET\r\n", READY},
	{M "EHLO c\r\n", READY},
	{M "HELO c\r\n", READY},
	{M "BDAT 6\r\nQUIT\r\n", READY},
	{R "RSET\r\n", READY},
	{R "EHLO c\r\n", READY},
	{R "DATA\r\n.\r\n", READY},
	{R "DATA\r\nDelivered-To: kim@example.org\r\n\r\n.\r\n", READY},
	{R "BDAT 0 LAST\r\n", READY},
	{R "BDAT 3\r\na\nb", READY},
	{R "BDAT 3 LAST\r\na\nb", READY},
	{B "RSET\r\n", READY},
	{B "EHLO c\r\n", READY},
	{B "BDAT 0 LAST\r\n", READY},
	{B "BDAT 3\r\na\nb", READY},
	{B "DATA\r\n", READY},
	// a sender
	{M, SENDER},
	{M "FOO\r\n", SENDER},
	{M "NOOP\r\nVRFY a\r\nHELP\r\nEXPN a\r\n", SENDER},
	{M "MAIL FROM:<c@d.example>\r\n", SENDER},
	{M "MAIL FROM:x\r\n", SENDER},
	{M "RCPT TO:<nobody@example.org>\r\n", SENDER},
	{M "RCPT TO:<a@elsewhere.example>\r\n", SENDER},
	{M "RCPT TO:x\r\n", SENDER},
	{M "RCPT\r\n", SENDER},
	{M "DATA\r\n", SENDER},
	{M "DATA x\r\n", SENDER},
	{M "EHLO\r\n", SENDER},
	{M "AUTH PLAIN\r\n", SENDER},
	{M "STARTTLS\r\n", SENDER},
	{M "RSET x\r\n", SENDER},
	{M "QUIT x\r\n", SENDER},
	{M "NOOP\n\r\n", SENDER},
	// a recipient
	{R, RECIPIENT},
	{R "RCPT TO:<nobody@example.org>\r\n", RECIPIENT},
	{R "RCPT TO:<kim2@example.org>\r\n", RECIPIENT},
	{R "RCPT TO:x\r\n", RECIPIENT},
	{R "MAIL FROM:<c@d.example>\r\n", RECIPIENT},
	{R "DATA x\r\n", RECIPIENT},
	{R "EHLO\r\n", RECIPIENT},
	{R "AUTH PLAIN " AUTH_PLAIN "\r\n", RECIPIENT},
	{R "STARTTLS\r\n", RECIPIENT},
	{R "FOO\r\n", RECIPIENT},
	// chunks
	{B, CHUNKS},
	{B "BDAT 0\r\n", CHUNKS},
	{B "NOOP\r\n", CHUNKS},
	{B "MAIL FROM:<c@d.example>\r\n", CHUNKS},
	{B "RCPT TO:<kim2@example.org>\r\n", CHUNKS},
	{B "AUTH PLAIN\r\n", CHUNKS},
	{B "STARTTLS\r\n", CHUNKS},
	{B "FOO\r\n", CHUNKS},
};

// And what comes next: its reply in each phase. Afterwards the same connection must still be able
// to carry a message (unless it closed).
static const struct next {
	const char *line;
	const char *replies[PHASES];
	unsigned messages[PHASES];
} next[] = {
	{"HELO c\r\n", {"250", "250", "250", "250", "250"}},
	{"EHLO c\r\n", {"250", "250", "250", "250", "250"}},
	{"EHLO\r\n", {"501/5.5.4", "501/5.5.4", "501/5.5.4", "501/5.5.4", "501/5.5.4"}},
	{"AUTH FOO\r\n", {"503/5.5.1", "504/5.5.4", "503/5.5.1", "503/5.5.1", "503/5.5.1"}},
	{"MAIL FROM:<a@b.example>\r\n",
		{"503/5.5.1", "250/2.1.0", "503/5.5.1", "503/5.5.1", "503/5.5.1"}},
	{"MAIL FROM:x\r\n", {"503/5.5.1", "501/5.1.7", "503/5.5.1", "503/5.5.1", "503/5.5.1"}},
	{"RCPT TO:<kim9@example.org>\r\n",
		{"503/5.5.1", "503/5.5.1", "250/2.1.5", "250/2.1.5", "503/5.5.1"}},
	{"RCPT TO:<a@elsewhere.example>\r\n",
		{"503/5.5.1", "503/5.5.1", "550/5.7.1", "550/5.7.1", "503/5.5.1"}},
	{"DATA\r\n.\r\n", // the dot is no command where there is no body
		{"503/5.5.1 500/5.5.1", "503/5.5.1 500/5.5.1", "554/5.5.1 500/5.5.1", "354 250/2.0.0",
			"503/5.5.1 500/5.5.1"}, {0, 0, 0, 1, 0}},
	{"BDAT 2\r\n\r\n", {"503/5.5.1", "503/5.5.1", "554/5.5.1", "250/2.0.0", "250/2.0.0"}},
	{"BDAT 2 LAST\r\n\r\n", {"503/5.5.1", "503/5.5.1", "554/5.5.1", "250/2.0.0", "250/2.0.0"},
		{0, 0, 0, 1, 1}},
	{"RSET\r\n", {"250/2.0.0", "250/2.0.0", "250/2.0.0", "250/2.0.0", "250/2.0.0"}},
	{"NOOP\r\n", {"250/2.0.0", "250/2.0.0", "250/2.0.0", "250/2.0.0", "250/2.0.0"}},
	{"VRFY kim\r\n", {"252/2.5.0", "252/2.5.0", "252/2.5.0", "252/2.5.0", "252/2.5.0"}},
	{"EXPN kim\r\n", {"502/5.5.1", "502/5.5.1", "502/5.5.1", "502/5.5.1", "502/5.5.1"}},
	{"HELP\r\n", {"214/2.0.0", "214/2.0.0", "214/2.0.0", "214/2.0.0", "214/2.0.0"}},
	{"FOO\r\n", {"500/5.5.1", "500/5.5.1", "500/5.5.1", "500/5.5.1", "500/5.5.1"}},
	{"QUIT\r\n", {"221/2.0.0", "221/2.0.0", "221/2.0.0", "221/2.0.0", "221/2.0.0"}},
};

// AUTH differs once one is logged in; that is not a question of phase.
static bool is_login(const struct before *b, const struct next *n)
{
	return !strncmp(n->line, "AUTH", 4) && strstr(b->script, AUTH_PLAIN) &&
		!strstr(b->script, "STARTTLS");
}

static void check_pair(const struct before *b, const struct next *n, unsigned how)
{
	struct host h = {.account_state = POLICY_ACCOUNT_ENABLED};
	struct buf replies = BUF_INIT;
	unsigned messages;

	begin_run(&h, SERVER_OFFERING, how);
	host_send(&h, str_from(b->script));
	messages = h.count;
	buf_clear(&h.said);
	host_send(&h, str_from(n->line));
	host_replies(&h, &replies);
	if (!is_login(b, n) && strcmp(buf_cstr(&replies), n->replies[b->phase]))
		fail_msg("\nafter    %s\nthen     %s\nreplies  %s\nexpected %s", b->script, n->line,
			buf_cstr(&replies), n->replies[b->phase]);
	assert_int_equal(h.count - messages, n->messages[b->phase]);
	buf_finish(&replies);
	if (h.closed) {
		host_finish(&h);
		return;
	}
	// Nothing is left over: a new message has its own recipient only.
	messages = h.count;
	buf_clear(&h.said);
	host_send(&h, STR("RSET\r\nEHLO c\r\nMAIL FROM:<z@b.example>\r\nRCPT TO:<kim7@example.org>\r\n"
		"DATA\r\nx: y\r\n\r\n.\r\n"));
	expect_replies(&h, "250/2.0.0 250 250/2.1.0 250/2.1.5 354 250/2.0.0");
	assert_int_equal(h.count, messages + 1);
	assert_string_equal(buf_cstr(&h.messages[messages].recipients), "kim7@example.org");
	assert_string_equal(buf_cstr(&h.messages[messages].body), "x: y\r\n\r\n");
	host_finish(&h);
}

static void test_each_by_each(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		for (size_t j = 0; j < ARRAY_SIZE(next); j++)
			for (unsigned how = 0; how < HOW; how++)
				check_pair(&before[i], &next[j], how);
}

// ---- interruptions: the connection ends after any octet, at any open ask

static unsigned disconnects, connects;

static void count_event(const struct event *e, void *arg)
{
	struct str session = event_get(e, "session");

	assert_true(session.len > 0);
	disconnects += !strcmp(e->name, "disconnect");
	connects += !strcmp(e->name, "connect");
}

static struct buf long_dialogue(void)
{
	struct buf b = BUF_INIT;

	buf_add_text(&b, "EHLO c\r\nAUTH LOGIN\r\na2lt\r\nc2VjcmV0\r\n"
		"MAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\nx: y\r\n\r\nbody\r\n.\r\n"
		"MAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\nBDAT 70000\r\n\r\n");
	for (int i = 0; i < 69998 / 2; i++)
		buf_add_text(&b, i % 2 ? "ab" : "\r\n");
	buf_add_text(&b, "BDAT 4 LAST\r\nx\r\nySTARTTLS\r\n\x01QUIT\r\n");
	return b;
}

enum end { END_DESTROYED, END_GONE, END_TIMED_OUT, END_SHUT_DOWN, ENDS };

static void end_session(struct host *h, enum end end)
{
	if (end == END_GONE) {
		session_peer_gone(h->session, "connection reset");
		if (h->submission) // was sent to the store already
			host_forget_submission(h);
	}
	else if (end == END_TIMED_OUT)
		session_timed_out(h->session);
	else if (end == END_SHUT_DOWN)
		session_shut_down(h->session);
	if (end >= END_TIMED_OUT)
		while (host_answer(h))
			;
}

// The client goes after so many octets, or our side is silent from some ask on. late: the answer
// comes after the end.
static void cut_at(struct str octets, unsigned freeze_at, enum end end, bool late)
{
	struct host h = {.account_state = POLICY_ACCOUNT_ENABLED, .later = true, .connections = 1,
		.freeze_at = freeze_at};

	disconnects = connects = 0;
	host_connect(&h, SERVER_OFFERING);
	session_begin(h.session, false);
	while (host_answer(&h))
		;
	send_script(&h, octets);
	end_session(&h, end);
	if (late) {
		h.freeze_at = 0;
		while (host_answer(&h))
			;
	}
	host_finish(&h);
	assert_int_equal(connects, 1);
	assert_int_equal(disconnects, 1);
}

static void test_interrupted_anywhere(void **state)
{
	struct buf dialogue = long_dialogue();
	struct str all = buf_str(&dialogue);

	event_set_tap(count_event, NULL);
	for (size_t cut = 0; cut <= all.len; cut += cut > 300 && cut + 300 < all.len ? 997 : 1)
		for (int end = 0; end < ENDS; end++)
			cut_at(str_slice(all, 0, cut), 0, (enum end)end, false);
	for (unsigned ask = 1; ask < 16; ask++)
		for (int end = 0; end < ENDS; end++) {
			cut_at(all, ask, (enum end)end, false);
			cut_at(all, ask, (enum end)end, true);
		}
	event_set_tap(NULL, NULL);
	buf_finish(&dialogue);
}

// A commit that is on its way is answered, also when the time is up.
static void test_timed_out_in_commit(void **state)
{
	struct host h = {.later = true, .connections = 1};

	host_connect(&h, SERVER_MX);
	session_begin(h.session, false);
	while (host_answer(&h))
		;
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\n"));
	while (host_answer(&h))
		;
	assert_int_equal(session_silence_limit(h.session), 180000);
	session_input(h.session, STR(".\r\n"));
	assert_int_equal(h.ask, ASK_SUBMIT);
	assert_int_equal(session_silence_limit(h.session), 0);
	session_timed_out(h.session);
	assert_false(h.closed);
	host_answer(&h);
	expect_replies(&h, "220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 421/4.3.2");
	assert_true(h.closed);
	host_finish(&h);
}

// Recipients over the limit of a message are refused for now, and that is no error, but not for
// ever: each is a line in the log.
static void test_deferred_without_end(void **state)
{
	struct host h = {0};
	unsigned said = 0;
	char line[64];

	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\n"));
	for (; !h.closed && said < 3000; said++) {
		snprintf(line, sizeof(line), "RCPT TO:<kim%u@example.org>\r\n", said);
		host_send(&h, str_from(line));
	}
	assert_int_equal(said, 10 + 1000 + 20); // taken, not counted, counted
	said_has(&h, "421 4.7.0 too many errors");
	host_finish(&h);
}

static void test_ends(void **state)
{
	struct host h = {0};

	begin_run(&h, SERVER_MX, 0);
	assert_int_equal(session_silence_limit(h.session), 300000);
	session_timed_out(h.session);
	expect_replies(&h, "220 421/4.4.2");
	assert_true(h.closed);
	assert_int_equal(session_input(h.session, STR("QUIT\r\n")), 6); // thrown away
	host_finish(&h);
	begin_run(&h, SERVER_MX, 0);
	session_shut_down(h.session);
	expect_replies(&h, "220 421/4.3.2");
	host_finish(&h);
	// Not within a body: it is finished first.
	begin_run(&h, SERVER_MX, 0);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\nx"));
	session_shut_down(h.session);
	assert_false(h.closed);
	host_send(&h, STR("\r\n.\r\nNOOP\r\n"));
	expect_replies(&h, "220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 421/4.3.2");
	assert_int_equal(h.count, 1);
	host_finish(&h);
}

// Words would spoil the handshake.
static void test_timed_out_in_handshake(void **state)
{
	struct host h = {.later = true, .connections = 1};

	host_connect(&h, SERVER_MX);
	session_begin(h.session, false);
	while (host_answer(&h))
		;
	session_input(h.session, STR("STARTTLS\r\n"));
	assert_int_equal(h.ask, ASK_TLS);
	session_timed_out(h.session);
	assert_true(h.closed);
	expect_replies(&h, "220 220/2.0.0");
	host_finish(&h);
}

// An early talker is counted, and answered like anybody else.
static void test_early_talker(void **state)
{
	struct host h = {.connections = 1};

	host_connect(&h, SERVER_MX);
	buf_add_text(&h.input, "EHLO c\r\n");
	session_begin(h.session, true);
	host_send(&h, STR_EMPTY);
	host_send(&h, STR("NOOP\r\n"));
	expect_replies(&h, "220 250 250/2.0.0");
	for (int i = 0; i < 19; i++)
		host_send(&h, STR("FOO\r\n"));
	assert_true(h.closed);
	host_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_by_each),
		cmocka_unit_test(test_interrupted_anywhere),
		cmocka_unit_test(test_timed_out_in_commit),
		cmocka_unit_test(test_timed_out_in_handshake),
		cmocka_unit_test(test_deferred_without_end),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_early_talker),
	};

	host_init_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
