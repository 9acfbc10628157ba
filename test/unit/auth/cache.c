// SPDX-License-Identifier: ISC
#include "auth/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define LIFE 1000

static bool has(struct auth_cache *c, struct str name, struct str password, uint64_t now)
{
	unsigned char key[AUTH_CACHE_KEY];

	auth_cache_key(c, name, password, key);
	return auth_cache_has(c, key, now, LIFE);
}

static void add(struct auth_cache *c, struct str name, struct str password, uint64_t now)
{
	unsigned char key[AUTH_CACHE_KEY];

	auth_cache_key(c, name, password, key);
	auth_cache_add(c, key, name, now);
}

static void remembers_for_its_time(void **state)
{
	struct auth_cache c;

	(void)state;
	auth_cache_init(&c);
	assert_false(has(&c, STR("kim"), STR("a"), 5000));
	add(&c, STR("kim"), STR("a"), 5000);
	assert_true(has(&c, STR("kim"), STR("a"), 5000));
	assert_true(has(&c, STR("kim"), STR("a"), 6000));
	assert_false(has(&c, STR("kim"), STR("b"), 6000));
	assert_false(has(&c, STR("lee"), STR("a"), 6000));
	assert_false(has(&c, STR("kima"), STR(""), 6000)); // the two do not run together
	assert_false(has(&c, STR("ki"), STR("ma"), 6000));
	assert_false(has(&c, STR("kim"), STR("a"), 6001)); // looking did not make it younger
	assert_int_equal(c.entries.count, 0);
	add(&c, STR("kim"), STR("a"), 7000);
	add(&c, STR("kim"), STR("a"), 7500);
	assert_true(has(&c, STR("kim"), STR("a"), 8500));
	assert_int_equal(c.entries.count, 1);
	auth_cache_finish(&c);
}

static void forgets_one_or_all(void **state)
{
	struct auth_cache c;

	(void)state;
	auth_cache_init(&c);
	add(&c, STR("kim"), STR("a"), 1);
	add(&c, STR("kim"), STR("b"), 1);
	add(&c, STR("lee"), STR("a"), 1);
	auth_cache_forget(&c, STR("kim"));
	assert_false(has(&c, STR("kim"), STR("a"), 1));
	assert_false(has(&c, STR("kim"), STR("b"), 1));
	assert_true(has(&c, STR("lee"), STR("a"), 1));
	auth_cache_forget(&c, STR_EMPTY);
	assert_false(has(&c, STR("lee"), STR("a"), 1));
	auth_cache_finish(&c);
}

static void is_bounded(void **state)
{
	struct auth_cache c;
	char name[32];

	(void)state;
	auth_cache_init(&c);
	for (int i = 0; i < AUTH_CACHE_MAX + 10; i++) {
		snprintf(name, sizeof name, "name%d", i);
		add(&c, str_from(name), STR("a"), 1);
	}
	assert_int_equal(c.entries.count, AUTH_CACHE_MAX);
	assert_false(has(&c, STR("name9"), STR("a"), 1)); // the oldest went
	assert_true(has(&c, STR("name10"), STR("a"), 1));
	auth_cache_finish(&c);
}

static void keys_differ_in_every_process(void **state)
{
	struct auth_cache c, d;
	unsigned char a[AUTH_CACHE_KEY], b[AUTH_CACHE_KEY];

	(void)state;
	auth_cache_init(&c);
	auth_cache_init(&d);
	auth_cache_key(&c, STR("kim"), STR("a"), a);
	auth_cache_key(&d, STR("kim"), STR("a"), b);
	assert_memory_not_equal(a, b, sizeof a);
	auth_cache_finish(&c);
	auth_cache_finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers_for_its_time),
		cmocka_unit_test(forgets_one_or_all),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(keys_differ_in_every_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
