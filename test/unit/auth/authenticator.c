// SPDX-License-Identifier: ISC
#include "world.h"

#include "auth/check.h"

// ---- who gets in
static void names_and_passwords(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name, *password;
		enum authenticator_outcome outcome;
		const char *account, *reason;
	} rows[] = {
		{KIM, KIM_PASSWORD, AUTHENTICATOR_OK, KIM, ""},
		{"kim", KIM_PASSWORD, AUTHENTICATOR_OK, KIM, ""},
		{"KIM@EXAMPLE.KR.", KIM_PASSWORD, AUTHENTICATOR_OK, KIM, ""},
		{KIM, "wrong", AUTHENTICATOR_FAILED, KIM, "wrong password"},
		{KIM, "Correct horse", AUTHENTICATOR_FAILED, KIM, "wrong password"},
		{"lee", KIM_PASSWORD, AUTHENTICATOR_FAILED, "lee@example.kr", "unknown name"},
		{"kim@other.test", KIM_PASSWORD, AUTHENTICATOR_FAILED, "kim@other.test", "unknown name"},
		{"kim@-.test", KIM_PASSWORD, AUTHENTICATOR_FAILED, "kim@-.test", "unknown name"},
		{"@example.kr", KIM_PASSWORD, AUTHENTICATOR_FAILED, "@example.kr", "unknown name"},
		{"\xff\xfe", KIM_PASSWORD, AUTHENTICATOR_FAILED, "\xff\xfe", "unknown name"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen seen;
		assert_int_equal(world_login(w, rows[i].name, rows[i].password, &seen), rows[i].outcome);
		assert_string_equal(seen.account, rows[i].account);
		assert_string_equal(seen.reason, rows[i].reason);
		assert_int_equal(seen.rights, rows[i].outcome == AUTHENTICATOR_OK ? AUTHENTICATOR_SUBMIT : 0);
	}
}

static void authzid_is_the_account_or_nothing(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *authzid;
		enum authenticator_outcome outcome;
	} rows[] = {
		{"", AUTHENTICATOR_OK}, {KIM, AUTHENTICATOR_OK}, {"Kim", AUTHENTICATOR_OK},
		{"lee", AUTHENTICATOR_FAILED}, {"kim@other.test", AUTHENTICATOR_FAILED},
		{"@", AUTHENTICATOR_FAILED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf b = BUF_INIT;
		struct seen seen = {0};
		seen.destroy = authentication_create(w->authenticator, "plain", &(struct authentication_facts){.client = w->client, .secured = true});
		authentication_step(seen.destroy, plain(&b, rows[i].authzid, KIM, KIM_PASSWORD), world_done,
			&seen);
		WAIT(w, seen.count);
		assert_int_equal(seen.outcome, rows[i].outcome);
		if (seen.outcome == AUTHENTICATOR_FAILED)
			assert_string_equal(seen.reason, "authzid differs");
		buf_finish(&b);
	}
}

static void state_of_the_account(void **state)
{
	struct world *w = *state;
	static const struct {
		int state;
		enum authenticator_outcome outcome;
		const char *reason;
	} rows[] = {
		{0, AUTHENTICATOR_FAILED, "unknown name"},
		{1, AUTHENTICATOR_OK, ""},
		{2, AUTHENTICATOR_FAILED, "disabled"},
		{3, AUTHENTICATOR_UNAVAILABLE, "the accounts cannot be read now"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen seen;
		w->state = rows[i].state;
		assert_int_equal(world_login(w, KIM, KIM_PASSWORD, &seen), rows[i].outcome);
		assert_string_equal(seen.reason, rows[i].reason);
		assert_string_equal(seen.account, KIM);
	}
}

// ---- what it costs
static void unknown_names_cost_what_known_ones_cost(void **state)
{
	struct world *w = *state;
	static const char *const names[] = {KIM, "nobody", "kim@-.test"};
	static const char *const passwords[] = {"wrong", "\xeb\xb0\x94\xeb\xb3\xb4", "\xef\xbd\x97rong", "a\001b"};

	for (size_t p = 0; p < ARRAY_SIZE(passwords); p++) {
		unsigned long cost[ARRAY_SIZE(names)];
		for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
			unsigned long before = password_operations();
			unsigned asked = w->questions;
			assert_int_equal(world_login(w, names[n], passwords[p], NULL), AUTHENTICATOR_FAILED);
			cost[n] = password_operations() - before;
			assert_int_equal(w->questions, asked);
		}
		assert_int_equal(cost[1], cost[0]);
		assert_int_equal(cost[2], cost[0]);
		assert_true(cost[0] > 0);
	}
}

