// SPDX-License-Identifier: ISC
// EXTERNAL, ANONYMOUS and CRAM-MD5, one step each.
#include "world.h"

#include "auth/mechanism.h"

#define OCTETS(text) {"" text, sizeof(text) - 1}
#define NONE	     {NULL, 0}
#define PRINT	     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PRINT_COLONS \
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

static enum authenticator_outcome run(struct world *w, const char *mechanism,
	const struct authentication_facts *facts, struct str response, struct seen *seen)
{
	struct authentication *x = authentication_create(w->authenticator, mechanism, facts);

	assert_non_null(x);
	*seen = (struct seen){0};
	authentication_step(x, response, world_done, seen);
	WAIT(w, seen->count == 1);
	authentication_destroy(x);
	return seen->outcome;
}

static void whom_a_certificate_stands_for(void **state)
{
	static const struct {
		const char *rule; // of auth external; NULL: none
		const char *subject, *mailboxes;
		struct str response;
		enum authenticator_outcome outcome;
	} rows[] = {
		{NULL, "CN=kim", KIM, OCTETS(""), AUTHENTICATOR_OK},
		{NULL, "CN=kim", KIM, OCTETS("kim"), AUTHENTICATOR_OK},
		{NULL, "CN=kim", KIM, OCTETS("lee"), AUTHENTICATOR_FAILED},
		{NULL, "CN=kim", "lee@example.kr " KIM, OCTETS(KIM), AUTHENTICATOR_OK},
		{NULL, "CN=kim", "lee@example.kr " KIM, OCTETS(""), AUTHENTICATOR_FAILED}, // it is lee
		{NULL, "CN=kim", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{NULL, "CN=kim", "", OCTETS("kim"), AUTHENTICATOR_FAILED},
		{NULL, "CN=kim", KIM, NONE, AUTHENTICATOR_CONTINUE},
		{NULL, "CN=kim", KIM, OCTETS("kim\0"), AUTHENTICATOR_FAILED},
		{"subject CN=kim", "CN=kim", "", OCTETS(""), AUTHENTICATOR_OK},
		{"subject CN=kim", "CN=kim2", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{"subject CN=kim", "CN=ki", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{"subject", "CN=kim", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{"email x@example.org", "", "y@example.org X@example.org", OCTETS(""), AUTHENTICATOR_OK},
		{"email x@example.org", "", "xx@example.org", OCTETS("x"), AUTHENTICATOR_FAILED},
		{"fingerprint " PRINT, "", "", OCTETS(""), AUTHENTICATOR_OK},
		{"fingerprint " PRINT_COLONS, "", "", OCTETS(""), AUTHENTICATOR_OK},
		{"fingerprint " PRINT "00", "", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{"fingerprint 0011", "", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{"fingerprint ::", "", "", OCTETS(""), AUTHENTICATOR_FAILED},
		{"colour blue", "", "", OCTETS(""), AUTHENTICATOR_FAILED},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct authentication_facts f = {.client = w->client,
			.secured = true,
			.trusted = true,
			.certificate_verified = true,
			.certificate_subject = str_from(rows[i].subject),
			.certificate_names = str_from(rows[i].mailboxes),
			.certificate_fingerprint = STR(PRINT)};
		struct str map[2] = {str_from(rows[i].rule ? rows[i].rule : ""), STR(KIM)};
		struct seen seen;
		w->config.auth.external =
			(struct config_list){.items = map, .count = rows[i].rule ? 2 : 0};
		if (run(w, "EXTERNAL", &f, rows[i].response, &seen) != rows[i].outcome)
			fail_msg("row %zu: %d, %s", i, seen.outcome, seen.reason);
		if (seen.outcome == AUTHENTICATOR_OK)
			assert_string_equal(seen.account, KIM);
		f.certificate_verified = false;
		if (rows[i].response.data)
			assert_int_equal(run(w, "EXTERNAL", &f, rows[i].response, &seen),
				AUTHENTICATOR_FAILED);
	}
	w->config.auth.external = (struct config_list){0};
}

static void anybody_may_be_anonymous(void **state)
{
	static char trace[256];
	struct world *w = *state;
	struct authentication_facts f = {.client = w->client, .secured = true, .trusted = true};
	struct seen seen;

	memset(trace, 'a', sizeof trace);
	assert_int_equal(run(w, "ANONYMOUS", &f, (struct str)NONE, &seen), AUTHENTICATOR_CONTINUE);
	assert_int_equal(run(w, "ANONYMOUS", &f, str_make(trace, 255), &seen), AUTHENTICATOR_OK);
	assert_string_equal(seen.account, "anonymous@example.kr");
	assert_int_equal(seen.rights & AUTHENTICATOR_RELAY, 0);
	assert_int_equal(run(w, "ANONYMOUS", &f, STR_EMPTY, &seen), AUTHENTICATOR_OK);
	assert_int_equal(run(w, "ANONYMOUS", &f, str_make(trace, 256), &seen), AUTHENTICATOR_FAILED);
	assert_int_equal(run(w, "ANONYMOUS", &f, STR("\xff"), &seen), AUTHENTICATOR_FAILED);
	assert_int_equal(w->questions, 0); // there is no such account to ask for
}

static void cram_begins_with_the_server(void **state)
{
	struct world *w = *state;
	struct authentication_facts f = {.client = w->client, .secured = true};
	struct seen seen = {0}, other = {0};

	assert_int_equal(run(w, "CRAM-MD5", &f, STR("early"), &seen), AUTHENTICATOR_FAILED);
	assert_int_equal(run(w, "CRAM-MD5", &f, STR_EMPTY, &seen), AUTHENTICATOR_CONTINUE);
	assert_int_equal(run(w, "CRAM-MD5", &f, (struct str)NONE, &other), AUTHENTICATOR_CONTINUE);
	assert_string_not_equal(seen.challenge, other.challenge);
	assert_int_equal(seen.challenge[0], '<');
	assert_int_equal(seen.challenge[strlen(seen.challenge) - 1], '>');
	static const char *const bad[] = {"", "kim", "kim 0011", " 00112233445566778899aabbccddeeff",
		"kim 00112233445566778899aabbccddeefg", "kim 00112233445566778899aabbccddeeff"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct authentication *x = authentication_create(w->authenticator, "CRAM-MD5", &f);
		seen = (struct seen){0};
		authentication_step(x, (struct str)NONE, world_done, &seen);
		WAIT(w, seen.count == 1);
		authentication_step(x, str_from(bad[i]), world_done, &seen);
		WAIT(w, seen.count == 2);
		assert_int_equal(seen.outcome, AUTHENTICATOR_FAILED);
		authentication_destroy(x);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whom_a_certificate_stands_for),
		TEST(anybody_may_be_anonymous),
		TEST(cram_begins_with_the_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
