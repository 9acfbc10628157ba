// SPDX-License-Identifier: ISC
// When a recipient is tried again, when its sender is warned, when it is given up.
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

static void assert_between(uint64_t value, uint64_t least, uint64_t most)
{
	if (value < least || value > most)
		fail_msg("%llu is not from %llu to %llu", (unsigned long long)value,
			(unsigned long long)least, (unsigned long long)most);
}

// ---- the numbers
static void pauses_double_and_are_scattered(void **state)
{
	static const struct {
		unsigned tries;
		uint64_t pause;
	} table[] = {{1, 5 * MINUTE}, {2, 10 * MINUTE}, {3, 20 * MINUTE}, {4, 40 * MINUTE},
		{6, 160 * MINUTE}, {7, 240 * MINUTE}, {8, 240 * MINUTE}, {1000, 240 * MINUTE}};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		bool differs = false;
		uint64_t first = queue_retry_pause(e->config, table[n].tries);
		for (int i = 0; i < 200; i++) {
			uint64_t pause = queue_retry_pause(e->config, table[n].tries);
			assert_between(pause, table[n].pause * 4 / 5, table[n].pause * 6 / 5);
			differs |= pause != first;
		}
		assert_true(differs);
	}
}

static void a_temporary_failure_waits_for_its_time(void **state)
{
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, first_job(e));
	look_for(e, "result", "deferred");
	answer(e, first_job(e), &temporary);
	settle_down(e);
	uint64_t now = clock_wall_ms();
	assert_int_equal(e->events, 1);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_DUE);
	assert_int_equal(rows.all[0].tries, 1);
	assert_between(rows.all[0].next_ms, now + 3 * MINUTE, now + 7 * MINUTE);
	assert_string_equal(rows.all[0].status, "4.2.0");
	assert_string_equal(rows.all[0].reply, "451 try later");
	assert_string_equal(rows.all[0].remote, "mx.there.example [192.0.2.1]");
	assert_int_equal(e->q->item_count, 0); // does not stay in memory
	assert_int_equal(e->job_count, 1);
}

static void it_comes_again_by_itself(void **state)
{
	use_config(e, "queue { first-retry 1s }\n");
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, first_job(e));
	answer(e, first_job(e), &temporary);
	WAIT(e, first_job(e));
	assert_int_equal(e->job_count, 2);
	assert_true(has(first_job(e), "Hello.")); // read from the store again
	answer(e, first_job(e), &delivered);
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void retry_now_by_command(void **state)
{
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, first_job(e));
	for (unsigned tries = 1; tries <= 3; tries++) {
		answer(e, first_job(e), &temporary);
		settle_down(e);
		assert_int_equal(look(e), 1);
		assert_int_equal(rows.all[0].tries, tries);
		assert_int_equal(command(e, "queue retry", json_pack("{s:s}", "domain", "There.example")), 1);
		WAIT(e, first_job(e));
	}
}

static void trouble_of_our_own_network_does_not_lengthen_pauses(void **state)
{
	static const struct said ours = {SMTP_TEMPORARY, 0, "4.4.1", "connection timed out", "", 2, false};
	submit(e, "lee@example.kr", "one@there.example");
	for (int i = 0; i < 3; i++) {
		WAIT(e, first_job(e));
		answer(e, first_job(e), &ours);
		settle_down(e);
		uint64_t now = clock_wall_ms();
		assert_int_equal(look(e), 1);
		assert_int_equal(rows.all[0].tries, 0);
		assert_between(rows.all[0].next_ms, now + 3 * MINUTE, now + 7 * MINUTE);
		command(e, "queue retry", json_object());
	}
}

static void no_answer_for_a_recipient_is_temporary(void **state)
{
	struct to to[] = {{.address = "one@there.example"}, {.address = "two@there.example"}};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 2);
	WAIT(e, first_job(e));
	struct played *p = first_job(e);
	assert_int_equal(p->count, 2);
	p->count = 1; // the second one is forgotten
	answer(e, p, &delivered);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_string_equal(rows.all[0].address, "two@there.example");
	assert_int_equal(rows.all[0].tries, 1);
}

