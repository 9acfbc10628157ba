// SPDX-License-Identifier: ISC
// Who exists, and that the memory of it never outlives a change.
#include "help.h"

static struct env *e;

static int set_up(void **state)
{
	(void)state;
	e = make_env("");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free_env(e);
	return 0;
}

struct known {
	unsigned answers;
	int state;
	uint32_t rights;
	char name[SMTP_ADDRESS_MAX], networks[200], servers[100], reason[100], act_as[100];
};

static void on_recipient(void *arg, const struct queue_recipient *r)
{
	struct known *k = arg;
	assert_false(r->full);
	k->answers++;
	k->state = r->exists;
	str_copy(r->account, k->name, sizeof k->name);
}

static void on_account(void *arg, const struct queue_account *a)
{
	struct known *k = arg;
	k->answers++;
	k->state = a->state;
	k->rights = a->rights;
	str_copy(a->name, k->name, sizeof k->name);
	str_copy(a->networks, k->networks, sizeof k->networks);
	str_copy(a->servers, k->servers, sizeof k->servers);
	str_copy(a->reason, k->reason, sizeof k->reason);
	str_copy(a->act_as, k->act_as, sizeof k->act_as);
}

static struct known recipient(const char *key)
{
	struct known k = {0};
	queue_recipient(e->q, str_from(key), 0, on_recipient, &k);
	assert_int_equal(k.answers, 0); // never before the call returns
	WAIT(e, k.answers);
	settle_down(e);
	assert_int_equal(k.answers, 1);
	return k;
}

static struct known account(const char *name)
{
	struct known k = {0};
	queue_account(e->q, str_from(name), on_account, &k);
	assert_int_equal(k.answers, 0);
	WAIT(e, k.answers);
	return k;
}

static void recipients(void **state)
{
	for (int twice = 0; twice < 2; twice++) { // from the store, from memory
		struct known k = recipient("kim@example.kr");
		assert_int_equal(k.state, 1);
		assert_string_equal(k.name, "kim@example.kr");
		assert_int_equal(recipient("nobody@example.kr").state, 0);
		k = recipient("postmaster@example.kr");
		assert_int_equal(k.state, 1);
		assert_string_equal(k.name, "kim@example.kr");
		assert_int_equal(recipient("abuse@example.kr").state, 1);
		assert_int_equal(recipient("postmaster").state, 1);
		assert_int_equal(recipient("abuse@there.example").state, 0);
		assert_int_equal(recipient("").state, 0);
	}
}

static void accounts(void **state)
{
	command(e, "account add", json_pack("{s:s, s:s}", "name", "park@example.kr", "rights", "submit"));
	for (int twice = 0; twice < 2; twice++) {
		struct known k = account("park@example.kr");
		assert_int_equal(k.state, 1);
		assert_int_equal(k.rights, ACCOUNT_MAY_SUBMIT);
		assert_string_equal(k.name, "park@example.kr");
		assert_int_equal(account("nobody@example.kr").state, 0);
	}
	command(e, "account disable", json_pack("{s:s}", "name", "park@example.kr"));
	assert_int_equal(account("park@example.kr").state, 2);
	assert_int_equal(recipient("park@example.kr").state, 1); // its mail is still taken
}

static void set(const char *key, const char *value)
{
	command(e, "account set", json_pack("{s:s, s:s}", "name", "kim@example.kr", key, value));
}

