// SPDX-License-Identifier: ISC
// A message's way in and out, and what is left of it after a stop, a crash and trouble on the way.
#include "help.h"

#include <sys/stat.h>

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

static void a_message_is_delivered_and_gone(void **state)
{
	uint64_t id = submit(e, "lee@example.kr", "someone@there.example");
	WAIT(e, first_job(e));
	struct played *p = first_job(e);
	assert_int_equal(p->message, id);
	assert_int_equal(p->kind, QUEUE_SENDER);
	assert_string_equal(p->destination, "there.example");
	assert_int_equal(p->route, 0);
	assert_string_equal(p->sender, "lee@example.kr");
	assert_string_equal(p->addresses[0], "someone@there.example");
	assert_true(has(p, "Hello."));
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_CLAIMED); // never waits to be read again
	look_for(e, "result", "delivered");
	answer(e, p, &delivered);
	assert_int_equal(e->events, 1);
	settle_down(e);
	assert_int_equal(look(e), 0);
	assert_int_equal(totals(e).messages, 0);
	assert_int_equal(e->q->item_count, 0);
	assert_int_equal(e->q->mails, 0);
	assert_int_equal(e->q->octets, 0);
}

static void local_mail_goes_to_local_under_its_account(void **state)
{
	submit(e, "someone@there.example", "Kim@example.kr");
	WAIT(e, first_job(e));
	assert_int_equal(first_job(e)->kind, QUEUE_LOCAL);
	assert_string_equal(first_job(e)->addresses[0], "kim@example.kr");
	assert_string_equal(first_job(e)->destination, "example.kr");
}

static void a_recipient_that_is_gone_bounces(void **state)
{
	e->always = &delivered;
	submit(e, "someone@there.example", "nobody@example.kr");
	WAIT(e, e->job_count == 1); // the report
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void role_addresses_go_to_the_postmaster(void **state)
{
	static const char *const addresses[] = {"postmaster", "Postmaster@example.kr",
		"abuse@example.kr", "postmaster@[127.0.0.1]"};
	for (size_t n = 0; n < ARRAY_SIZE(addresses); n++) {
		submit(e, "someone@there.example", addresses[n]);
		WAIT(e, first_job(e));
		assert_int_equal(first_job(e)->kind, QUEUE_LOCAL);
		assert_string_equal(first_job(e)->addresses[0], "kim@example.kr");
		answer(e, first_job(e), &delivered);
		settle_down(e);
		assert_int_equal(look(e), 0);
	}
	// Of another domain it is an address like others.
	submit(e, "someone@there.example", "postmaster@there.example");
	WAIT(e, first_job(e));
	assert_string_equal(first_job(e)->addresses[0], "postmaster@there.example");
}

static void an_account_named_abuse_gets_its_mail(void **state)
{
	add_account(e, "abuse@example.kr");
	submit(e, "someone@there.example", "ABUSE@example.kr");
	WAIT(e, first_job(e));
	assert_string_equal(first_job(e)->addresses[0], "abuse@example.kr");
}

static void a_thousand_recipients(void **state)
{
	static char addresses[1000][40];
	static struct to to[1000];
	static bool seen[1000];
	unsigned total = 0;
	memset(seen, 0, sizeof seen);
	for (unsigned n = 0; n < 1000; n++) {
		snprintf(addresses[n], sizeof addresses[n], "user%u@%s.example", n, n % 2 ? "odd" : "even");
		to[n] = (struct to){.address = addresses[n]};
	}
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 1000);
	while (total < 1000) {
		WAIT(e, first_job(e));
		struct played *p = first_job(e);
		for (unsigned n = 0; n < p->count; n++) {
			unsigned user = (unsigned)atoi(p->addresses[n] + 4);
			assert_false(seen[user]);
			seen[user] = true;
		}
		total += p->count;
		answer(e, p, &delivered);
	}
	settle_down(e);
	assert_int_equal(look(e), 0);
	assert_true(e->job_count >= 10);
}

