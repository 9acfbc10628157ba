// SPDX-License-Identifier: ISC
// Batches: each is whole or absent, each step of doc/queue.md 4, isolation within a group.
#include "opened.h"

static void a_message_is_kept_whole(void **state)
{
	struct store_batch *b = store_batch_create();
	struct to to[] = {
		{.id = 11}, {.id = 12, .address = "x@other.example", .domain = "other.example"}};
	struct read_body body;

	add_message(b, 10, to, 2);
	assert_int_equal(apply(s, b), 0);
	store_close(s);
	s = open_store(folder);
	body = read_body(s, 10);
	assert_int_equal(body.err, 0);
	assert_int_equal(body.fd, -1);
	assert_true(str_equal(str_make(body.octets, body.len), body_of(10)));
	assert_int_equal(list(s, &(struct store_filter){.message = 10}).count, 2);
	assert_string_equal(look(s, 12).text, "x@other.example|other.example||||");
	assert_int_equal(totals(s).messages, 1);
	assert_int_equal(totals(s).due, 2);
	assert_int_equal(totals(s).octets, body_of(10).len);
	assert_int_equal(totals(s).oldest_received_ms, 1000010);
}

static void compare_envelope(
	void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct envelope e;

	fill_envelope(&e, 10, body_of(10));
	assert_true(str_equal(m->envelope.sender, e.sender));
	assert_true(str_equal(m->envelope.account, e.account));
	assert_true(str_equal(m->envelope.client, e.client));
	assert_true(str_equal(m->envelope.server, e.server));
	assert_true(str_equal(m->envelope.helo, e.helo));
	assert_true(str_equal(m->envelope.envid, e.envid));
	assert_true(str_equal(m->envelope.headers, e.headers));
	assert_true(str_equal(m->envelope.edits, e.edits));
	assert_true(str_equal(m->envelope.labels, e.labels));
	assert_int_equal(m->envelope.ret, e.ret);
	assert_int_equal(m->envelope.smtputf8, true);
	assert_int_equal(m->envelope.eightbit, false);
	assert_int_equal(m->envelope.bounce, false);
	assert_int_equal(m->envelope.session, e.session);
	assert_int_equal(m->envelope.received_ms, e.received_ms);
	assert_int_equal(m->envelope.size, e.size);
	assert_memory_equal(m->envelope.digest, e.digest, sizeof(e.digest));
	assert_int_equal(m->expires_ms, 99000000);
	assert_int_equal(m->spool, 0);
	assert_true(str_equal(r->orcpt, STR("rfc822;kim@example.kr")));
	assert_int_equal(r->notify, 3);
	++*(int *)arg;
}

static void ignore_list(void *arg, int err, unsigned count, uint64_t last)
{
}

static void the_envelope_comes_back_as_given(void **state)
{
	int seen = 0;

	assert_int_equal(put(s, 10, 11), 0);
	store_list(s, &(struct store_filter){.message = 10}, compare_envelope, ignore_list, &seen);
	store_wait(s);
	assert_int_equal(seen, 1);
}

static void the_caller_may_change_what_it_gave(void **state)
{
	struct store_batch *b = store_batch_create();
	char octets[] = "Subject: x\r\n\r\nbody\r\n", address[] = "kim@example.kr";
	struct str body = str_make(octets, sizeof(octets) - 1);
	struct to to = {.id = 11, .address = address};

	add_message_with(b, 10, &(struct store_body){.octets = body}, body, &to, 1);
	memset(octets, 'z', sizeof(octets));
	memset(address, 'z', sizeof(address));
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(read_body(s, 10).err, 0);
	assert_string_equal(look(s, 11).text, "kim@example.kr|example.kr||||");
}