static void success_is_remembered(void **state)
{
	struct world *w = *state;
	unsigned long before;

	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	before = password_operations();
	for (int i = 0; i < 10; i++)
		assert_int_equal(world_login(w, "kim", KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	assert_int_equal(password_operations(), before);
	assert_int_equal(w->questions, 11); // the account's state is asked each time

	w->config.auth.cache = 0;
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	assert_int_equal(password_operations(), before + 1);
}

static void disabling_holds_at_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	w->state = 2;
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_FAILED);
	w->state = 1;
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
}

static void a_new_password_holds_at_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	world_set_password(w, KIM, "another");
	authenticator_forget(w->authenticator, STR(KIM));
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_FAILED);
	assert_int_equal(world_login(w, KIM, "another", NULL), AUTHENTICATOR_OK);

	assert_int_equal(secrets_remove(w->secrets, STR(KIM)), 0);
	authenticator_forget(w->authenticator, STR_EMPTY);
	assert_int_equal(world_login(w, KIM, "another", NULL), AUTHENTICATOR_FAILED);
}

// The old password is being hashed while it is replaced.
static void a_new_password_holds_for_checks_on_their_way(void **state)
{
	struct world *w = *state;
	struct seen old, new;

	world_try(w, KIM, KIM_PASSWORD, &old);
	world_try(w, KIM, "another", &new);
	world_set_password(w, KIM, "another");
	authenticator_forget(w->authenticator, STR(KIM));
	WAIT(w, old.count && new.count);
	assert_int_equal(old.outcome, AUTHENTICATOR_FAILED);
	assert_int_equal(new.outcome, AUTHENTICATOR_OK);
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_FAILED);
}

static void the_same_attempts_share_one_hash(void **state)
{
	struct world *w = *state;
	unsigned long before = password_operations();
	struct seen seen[50];

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		world_try(w, KIM, KIM_PASSWORD, &seen[i]);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		WAIT(w, seen[i].count);
		assert_int_equal(seen[i].outcome, AUTHENTICATOR_OK);
	}
	assert_int_equal(password_operations() - before, 1);
}

static void too_many_attempts_are_put_off(void **state)
{
	struct world *w = *state;
	enum { COUNT = AUTH_CHECKS_MAX + 20 };
	struct seen *seen = mem_array(COUNT, sizeof *seen);
	unsigned put_off = 0;

	for (size_t i = 0; i < COUNT; i++) {
		char name[32];
		snprintf(name, sizeof name, "name%zu", i);
		world_try(w, name, "wrong", &seen[i]);
		if (seen[i].count) {
			assert_int_equal(seen[i].outcome, AUTHENTICATOR_UNAVAILABLE);
			put_off++;
		}
	}
	assert_true(put_off >= 20);
	// The end does not wait for a thousand hashes, and forgets nobody.
	authenticator_destroy(w->authenticator);
	w->authenticator = NULL;
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(seen[i].count, 1);
	mem_free(seen);
}

