// SPDX-License-Identifier: ISC
#include "auth/guess.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct ipaddr address(const char *text)
{
	struct ipaddr a = {0};

	if (text[0])
		assert_int_equal(ipaddr_parse(str_from(text), &a), 0);
	return a;
}

static uint64_t delay(struct auth_guess *g, const char *name, const char *client, uint64_t now)
{
	struct ipaddr a = address(client);

	return auth_guess_delay(g, str_from(name), &a, now);
}

static void fail_at(struct auth_guess *g, const char *name, const char *client, uint64_t attempt,
	uint64_t now)
{
	struct ipaddr a = address(client);

	auth_guess_failed(g, str_from(name), &a, attempt, now);
}

static void grows_and_ends(void **state)
{
	static const uint64_t delays[] = {0, 0, 0, 1000, 2000, 4000, 8000, 8000, 8000};
	struct auth_guess g;

	(void)state;
	auth_guess_init(&g);
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		assert_int_equal(delay(&g, "kim", "192.0.2.1", 1000 * i), delays[i]);
		fail_at(&g, "kim", "192.0.2.1", i, 1000 * i);
	}
	uint64_t last = 1000 * (ARRAY_SIZE(delays) - 1);
	assert_int_equal(delay(&g, "kim", "192.0.2.9", last), 8000);  // of the name alone
	assert_int_equal(delay(&g, "lee", "192.0.2.1", last), 8000);  // of the address alone
	assert_int_equal(delay(&g, "lee", "192.0.2.9", last), 0);
	assert_int_equal(delay(&g, "kim", "192.0.2.1", last + AUTH_GUESS_WINDOW_MS), 8000);
	assert_int_equal(delay(&g, "kim", "192.0.2.1", last + AUTH_GUESS_WINDOW_MS + 1), 0);
	fail_at(&g, "kim", "192.0.2.1", 99, last + AUTH_GUESS_WINDOW_MS + 1); // begins anew
	assert_int_equal(delay(&g, "kim", "192.0.2.1", last + AUTH_GUESS_WINDOW_MS + 1), 0);
	auth_guess_finish(&g);
}

static void the_same_wrong_password_is_no_guess(void **state)
{
	struct auth_guess g;

	(void)state;
	auth_guess_init(&g);
	for (int i = 0; i < 100; i++)
		fail_at(&g, "kim", "192.0.2.1", 7, 1);
	assert_int_equal(delay(&g, "kim", "192.0.2.1", 1), 0);
	for (uint64_t i = 0; i < 4; i++)
		fail_at(&g, "kim", "192.0.2.1", i, 1);
	assert_true(delay(&g, "kim", "192.0.2.1", 1) > 0);
	auth_guess_finish(&g);
}

static void success_starts_the_name_anew(void **state)
{
	struct auth_guess g;
	struct ipaddr a = address("192.0.2.1");

	(void)state;
	auth_guess_init(&g);
	for (uint64_t i = 0; i < 4; i++)
		fail_at(&g, "kim", "192.0.2.1", i, 1);
	auth_guess_succeeded(&g, STR("kim"), &a);
	assert_int_equal(delay(&g, "kim", "", 1), 0);
	assert_int_equal(delay(&g, "lee", "192.0.2.1", 1), 1000); // one failure less
	for (int i = 0; i < 3; i++)
		auth_guess_succeeded(&g, STR("kim"), &a);
	assert_int_equal(g.entries.count, 0);
	auth_guess_succeeded(&g, STR("kim"), &a);
	auth_guess_finish(&g);
}

static void addresses_of_one_customer_count_together(void **state)
{
	struct auth_guess g;

	(void)state;
	auth_guess_init(&g);
	for (uint64_t i = 0; i < 3; i++) {
		char client[32], name[8];
		snprintf(client, sizeof client, "2001:db8::%u", (unsigned)i + 1);
		snprintf(name, sizeof name, "n%u", (unsigned)i);
		fail_at(&g, name, client, i, 1);
		fail_at(&g, name, "", i, 1); // without an address only the name counts
	}
	assert_int_equal(delay(&g, "lee", "2001:db8::ffff", 1), 1000);
	assert_int_equal(delay(&g, "lee", "2001:db8:0:1::1", 1), 0);
	assert_int_equal(delay(&g, "lee", "", 1), 0);
	auth_guess_finish(&g);
}

static void is_bounded(void **state)
{
	struct auth_guess g;
	char name[32];

	(void)state;
	auth_guess_init(&g);
	for (uint64_t i = 0; i < 2 * AUTH_GUESS_ENTRIES; i++) {
		snprintf(name, sizeof name, "name%u", (unsigned)i);
		fail_at(&g, name, "192.0.2.1", i, 1);
	}
	assert_true(g.entries.count <= AUTH_GUESS_ENTRIES);
	assert_int_equal(delay(&g, "lee", "192.0.2.1", 1), AUTH_GUESS_MAX_MS);
	auth_guess_finish(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_ends),
		cmocka_unit_test(the_same_wrong_password_is_no_guess),
		cmocka_unit_test(success_starts_the_name_anew),
		cmocka_unit_test(addresses_of_one_customer_count_together),
		cmocka_unit_test(is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
