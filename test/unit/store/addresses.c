// SPDX-License-Identifier: ISC
// Aliases and domain aliases in the store, over a restart too.
#include "opened.h"

#include "store/addresses.h"

static int result;

static void note(void *arg, int err)
{
	(void)arg;
	result = err;
}

struct found {
	int err;
	enum store_address_kind kind;
	char key[300], targets[300], name[300];
};

static void note_found(void *arg, int err, const struct store_address *a)
{
	struct found *f = arg;
	*f = (struct found){.err = err, .kind = a->kind};
	snprintf(f->key, sizeof f->key, "%.*s", STR_ARG(a->key));
	snprintf(f->targets, sizeof f->targets, "%.*s", STR_ARG(a->targets));
	if (a->kind == STORE_ADDRESS_ACCOUNT)
		snprintf(f->name, sizeof f->name, "%.*s", STR_ARG(a->account->name));
}

static struct found find(const char *key)
{
	struct found f = {.err = -1};
	store_address_find(s, str_from(key), note_found, &f);
	store_wait(s);
	return f;
}

static int put_alias(const char *name, const char *targets)
{
	struct store_alias a = {.name = str_from(name), .targets = str_from(targets)};
	store_alias_put(s, &a, note, NULL);
	store_wait(s);
	return result;
}

static int put_domain(const char *name, const char *of)
{
	struct store_alias a = {.name = str_from(name), .targets = str_from(of)};
	store_domain_alias_put(s, &a, note, NULL);
	store_wait(s);
	return result;
}

static int add_account(const char *name)
{
	struct store_account a = {.id = 1, .name = str_from(name), .enabled = true};
	store_account_add(s, &a, note, NULL);
	store_wait(s);
	return result;
}

static void accounts_and_aliases(void **state)
{
	assert_int_equal(find("kim@example.kr").kind, STORE_ADDRESS_NONE);
	assert_int_equal(add_account("kim@example.kr"), 0);
	assert_int_equal(find("kim@example.kr").kind, STORE_ADDRESS_ACCOUNT);
	assert_string_equal(find("kim@example.kr").name, "kim@example.kr");
	assert_int_equal(put_alias("sales@example.kr", "kim, lee"), 0);
	assert_int_equal(find("sales@example.kr").kind, STORE_ADDRESS_ALIAS);
	assert_string_equal(find("sales@example.kr").targets, "kim, lee");
	assert_int_equal(put_alias("sales@example.kr", "kim"), 0);
	assert_string_equal(find("sales@example.kr").targets, "kim");
	// one name is one thing
	assert_int_equal(put_alias("kim@example.kr", "lee"), ERR_EXISTS);
	assert_int_equal(add_account("sales@example.kr"), ERR_EXISTS);
	assert_int_equal(put_alias("@example.kr", "kim"), 0);
	store_close(s);
	s = open_store(folder);
	assert_int_equal(find("sales@example.kr").kind, STORE_ADDRESS_ALIAS);
	assert_int_equal(find("@example.kr").kind, STORE_ADDRESS_ALIAS);
	store_alias_remove(s, STR("sales@example.kr"), note, NULL);
	store_wait(s);
	assert_int_equal(result, 0);
	store_alias_remove(s, STR("sales@example.kr"), note, NULL);
	store_wait(s);
	assert_int_equal(result, ERR_NOT_FOUND);
	assert_int_equal(find("sales@example.kr").kind, STORE_ADDRESS_NONE);
}

static void domains(void **state)
{
	assert_int_equal(add_account("kim@example.kr"), 0);
	assert_int_equal(put_domain("example.org", "example.kr"), 0);
	struct found f = find("kim@example.org");
	assert_int_equal(f.kind, STORE_ADDRESS_ACCOUNT);
	assert_string_equal(f.key, "kim@example.kr");
	assert_string_equal(find("no@example.org").key, "no@example.kr");
	assert_int_equal(put_domain("example.net", "example.org"), ERR_EXISTS); // an alias itself
	assert_int_equal(put_domain("example.kr", "example.net"), ERR_EXISTS);  // it has one
	store_domain_alias_remove(s, STR("example.org"), note, NULL);
	store_wait(s);
	assert_int_equal(result, 0);
	assert_int_equal(find("kim@example.org").kind, STORE_ADDRESS_NONE);
	store_domain_alias_remove(s, STR("example.org"), note, NULL);
	store_wait(s);
	assert_int_equal(result, ERR_NOT_FOUND);
}

static unsigned seen;

static void count(void *arg, const struct store_alias *a)
{
	char *last = arg;
	assert_true(str_compare(str_from(last), a->name) < 0);
	str_copy(a->name, last, 300);
	seen++;
}

static void listing(void **state)
{
	char name[300], last[300] = "";
	for (int n = 0; n < 30; n++) {
		snprintf(name, sizeof name, "a%02d@example.kr", n);
		assert_int_equal(put_alias(name, "kim"), 0);
	}
	do {
		seen = 0;
		store_alias_list(s, str_from(last), 10, count, note, last);
		store_wait(s);
	} while (seen == 10 && strcmp(last, "a29@example.kr"));
	assert_string_equal(last, "a29@example.kr");
	seen = 0;
	last[0] = '\0';
	store_alias_get(s, STR("a03@example.kr"), count, note, last);
	store_wait(s);
	assert_int_equal(seen, 1);
}

static void send_as(void **state)
{
	struct store_account v = {.name = STR("kim@example.kr"), .send_as = STR("@example.org")};
	assert_int_equal(add_account("kim@example.kr"), 0);
	static const struct {
		unsigned field;
		int wanted;
	} steps[] = {{STORE_REMOVE_SEND_AS, ERR_DENIED}, {STORE_ADD_SEND_AS, 0}, {STORE_ADD_SEND_AS, ERR_EXISTS},
		{STORE_REMOVE_SEND_AS, 0}, {STORE_REMOVE_SEND_AS, ERR_DENIED}};
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		store_account_set(s, &v, steps[i].field, note, NULL);
		store_wait(s);
		assert_int_equal(result, steps[i].wanted);
	}
	char word[200];
	int added = 0;
	for (result = 0; !result; added++) {
		snprintf(word, sizeof word, "%0100d@example.kr", added);
		v.send_as = str_from(word);
		store_account_set(s, &v, STORE_ADD_SEND_AS, note, NULL);
		store_wait(s);
	}
	assert_int_equal(result, ERR_LIMIT);
	assert_true(added > 30);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {TEST(accounts_and_aliases), TEST(domains), TEST(listing), TEST(send_as)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
