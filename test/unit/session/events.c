// SPDX-License-Identifier: ISC
// The story a session leaves in the log: one event for each thing, with the session's id, the
// rule that decided and never a password.
#include "run.h"

#define AUTH_PLAIN "AGtpbUBleGFtcGxlLm9yZwBzZWNyZXQ="

static char story[8192];

static void add(const struct event *e, const char *key)
{
	struct str value = event_get(e, key);
	size_t used = strlen(story);

	if (value.len)
		snprintf(story + used, sizeof(story) - used, " %s=%.*s", key, STR_ARG(value));
}

static void tell(const struct event *e, void *arg)
{
	static const char *const keys[] = {"account", "from", "to", "recipients",
		"size", "verb", "code", "status", "rule", "where", "tls", "reason", "messages", "errors"};
	size_t used = strlen(story);

	assert_true(e->id != 0);
	assert_true(event_get(e, "session").len > 0);
	snprintf(story + used, sizeof(story) - used, "%s", e->name);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		add(e, keys[i]);
	assert_int_equal(e->level, EVENT_INFO); // below that nothing is kept in the history
	assert_true(event_get(e, "client").len > 0);
	used = strlen(story);
	snprintf(story + used, sizeof(story) - used, "\n");
}

static void expect_story(int server, struct str script, const char *expected)
{
	struct host h = {.account_state = POLICY_ACCOUNT_ENABLED};

	story[0] = '\0';
	event_set_tap(tell, NULL);
	begin_run(&h, server, 0);
	send_script(&h, script);
	host_finish(&h);
	event_set_tap(NULL, NULL);
	assert_string_equal(story, expected);
}

static void test_accepted(void **state)
{
	expect_story(SERVER_MX, STR("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<kim@example.org>\r\n"
		"RCPT TO:<kim2@example.org>\r\nDATA\r\nx: y\r\n\r\n.\r\nQUIT\r\n"),
		"connect\n"
		"accept from=a@b.example to=kim@example.org,kim2@example.org recipients=2 size=8 code=250\n"
		"disconnect reason=quit messages=1 errors=0\n");
}

static void test_refused(void **state)
{
	expect_story(SERVER_MX, STR("MAIL FROM:<a@b.example>\r\nFOO\n\r\nEHLO c\r\nMAIL FROM:<>\r\n"
		"RCPT TO:<a@elsewhere.example>\r\nRCPT TO:<kim@example.org>\r\nDATA\r\na\nb\r\n.\r\n"),
		"connect\n"
		"refuse verb=MAIL code=503 status=5.5.1 rule=sequence reason=send EHLO or HELO first\n"
		"refuse code=500 status=5.5.2 rule=bare-line-end "
		"reason=a line has a CR, LF or NUL of its own; lines end in CR LF only\n"
		"refuse from=<> to=a@elsewhere.example verb=RCPT code=550 status=5.7.1 rule=relay-denied "
		"reason=relay-denied: elsewhere.example is not a domain of this server; log in on port 587 to "
		"send mail to other hosts\n"
		"refuse from=<> to=kim@example.org verb=DATA code=554 status=5.6.0 rule=bare-line-end "
		"reason=the message has a CR or LF of its own; lines end in CR LF only\n"
		"refuse verb=DATA code=421 status=4.7.0 rule=bare-line-end "
		"reason=where such a message ends is not sure; connect again\n"
		"disconnect reason=bare-line-end messages=0 errors=4\n");
}

static void test_login(void **state)
{
	expect_story(SERVER_OFFERING, STR("STARTTLS\r\n\x01" "EHLO c\r\nAUTH PLAIN AGEAYQ==\r\n"
		"AUTH PLAIN " AUTH_PLAIN "\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<a@elsewhere.example>\r\n"),
		"connect\n"
		"auth account=kim@example.org code=535 status=5.7.8 rule=auth-failed tls=TLSv1.3 TLS_AES_256_GCM_SHA384 "
		"reason=password mismatch\n"
		"auth account=kim@example.org code=235 status=2.7.0 tls=TLSv1.3 TLS_AES_256_GCM_SHA384\n"
		"refuse account=kim@example.org from=x@example.org to=a@elsewhere.example verb=RCPT code=550 "
		"status=5.7.1 rule=relay-denied reason=relay-denied: elsewhere.example is not a domain of this "
		"server and your account has no right to send to other hosts; ask the administrator\n"
		"disconnect account=kim@example.org reason=closed messages=0 errors=2\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_login),
	};

	host_init_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