static void what_groups_and_accounts_say(void **state)
{
	command(e, "account group add", json_pack("{s:s, s:s, s:s}", "group", "staff", "relay", "no", "from",
		"192.0.2.0/24"));
	command(e, "account group add", json_pack("{s:s, s:s}", "group", "night", "from", "10.0.0.0/8,::1"));
	assert_int_equal(account("kim@example.kr").rights, ACCOUNT_RIGHTS_ALL);
	set("groups", "staff night");
	for (int twice = 0; twice < 2; twice++) {
		struct known k = account("kim@example.kr");
		assert_int_equal(k.rights, ACCOUNT_MAY_SUBMIT);
		assert_string_equal(k.networks, "group staff\t192.0.2.0/24\ngroup night\t10.0.0.0/8 ::1");
		assert_string_equal(k.servers, "");
	}
	command(e, "account group set", json_pack("{s:s, s:s}", "group", "staff", "relay", "default"));
	assert_int_equal(account("kim@example.kr").rights, ACCOUNT_RIGHTS_ALL);
	set("from", "any");
	assert_string_equal(account("kim@example.kr").networks, "account\t0.0.0.0/0 ::/0");
	set("submit", "no");
	assert_int_equal(account("kim@example.kr").rights, ACCOUNT_MAY_RELAY);
	set("submit", "default");
	set("act_as", "Lee@example.kr");
	assert_string_equal(account("kim@example.kr").act_as, "lee@example.kr");
}

static void locked_and_expired_accounts_say_so(void **state)
{
	set("lock", "stolen");
	assert_int_equal(account("kim@example.kr").state, 4);
	assert_string_equal(account("kim@example.kr").reason, "stolen");
	set("unlock", "yes");
	assert_int_equal(account("kim@example.kr").state, 1);
	set("expires", "2020-01-31");
	assert_int_equal(account("kim@example.kr").state, 5);
	set("expires", "1d");
	assert_int_equal(account("kim@example.kr").state, 1);
}

static void a_change_is_seen_at_once(void **state)
{
	assert_int_equal(recipient("new@example.kr").state, 0);
	unsigned before = e->changed_accounts;
	add_account(e, "new@example.kr");
	assert_int_equal(e->changed_accounts, before + 1);
	assert_int_equal(recipient("new@example.kr").state, 1);
	assert_int_equal(account("new@example.kr").state, 1);
	command(e, "account remove", json_pack("{s:s}", "name", "new@example.kr"));
	assert_int_equal(recipient("new@example.kr").state, 0);
	assert_int_equal(account("new@example.kr").state, 0);
}

static void an_answer_on_its_way_is_not_remembered(void **state)
{
	struct known k = {0};
	queue_account(e->q, STR("kim@example.kr"), on_account, &k);
	queue_directory_clear(e->q->directory); // a change meanwhile
	WAIT(e, k.answers);
	assert_int_equal(k.state, 1);
	assert_int_equal(queue_directory_cached(e->q->directory), 0);
}

static void the_memory_is_bounded(void **state)
{
	static struct known k[10100];
	char name[40];
	memset(k, 0, sizeof k);
	for (unsigned n = 0; n < ARRAY_SIZE(k); n++) {
		snprintf(name, sizeof name, "user%u@example.kr", n);
		queue_recipient(e->q, str_from(name), 0, on_recipient, &k[n]);
	}
	for (unsigned n = 0; n < ARRAY_SIZE(k); n++)
		WAIT(e, k[n].answers == 1);
	assert_int_equal(queue_directory_cached(e->q->directory), 10000);
	char longest[1000];
	memset(longest, 'x', sizeof longest);
	struct known one = {0};
	queue_recipient(e->q, str_make(longest, sizeof longest), 0, on_recipient, &one);
	WAIT(e, one.answers);
	assert_int_equal(one.state, 0);
}

static void many_questions_at_once_are_each_answered_once(void **state)
{
	struct known k[300] = {{0}};
	for (unsigned n = 0; n < 300; n++)
		queue_recipient(e->q, n % 2 ? STR("kim@example.kr") : STR("no@example.kr"), 0, on_recipient, &k[n]);
	settle_down(e);
	for (unsigned n = 0; n < 300; n++) {
		assert_int_equal(k[n].answers, 1);
		assert_int_equal(k[n].state, n % 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(recipients),
		T(accounts),
		T(what_groups_and_accounts_say),
		T(locked_and_expired_accounts_say_so),
		T(a_change_is_seen_at_once),
		T(an_answer_on_its_way_is_not_remembered),
		T(the_memory_is_bounded),
		T(many_questions_at_once_are_each_answered_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
