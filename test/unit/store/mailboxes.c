// SPDX-License-Identifier: ISC
#include "store/mailboxes.h"

#include "opened.h"

static void note(void *arg, int err)
{
	*(int *)arg = err;
}

static void add(const char *name, uint64_t id)
{
	int err = 1;
	struct store_account a = {.id = id, .name = str_from(name), .enabled = true, .quota = 500};
	store_account_add(s, &a, note, &err);
	store_wait(s);
	assert_int_equal(err, 0);
}

struct got {
	int err;
	struct store_mailbox m;
	unsigned count;
	char names[5][80];
};

static void note_one(void *arg, int err, const struct store_mailbox *m)
{
	struct got *got = arg;
	got->err = err;
	got->m = *m;
}

static struct got get(const char *name)
{
	struct got got = {.err = 12345};
	store_mailbox_get(s, str_from(name), note_one, &got);
	store_wait(s);
	return got;
}

static void set(const char *name, bool domain, struct quota_limits values, unsigned which, int wanted)
{
	int err = 1;
	if (domain)
		store_domain_set_quota(s, str_from(name), &values, which, note, &err);
	else
		store_account_set_quota(s, str_from(name), &values, which, note, &err);
	store_wait(s);
	assert_int_equal(err, wanted);
}

static void note_account(void *arg, int err, const struct store_account *a)
{
	assert_int_equal(err, 0);
	*(struct quota_limits *)arg = a->domain_quota;
}

static struct quota_limits domain_of(const char *account)
{
	struct quota_limits l = {0};
	store_account_get(s, str_from(account), note_account, &l);
	store_wait(s);
	return l;
}

static void test_limits(void **state)
{
	add("kim@example.kr", 1);
	assert_int_equal(get("kim@example.kr").m.own.octets, 500);
	set("kim@example.kr", false, (struct quota_limits){7, 8, 9, 10, false},
		STORE_QUOTA_MESSAGES | STORE_QUOTA_SOFT, 0);
	struct got got = get("kim@example.kr");
	assert_int_equal(got.err, 0);
	assert_int_equal(got.m.own.octets, 500);
	assert_int_equal(got.m.own.messages, 8);
	assert_int_equal(got.m.own.octets_soft, 9);
	assert_int_equal(got.m.own.messages_soft, 0);
	set("kim@example.kr", false, (struct quota_limits){.octets = QUOTA_NONE}, STORE_QUOTA_OCTETS, 0);
	assert_int_equal(get("kim@example.kr").m.own.octets, QUOTA_NONE);
	set("lee@example.kr", false, (struct quota_limits){7}, STORE_QUOTA_OCTETS, ERR_NOT_FOUND);
	assert_int_equal(get("lee@example.kr").err, ERR_NOT_FOUND);
}

static void note_row(void *arg, const struct store_mailbox *m)
{
	struct got *got = arg;
	assert_true(got->count < 5);
	str_copy(m->name, got->names[got->count++], sizeof got->names[0]);
	got->m = *m;
}

static void test_limits_of_a_domain(void **state)
{
	struct got got = {0};
	add("kim@example.kr", 1);
	assert_int_equal(domain_of("kim@example.kr").octets, 0);
	set("example.kr", true, (struct quota_limits){.octets = 900, .messages_soft = 3},
		STORE_QUOTA_OCTETS | STORE_QUOTA_MESSAGES_SOFT, 0);
	// What was remembered of the account is forgotten.
	assert_int_equal(domain_of("kim@example.kr").octets, 900);
	assert_int_equal(domain_of("kim@example.kr").messages_soft, 3);
	assert_int_equal(get("kim@example.kr").m.domain.octets, 900);
	store_domain_quota_list(s, STR_EMPTY, 0, note_row, note, &got);
	store_wait(s);
	assert_int_equal(got.count, 1);
	assert_string_equal(got.names[0], "example.kr");
	set("example.kr", true, (struct quota_limits){0}, STORE_QUOTA_OCTETS | STORE_QUOTA_MESSAGES_SOFT, 0);
	got.count = 0;
	store_domain_quota_list(s, STR_EMPTY, 0, note_row, note, &got);
	store_wait(s);
	assert_int_equal(got.count, 0);
}

static void test_usage(void **state)
{
	int err = 1;
	struct got got = {0};
	const struct store_mailbox rows[] = {
		{.name = STR("kim@example.kr"), .usage = {100, 2}, .counted_ms = 5, .warned_ms = 6},
		{.name = STR("user@example.kr"), .usage = {200, 3}, .counted_ms = 7},
	};
	add("kim@example.kr", 1);
	add("lee@example.kr", 2);
	add("park@example.kr", 3);
	assert_int_equal(get("kim@example.kr").m.counted_ms, 0);
	store_mailbox_put(s, rows, 2, note, &err);
	store_wait(s);
	assert_int_equal(err, 0);
	assert_int_equal(get("kim@example.kr").m.usage.octets, 100);
	assert_int_equal(get("kim@example.kr").m.usage.messages, 2);
	assert_int_equal(get("kim@example.kr").m.warned_ms, 6);
	// One that is no account: a user of the system.
	assert_int_equal(get("user@example.kr").err, ERR_NOT_FOUND);
	assert_int_equal(get("user@example.kr").m.usage.octets, 200);
	store_mailbox_list(s, STR("kim@example.kr"), 5, note_row, note, &got);
	store_wait(s);
	assert_int_equal(got.count, 2);
	assert_string_equal(got.names[0], "lee@example.kr");
	assert_string_equal(got.names[1], "park@example.kr");
	got.count = 0;
	store_mailbox_list(s, STR_EMPTY, 1, note_row, note, &got);
	store_wait(s);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.m.usage.octets, 100);
	// It outlives a restart.
	store_close(s);
	s = open_store(folder);
	assert_int_equal(get("kim@example.kr").m.warned_ms, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limits_of_a_domain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_usage, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