static void bad_submissions_are_refused(void **state)
{
	struct submitted s = {0};
	uint8_t digest[32] = {0};
	struct ipc_submit m = {.sender = STR("a@b.example"), .digest = str_make(digest, 32),
		.body = STR("x\r\n"), .size = 3, .recipients = STR_EMPTY};
	queue_submit(e->q, &m, -1, on_submitted, &s);
	assert_false(s.done);
	WAIT(e, s.done);
	assert_int_not_equal(s.err, 0); // nobody to get it
	s.done = false;
	m.size = 4;
	queue_submit(e->q, &m, -1, on_submitted, &s);
	WAIT(e, s.done);
	assert_int_not_equal(s.err, 0); // not what was announced
	assert_int_equal(look(e), 0);
}

static void no_space_means_no_new_mail(void **state)
{
	struct submitted s;
	e->config->queue.min_free_size = UINT64_MAX;
	e->q->space.at_ms = 0; // ask the disk again
	assert_int_equal(queue_has_space(e->q), ERR_FULL);
	submit_later(e, &(struct mail_of){.sender = "a@b.example"},
		&(struct to){.address = "c@d.example"}, 1, &s);
	WAIT(e, s.done);
	assert_int_equal(s.err, ERR_FULL);
	e->config->queue.min_free_size = 0;
	e->q->space.at_ms = 0;
	assert_int_equal(queue_has_space(e->q), 0);
	submit(e, "a@b.example", "c@d.example");
}

static void large_bodies_are_files(void **state)
{
	struct error err;
	uint64_t spool;
	int fd;
	size_t size = 200000;
	char *octets = mem_alloc(size);
	memset(octets, 'x', size);
	memcpy(octets, "Subject: large\r\n\r\n", 18);
	assert_int_equal(queue_spool_open(e->q, &spool, &fd, &err), 0);
	assert_int_equal(write(fd, octets, size), size);
	uint8_t digest[MESSAGE_DIGEST_SIZE];
	digest_of(str_make(octets, size), digest);
	struct buf list = BUF_INIT;
	struct ipc_recipient r = {.address = STR("c@there.example"), .domain = STR("there.example")};
	assert_int_equal(ipc_list_add_recipient(&list, &r), 0);
	struct ipc_submit m = {.sender = STR("lee@example.kr"), .received_ms = clock_wall_ms(),
		.size = size, .digest = str_make(digest, sizeof digest), .recipients = buf_str(&list),
		.spool = spool};
	struct submitted s = {0};
	queue_submit(e->q, &m, fd, on_submitted, &s);
	WAIT(e, s.done);
	assert_int_equal(s.err, 0);
	WAIT(e, first_job(e));
	assert_true(first_job(e)->spool);
	assert_memory_equal(buf_str(&first_job(e)->body).data, octets, size);
	// A report about it gives the headers back.
	answer(e, first_job(e), &permanent);
	WAIT(e, first_job(e));
	assert_true(has(first_job(e), "Subject: large"));
	assert_int_equal(e->q->mails, 1);
	answer(e, first_job(e), &delivered);
	settle_down(e);
	assert_int_equal(look(e), 0);
	buf_finish(&list);
	mem_free(octets);
}

// ---- stop, crash, restart
static void a_crash_makes_claimed_ones_due(void **state)
{
	submit(e, "lee@example.kr", "one@there.example");
	submit(e, "lee@example.kr", "two@there.example");
	WAIT(e, e->job_count == 2);
	kill_queue(e);
	open_queue(e);
	assert_int_equal(look(e), 2);
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	e->always = &delivered;
	WAIT(e, e->job_count == 4);
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void a_stop_gives_everything_back(void **state)
{
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, e->job_count == 1);
	queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
	submit(e, "lee@example.kr", "two@there.example");
	settle_down(e);
	close_queue(e);
	open_queue(e);
	assert_int_equal(look(e), 2);
	for (unsigned n = 0; n < rows.count; n++)
		assert_int_equal(rows.all[n].tries, 0);
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	e->always = &delivered;
	e->job_count = 0;
	WAIT(e, e->job_count == 2);
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void nothing_is_taken_after_a_stop(void **state)
{
	struct submitted s;
	queue_stop(e->q, on_stopped, e);
	submit_later(e, &(struct mail_of){.sender = "a@b.example"},
		&(struct to){.address = "c@d.example"}, 1, &s);
	WAIT(e, s.done && e->stopped);
	assert_int_equal(s.err, ERR_UNAVAILABLE);
	assert_int_equal(look(e), 0);
}

// ---- hold
static void recipients_on_hold_wait_for_somebody(void **state)
{
	struct to to[] = {{.address = "one@there.example", .hold = "looks odd"},
		{.address = "two@there.example"}};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 2);
	WAIT(e, e->job_count == 1);
	assert_string_equal(first_job(e)->addresses[0], "two@there.example");
	assert_int_equal(first_job(e)->count, 1);
	answer(e, first_job(e), &delivered);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
	assert_string_equal(rows.all[0].reason, "looks odd");
}

