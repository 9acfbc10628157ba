// SPDX-License-Identifier: ISC
// Accounts and addresses.
#include "opened.h"

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

// ---- rights and groups

static int set_rights(const struct store_account *values, unsigned fields)
{
	int err = 12345;

	store_account_set(s, values, fields, note_err, &err);
	store_wait(s);
	return err;
}

struct rights_seen {
	struct store_account a;
	char text[300];
};

static void note_rights(void *arg, int err, const struct store_account *a)
{
	struct rights_seen *seen = arg;

	assert_int_equal(err, 0);
	seen->a = *a;
	snprintf(seen->text, sizeof(seen->text), "%.*s|%.*s|%.*s|%.*s|%.*s", STR_ARG(a->networks),
		STR_ARG(a->servers), STR_ARG(a->group_names), STR_ARG(a->lock_reason),
		STR_ARG(a->act_as));
	for (unsigned i = 0; i < a->group_count; i++) {
		size_t len = strlen(seen->text);
		snprintf(seen->text + len, sizeof(seen->text) - len, " %.*s:%u/%u(%.*s)",
			STR_ARG(a->groups[i].name), a->groups[i].rights, a->groups[i].stated,
			STR_ARG(a->groups[i].networks));
	}
}

static struct rights_seen look_at(const char *name)
{
	struct rights_seen seen = {.text = ""};

	store_account_get(s, str_from(name), note_rights, &seen);
	store_wait(s);
	return seen;
}

static int change_group(const char *name, const char *networks, int what)
{
	struct store_group g = {.name = str_from(name), .networks = str_from(networks),
		.stated = ACCOUNT_MAY_RELAY};
	int err = 12345;

	if (what == 'a')
		store_group_add(s, &g, note_err, &err);
	else if (what == 's')
		store_group_set(s, &g, STORE_SET_NETWORKS, note_err, &err);
	else
		store_group_remove(s, g.name, note_err, &err);
	store_wait(s);
	return err;
}

static void what_is_set_comes_back_and_the_rest_stays(void **state)
{
	struct store_account v = {.name = STR("kim@example.kr"), .networks = STR("192.0.2.0/24"),
		.servers = STR("submission"), .act_as = STR("lee@example.kr"),
		.rights = 0, .stated = ACCOUNT_MAY_RELAY, .locked = true, .lock_reason = STR("stolen"),
		.expires_ms = 99};
	struct rights_seen seen;

	assert_int_equal(set_rights(&v, STORE_SET_NETWORKS), ERR_NOT_FOUND);
	assert_int_equal(add("kim@example.kr", 5), 0);
	assert_int_equal(set_rights(&v, STORE_SET_NETWORKS | STORE_SET_RELAY), 0);
	seen = look_at("kim@example.kr");
	assert_string_equal(seen.text, "192.0.2.0/24||||");
	assert_int_equal(seen.a.stated, ACCOUNT_MAY_RELAY);
	assert_int_equal(seen.a.rights & ACCOUNT_MAY_RELAY, 0);
	assert_false(seen.a.locked);
	v.networks = STR_EMPTY;
	assert_int_equal(set_rights(&v, ~(unsigned)STORE_SET_GROUPS), 0);
	store_close(s);
	s = open_store(folder);
	for (int again = 0; again < 2; again++) { // read, and remembered
		seen = look_at("kim@example.kr");
		assert_string_equal(seen.text, "|submission||stolen|lee@example.kr");
		assert_true(seen.a.locked);
		assert_int_equal(seen.a.expires_ms, 99);
		assert_int_equal(seen.a.quota, 1 << 30);
	}
}

static void a_group_comes_with_its_accounts(void **state)
{
	struct store_account v = {.name = STR("kim@example.kr"), .group_names = STR("staff guests")};

	assert_int_equal(add("kim@example.kr", 5), 0);
	assert_int_equal(change_group("staff", "10.0.0.0/8", 's'), ERR_NOT_FOUND);
	assert_int_equal(change_group("staff", "10.0.0.0/8", 'a'), 0);
	assert_int_equal(change_group("staff", "", 'a'), ERR_EXISTS);
	assert_int_equal(set_rights(&v, STORE_SET_GROUPS), ERR_UNSUPPORTED); // no guests yet
	assert_int_equal(change_group("guests", "", 'a'), 0);
	assert_int_equal(set_rights(&v, STORE_SET_GROUPS), 0);
	assert_string_equal(look_at("kim@example.kr").text,
		"||staff guests|| staff:0/2(10.0.0.0/8) guests:0/2()");
	assert_int_equal(change_group("staff", "127.0.0.0/8", 's'), 0);
	for (int again = 0; again < 2; again++)
		assert_string_equal(look_at("kim@example.kr").text,
			"||staff guests|| staff:0/2(127.0.0.0/8) guests:0/2()");
	assert_int_equal(change_group("staff", "", 'r'), ERR_DENIED);
	v.group_names = STR_EMPTY;
	assert_int_equal(set_rights(&v, STORE_SET_GROUPS), 0);
	assert_int_equal(change_group("staff", "", 'r'), 0);
	assert_int_equal(change_group("staff", "", 'r'), ERR_NOT_FOUND);
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
		TEST(what_is_set_comes_back_and_the_rest_stays),
		TEST(a_group_comes_with_its_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
