// SPDX-License-Identifier: ISC
// Limits of a client, an account, its groups: when they hold, and what becomes of reservations.
#include "run.h"

#define START "hostname \"mail.example.org\"\npostmaster \"kim@example.org\"\ndomains \"example.org\"\n" \
	"server \"mx\" { listen \"*:25\" auth offer auth-without-tls yes senders any }\n"
#define LOGIN "AUTH PLAIN AGtpbUBleGFtcGxlLm9yZwBzZWNyZXQ=\r\n"

static int read_text(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	(void)secret;
	if (strcmp(path, "/pabal.conf") != 0)
		return error_set(err, ERR_NOT_FOUND, "no %s", path);
	return buf_add_text(out, arg);
}

static struct config *make_config(const char *more)
{
	char text[4096];
	struct config_findings findings = {0};
	struct config_reader reader = {read_text, text};
	struct buf out = BUF_INIT;
	snprintf(text, sizeof(text), "%s%s", START, more);
	struct config *c = config_build("/pabal.conf", &reader, &findings);
	config_findings_print(&findings, &out);
	if (!c)
		fail_msg("%s", buf_cstr(&out));
	buf_finish(&out);
	config_findings_finish(&findings);
	return c;
}

static void begin(struct host *h, const struct config *c)
{
	h->connections = 1;
	h->account_state = POLICY_ACCOUNT_ENABLED;
	host_connect(h, SERVER_MX);
	session_reconfigure(h->session, c, &c->servers[0]);
	session_begin(h->session, false);
	while (host_answer(h))
		;
}

static bool said(const struct host *h, const char *words)
{
	return str_search(buf_str(&h->said), str_from(words)) >= 0;
}

// EHLO shows those of the client, then those of the account, for which its groups are asked.
static void test_ehlo(void **state)
{
	struct config *c = make_config("limit \"network 203.0.113.0/24\" { message-size 9K }\n"
		"limit \"account kim@example.org\" { messages 4 }\nlimit \"group staff\" { recipients 5 }\n");
	struct host h = {.groups = "crew staff"};
	begin(&h, c);
	host_send(&h, STR("EHLO c\r\n"));
	assert_true(said(&h, "250-SIZE 9216\r\n") && said(&h, "250-LIMITS MAILMAX=100 RCPTMAX=100\r\n"));
	buf_clear(&h.said);
	host_send(&h, STR(LOGIN "EHLO c\r\n"));
	assert_true(said(&h, "250-SIZE 9216\r\n") && said(&h, "250-LIMITS MAILMAX=4 RCPTMAX=5\r\n"));
	host_finish(&h);
	h = (struct host){.groups = "staff"};
	begin(&h, c);
	host_send(&h, STR("EHLO c\r\n" LOGIN));
	h.no_facts = true; // what is not known does not stop EHLO
	buf_clear(&h.said);
	host_send(&h, STR("EHLO c\r\n"));
	assert_true(said(&h, "250-LIMITS MAILMAX=4 RCPTMAX=100\r\n"));
	host_finish(&h);
	config_destroy(c);
}

// The size of an account is not judged before its groups are known.
static void test_an_account_may_have_more(void **state)
{
	struct config *c = make_config("max-message-size 2K\nmax-recipients 1\n"
		"limit \"group staff\" { message-size 9K  recipients 3 }\n");
	struct host h = {.groups = "staff"};
	begin(&h, c);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<> SIZE=3000\r\n" LOGIN "MAIL FROM:<> SIZE=3000\r\n"
		"RCPT TO:<kim@example.org>\r\nRCPT TO:<kim1@example.org>\r\nRCPT TO:<kim2@example.org>\r\n"
		"RCPT TO:<kim3@example.org>\r\nRSET\r\n"));
	h.groups = NULL; // taken out of the group
	host_send(&h, STR("MAIL FROM:<> SIZE=3000\r\n"));
	expect_replies(&h, "220 250 552/5.3.4 235/2.7.0 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 452/4.5.3 "
		"250/2.0.0 552/5.3.4");
	host_finish(&h);
	config_destroy(c);
}

static void test_commands(void **state)
{
	struct config *c = make_config("limit \"everywhere\" { commands 10 }\n");
	struct host h = {0};
	begin(&h, c);
	host_send(&h, STR("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nQUIT\r\n"));
	assert_true(said(&h, "421 4.7.0 too many commands"));
	assert_true(h.closed);
	host_finish(&h);
	config_destroy(c);
}

static void test_too_old(void **state)
{
	struct config *c = make_config("limit \"network 203.0.113.7\" { session-timeout 5s }\n");
	struct host h = {0};
	begin(&h, c);
	assert_int_equal(session_age_limit(h.session), 5000);
	session_expired(h.session);
	assert_true(said(&h, "421 4.4.2 this session has lasted too long"));
	host_finish(&h);
	config_destroy(c);
}