// ---- cancelling
static void cancelled_anywhere(void **state)
{
	struct world *w = *state;
	struct authentication *x;
	struct seen seen, other;

	// Before any response, while it is hashed, and with another asker for the same hash.
	authentication_destroy(authentication_create(w->authenticator, "LOGIN", &(struct authentication_facts){.client = w->client, .secured = true}));
	authentication_destroy(world_try(w, KIM, KIM_PASSWORD, &seen));
	x = world_try(w, KIM, KIM_PASSWORD, &seen);
	world_try(w, KIM, KIM_PASSWORD, &other);
	authentication_destroy(x);
	WAIT(w, other.count);
	assert_int_equal(other.outcome, AUTHENTICATOR_OK);
	assert_int_equal(seen.count, 0);

	// While the account is asked for; the late answer finds nobody.
	w->hold = true;
	x = world_try(w, KIM, KIM_PASSWORD, &seen);
	WAIT(w, w->questions == 2);
	authentication_destroy(x);
	authenticator_account(w->authenticator, w->last_question, 1, 0, STR_EMPTY);
	assert_int_equal(seen.count, 0);
}

static void a_lost_directory_is_no_answer(void **state)
{
	struct world *w = *state;
	struct seen seen[2];

	w->hold = true;
	world_try(w, KIM, KIM_PASSWORD, &seen[0]);
	world_try(w, KIM, KIM_PASSWORD, &seen[1]);
	WAIT(w, w->questions == 2);
	authenticator_accounts_lost(w->authenticator);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(seen[i].count, 1);
		assert_int_equal(seen[i].outcome, AUTHENTICATOR_UNAVAILABLE);
	}
}

static void a_dialogue_outlives_the_authenticator(void **state)
{
	struct world *w = *state;
	struct authentication *x = authentication_create(w->authenticator, "LOGIN", &(struct authentication_facts){.client = w->client, .secured = true});
	struct seen seen = {0}, open;

	w->hold = true;
	world_try(w, KIM, KIM_PASSWORD, &open);
	authenticator_destroy(w->authenticator);
	w->authenticator = NULL;
	assert_int_equal(open.outcome, AUTHENTICATOR_UNAVAILABLE);
	authentication_step(x, (struct str){NULL, 0}, world_done, &seen);
	assert_int_equal(seen.outcome, AUTHENTICATOR_UNAVAILABLE);
	authentication_destroy(x);
}

// ---- guessing
// What the configuration says by default is 0 here: no limit.
static void limit(struct world *w, uint64_t account_address, uint64_t names)
{
	w->config.auth.guess.window = w->config.auth.guess.block = 600000;
	w->config.auth.guess.delay = 300;
	w->config.auth.guess.account_address = account_address;
	w->config.auth.guess.names = names;
	authenticator_set_config(w->authenticator, &w->config);
	assert_int_equal(ipaddr_parse(STR("192.0.2.1"), &w->client), 0);
}

static void guess(struct world *w, const char *name, unsigned times)
{
	char password[8];

	for (unsigned i = 0; i < times; i++) {
		snprintf(password, sizeof password, "%u", i);
		assert_int_equal(world_login(w, name, password, NULL), AUTHENTICATOR_FAILED);
	}
}

static enum authenticator_outcome trusted_login(
	struct world *w, const char *mechanism, const char *name, const char *password)
{
	struct buf b = BUF_INIT;
	struct seen seen = {0};
	struct authentication *x = authentication_create(w->authenticator, mechanism,
		&(struct authentication_facts){
			.client = w->client, .secured = true, .trusted = true});

	seen.destroy = x;
	authentication_step(x, plain(&b, "", name, password), world_done, &seen);
	buf_finish(&b);
	WAIT(w, seen.count == 1);
	return seen.outcome;
}

