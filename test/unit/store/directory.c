// SPDX-License-Identifier: ISC
// Accounts and addresses.
#include "help.h"

static char *folder;
static struct store *s;

static int set_up(void **state)
{
	folder = make_folder();
	s = open_store(folder);
	return 0;
}

static int tear_down(void **state)
{
	store_close(s);
	remove_folder(folder);
	return 0;
}

struct got {
	int err;
	char name[80];
	struct store_account account;
};

static void note_account(void *arg, int err, const struct store_account *a)
{
	struct got *got = arg;

	got->err = err;
	assert_true((a != NULL) == (err == 0));
	if (a) {
		got->account = *a;
		str_copy(a->name, got->name, sizeof(got->name));
	}
}

static struct got get(const char *name, bool address)
{
	struct got got = {.err = 12345};

	if (address)
		store_address_get(s, str_from(name), note_account, &got);
	else
		store_account_get(s, str_from(name), note_account, &got);
	store_wait(s);
	return got;
}

static int add(const char *name, uint64_t id)
{
	struct store_account a = {.id = id,
		.name = str_from(name),
		.enabled = true,
		.rights = ACCOUNT_MAY_SUBMIT | ACCOUNT_MAY_RELAY,
		.quota = 1 << 30,
		.created_ms = 5,
		.changed_ms = 6};
	int err = 12345;

	store_account_add(s, &a, note_err, &err);
	store_wait(s);
	return err;
}

static int set_enabled(const char *name, bool enabled)
{
	int err = 12345;

	store_account_set_enabled(s, str_from(name), enabled, note_err, &err);
	store_wait(s);
	return err;
}

static int remove_account(const char *name)
{
	int err = 12345;

	store_account_remove(s, str_from(name), note_err, &err);
	store_wait(s);
	return err;
}

static void an_account_comes_back_as_given(void **state)
{
	struct got got;

	assert_int_equal(get("kim@example.kr", false).err, ERR_NOT_FOUND);
	assert_int_equal(add("kim@example.kr", 5), 0);
	store_close(s);
	s = open_store(folder);
	for (int address = 0; address < 2; address++) {
		got = get("kim@example.kr", address);
		assert_int_equal(got.err, 0);
		assert_string_equal(got.name, "kim@example.kr");
		assert_int_equal(got.account.id, 5);
		assert_true(got.account.enabled);
		assert_int_equal(got.account.rights, ACCOUNT_MAY_SUBMIT | ACCOUNT_MAY_RELAY);
		assert_int_equal(got.account.quota, 1 << 30);
		assert_int_equal(got.account.created_ms, 5);
		assert_int_equal(got.account.changed_ms, 6);
	}
	assert_int_equal(get("lee@example.kr", true).err, ERR_NOT_FOUND);
	assert_int_equal(get("", true).err, ERR_NOT_FOUND);
}

static void an_account_exists_once(void **state)
{
	assert_int_equal(add("kim@example.kr", 5), 0);
	assert_int_equal(add("kim@example.kr", 6), ERR_EXISTS);
	assert_int_equal(add("lee@example.kr", 5), ERR_EXISTS);
	assert_int_equal(get("lee@example.kr", false).err, ERR_NOT_FOUND);
	assert_int_equal(add("lee@example.kr", 6), 0);
}

// Answers are remembered; a change is seen by every question that is asked after it, also when
// it is not committed yet.
static void what_is_remembered_follows_changes(void **state)
{
	struct got before = {0}, between = {0}, after = {0};
	int err = 12345;

	assert_int_equal(get("kim@example.kr", true).err, ERR_NOT_FOUND);
	assert_int_equal(get("kim@example.kr", true).err, ERR_NOT_FOUND);
	assert_int_equal(add("kim@example.kr", 5), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get("kim@example.kr", true).err, 0);
		assert_string_equal(get("kim@example.kr", false).name, "kim@example.kr");
	}
	store_address_get(s, STR("kim@example.kr"), note_account, &before);
	store_account_set_enabled(s, STR("kim@example.kr"), false, note_err, &err);
	store_address_get(s, STR("kim@example.kr"), note_account, &between);
	store_wait(s);
	store_address_get(s, STR("kim@example.kr"), note_account, &after);
	store_wait(s);
	assert_int_equal(err, 0);
	assert_true(before.account.enabled);
	assert_false(between.account.enabled);
	assert_false(after.account.enabled);
	// An answer that was on its way when the change came is not remembered.
	store_address_get(s, STR("lee@example.kr"), note_account, &before);
	store_account_add(s, &(struct store_account){.id = 6, .name = STR("lee@example.kr")},
		note_err, &err);
	store_wait(s);
	assert_int_equal(before.err, ERR_NOT_FOUND);
	assert_int_equal(get("lee@example.kr", true).err, 0);
	assert_int_equal(remove_account("kim@example.kr"), 0);
	assert_int_equal(get("kim@example.kr", true).err, ERR_NOT_FOUND);
}

static void disable_and_enable(void **state)
{
	assert_int_equal(set_enabled("kim@example.kr", false), ERR_NOT_FOUND);
	assert_int_equal(add("kim@example.kr", 5), 0);
	assert_int_equal(set_enabled("kim@example.kr", false), 0);
	assert_false(get("kim@example.kr", true).account.enabled);
	assert_true(get("kim@example.kr", true).account.changed_ms > 6);
	assert_int_equal(set_enabled("kim@example.kr", true), 0);
	assert_true(get("kim@example.kr", false).account.enabled);
}

static void a_removed_account_leaves_nothing(void **state)
{
	assert_int_equal(remove_account("kim@example.kr"), ERR_NOT_FOUND);
	assert_int_equal(add("kim@example.kr", 5), 0);
	assert_int_equal(remove_account("kim@example.kr"), 0);
	assert_int_equal(get("kim@example.kr", false).err, ERR_NOT_FOUND);
	assert_int_equal(get("kim@example.kr", true).err, ERR_NOT_FOUND);
	assert_int_equal(add("kim@example.kr", 5), 0);
}

struct names {
	char text[200];
	int err;
};

static void note_name(void *arg, const struct store_account *a)
{
	struct names *names = arg;

	strncat(names->text, a->name.data, a->name.len);
	strcat(names->text, " ");
}

static void note_names_err(void *arg, int err)
{
	((struct names *)arg)->err = err;
}

static void listing_goes_on_after_a_name(void **state)
{
	static const struct {
		const char *after;
		unsigned limit;
		const char *names;
	} rows[] = {
		{"", 3, "a@x b@x c@x "},
		{"c@x", 3, "d@x e@x "},
		{"bb", 1, "c@x "},
		{"e@x", 3, ""},
		{"", 0, "a@x b@x c@x d@x e@x "},
	};

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			add((const char *[]){"e@x", "c@x", "a@x", "d@x", "b@x"}[i], i + 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct names names = {.err = 12345};

		store_account_list(s, str_from(rows[i].after), rows[i].limit, note_name,
			note_names_err, &names);
		store_wait(s);
		assert_int_equal(names.err, 0);
		assert_string_equal(names.text, rows[i].names);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_comes_back_as_given),
		TEST(an_account_exists_once),
		TEST(what_is_remembered_follows_changes),
		TEST(disable_and_enable),
		TEST(a_removed_account_leaves_nothing),
		TEST(listing_goes_on_after_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