// What was reserved is either submitted or given back, exactly once.
static void test_reservations(void **state)
{
	struct config *c = make_config("limit \"everywhere\" { rate client recipients 2 per day\n"
		"rate client messages 9 per day hold }\n");
	static const struct {
		const char *script, *replies;
		unsigned released, messages;
	} rows[] = {
		{"MAIL FROM:<>\r\nRSET\r\n", "250/2.1.0 250/2.0.0", 0, 0},
		{"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nRSET\r\n", "250/2.1.0 250/2.1.5 250/2.0.0", 1, 0},
		{"MAIL FROM:<>\r\nRCPT TO:<no@example.org>\r\nRSET\r\n", "250/2.1.0 550/5.1.1 250/2.0.0", 0, 0},
		{"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nRCPT TO:<kim1@example.org>\r\n"
		 "RCPT TO:<kim2@example.org>\r\nEHLO c\r\n", "250/2.1.0 250/2.1.5 250/2.1.5 451/4.7.1 250", 1, 0},
		{"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\nX: y\r\n\r\n.\r\n",
		 "250/2.1.0 250/2.1.5 354 250/2.0.0", 0, 1},
		{"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\nX: y\r\n\r\nbare\n\r\n.\r\n",
		 "250/2.1.0 250/2.1.5 354 554/5.6.0 421/4.7.0", 1, 0},
		{"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\nQUIT\r\n", "250/2.1.0 250/2.1.5 221/2.0.0", 1, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host h = {.rate_room = 2};
		char expected[200];
		begin(&h, c);
		host_send(&h, STR("EHLO c\r\n"));
		host_send(&h, str_from(rows[i].script));
		snprintf(expected, sizeof(expected), "220 250 %s", rows[i].replies);
		expect_replies(&h, expected);
		assert_int_equal(h.rates_released, rows[i].released);
		assert_int_equal(h.count, rows[i].messages);
		host_finish(&h);
		assert_int_equal(h.rates_released, 0);
	}
	struct host h = {.rates_uncertain = true};
	begin(&h, c);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	expect_replies(&h, "220 250 250/2.1.0 451/4.3.0");
	host_finish(&h);
	config_destroy(c);
}

// A peer that goes gives back, too. A message ends under the limits that it began with.
static void test_reservation_of_who_goes(void **state)
{
	struct config *c = make_config("limit \"everywhere\" { rate client recipients 2 per day }\n");
	struct config *other = make_config("");
	struct host h = {.rate_room = 1, .later = true};
	begin(&h, c);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	session_reconfigure(h.session, other, &other->servers[0]);
	host_send(&h, STR("RCPT TO:<kim1@example.org>\r\nRSET\r\nMAIL FROM:<>\r\n"));
	host_send(&h, STR("RCPT TO:<kim@example.org>\r\nRCPT TO:<kim1@example.org>\r\n"));
	assert_int_equal(h.rates_released, 1);
	session_reconfigure(h.session, c, &c->servers[0]);
	h.rate_room = 1;
	host_send(&h, STR("RSET\r\nMAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	session_peer_gone(h.session, "gone");
	expect_replies(&h, "220 250 250/2.1.0 250/2.1.5 451/4.7.1 250/2.0.0 250/2.1.0 250/2.1.5 250/2.1.5 "
		"250/2.0.0 250/2.1.0 250/2.1.5");
	assert_int_equal(h.rates_released, 2);
	host_finish(&h);
	config_destroy(c);
	config_destroy(other);
}

// Every recipient takes less: refused now. One takes it: accepted, the others are told later.
static void test_local_size(void **state)
{
	struct config *c = make_config("");
	struct host h = {.local_size = 20};
	static const char body[] = "DATA\r\nX: y\r\n\r\n0123456789\r\n0123456789\r\n.\r\n";
	begin(&h, c);
	host_send(&h, STR("EHLO c\r\nMAIL FROM:<> SIZE=21\r\nRCPT TO:<kim@example.org>\r\nRSET\r\n"
		"MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	host_send(&h, str_from(body));
	host_send(&h, STR("MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	h.local_size = 0;
	host_send(&h, STR("RCPT TO:<kim1@example.org>\r\n"));
	host_send(&h, str_from(body));
	h.local_size = 20;
	host_send(&h, STR("MAIL FROM:<>\r\nRCPT TO:<kim@example.org>\r\n"));
	h.local_size = 200;
	host_send(&h, STR("RCPT TO:<kim1@example.org>\r\n"));
	host_send(&h, str_from(body));
	expect_replies(&h, "220 250 250/2.1.0 552/5.2.3 250/2.0.0 250/2.1.0 250/2.1.5 354 552/5.2.3 "
		"250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0");
	assert_int_equal(h.count, 2);
	host_finish(&h);
	config_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ehlo),
		cmocka_unit_test(test_an_account_may_have_more),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_too_old),
		cmocka_unit_test(test_reservations),
		cmocka_unit_test(test_reservation_of_who_goes),
		cmocka_unit_test(test_local_size),
	};

	host_init_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