static void guessers_are_not_looked_at(void **state)
{
	struct world *w = *state;
	struct seen seen;
	uint64_t began;

	limit(w, 3, 0);
	guess(w, KIM, 3);
	unsigned long before = password_operations();
	assert_int_equal(
		trusted_login(w, "PLAIN", KIM, KIM_PASSWORD), AUTHENTICATOR_BLOCKED);
	// Who is not our own smtpd hears of no block, only later.
	began = clock_monotonic_ms();
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, &seen), AUTHENTICATOR_FAILED);
	assert_true(clock_monotonic_ms() - began >= 300);
	assert_non_null(strstr(seen.reason, "account-address"));
	w->config.auth.guess.delays = true;
	began = clock_monotonic_ms();
	assert_int_equal(trusted_login(w, "PLAIN", KIM, KIM_PASSWORD), AUTHENTICATOR_FAILED);
	assert_true(clock_monotonic_ms() - began >= 300);
	assert_int_equal(password_operations(), before); // nothing was hashed for any of them
	assert_int_equal(ipaddr_parse(STR("192.0.2.2"), &w->client), 0);
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
}

// Else a guesser who is stopped could go on against those who have just logged in.
static void what_is_remembered_is_no_way_around(void **state)
{
	struct world *w = *state;

	limit(w, 3, 0);
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	guess(w, KIM, 3);
	assert_int_equal(
		trusted_login(w, "PLAIN", KIM, KIM_PASSWORD), AUTHENTICATOR_BLOCKED);
}

static void a_spray_stops_but_for_who_is_at_home(void **state)
{
	struct world *w = *state;
	char name[16];

	limit(w, 0, 4);
	assert_int_equal(world_login(w, KIM, KIM_PASSWORD, NULL), AUTHENTICATOR_OK);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "name%u", i);
		guess(w, name, 1);
	}
	assert_int_equal(trusted_login(w, "PLAIN", "lee", "1"), AUTHENTICATOR_BLOCKED);
	assert_int_equal(trusted_login(w, "PLAIN", KIM, KIM_PASSWORD), AUTHENTICATOR_OK);
	assert_int_equal(auth_guard_clear(authenticator_guard(w->authenticator), NULL, NULL), 1);
	assert_int_equal(trusted_login(w, "PLAIN", "lee", "1"), AUTHENTICATOR_FAILED);
}

static void one_address_cannot_fill_the_waiting_room(void **state)
{
	struct world *w = *state;
	struct seen seen[20];
	unsigned at_once = 0;

	limit(w, 1, 0);
	guess(w, "choi", 1);
	w->config.auth.guess.delay = 50000;
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		world_try(w, "choi", "wrong", &seen[i]);
		at_once += seen[i].count;
	}
	assert_int_equal(at_once, 12);
	for (size_t i = 0; i < 8; i++)
		authentication_destroy(seen[i].destroy);
}

// Tells which names there are to nobody: neither the limits nor their answers know the difference.
static void unknown_names_are_counted_as_known_ones(void **state)
{
	struct world *w = *state;
	static const char *const names[] = {KIM, "nobody@example.kr"};

	limit(w, 3, 0);
	for (unsigned n = 0; n < 2; n++) {
		unsigned long before = password_operations();
		guess(w, names[n], 3);
		assert_int_equal(password_operations() - before, 3);
		assert_int_equal(
			trusted_login(w, "PLAIN", names[n], "4"), AUTHENTICATOR_BLOCKED);
		assert_int_equal(password_operations() - before, 3);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_and_passwords),
		TEST(authzid_is_the_account_or_nothing),
		TEST(state_of_the_account),
		TEST(unknown_names_cost_what_known_ones_cost),
		TEST(success_is_remembered),
		TEST(disabling_holds_at_once),
		TEST(a_new_password_holds_at_once),
		TEST(a_new_password_holds_for_checks_on_their_way),
		TEST(the_same_attempts_share_one_hash),
		TEST(too_many_attempts_are_put_off),
		TEST(cancelled_anywhere),
		TEST(a_lost_directory_is_no_answer),
		TEST(a_dialogue_outlives_the_authenticator),
		TEST(guessers_are_not_looked_at),
		TEST(what_is_remembered_is_no_way_around),
		TEST(a_spray_stops_but_for_who_is_at_home),
		TEST(unknown_names_are_counted_as_known_ones),
		TEST(one_address_cannot_fill_the_waiting_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
