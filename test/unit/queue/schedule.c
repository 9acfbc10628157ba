// SPDX-License-Identifier: ISC
// Turns and bounds: groups by destination, jobs at once, destinations in trouble, deliverers that
// come and go, routes, blocked port 25.
#include "help.h"

static struct env *e;

static int set_up(void **state)
{
	(void)state;
	e = make_env("destination \"narrow.example\" { connections 3 }\n"
		"route \"routed.example\" { smtp \"smart.example:587\" }\n"
		"route \"*.below.example\" { smtp \"[192.0.2.9]:25\" }\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free_env(e);
	return 0;
}

static void submit_many(const char *domain, unsigned count)
{
	static struct submitted done[2000];
	char address[60];
	for (unsigned n = 0; n < count; n++) {
		snprintf(address, sizeof address, "u%u@%s", n, domain);
		submit_later(e, &(struct mail_of){.sender = "lee@example.kr"},
			&(struct to){.address = address}, 1, &done[n]);
	}
	for (unsigned n = 0; n < count; n++)
		WAIT(e, done[n].done);
}

static unsigned open_of(const char *destination)
{
	unsigned count = 0;
	LIST_EACH(link, &e->jobs)
		count += !strcmp(LIST_ENTRY(link, struct played, link)->destination, destination);
	return count;
}

static struct played *job_of(const char *destination)
{
	LIST_EACH(link, &e->jobs) {
		struct played *p = LIST_ENTRY(link, struct played, link);
		if (!strcmp(p->destination, destination))
			return p;
	}
	return NULL;
}

// ---- bounds
static void jobs_at_once_are_bounded_by_destination(void **state)
{
	submit_many("narrow.example", 10);
	submit_many("wide.example", 40);
	settle_down(e);
	assert_int_equal(open_of("narrow.example"), 3);
	assert_int_equal(open_of("wide.example"), 20); // the default
	answer(e, job_of("narrow.example"), &delivered);
	settle_down(e);
	assert_int_equal(open_of("narrow.example"), 3);
	assert_int_equal(e->job_count, 24);
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(e->job_count, 50);
	assert_int_equal(look(e), 0);
}

static void a_deliverer_gets_no_more_than_it_can_take(void **state)
{
	char domain[40];
	for (unsigned n = 0; n < 20; n++) {
		snprintf(domain, sizeof domain, "d%u.example", n);
		submit_many(domain, 20);
	}
	settle_down(e);
	assert_int_equal(e->open, QUEUE_SENDER_JOBS);
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(e->job_count, 400);
	assert_int_equal(e->most_open, QUEUE_SENDER_JOBS);
	assert_int_equal(look(e), 0);
}

static void a_large_destination_does_not_hold_up_others(void **state)
{
	submit_many("large.example", 1000);
	settle_down(e);
	unsigned before = e->job_count;
	submit_many("small.example", 1);
	settle_down(e);
	assert_int_equal(e->job_count, before + 1);
	assert_non_null(job_of("small.example"));
}

static void recipients_of_one_message_go_together(void **state)
{
	struct to to[] = {{.address = "a@there.example"}, {.address = "b@other.example"},
		{.address = "c@there.example"}, {.address = "d@routed.example"},
		{.address = "e@there.example"}};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 5);
	settle_down(e);
	assert_int_equal(e->job_count, 3);
	assert_int_equal(job_of("there.example")->count, 3);
	assert_int_equal(job_of("other.example")->count, 1);
}

// ---- too much for one destination
static void a_full_destination_leaves_room_for_others(void **state)
{
	struct route r = {.kind = ROUTE_MX};
	char key[ROUTE_KEY_MAX];
	submit_many("large.example", 100);
	settle_down(e);
	struct group *g = map_get(&e->q->groups, queue_route_key(&r, STR("large.example"), key));
	unsigned real = g->waiting;
	g->waiting = QUEUE_WINDOW_ITEMS; // as if so many waited
	submit(e, "lee@example.kr", "last@large.example");
	settle_down(e);
	assert_true(g->full_at);
	assert_int_equal(totals(e).due, 0);
	// More of them stay in the store; others go on.
	submit(e, "lee@example.kr", "more@large.example");
	submit(e, "lee@example.kr", "one@small.example");
	settle_down(e);
	assert_int_equal(totals(e).due, 1);
	assert_non_null(job_of("small.example"));
	g->waiting = QUEUE_WINDOW_ITEMS / 2 + 1;
	answer(e, job_of("large.example"), &delivered);
	settle_down(e);
	assert_false(g->full_at);
	assert_int_equal(e->q->saturated, 0);
	g->waiting = real;
	command(e, "queue retry", json_object());
	settle_down(e);
	assert_int_equal(totals(e).due, 0);
	// The count is not the real one any more: end it here.
	g->waiting = 0;
	LIST_EACH(link, &g->items)
		g->waiting++;
}

