// SPDX-License-Identifier: ISC
// Results reach the disk, also when it fails for a while; expansions; what commits together.
#include "help.h"
#include "queue/address.h"

#include <signal.h>
#include <sys/resource.h>

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

// The disk takes nothing more, or everything again.
static void disk_works(bool works)
{
	struct rlimit limit;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = works ? limit.rlim_max : 1;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void results_outlive_a_disk_that_fails(void **state)
{
	struct to to[] = {{.address = "good@there.example"}, {.address = "later@there.example"},
		{.address = "bad@there.example"}};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 3);
	submit(e, "lee@example.kr", "other@there.example");
	WAIT(e, e->job_count == 2);
	const struct said *said[] = {&delivered, &temporary, &permanent};
	disk_works(false);
	struct played *first = first_job(e);
	answer_each(e, first, said);
	answer(e, first_job(e), &delivered);
	WAIT(e, !list_empty(&e->q->failed));
	assert_int_equal(e->q->item_count, 5); // with the report
	// Nobody tries them meanwhile.
	assert_int_equal(e->job_count, 2);
	disk_works(true);
	WAIT(e, e->job_count == 3); // the report
	assert_string_equal(first_job(e)->addresses[0], "lee@example.kr");
	settle_down(e);
	assert_int_equal(look(e), 2);
	for (unsigned n = 0; n < rows.count; n++)
		assert_true(rows.all[n].bounce || !strcmp(rows.all[n].address, "later@there.example"));
}

static void new_mail_is_told_to_come_later(void **state)
{
	struct submitted s;
	disk_works(false);
	submit_later(e, &(struct mail_of){.sender = "lee@example.kr"},
		&(struct to){.address = "one@there.example"}, 1, &s);
	WAIT(e, s.done);
	disk_works(true);
	assert_int_not_equal(s.err, 0);
	assert_int_equal(e->q->item_count, 0);
	assert_int_equal(look(e), 0);
	submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, e->job_count == 1);
}

static void claims_wait_for_the_disk(void **state)
{
	e->q->item_count += QUEUE_WINDOW_ITEMS; // inserted as due
	submit(e, "lee@example.kr", "one@there.example");
	disk_works(false);
	e->q->item_count -= QUEUE_WINDOW_ITEMS;
	queue_claim_freed(e->q);
	WAIT(e, e->q->claim_after_ms);
	assert_int_equal(e->job_count, 0);
	disk_works(true);
	WAIT(e, e->job_count == 1);
}

static void results_of_a_turn_are_one_commit(void **state)
{
	for (int n = 0; n < 10; n++)
		submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, e->job_count == 10);
	while (first_job(e))
		answer(e, first_job(e), &delivered);
	assert_int_equal(e->q->settling_count, 10);
	queue_settle_flush(e->q);
	assert_int_equal(e->q->committing, 1);
	settle_down(e);
	assert_int_equal(look(e), 0);
}

// ---- expansion
static void expand(struct played *p, const struct queue_child *children, unsigned count)
{
	struct job *j = queue_job_find(e->q, p->job);
	struct item *i = LIST_ENTRY(j->items.next, struct item, link);
	assert_non_null(j);
	queue_job_expand(e->q, i, children, count);
	drop(e, p);
	queue_job_ended(e->q, j, GROUP_ANSWERED);
}

static void an_address_expands_into_others(void **state)
{
	const struct queue_child children[] = {
		{.address = STR("a@far.example"), .domain = STR("far.example")},
		{.address = STR("b@far.example"), .domain = STR("far.example"), .notify = SMTP_NOTIFY_NEVER},
		{.address = STR("lee@example.kr"), .domain = STR("example.kr")}};
	uint64_t id = submit(e, "someone@there.example", "kim@example.kr");
	WAIT(e, first_job(e));
	expand(first_job(e), children, 3);
	WAIT(e, e->job_count == 3);
	assert_int_equal(look(e), 3);
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(rows.all[n].message, id);
		assert_int_equal(rows.all[n].depth, 1);
		assert_string_not_equal(rows.all[n].address, "kim@example.kr");
	}
	LIST_EACH(link, &e->jobs) {
		struct played *p = LIST_ENTRY(link, struct played, link);
		if (p->kind == QUEUE_SENDER) {
			assert_int_equal(p->count, 2);
			assert_int_equal(p->notify[1], SMTP_NOTIFY_NEVER);
		}
	}
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void the_one_who_asked_hears_of_the_expansion(void **state)
{
	const struct queue_child child = {.address = STR("a@far.example"), .domain = STR("far.example")};
	struct to to = {.address = "kim@example.kr", .notify = SMTP_NOTIFY_SUCCESS};
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, &to, 1);
	WAIT(e, first_job(e));
	expand(first_job(e), &child, 1);
	WAIT(e, e->job_count == 3);
	bool told = false;
	LIST_EACH(link, &e->jobs)
		told |= has(LIST_ENTRY(link, struct played, link), "Action: expanded");
	assert_true(told);
}