static void a_bad_part_undoes_the_whole_batch(void **state)
{
	struct store_batch *b = store_batch_create();

	assert_int_equal(put(s, 10, 11), 0);
	add_message(b, 20, &(struct to){.id = 21}, 1);
	store_batch_finish_recipient(b, 10, 11);
	add_message(b, 30, &(struct to){.id = 21}, 1); // the recipient's id is taken
	assert_int_equal(apply(s, b), ERR_EXISTS);
	assert_int_equal(look(s, 11).count, 1);
	assert_int_equal(look(s, 21).count, 0);
	assert_int_equal(read_body(s, 20).err, ERR_NOT_FOUND);
	assert_int_equal(totals(s).messages, 1);
	assert_int_equal(totals(s).due, 1);
}

static void only_the_bad_batch_of_a_group_fails(void **state)
{
	int errs[20];

	assert_int_equal(put(s, 10, 11), 0);
	// Given without waiting: they go in one group, or few. Number 7 takes an id that is there.
	for (unsigned i = 0; i < 20; i++) {
		struct store_batch *b = store_batch_create();

		errs[i] = 12345;
		add_message(b, i == 7 ? 10 : 100 + i, &(struct to){.id = 200 + i}, 1);
		store_apply(s, b, note_err, &errs[i]);
	}
	assert_int_equal(store_pending(s), 20);
	store_wait(s);
	assert_int_equal(store_pending(s), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(errs[i], i == 7 ? ERR_EXISTS : 0);
	assert_int_equal(totals(s).messages, 20);
	assert_int_equal(totals(s).due, 20);
	assert_int_equal(look(s, 207).count, 0);
	assert_int_equal(look(s, 206).count, 1);
	assert_int_equal(look(s, 219).count, 1);
}

// A claim that is in the group of a bad batch is done again, and tells each row once.
static void reads_in_a_failed_group_are_not_doubled(void **state)
{
	struct store_batch *b = store_batch_create();
	struct seen claimed = {.err = 12345}, listed = {.err = 12345};
	int err = 12345;

	assert_int_equal(put(s, 10, 11), 0);
	assert_int_equal(put(s, 12, 13), 0);
	store_list(s, &(struct store_filter){.any_state = true}, see, list_done, &listed);
	store_claim_due(s, 5, 10, see, claim_done, &claimed);
	add_message(b, 10, &(struct to){.id = 14}, 1);
	store_apply(s, b, note_err, &err);
	store_wait(s);
	assert_int_equal(err, ERR_EXISTS);
	assert_int_equal(claimed.count, 2);
	assert_int_equal(listed.count, 2);
	assert_int_equal(totals(s).claimed, 2);
}

static void the_last_recipient_takes_the_message_along(void **state)
{
	struct store_batch *b = store_batch_create();
	struct to to[] = {{.id = 11}, {.id = 12}};

	add_message(b, 10, to, 2);
	assert_int_equal(apply(s, b), 0);
	b = store_batch_create();
	store_batch_finish_recipient(b, 10, 11);
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(read_body(s, 10).err, 0);
	b = store_batch_create();
	store_batch_finish_recipient(b, 10, 12);
	store_batch_finish_recipient(b, 10, 12); // told twice
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(read_body(s, 10).err, ERR_NOT_FOUND);
	assert_int_equal(totals(s).messages, 0);
	assert_int_equal(totals(s).octets, 0);
	assert_int_equal(totals(s).due, 0);
	b = store_batch_create();
	store_batch_finish_recipient(b, 10, 12); // and once more
	assert_int_equal(apply(s, b), 0);
}

static void finish_needs_the_right_message(void **state)
{
	struct store_batch *b = store_batch_create();

	assert_int_equal(put(s, 10, 11), 0);
	assert_int_equal(put(s, 20, 21), 0);
	store_batch_finish_recipient(b, 20, 11);
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(look(s, 11).count, 1);
	assert_int_equal(look(s, 21).count, 1);
}

// gone: an administrator deleted the parent, the last recipient, before the expansion was stored.
static void expansion_of_one_who_may_be_gone(void **state)
{
	for (uint64_t gone = 0; gone < 2; gone++) {
		uint64_t message = 10 + 100 * gone, parent = message + 1;
		struct store_batch *b = store_batch_create();
		struct store_new_recipient n;
		struct envelope_recipient r;

		assert_int_equal(put(s, message, parent), 0);
		if (gone) {
			store_batch_finish_recipient(b, message, parent);
			assert_int_equal(apply(s, b), 0);
			b = store_batch_create();
		}
		for (uint64_t i = 2; i < 5; i++) {
			fill_recipient(&r, &n,
				&(struct to){.id = message + i, .address = "child@example.kr"});
			n.depth = 1;
			n.parent = parent;
			store_batch_add_recipient(b, message, &n);
		}
		store_batch_finish_recipient(b, message, parent);
		assert_int_equal(apply(s, b), 0);
		assert_int_equal(look(s, parent).count, 0);
		assert_int_equal(
			list(s, &(struct store_filter){.message = message}).count, gone ? 0 : 3);
		if (gone)
			continue;
		assert_int_equal(look(s, message + 2).last.depth, 1);
		assert_int_equal(read_body(s, message).err, 0);
	}
}

static void bounce_and_end_are_one_step(void **state)
{
	struct store_batch *b = store_batch_create();

	assert_int_equal(put(s, 10, 11), 0);
	store_batch_finish_recipient(b, 10, 11);
	add_message(b, 20, &(struct to){.id = 21, .address = "sender@example.com"}, 1);
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(read_body(s, 10).err, ERR_NOT_FOUND);
	assert_int_equal(look(s, 21).count, 1);
	assert_int_equal(totals(s).messages, 1);
}

// ---- moves of a recipient, as a table

enum action { CLAIM = 1, RETRY, RETURN, HOLD, RELEASE };

static void act(enum action action)
{
	struct store_batch *b;

	if (action == CLAIM) {
		claim(s, 5, 10);
		return;
	}
	b = store_batch_create();
	if (action == RETRY)
		store_batch_retry_recipient(b, 11,
			&(struct store_retry){.next_try_ms = 700,
				.tries = 4,
				.delay_warned = true,
				.status = STR("4.4.1"),
				.reply = STR("421 busy"),
				.remote = STR("mx.example.kr")});
	if (action == RETURN)
		store_batch_return_recipient(b, 11, 700);
	if (action == HOLD)
		store_batch_hold_recipient(b, 11, STR("by hand"));
	if (action == RELEASE)
		store_batch_release_recipient(b, 11, 700);
	assert_int_equal(apply(s, b), 0);
}

static void every_move(void **state)
{
	static const struct {
		enum action actions[5];
		enum recipient_state end;
		uint64_t next_ms; // 0: not looked at
		unsigned tries;
		const char *reason;
	} rows[] = {
		{{CLAIM}, RECIPIENT_CLAIMED, 0, 0, ""},
		{{RETRY}, RECIPIENT_DUE, 0, 0, ""}, // not claimed: nothing happens
		{{RETURN}, RECIPIENT_DUE, 0, 0, ""},
		{{HOLD}, RECIPIENT_HELD, 0, 0, "by hand"},
		{{HOLD, HOLD}, RECIPIENT_HELD, 0, 0, "by hand"},
		{{RELEASE}, RECIPIENT_DUE, 700, 0, ""}, // try now
		{{HOLD, RELEASE}, RECIPIENT_DUE, 700, 0, ""},
		{{HOLD, RETRY}, RECIPIENT_HELD, 0, 0, "by hand"},
		{{HOLD, CLAIM}, RECIPIENT_HELD, 0, 0, "by hand"},
		{{CLAIM, RETRY}, RECIPIENT_DUE, 700, 4, ""},
		{{CLAIM, RETRY, RETRY}, RECIPIENT_DUE, 700, 4, ""},
		{{CLAIM, RETURN}, RECIPIENT_DUE, 700, 0, ""},
		{{CLAIM, HOLD}, RECIPIENT_CLAIMED, 0, 0, "by hand"},
		{{CLAIM, HOLD, RETRY}, RECIPIENT_HELD, 0, 4, "by hand"},
		{{CLAIM, HOLD, RETURN}, RECIPIENT_HELD, 0, 0, "by hand"},
		{{CLAIM, HOLD, RELEASE}, RECIPIENT_CLAIMED, 0, 0, ""},
		{{CLAIM, HOLD, RELEASE, RETRY}, RECIPIENT_DUE, 700, 4, ""},
		{{CLAIM, HOLD, RETRY, RELEASE}, RECIPIENT_DUE, 700, 4, ""},
		{{CLAIM, RELEASE}, RECIPIENT_CLAIMED, 0, 0, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct store_batch *b;
		struct store_totals t;
		struct seen seen;

		assert_int_equal(put(s, 10, 11), 0);
		for (int n = 0; n < 5 && rows[i].actions[n]; n++)
			act(rows[i].actions[n]);
		seen = look(s, 11);
		if (seen.last.state != rows[i].end)
			print_error("row %zu\n", i);
		assert_int_equal(seen.last.state, rows[i].end);
		if (rows[i].next_ms)
			assert_int_equal(seen.last.next_try_ms, rows[i].next_ms);
		assert_int_equal(seen.last.tries, rows[i].tries);
		assert_string_equal(strrchr(seen.text, '|') + 1, rows[i].reason);
		if (rows[i].tries) {
			assert_non_null(strstr(seen.text, "|4.4.1|421 busy|mx.example.kr|"));
			assert_true(seen.last.delay_warned);
		}
		t = totals(s);
		assert_int_equal(t.due, rows[i].end == RECIPIENT_DUE);
		assert_int_equal(t.claimed, rows[i].end == RECIPIENT_CLAIMED);
		assert_int_equal(t.held, rows[i].end == RECIPIENT_HELD);
		b = store_batch_create();
		store_batch_finish_recipient(b, 10, 11);
		assert_int_equal(apply(s, b), 0);
	}
}

// ---- counters

struct sum {
	uint64_t sum;
	int err;
};

static void sum_counters(void *arg, struct str name, uint64_t window, uint64_t value)
{
	((struct sum *)arg)->sum += window * value + name.len;
}

static void note_sum(void *arg, int err)
{
	((struct sum *)arg)->err = err;
}

static void counters_come_back(void **state)
{
	struct store_batch *b = store_batch_create();
	struct sum sum = {.err = 12345};

	store_batch_set_counter(b, STR("kim"), 100, 5);
	store_batch_set_counter(b, STR("kim"), 100, 6);
	store_batch_set_counter(b, STR("lee"), 1000, 7);
	store_batch_set_counter(b, STR("park"), 10000, 8);
	store_batch_set_counter(b, STR("park"), 10000, 0);
	assert_int_equal(apply(s, b), 0);
	store_close(s);
	s = open_store(folder);
	store_counter_list(s, sum_counters, note_sum, &sum);
	store_wait(s);
	assert_int_equal(sum.err, 0);
	assert_int_equal(sum.sum, 600 + 3 + 7000 + 3);
}

static void an_empty_batch_and_one_thrown_away(void **state)
{
	store_batch_destroy(NULL);
	store_batch_destroy(store_batch_create());
	assert_int_equal(apply(s, store_batch_create()), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_is_kept_whole),
		TEST(the_envelope_comes_back_as_given),
		TEST(the_caller_may_change_what_it_gave),
		TEST(a_bad_part_undoes_the_whole_batch),
		TEST(only_the_bad_batch_of_a_group_fails),
		TEST(reads_in_a_failed_group_are_not_doubled),
		TEST(the_last_recipient_takes_the_message_along),
		TEST(finish_needs_the_right_message),
		TEST(expansion_of_one_who_may_be_gone),
		TEST(bounce_and_end_are_one_step),
		TEST(every_move),
		TEST(counters_come_back),
		TEST(an_empty_batch_and_one_thrown_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