// ---- the end
static void the_time_is_over(void **state)
{
	struct to to = {.address = "one@there.example"};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr", .age_ms = 5ULL * DAY + MINUTE}, &to, 1);
	WAIT(e, first_job(e));
	look_for(e, "expire", "");
	answer(e, first_job(e), &temporary);
	WAIT(e, first_job(e));
	assert_int_equal(e->events, 1);
	struct played *report = first_job(e);
	assert_string_equal(report->sender, "");
	assert_string_equal(report->addresses[0], "lee@example.kr");
	assert_true(has(report, "Status: 4.4.7"));
	assert_true(has(report, "Action: failed"));
	assert_true(has(report, "451 try later"));
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].bounce, true);
}

static void the_last_try_is_at_the_end(void **state)
{
	struct to to = {.address = "one@there.example"};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr", .age_ms = 5ULL * DAY - MINUTE}, &to, 1);
	WAIT(e, first_job(e));
	e->q->config = e->config;
	answer(e, first_job(e), &temporary);
	settle_down(e);
	look(e);
	for (unsigned n = 0; n < rows.count; n++)
		if (!rows.all[n].bounce)
			assert_int_equal(rows.all[n].next_ms, rows.all[n].received_ms + 5ULL * DAY);
}

static void a_longer_life_holds_for_what_waits(void **state)
{
	struct to to = {.address = "one@there.example"};
	use_config(e, "queue { life 10d  delay-warning 0 }\n");
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr", .age_ms = 6ULL * DAY}, &to, 1);
	WAIT(e, first_job(e));
	answer(e, first_job(e), &temporary);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].bounce, false);
	assert_int_equal(e->job_count, 1);
}

// ---- the warning
static void the_sender_is_warned_once(void **state)
{
	struct to to = {.address = "one@there.example"};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr", .age_ms = 4ULL * HOUR + MINUTE}, &to, 1);
	WAIT(e, first_job(e));
	answer(e, first_job(e), &temporary);
	WAIT(e, first_job(e));
	struct played *report = first_job(e);
	assert_string_equal(report->addresses[0], "lee@example.kr");
	assert_true(has(report, "Action: delayed"));
	assert_true(has(report, "Will-Retry-Until:"));
	assert_true(has(report, "Status: 4.2.0"));
	answer(e, report, &delivered);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_true(rows.all[0].warned);
	// Not a second time.
	command(e, "queue retry", json_object());
	WAIT(e, first_job(e));
	answer(e, first_job(e), &temporary);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_true(rows.all[0].warned);
	assert_int_equal(rows.all[0].tries, 2);
	assert_int_equal(e->job_count, 3);
}

static void nobody_is_warned_who_did_not_want_it(void **state)
{
	static const struct {
		unsigned notify;
		const char *sender;
		bool warned;
	} table[] = {{0, "lee@example.kr", true}, {SMTP_NOTIFY_DELAY, "lee@example.kr", true},
		{SMTP_NOTIFY_FAILURE, "lee@example.kr", false}, {SMTP_NOTIFY_NEVER, "lee@example.kr", false},
		{SMTP_NOTIFY_SUCCESS, "lee@example.kr", false}, {0, "", false}};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		struct to to = {.address = "one@there.example", .notify = table[n].notify};
		submit_mail(e, &(struct mail_of){.sender = table[n].sender, .age_ms = 5ULL * HOUR}, &to, 1);
		WAIT(e, first_job(e));
		answer(e, first_job(e), &temporary);
		settle_down(e);
		look(e);
		assert_int_equal(rows.count, table[n].warned ? 2 : 1);
		if (table[n].warned)
			answer(e, first_job(e), &delivered);
		settle_down(e);
		command(e, "queue delete", json_pack("{s:s}", "domain", "there.example"));
		settle_down(e);
		assert_int_equal(look(e), 0);
	}
}

static void a_long_pause_does_not_make_the_warning_late(void **state)
{
	struct to to = {.address = "one@there.example"};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr", .age_ms = 4ULL * HOUR - 2 * MINUTE}, &to, 1);
	WAIT(e, first_job(e));
	answer(e, first_job(e), &temporary);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].next_ms, rows.all[0].received_ms + 4ULL * HOUR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(pauses_double_and_are_scattered),
		T(a_temporary_failure_waits_for_its_time),
		T(it_comes_again_by_itself),
		T(retry_now_by_command),
		T(trouble_of_our_own_network_does_not_lengthen_pauses),
		T(no_answer_for_a_recipient_is_temporary),
		T(the_time_is_over),
		T(the_last_try_is_at_the_end),
		T(a_longer_life_holds_for_what_waits),
		T(the_sender_is_warned_once),
		T(nobody_is_warned_who_did_not_want_it),
		T(a_long_pause_does_not_make_the_warning_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
