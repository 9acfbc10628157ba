// SPDX-License-Identifier: ISC
#include "world.h"

#define RESPONSE(text) {"" text, sizeof(text) - 1}
#define NO_RESPONSE {NULL, 0}

static void listed(void **state)
{
	struct world *w = *state;

	assert_string_equal(authenticator_mechanisms(w->authenticator), "PLAIN LOGIN");
	assert_true(authenticator_mechanism_plaintext("PLAIN"));
	assert_true(authenticator_mechanism_plaintext("login"));
	assert_false(authenticator_mechanism_plaintext("EXTERNAL"));
	assert_null(authentication_create(w->authenticator, "KERBEROS_V4", &(struct authentication_facts){.client = w->client, .secured = true}));
	assert_null(authentication_create(w->authenticator, "", &(struct authentication_facts){.client = w->client, .secured = true}));
}

// Each response in turn; "" as challenge: an empty one.
static void dialogues(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *mechanism;
		struct str responses[4];
		const char *challenges[3]; // to all but the last
		enum authenticator_outcome outcome;
		const char *reason;
	} rows[] = {
		{"PLAIN", {RESPONSE("\0kim\0" KIM_PASSWORD)}, {NULL}, AUTHENTICATOR_OK, ""},
		{"plain", {NO_RESPONSE, RESPONSE("\0kim\0" KIM_PASSWORD)}, {""}, AUTHENTICATOR_OK, ""},
		{"PLAIN", {RESPONSE("kim\0kim\0" KIM_PASSWORD)}, {NULL}, AUTHENTICATOR_OK, ""},
		{"PLAIN", {RESPONSE("\0kim\0wrong")}, {NULL}, AUTHENTICATOR_FAILED, "wrong password"},
		{"PLAIN", {RESPONSE("")}, {NULL}, AUTHENTICATOR_FAILED, "malformed response"},
		{"PLAIN", {RESPONSE("kim")}, {NULL}, AUTHENTICATOR_FAILED, "malformed response"},
		{"PLAIN", {RESPONSE("\0kim")}, {NULL}, AUTHENTICATOR_FAILED, "malformed response"},
		{"PLAIN", {RESPONSE("\0kim\0")}, {NULL}, AUTHENTICATOR_FAILED, "malformed response"},
		{"PLAIN", {RESPONSE("\0\0" KIM_PASSWORD)}, {NULL}, AUTHENTICATOR_FAILED, "malformed response"},
		{"PLAIN", {RESPONSE("\0kim\0" KIM_PASSWORD "\0")}, {NULL}, AUTHENTICATOR_FAILED,
			"malformed response"},
		{"PLAIN", {RESPONSE("\0\0\0\0\0")}, {NULL}, AUTHENTICATOR_FAILED, "malformed response"},
		{"LOGIN", {NO_RESPONSE, RESPONSE("kim"), RESPONSE(KIM_PASSWORD)}, {"Username:", "Password:"},
			AUTHENTICATOR_OK, ""},
		{"LOGIN", {RESPONSE("kim"), RESPONSE(KIM_PASSWORD)}, {"Password:"}, AUTHENTICATOR_OK, ""},
		{"LOGIN", {RESPONSE(""), RESPONSE("kim"), RESPONSE(KIM_PASSWORD)}, {"Username:", "Password:"},
			AUTHENTICATOR_OK, ""},
		{"LOGIN", {RESPONSE("kim"), RESPONSE("wrong")}, {"Password:"}, AUTHENTICATOR_FAILED,
			"wrong password"},
		{"LOGIN", {RESPONSE("kim"), RESPONSE("")}, {"Password:"}, AUTHENTICATOR_FAILED, "wrong password"},
		{"LOGIN", {NO_RESPONSE, RESPONSE("")}, {"Username:"}, AUTHENTICATOR_FAILED, "malformed response"},
		{"LOGIN", {RESPONSE("kim\0"), RESPONSE(KIM_PASSWORD)}, {"Password:"}, AUTHENTICATOR_FAILED,
			"unknown name"},
		{"LOGIN", {RESPONSE("kim"), RESPONSE(KIM_PASSWORD "\0")}, {"Password:"}, AUTHENTICATOR_FAILED,
			"wrong password"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct authentication *x = authentication_create(w->authenticator, rows[i].mechanism,
			&(struct authentication_facts){.client = w->client, .secured = true});
		struct seen seen;
		assert_non_null(x);
		for (size_t step = 0; step == 0 || rows[i].challenges[step - 1]; step++) {
			seen = (struct seen){0};
			authentication_step(x, rows[i].responses[step], world_done, &seen);
			WAIT(w, seen.count == 1);
			if (rows[i].challenges[step]) {
				assert_int_equal(seen.outcome, AUTHENTICATOR_CONTINUE);
				assert_string_equal(seen.challenge, rows[i].challenges[step]);
			}
		}
		assert_int_equal(seen.outcome, rows[i].outcome);
		assert_string_equal(seen.reason, rows[i].reason);
		authentication_destroy(x);
		authenticator_forget(w->authenticator, STR_EMPTY);
	}
}

static void a_long_name_is_refused(void **state)
{
	struct world *w = *state;
	static char name[5000];
	struct seen seen;

	memset(name, 'a', sizeof name);
	for (size_t len = 64; len <= sizeof name; len = len * 2 > sizeof name && len < sizeof name ? sizeof name : len * 2) {
		struct authentication *x = authentication_create(w->authenticator, "LOGIN", &(struct authentication_facts){.client = w->client, .secured = true});
		seen = (struct seen){0};
		authentication_step(x, str_make(name, len), world_done, &seen);
		assert_int_equal(seen.count, 1);
		if (seen.outcome == AUTHENTICATOR_CONTINUE) {
			authentication_step(x, STR("password"), world_done, &seen);
			WAIT(w, seen.count == 2);
		}
		assert_int_equal(seen.outcome, AUTHENTICATOR_FAILED);
		authentication_destroy(x);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(listed), TEST(dialogues), TEST(a_long_name_is_refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