static void slow_destinations_leave_room_for_the_next(void **state)
{
	char address[40];
	static struct submitted done[6000];
	e->q->item_count += QUEUE_WINDOW_ITEMS - 2000; // a small window
	// Each of six slow ones has more than would fit.
	for (unsigned n = 0; n < 6000; n++) {
		snprintf(address, sizeof address, "u%u@slow%u.example", n, n % 6);
		submit_later(e, &(struct mail_of){.sender = "lee@example.kr"},
			&(struct to){.address = address}, 1, &done[n]);
	}
	for (unsigned n = 0; n < 6000; n++)
		WAIT(e, done[n].done);
	settle_down(e);
	assert_true(e->q->item_count < QUEUE_WINDOW_ITEMS);
	submit(e, "lee@example.kr", "one@small.example");
	WAIT(e, job_of("small.example"));
	e->always = &delivered;
	WAIT(e, e->job_count > 1500);
	e->q->item_count -= QUEUE_WINDOW_ITEMS - 2000;
}

// ---- destinations in trouble
static void a_destination_that_does_not_answer_is_slowed_and_left_alone(void **state)
{
	submit_many("dead.example", 60);
	settle_down(e);
	assert_int_equal(open_of("dead.example"), 20);
	for (unsigned n = 0; n < 20; n++)
		answer(e, job_of("dead.example"), &unreachable);
	settle_down(e);
	// The other 40 are put off without a try of their own.
	assert_int_equal(e->job_count, 20);
	assert_int_equal(e->q->item_count, 0);
	assert_int_equal(totals(e).due, 60);
	look(e);
	for (unsigned n = 0; n < rows.count; n++) {
		assert_string_equal(rows.all[n].status, "4.4.1");
		assert_string_equal(rows.all[n].reply, "connection timed out");
		assert_int_equal(rows.all[n].tries, 1);
	}
	// New mail for it waits too; others go.
	submit(e, "lee@example.kr", "new@dead.example");
	submit(e, "lee@example.kr", "new@alive.example");
	settle_down(e);
	assert_int_equal(open_of("dead.example"), 0);
	assert_int_equal(open_of("alive.example"), 1);
	// An administrator knows better: one is tried, and when it is answered the rest follow.
	command(e, "queue retry", json_pack("{s:s}", "domain", "dead.example"));
	settle_down(e);
	assert_int_equal(open_of("dead.example"), 1);
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void a_late_message_for_a_dead_destination_is_one_warning(void **state)
{
	static char addresses[30][40];
	struct to to[30];
	submit_many("dead.example", 3);
	settle_down(e);
	for (unsigned n = 0; n < 3; n++)
		answer(e, job_of("dead.example"), &unreachable);
	settle_down(e);
	e->job_count = 0;
	for (unsigned n = 0; n < 30; n++) {
		snprintf(addresses[n], sizeof addresses[n], "r%u@dead.example", n);
		to[n] = (struct to){.address = addresses[n]};
	}
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr", .age_ms = 5ULL * HOUR}, to, 30);
	settle_down(e);
	assert_int_equal(e->job_count, 1);
	assert_string_equal(first_job(e)->addresses[0], "lee@example.kr");
	assert_true(has(first_job(e), "r29@dead.example"));
}

static void a_smart_host_is_woken_by_a_domain_behind_it(void **state)
{
	for (unsigned n = 0; n < 3; n++) {
		submit(e, "lee@example.kr", "x@a.below.example");
		WAIT(e, first_job(e));
		answer(e, first_job(e), &unreachable);
		settle_down(e);
	}
	submit(e, "lee@example.kr", "x@a.below.example");
	settle_down(e);
	assert_null(first_job(e));
	command(e, "queue retry", json_pack("{s:s}", "domain", "a.below.example"));
	WAIT(e, first_job(e));
}

static void an_answer_makes_it_faster_again(void **state)
{
	submit_many("slow.example", 100);
	settle_down(e);
	answer(e, job_of("slow.example"), &unreachable);
	answer(e, job_of("slow.example"), &unreachable);
	settle_down(e);
	assert_int_equal(open_of("slow.example"), 18); // no new ones: 20 / 2 / 2 at once
	while (open_of("slow.example") > 4) {
		unsigned before = open_of("slow.example");
		answer(e, job_of("slow.example"), &delivered);
		settle_down(e);
		if (open_of("slow.example") >= before)
			break;
	}
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(totals(e).messages, 2);
}

static void a_refusal_of_mail_is_an_answer(void **state)
{
	submit_many("busy.example", 30);
	settle_down(e);
	e->always = &temporary; // 451: the destination itself is well
	settle_down(e);
	assert_int_equal(e->job_count, 30);
}

// ---- deliverers
static void jobs_of_a_deliverer_that_ended_are_done_by_another(void **state)
{
	submit_many("there.example", 5);
	settle_down(e);
	assert_int_equal(e->open, 5);
	drop_jobs(e);
	queue_deliverer_ready(e->q, QUEUE_SENDER, 7);
	queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
	settle_down(e);
	assert_int_equal(e->open, 5);
	assert_int_equal(first_job(e)->index, 7);
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void an_answer_of_the_wrong_deliverer_counts_for_nothing(void **state)
{
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, first_job(e));
	queue_deliverer_ready(e->q, QUEUE_SENDER, 1);
	first_job(e)->index = 1 - first_job(e)->index;
	answer(e, first_job(e), &delivered);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_CLAIMED);
}

