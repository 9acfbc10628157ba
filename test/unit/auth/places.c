// SPDX-License-Identifier: ISC
// Where accounts logged in from: bounded, by /64, and still known after a restart.
#include "world.h"

#include "auth/places.h"

static bool has(const struct auth_places *p, const char *name, const char *from)
{
	struct ipaddr a = {0};

	if (from[0])
		assert_int_equal(ipaddr_parse(str_from(from), &a), 0);
	return auth_places_has(p, str_from(name), &a);
}

static void add(struct auth_places *p, const char *name, const char *from)
{
	struct ipaddr a = {0};

	if (from[0])
		assert_int_equal(ipaddr_parse(str_from(from), &a), 0);
	auth_places_add(p, str_from(name), &a);
}

static void a_restart_loses_nothing(void **state)
{
	struct world *w = *state;
	struct auth_places *p = auth_places_create(&w->loop, w->secrets);

	add(p, "kim", "192.0.2.1");
	add(p, "kim", "2001:db8::1");
	add(p, "kim", "");
	add(p, "lee", "192.0.2.2");
	for (unsigned again = 0; again < 2; again++) {
		assert_true(has(p, "kim", "192.0.2.1"));
		assert_true(has(p, "kim", "2001:db8::ffff"));
		assert_false(has(p, "kim", "2001:db8:0:1::1"));
		assert_false(has(p, "kim", "192.0.2.2"));
		assert_false(has(p, "kim", ""));
		assert_false(has(p, "park", "192.0.2.1"));
		auth_places_destroy(p);
		p = auth_places_create(&w->loop, w->secrets);
	}
	auth_places_destroy(p);
}

static void the_oldest_are_forgotten(void **state)
{
	struct world *w = *state;
	struct auth_places *p = auth_places_create(&w->loop, w->secrets);
	char name[32], from[32];

	for (unsigned n = 0; n < AUTH_PLACES_EACH; n++) {
		snprintf(from, sizeof from, "192.0.2.%u", n);
		add(p, "kim", from);
	}
	add(p, "kim", "192.0.2.0"); // used again: it is the latest now
	add(p, "kim", "192.0.2.100");
	assert_true(has(p, "kim", "192.0.2.0"));
	assert_false(has(p, "kim", "192.0.2.1"));
	for (unsigned n = 2; n < AUTH_PLACES_EACH; n++) {
		snprintf(from, sizeof from, "192.0.2.%u", n);
		assert_true(has(p, "kim", from));
	}
	for (unsigned n = 0; n < AUTH_PLACES_ACCOUNTS; n++) {
		snprintf(name, sizeof name, "name%u", n);
		add(p, name, "192.0.2.1");
	}
	assert_false(has(p, "kim", "192.0.2.0"));
	assert_true(has(p, "name0", "192.0.2.1"));
	auth_places_destroy(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_restart_loses_nothing),
		TEST(the_oldest_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
