// SPDX-License-Identifier: ISC
// Who is told what: NOTIFY, RET, ENVID and ORCPT of RFC 3461, null senders, the postmaster.
#include "help.h"

static struct env *e;

static int set_up(void **state)
{
	(void)state;
	e = make_env("route \"lmtp.example\" { lmtp \"127.0.0.1:24\" }\n"
		"route \"closed.example\" { refuse \"we do not write to them\" }\n"
		"route \"boxes.example\" { local }\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free_env(e);
	return 0;
}

// Submits to one address, answers like said, and gives the report's job, or NULL when there is none.
static struct played *report_after(const struct mail_of *m, const struct to *to, const struct said *said)
{
	submit_mail(e, m, to, 1);
	WAIT(e, first_job(e));
	answer(e, first_job(e), said);
	settle_down(e);
	return first_job(e);
}

static void a_failure_is_told_to_the_sender(void **state)
{
	struct to to = {.address = "one@there.example", .orcpt = "rfc822;First+2Blast@there.example"};
	look_for(e, "bounce", "");
	struct played *p = report_after(&(struct mail_of){.sender = "lee@example.kr", .envid = "QQ+2B1"},
		&to, &permanent);
	assert_non_null(p);
	assert_int_equal(e->events, 1);
	assert_int_equal(p->kind, QUEUE_LOCAL);
	assert_string_equal(p->sender, "");
	assert_string_equal(p->addresses[0], "lee@example.kr");
	assert_true(has(p, "Action: failed"));
	assert_true(has(p, "Status: 5.1.1"));
	assert_true(has(p, "550 5.1.1 no such user"));
	assert_true(has(p, "Remote-MTA: dns; mx.there.example"));
	assert_true(has(p, "Final-Recipient: rfc822; one@there.example"));
	assert_true(has(p, "Original-Recipient: rfc822; First+last@there.example"));
	assert_true(has(p, "Original-Envelope-Id: QQ+1"));
	assert_true(has(p, "Subject: hello"));
	// The failed recipient went in the commit that brought the report.
	assert_int_equal(look(e), 1);
	assert_true(rows.all[0].bounce);
}

static void whom_notify_tells_what(void **state)
{
	static const struct {
		unsigned notify;
		const struct said *said;
		bool report;
		const char *action;
	} table[] = {
		{0, &permanent, true, "Action: failed"},
		{SMTP_NOTIFY_FAILURE, &permanent, true, "Action: failed"},
		{SMTP_NOTIFY_NEVER, &permanent, false, NULL},
		{SMTP_NOTIFY_SUCCESS, &permanent, false, NULL},
		{SMTP_NOTIFY_DELAY, &permanent, false, NULL},
		{SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE, &permanent, true, "Action: failed"},
		{0, &delivered, false, NULL},
		{SMTP_NOTIFY_FAILURE, &delivered, false, NULL},
		{SMTP_NOTIFY_NEVER, &delivered, false, NULL},
		{SMTP_NOTIFY_SUCCESS, &delivered, true, "Action: relayed"},
		{SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY, &delivered, true, "Action: relayed"},
	};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		struct to to = {.address = "one@there.example", .notify = table[n].notify};
		struct played *p = report_after(&(struct mail_of){.sender = "lee@example.kr"}, &to,
			table[n].said);
		if ((p != NULL) != table[n].report)
			fail_msg("row %zu: %s report", n, p ? "a" : "no");
		if (p) {
			assert_true(has(p, table[n].action));
			answer(e, p, &delivered);
			settle_down(e);
		}
		assert_int_equal(look(e), 0);
	}
}

static void success_by_the_kind_of_the_next_hop(void **state)
{
	static const struct said with_dsn = {SMTP_DELIVERED, 250, "2.0.0", "taken", "mx", 0, true};
	static const struct {
		const char *address;
		const struct said *said;
		const char *action;
	} table[] = {
		{"kim@example.kr", &delivered, "Action: delivered"},
		{"box@lmtp.example", &delivered, "Action: delivered"},
		{"one@there.example", &delivered, "Action: relayed"},
		{"one@there.example", &with_dsn, NULL}, // the next host reports
	};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		struct to to = {.address = table[n].address, .notify = SMTP_NOTIFY_SUCCESS};
		struct played *p = report_after(&(struct mail_of){.sender = "lee@example.kr"}, &to,
			table[n].said);
		assert_int_equal(p != NULL, table[n].action != NULL);
		if (p) {
			assert_true(has(p, table[n].action));
			answer(e, p, &delivered);
			settle_down(e);
		}
	}
}