static void mail_over_which_deliverers_end_waits(void **state)
{
	submit(e, "lee@example.kr", "poison@there.example");
	for (int n = 0; n < QUEUE_CRASHES_MAX; n++) {
		WAIT(e, first_job(e));
		drop_jobs(e);
		queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
		queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	}
	settle_down(e);
	assert_null(first_job(e));
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_DUE);
	assert_int_equal(rows.all[0].tries, 1);
}

static void without_a_deliverer_mail_waits(void **state)
{
	queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
	submit(e, "lee@example.kr", "one@there.example");
	settle_down(e);
	assert_int_equal(e->job_count, 0);
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	WAIT(e, first_job(e));
}

static void a_job_that_cannot_be_handed_over_comes_back(void **state)
{
	e->try_fails = 1;
	submit(e, "lee@example.kr", "one@there.example");
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_DUE);
	assert_int_equal(rows.all[0].tries, 0);
	command(e, "queue retry", json_object());
	WAIT(e, first_job(e));
}

static void one_destination_stays_with_one_sender(void **state)
{
	bool used[4] = {false};
	for (unsigned n = 1; n < 4; n++)
		queue_deliverer_ready(e->q, QUEUE_SENDER, n);
	for (unsigned d = 0; d < 40; d++) {
		char domain[40];
		snprintf(domain, sizeof domain, "d%u.example", d);
		submit_many(domain, 3);
	}
	settle_down(e);
	assert_int_equal(e->open, 120);
	LIST_EACH(link, &e->jobs) {
		struct played *p = LIST_ENTRY(link, struct played, link);
		used[p->index] = true;
		LIST_EACH(other, &e->jobs) {
			struct played *o = LIST_ENTRY(other, struct played, link);
			if (!strcmp(o->destination, p->destination))
				assert_int_equal(o->index, p->index);
		}
	}
	for (unsigned n = 0; n < 4; n++)
		assert_true(used[n]);
}

// ---- routes
static void routes_decide_where_mail_goes(void **state)
{
	submit(e, "lee@example.kr", "one@routed.example");
	submit(e, "lee@example.kr", "two@a.below.example");
	submit(e, "lee@example.kr", "three@b.below.example");
	settle_down(e);
	struct played *p = job_of("routed.example");
	assert_non_null(p);
	assert_string_equal(e->config->routes[p->route - 1].host.data, "smart.example");
	// One host behind many domains is one destination.
	assert_int_equal(open_of("*.below.example"), 2);
}

static void a_new_configuration_holds_for_what_waits(void **state)
{
	queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
	submit(e, "lee@example.kr", "one@there.example");
	submit(e, "lee@example.kr", "two@example.kr");
	settle_down(e);
	use_config(e, "route \"*\" { smtp \"smart.example:587\" }\n");
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	WAIT(e, job_of("*"));
	assert_int_equal(job_of("*")->route, 1);
	assert_string_equal(job_of("*")->addresses[0], "one@there.example");
}

static void local_domains_and_routes(void **state)
{
	struct route r;
	use_config(e, "route \"*\" { smtp \"smart.example:587\" }\n");
	r = queue_route_for(e->config, STR("example.kr"));
	assert_int_equal(r.kind, ROUTE_LOCAL); // a wildcard is for what goes out
	r = queue_route_for(e->config, STR("there.example"));
	assert_int_equal(r.kind, ROUTE_HOST);
	use_config(e, "route \"example.kr\" { lmtp \"/run/dovecot/lmtp\" }\n");
	r = queue_route_for(e->config, STR("example.kr"));
	assert_int_equal(r.kind, ROUTE_HOST); // named itself: its mailboxes are elsewhere
	r = queue_route_for(e->config, STR("there.example"));
	assert_int_equal(r.kind, ROUTE_MX);
}