static void the_setting_hold_takes_and_tries_nothing(void **state)
{
	use_config(e, "queue { hold yes }\n");
	struct to to = {.address = "held@there.example", .hold = "looks odd"};
	submit(e, "lee@example.kr", "one@there.example");
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, &to, 1);
	settle_down(e);
	assert_int_equal(e->job_count, 0);
	assert_int_equal(look(e), 2);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
	assert_string_equal(rows.all[0].reason, "queue hold");
	// Without the setting they go, but not what was held for a reason of its own.
	use_config(e, "");
	WAIT(e, e->job_count == 1);
	assert_string_equal(first_job(e)->addresses[0], "one@there.example");
	answer(e, first_job(e), &delivered);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_string_equal(rows.all[0].reason, "looks odd");
}

// ---- more than memory holds
static void what_finds_no_room_is_claimed_later(void **state)
{
	enum { COUNT = 300 };
	static struct submitted done[COUNT];
	char address[40];
	e->q->item_count += QUEUE_WINDOW_ITEMS; // as if it were full
	for (unsigned n = 0; n < COUNT; n++) {
		snprintf(address, sizeof address, "u%u@there.example", n);
		submit_later(e, &(struct mail_of){.sender = "lee@example.kr"},
			&(struct to){.address = address}, 1, &done[n]);
	}
	for (unsigned n = 0; n < COUNT; n++)
		WAIT(e, done[n].done);
	settle_down(e);
	assert_int_equal(e->job_count, 0);
	assert_int_equal(totals(e).due, COUNT);
	e->q->item_count -= QUEUE_WINDOW_ITEMS;
	queue_claim_freed(e->q);
	e->always = &delivered;
	WAIT(e, e->job_count == COUNT);
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void a_damaged_body_is_put_on_hold(void **state)
{
	e->q->item_count += QUEUE_WINDOW_ITEMS; // so that it has to be read from the store
	struct submitted s;
	struct buf list = BUF_INIT;
	uint8_t wrong[32] = {1};
	struct ipc_recipient r = {.address = STR("c@there.example"), .domain = STR("there.example")};
	assert_int_equal(ipc_list_add_recipient(&list, &r), 0);
	struct ipc_submit m = {.sender = STR("a@b.example"), .digest = str_make(wrong, 32),
		.received_ms = clock_wall_ms(), .body = STR("x\r\n"), .size = 3,
		.recipients = buf_str(&list)};
	s = (struct submitted){0};
	queue_submit(e->q, &m, -1, on_submitted, &s);
	WAIT(e, s.done);
	e->q->item_count -= QUEUE_WINDOW_ITEMS;
	queue_claim_freed(e->q);
	look_for(e, "hold", "");
	WAIT(e, e->events == 1);
	settle_down(e);
	assert_int_equal(e->job_count, 0);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
	buf_finish(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_message_is_delivered_and_gone),
		T(local_mail_goes_to_local_under_its_account),
		T(a_recipient_that_is_gone_bounces),
		T(role_addresses_go_to_the_postmaster),
		T(an_account_named_abuse_gets_its_mail),
		T(a_thousand_recipients),
		T(bad_submissions_are_refused),
		T(no_space_means_no_new_mail),
		T(large_bodies_are_files),
		T(a_crash_makes_claimed_ones_due),
		T(a_stop_gives_everything_back),
		T(nothing_is_taken_after_a_stop),
		T(recipients_on_hold_wait_for_somebody),
		T(the_setting_hold_takes_and_tries_nothing),
		T(what_finds_no_room_is_claimed_later),
		T(a_damaged_body_is_put_on_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
