// SPDX-License-Identifier: ISC
// Whether a mailbox has room: what is remembered, who is asked, and that nobody waits for long.
#include "help.h"

#include "store/mailboxes.h"

#define NAME STR("kim@example.kr")

static struct env *e;
static struct {
	int err;             // it cannot be asked
	unsigned asked;
	uint64_t request;    // of the last question
	bool anew;
} local;

static int ask(void *arg, const struct ipc_usage_query *m)
{
	(void)arg;
	if (local.err)
		return local.err;
	local.asked++;
	local.request = m->request;
	local.anew = m->anew;
	assert_int_equal(m->quota, 1000);
	assert_true(str_equal(m->address, NAME));
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(&local, 0, sizeof local);
	e = make_env("deliver { quota 1000  quota-postmaster count }");
	e->q->o.ask_usage = ask;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free_env(e);
	return 0;
}

static void counted(uint32_t err, uint64_t octets, uint64_t messages)
{
	const struct ipc_usage_answer m = {.request = local.request, .err = err, .octets = octets,
		.messages = messages};
	queue_usage_answered(e->q, &m);
}

struct known {
	unsigned answers;
	int exists;
	bool full;
};

static void on_recipient(void *arg, const struct queue_recipient *r)
{
	struct known *k = arg;
	k->answers++;
	k->exists = r->exists;
	k->full = r->full;
}

static bool is_full(uint64_t size)
{
	struct known k = {0};
	queue_recipient(e->q, NAME, size, on_recipient, &k);
	WAIT(e, k.answers);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.exists, 1);
	return k.full;
}

static void on_put(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
}

// The store knows what it held before this process was there.
static void remember(uint64_t octets)
{
	const struct store_mailbox m = {.name = NAME, .usage = {octets, 1}, .counted_ms = 5};
	store_mailbox_put(e->store, &m, 1, on_put, NULL);
	settle_down(e);
}

static void what_was_never_counted_is_taken(void **state)
{
	(void)state;
	assert_false(is_full(0));
	assert_false(is_full(5000));
	assert_int_equal(local.asked, 0);
}

static void it_is_counted_before_a_recipient_is_refused(void **state)
{
	struct known k = {0};
	(void)state;
	remember(1000);
	queue_recipient(e->q, NAME, 0, on_recipient, &k);
	WAIT(e, local.asked);
	assert_true(local.anew);
	assert_int_equal(k.answers, 0);
	counted(0, 1000, 3);
	WAIT(e, k.answers);
	assert_true(k.full);
	// A moment later it is known.
	assert_true(is_full(0));
	assert_int_equal(local.asked, 1);
}

static void room_that_was_made_is_found(void **state)
{
	struct known k = {0};
	(void)state;
	remember(900);
	assert_false(is_full(100));
	queue_recipient(e->q, NAME, 101, on_recipient, &k);
	WAIT(e, local.asked);
	counted(0, 100, 3);
	WAIT(e, k.answers);
	assert_false(k.full);
	assert_false(is_full(900));
	assert_true(is_full(901)); // counted this moment
	assert_int_equal(local.asked, 1);
}

static void several_wait_for_one_count(void **state)
{
	struct known k[50] = {{0}};
	(void)state;
	remember(1000);
	for (unsigned n = 0; n < 50; n++)
		queue_recipient(e->q, NAME, n < 25 ? 0 : 400, on_recipient, &k[n]);
	WAIT(e, local.asked);
	counted(0, 700, 3);
	for (unsigned n = 0; n < 50; n++) {
		WAIT(e, k[n].answers);
		assert_int_equal(k[n].full, n >= 25);
	}
	assert_int_equal(local.asked, 1);
}

static void who_gets_no_answer_takes_it(void **state)
{
	struct known k = {0};
	(void)state;
	remember(1000);
	local.err = ERR_UNAVAILABLE;
	assert_false(is_full(0));
	local.err = 0;
	queue_recipient(e->q, NAME, 0, on_recipient, &k);
	WAIT(e, local.asked);
	queue_deliverer_gone(e->q, QUEUE_LOCAL, 0);
	WAIT(e, k.answers);
	assert_false(k.full);
	// And one that is answered too late.
	memset(&k, 0, sizeof k);
	uint64_t before = clock_monotonic_ms();
	queue_recipient(e->q, NAME, 0, on_recipient, &k);
	WAIT(e, k.answers);
	assert_false(k.full);
	assert_in_range(clock_monotonic_ms() - before, 1900, 5000);
	counted(0, 1000, 1); // nobody waits any more
	settle_down(e);
}

static void a_count_that_fails_keeps_nobody_out(void **state)
{
	struct known k = {0};
	(void)state;
	remember(1000);
	queue_recipient(e->q, NAME, 0, on_recipient, &k);
	WAIT(e, local.asked);
	counted((uint32_t)-ERR_SYSTEM, 0, 0);
	WAIT(e, k.answers);
	assert_false(k.full);
}

static void the_queue_ends_while_somebody_waits(void **state)
{
	struct known k = {0};
	(void)state;
	remember(1000);
	queue_recipient(e->q, NAME, 0, on_recipient, &k);
	WAIT(e, local.asked);
	close_queue(e);
	assert_int_equal(k.answers, 1);
	assert_false(k.full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(what_was_never_counted_is_taken),
		T(it_is_counted_before_a_recipient_is_refused),
		T(room_that_was_made_is_found),
		T(several_wait_for_one_count),
		T(who_gets_no_answer_takes_it),
		T(a_count_that_fails_keeps_nobody_out),
		T(the_queue_ends_while_somebody_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