static void expansions_come_to_an_end(void **state)
{
	const struct queue_child again = {.address = STR("kim@example.kr"), .domain = STR("example.kr")};
	submit(e, "someone@there.example", "kim@example.kr");
	for (int n = 0; n <= QUEUE_DEPTH_MAX; n++) {
		WAIT(e, first_job(e));
		assert_string_equal(first_job(e)->addresses[0], "kim@example.kr");
		expand(first_job(e), &again, 1);
	}
	WAIT(e, first_job(e));
	assert_string_equal(first_job(e)->addresses[0], "someone@there.example");
	assert_true(has(first_job(e), "Status: 5.4.6"));
}

// Two forward files that name details of each other.
static void expansions_do_not_multiply_without_end(void **state)
{
	static struct queue_child many[QUEUE_CHILDREN_MAX];
	const struct queue_child one = {.address = STR("lee@example.kr"), .domain = STR("example.kr")};
	for (unsigned n = 0; n < QUEUE_CHILDREN_MAX; n++)
		many[n] = (struct queue_child){.address = STR("kim@example.kr"), .domain = STR("example.kr")};
	submit(e, "someone@there.example", "kim@example.kr");
	for (int n = 0; n < 10; n++) {
		WAIT(e, first_job(e) && first_job(e)->count == 1);
		struct job *j = queue_job_find(e->q, first_job(e)->job);
		struct item *i = LIST_ENTRY(j->items.next, struct item, link);
		i->mail->grown = n == 9 ? QUEUE_EXPANSION_MAX - QUEUE_CHILDREN_MAX + 1 : 0;
		queue_job_expand(e->q, i, n == 9 ? many : &one, n == 9 ? QUEUE_CHILDREN_MAX : 1);
		assert_int_equal(i->result, n == 9 ? TRY_PERMANENT : TRY_EXPANDED);
		drop(e, first_job(e));
		queue_job_ended(e->q, j, GROUP_ANSWERED);
	}
	WAIT(e, first_job(e));
	assert_true(has(first_job(e), "Status: 5.4.6"));
}

static void an_expansion_is_whole_or_not_at_all(void **state)
{
	const struct queue_child children[] = {
		{.address = STR("a@far.example"), .domain = STR("far.example")},
		{.address = STR("b@far.example"), .domain = STR("far.example")}};
	submit(e, "someone@there.example", "kim@example.kr");
	WAIT(e, first_job(e));
	disk_works(false);
	expand(first_job(e), children, 2);
	WAIT(e, !list_empty(&e->q->failed));
	assert_int_equal(e->job_count, 1);
	kill_queue(e); // before it could be stored
	disk_works(true);
	open_queue(e);
	queue_deliverer_ready(e->q, QUEUE_LOCAL, 0);
	assert_int_equal(look(e), 1);
	assert_string_equal(rows.all[0].address, "kim@example.kr");
	WAIT(e, first_job(e));
	assert_string_equal(first_job(e)->addresses[0], "kim@example.kr");
}

static uint64_t deleted_id;

static void on_deleted(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
	queue_item_was_deleted(e->q, deleted_id);
}

// The command's commit is on its way when the expansion's is sent after it.
static void who_was_deleted_has_no_children(void **state)
{
	const struct queue_child children[] = {
		{.address = STR("a@far.example"), .domain = STR("far.example")},
		{.address = STR("b@far.example"), .domain = STR("far.example")}};
	for (unsigned others = 0; others < 2; others++) {
		struct to to[] = {{.address = "kim@example.kr"}, {.address = "o@there.example"}};
		uint64_t message = submit_mail(e, &(struct mail_of){.sender = "x@there.example"}, to,
			1 + others);
		struct played *p = NULL;
		WAIT(e, e->job_count == 1 + others);
		LIST_EACH(link, &e->jobs)
			if (LIST_ENTRY(link, struct played, link)->kind == QUEUE_LOCAL)
				p = LIST_ENTRY(link, struct played, link);
		struct store_batch *b = store_batch_create();
		deleted_id = p->ids[0];
		store_batch_finish_recipient(b, message, deleted_id);
		store_apply(e->store, b, on_deleted, NULL);
		expand(p, children, 2);
		queue_settle_flush(e->q);
		settle_down(e);
		assert_int_equal(look(e), others);
		assert_int_equal(e->q->item_count, others);
		e->job_count = 0;
	}
	answer(e, first_job(e), &delivered);
	settle_down(e);
	assert_int_equal(totals(e).messages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(results_outlive_a_disk_that_fails),
		T(new_mail_is_told_to_come_later),
		T(claims_wait_for_the_disk),
		T(results_of_a_turn_are_one_commit),
		T(an_address_expands_into_others),
		T(the_one_who_asked_hears_of_the_expansion),
		T(expansions_come_to_an_end),
		T(expansions_do_not_multiply_without_end),
		T(an_expansion_is_whole_or_not_at_all),
		T(who_was_deleted_has_no_children),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
