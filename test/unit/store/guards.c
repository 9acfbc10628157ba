// SPDX-License-Identifier: ISC
#include "store/guards.h"

#include "opened.h"

static void note(void *arg, int err)
{
	*(int *)arg = err;
}

static void add_account(const char *name)
{
	struct store_account a = {.id = 7, .name = str_from(name), .enabled = true, .created_ms = 5};
	int err = 1;

	store_account_add(s, &a, note, &err);
	store_wait(s);
	assert_int_equal(err, 0);
}

struct got {
	int err;
	uint64_t changed_ms, created_ms;
	bool is_account;
	char state[40], profile[20];
};

static void note_state(void *arg, int err, const struct store_guard *g)
{
	struct got *got = arg;

	*got = (struct got){.err = err, .changed_ms = g->changed_ms, .created_ms = g->created_ms,
		.is_account = g->is_account};
	str_copy(g->state, got->state, sizeof(got->state));
	str_copy(g->profile, got->profile, sizeof(got->profile));
}

static struct got get(const char *subject)
{
	struct got got = {.err = 1};

	store_guard_get(s, str_from(subject), note_state, &got);
	store_wait(s);
	assert_int_equal(got.err, 0);
	return got;
}

static void put_state(const char *subject, uint64_t changed_ms, const char *octets)
{
	struct store_batch *b = store_batch_create();
	int err = 1;

	store_batch_put_guard(b, str_from(subject), changed_ms, str_from(octets));
	store_apply(s, b, note, &err);
	store_wait(s);
	assert_int_equal(err, 0);
}

static void test_states(void **state)
{
	struct got got = get("account kim@example.org");

	assert_int_equal(got.changed_ms, 0);
	assert_false(got.is_account);
	add_account("kim@example.org");
	put_state("account kim@example.org", 9, "one");
	put_state("account kim@example.org", 10, "two");
	got = get("account kim@example.org");
	assert_int_equal(got.changed_ms, 10);
	assert_string_equal(got.state, "two");
	assert_true(got.is_account);
	assert_int_equal(got.created_ms, 5);
	assert_string_equal(got.profile, "");
	put_state("account kim@example.org", 11, "");
	assert_int_equal(get("account kim@example.org").changed_ms, 0);
	put_state("", 1, "own");
	assert_string_equal(get("").state, "own");
}

struct listed {
	unsigned count;
	char subjects[8][60];
	int err;
};

static void note_subject(void *arg, const struct store_guard *g)
{
	struct listed *l = arg;

	str_copy(g->subject, l->subjects[l->count++], sizeof(l->subjects[0]));
}

static void listed_all(void *arg, int err)
{
	((struct listed *)arg)->err = err;
}

static struct listed list_states(const char *after, unsigned limit)
{
	struct listed l = {.err = 1};

	store_guard_list(s, str_from(after), limit, note_subject, listed_all, &l);
	store_wait(s);
	assert_int_equal(l.err, 0);
	return l;
}

static void test_list(void **state)
{
	struct listed l;

	put_state("", 1, "own");
	put_state("client 192.0.2.7", 1, "x");
	put_state("account b@example.org", 1, "x");
	put_state("account a@example.org", 1, "x");
	l = list_states("", 2);
	assert_int_equal(l.count, 2);
	assert_string_equal(l.subjects[0], "account a@example.org"); // not the guard's own
	l = list_states(l.subjects[1], 10);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.subjects[0], "client 192.0.2.7");
}

static void test_profile(void **state)
{
	int err = 1;

	add_account("kim@example.org");
	store_profile_set(s, STR("kim@example.org"), STR("bulk"), note, &err);
	store_wait(s);
	assert_int_equal(err, 0);
	assert_string_equal(get("account kim@example.org").profile, "bulk");
	store_profile_set(s, STR("lee@example.org"), STR("bulk"), note, &err);
	store_wait(s);
	assert_int_equal(err, ERR_NOT_FOUND);
}

// Whoever gets the name later is somebody else.
static void test_account_removed(void **state)
{
	int err = 1;

	add_account("kim@example.org");
	put_state("account kim@example.org", 9, "one");
	store_account_remove(s, STR("kim@example.org"), note, &err);
	store_wait(s);
	assert_int_equal(err, 0);
	assert_int_equal(get("account kim@example.org").changed_ms, 0);
}

struct history_of {
	unsigned count;
	uint64_t ids[8], ended[8];
	char evidence[8][20];
	int err;
};

static void note_incident(void *arg, const struct store_incident *i)
{
	struct history_of *found = arg;

	found->ids[found->count] = i->id;
	found->ended[found->count] = i->ended_ms;
	str_copy(i->evidence, found->evidence[found->count++], sizeof(found->evidence[0]));
}

static void seen_all(void *arg, int err)
{
	((struct history_of *)arg)->err = err;
}

static struct history_of incidents(const char *subject, bool open)
{
	struct history_of found = {.err = 1};

	store_incident_list(s, str_from(subject), open, 0, note_incident, seen_all, &found);
	store_wait(s);
	assert_int_equal(found.err, 0);
	return found;
}

static void put_incident(uint64_t id, const char *subject, uint64_t ended_ms, const char *evidence)
{
	struct store_incident i = {.id = id, .subject = str_from(subject), .action = 2, .started_ms = 3,
		.ended_ms = ended_ms, .evidence = str_from(evidence)};
	struct store_batch *b = store_batch_create();

	store_batch_put_incident(b, &i);
	store_apply(s, b, NULL, NULL);
	store_wait(s);
}

static void test_incidents(void **state)
{
	struct history_of found;

	put_incident(1, "account a", 0, "first");
	put_incident(2, "account b", 0, "second");
	put_incident(1, "account a", 9, "over");
	found = incidents("", false);
	assert_int_equal(found.count, 2);
	assert_int_equal(found.ids[0], 2); // the newest first
	assert_string_equal(found.evidence[1], "over");
	found = incidents("", true);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.ids[0], 2);
	found = incidents("account a", false);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.ended[0], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_states, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_profile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_account_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_incidents, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