// ---- port 25
static const struct said blocked = {SMTP_TEMPORARY, 0, "4.4.1", "connection to port 25 timed out", "", 2,
	false};

static bool port25_blocked(void)
{
	struct called c = call(e, "queue status", json_object());
	assert_int_equal(c.result, 0);
	bool is = json_is_true(json_object_get(c.done, "port25_blocked"));
	if (is)
		assert_non_null(strstr(text_of(c.done, "advice"), "smtp \"host:587\""));
	called_finish(&c);
	return is;
}

static void fail_port25(const char *address)
{
	submit(e, "lee@example.kr", address);
	WAIT(e, first_job(e));
	answer(e, first_job(e), &blocked);
	settle_down(e);
}

static void three_unrelated_timeouts_mean_port_25_is_blocked(void **state)
{
	look_for(e, "queue", "");
	fail_port25("one@a.example");
	fail_port25("two@mx.b.test");
	fail_port25("three@other.b.test"); // the same owner
	fail_port25("four@a.example");
	assert_false(port25_blocked());
	fail_port25("five@c.invalid");
	assert_true(port25_blocked());
	assert_int_equal(e->events, 1);
	assert_non_null(strstr(e->last_event, "host:587"));
	fail_port25("six@d.kr");
	assert_int_equal(e->events, 1); // once
	// Nobody is punished: a destination that failed so is tried as before.
	submit_many("a.example", 5);
	settle_down(e);
	assert_int_equal(open_of("a.example"), 5);
	// Until somebody answers.
	answer(e, job_of("a.example"), &delivered);
	settle_down(e);
	assert_false(port25_blocked());
}

static void registries_with_two_labels_are_not_one_owner(void **state)
{
	fail_port25("one@a.co.kr");
	fail_port25("two@mail.a.co.kr");
	fail_port25("three@b.co.kr");
	assert_false(port25_blocked());
	fail_port25("four@c.co.kr");
	assert_true(port25_blocked());
}

static void timeouts_with_answers_in_between_mean_nothing(void **state)
{
	fail_port25("one@a.example");
	fail_port25("two@b.test");
	submit(e, "lee@example.kr", "three@c.invalid");
	WAIT(e, first_job(e));
	answer(e, first_job(e), &temporary);
	settle_down(e);
	fail_port25("four@d.kr");
	assert_false(port25_blocked());
}

static void a_smart_host_that_fails_says_nothing_of_port_25(void **state)
{
	use_config(e, "route \"a.example\" { smtp \"a.smart.example:587\" }\n"
		"route \"b.test\" { smtp \"b.smart.example:587\" }\n"
		"route \"c.invalid\" { smtp \"c.smart.example:587\" }\n");
	fail_port25("one@a.example");
	fail_port25("one@b.test");
	fail_port25("one@c.invalid");
	assert_false(port25_blocked());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(jobs_at_once_are_bounded_by_destination),
		T(a_deliverer_gets_no_more_than_it_can_take),
		T(a_large_destination_does_not_hold_up_others),
		T(recipients_of_one_message_go_together),
		T(a_full_destination_leaves_room_for_others),
		T(slow_destinations_leave_room_for_the_next),
		T(a_destination_that_does_not_answer_is_slowed_and_left_alone),
		T(a_late_message_for_a_dead_destination_is_one_warning),
		T(a_smart_host_is_woken_by_a_domain_behind_it),
		T(an_answer_makes_it_faster_again),
		T(a_refusal_of_mail_is_an_answer),
		T(jobs_of_a_deliverer_that_ended_are_done_by_another),
		T(an_answer_of_the_wrong_deliverer_counts_for_nothing),
		T(mail_over_which_deliverers_end_waits),
		T(without_a_deliverer_mail_waits),
		T(a_job_that_cannot_be_handed_over_comes_back),
		T(one_destination_stays_with_one_sender),
		T(routes_decide_where_mail_goes),
		T(a_new_configuration_holds_for_what_waits),
		T(local_domains_and_routes),
		T(three_unrelated_timeouts_mean_port_25_is_blocked),
		T(registries_with_two_labels_are_not_one_owner),
		T(timeouts_with_answers_in_between_mean_nothing),
		T(a_smart_host_that_fails_says_nothing_of_port_25),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