static void ret_says_how_much_comes_back(void **state)
{
	struct to to = {.address = "one@there.example"};
	struct mail_of m = {.sender = "lee@example.kr", .body = "Subject: x\r\n\r\nThe very text.\r\n"};
	struct played *p;
	m.ret = SMTP_RET_FULL;
	p = report_after(&m, &to, &permanent);
	assert_true(has(p, "The very text."));
	answer(e, p, &delivered);
	settle_down(e);
	m.ret = SMTP_RET_HDRS;
	p = report_after(&m, &to, &permanent);
	assert_true(has(p, "Subject: x"));
	assert_false(has(p, "The very text."));
}

static void a_large_original_comes_back_as_headers(void **state)
{
	struct to to = {.address = "one@there.example"};
	size_t size = 60000;
	char *octets = mem_alloc(size);
	for (size_t n = 0; n < size; n++)
		octets[n] = n % 80 == 78 ? '\r' : n % 80 == 79 ? '\n' : 'x';
	memcpy(octets, "Subject: big\r\n\r\n", 16);
	struct mail_of m = {.sender = "lee@example.kr", .ret = SMTP_RET_FULL,
		.octets = str_make(octets, size)};
	struct played *p = report_after(&m, &to, &permanent);
	assert_non_null(p);
	assert_true(has(p, "Subject: big"));
	assert_true(buf_len(&p->body) <= STORE_INLINE_BODY_MAX);
	mem_free(octets);
}

static void several_failures_of_one_try_are_one_report(void **state)
{
	struct to to[] = {{.address = "one@there.example"}, {.address = "two@there.example"},
		{.address = "three@there.example", .notify = SMTP_NOTIFY_NEVER}};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 3);
	WAIT(e, first_job(e));
	const struct said *said[] = {&permanent, &permanent, &permanent};
	answer_each(e, first_job(e), said);
	settle_down(e);
	assert_int_equal(e->job_count, 2);
	assert_true(has(first_job(e), "one@there.example"));
	assert_true(has(first_job(e), "two@there.example"));
	assert_false(has(first_job(e), "three@there.example"));
	assert_int_equal(look(e), 1);
}

static void long_reports_are_several(void **state)
{
	static char addresses[100][80];
	static struct to to[100];
	static char text[400];
	static const struct said long_words = {SMTP_PERMANENT, 550, "5.1.1", text, "mx.there.example", 0, false};
	memset(text, 'w', sizeof text - 1);
	for (unsigned n = 0; n < 100; n++) {
		snprintf(addresses[n], sizeof addresses[n], "recipient-%u@there.example", n);
		to[n] = (struct to){.address = addresses[n]};
	}
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 100);
	WAIT(e, first_job(e));
	assert_int_equal(first_job(e)->count, 100);
	answer(e, first_job(e), &long_words);
	settle_down(e);
	assert_true(e->job_count > 2);
	for (unsigned n = 0; n < 100; n++) {
		unsigned told = 0;
		char field[8100];
		snprintf(field, sizeof field, "Final-Recipient: rfc822; %s\r\n", addresses[n]);
		LIST_EACH(link, &e->jobs) {
			struct played *p = LIST_ENTRY(link, struct played, link);
			assert_true(buf_len(&p->body) <= STORE_INLINE_BODY_MAX);
			told += has(p, field);
		}
		assert_int_equal(told, 1);
	}
	assert_int_equal(look(e), e->job_count - 1);
}

static void one_try_with_every_kind_of_end(void **state)
{
	struct to to[] = {{.address = "good@there.example"}, {.address = "later@there.example"},
		{.address = "bad@there.example"}};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 3);
	WAIT(e, first_job(e));
	const struct said *said[] = {&delivered, &temporary, &permanent};
	answer_each(e, first_job(e), said);
	settle_down(e);
	assert_int_equal(look(e), 2); // the late one and the report
	assert_true(has(first_job(e), "bad@there.example"));
	assert_false(has(first_job(e), "later@there.example"));
}

// ---- null senders
static void a_failed_bounce_goes_to_the_postmaster(void **state)
{
	struct to to = {.address = "one@there.example"};
	struct played *p = report_after(&(struct mail_of){.sender = "far@away.example"}, &to, &permanent);
	assert_string_equal(p->addresses[0], "far@away.example");
	answer(e, p, &permanent);
	WAIT(e, first_job(e));
	p = first_job(e);
	assert_string_equal(p->sender, "");
	assert_string_equal(p->addresses[0], "kim@example.kr");
	assert_int_equal(look(e), 1);
	// And one that the postmaster does not get waits for an administrator.
	look_for(e, "hold", "");
	answer(e, p, &permanent);
	settle_down(e);
	assert_int_equal(e->events, 1);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
	assert_int_equal(e->job_count, 3);
}

static void a_null_sender_never_gets_a_report(void **state)
{
	struct to to = {.address = "one@there.example", .notify = SMTP_NOTIFY_SUCCESS};
	assert_null(report_after(&(struct mail_of){.sender = ""}, &to, &delivered));
	assert_int_equal(look(e), 0);
}

static void without_a_postmaster_it_is_held(void **state)
{
	struct to to = {.address = "one@there.example"};
	e->config->postmaster = STR_EMPTY;
	look_for(e, "hold", "");
	assert_null(report_after(&(struct mail_of){.sender = ""}, &to, &permanent));
	assert_int_equal(e->events, 1);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
}

static void what_cannot_be_reported_is_held(void **state)
{
	struct to to = {.address = "one@there.example"};
	e->config->postmaster = STR_EMPTY;
	assert_null(report_after(&(struct mail_of){.sender = "no address"}, &to, &permanent));
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
}

static void a_postmaster_that_does_not_exist_can_be_mended(void **state)
{
	command(e, "account remove", json_pack("{s:s}", "name", "kim@example.kr"));
	submit(e, "lee@example.kr", "postmaster@example.kr");
	settle_down(e);
	assert_int_equal(e->job_count, 0);
	assert_int_equal(look(e), 1);
	assert_string_equal(rows.all[0].status, "4.3.5");
	add_account(e, "kim@example.kr");
	command(e, "queue retry", json_object());
	WAIT(e, first_job(e));
	assert_string_equal(first_job(e)->addresses[0], "kim@example.kr");
}

// ---- without a try
static void a_route_that_refuses(void **state)
{
	submit(e, "lee@example.kr", "one@closed.example");
	WAIT(e, first_job(e));
	assert_int_equal(e->job_count, 1);
	assert_string_equal(first_job(e)->addresses[0], "lee@example.kr");
	assert_true(has(first_job(e), "we do not write to them"));
	assert_true(has(first_job(e), "Status: 5.7.1"));
}

static void reports_wait_while_the_queue_is_on_hold(void **state)
{
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, first_job(e));
	use_config(e, "queue { hold yes }\n");
	answer(e, first_job(e), &permanent);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_HELD);
	assert_true(rows.all[0].bounce);
}

static void a_report_that_fails_for_now_is_tried_again(void **state)
{
	struct to to = {.address = "one@there.example"};
	struct played *p = report_after(&(struct mail_of){.sender = "lee@example.kr"}, &to, &permanent);
	answer(e, p, &temporary);
	settle_down(e);
	assert_int_equal(look(e), 1);
	assert_int_equal(rows.all[0].tries, 1);
	assert_int_equal(rows.all[0].state, RECIPIENT_DUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_failure_is_told_to_the_sender),
		T(whom_notify_tells_what),
		T(success_by_the_kind_of_the_next_hop),
		T(ret_says_how_much_comes_back),
		T(a_large_original_comes_back_as_headers),
		T(several_failures_of_one_try_are_one_report),
		T(long_reports_are_several),
		T(one_try_with_every_kind_of_end),
		T(a_failed_bounce_goes_to_the_postmaster),
		T(a_null_sender_never_gets_a_report),
		T(without_a_postmaster_it_is_held),
		T(what_cannot_be_reported_is_held),
		T(a_postmaster_that_does_not_exist_can_be_mended),
		T(a_route_that_refuses),
		T(reports_wait_while_the_queue_is_on_hold),
		T(a_report_that_fails_for_now_is_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
