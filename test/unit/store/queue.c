// SPDX-License-Identifier: ISC
// Reading the queue: claims and restarts, bodies, listings.
#include "opened.h"

#include "store/schema.h"
#include "store/store_internal.h"

static void put_at(uint64_t number, uint64_t next_try_ms)
{
	struct store_batch *b = store_batch_create();

	add_message(b, number, &(struct to){.id = number + 1, .next_try_ms = next_try_ms}, 1);
	assert_int_equal(apply(s, b), 0);
}

// ---- claims

static void the_oldest_due_are_claimed_first(void **state)
{
	struct seen seen;

	put_at(10, 300);
	put_at(20, 100);
	put_at(30, 200);
	put_at(40, 5000);
	seen = claim(s, 1000, 2);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.ids[0], 21);
	assert_int_equal(seen.ids[1], 31);
	assert_int_equal(seen.last.state, RECIPIENT_CLAIMED);
	assert_int_equal(seen.next_ms, 300);
	seen = claim(s, 1000, 10);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.ids[0], 11);
	assert_int_equal(seen.next_ms, 5000);
	seen = claim(s, 1000, 10);
	assert_int_equal(seen.count, 0);
	assert_int_equal(seen.next_ms, 5000);
	seen = claim(s, 5000, 10);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.next_ms, 0);
}

static void nobody_claims_what_is_held_or_claimed(void **state)
{
	struct store_batch *b = store_batch_create();
	struct to to[] = {{.id = 11, .hold = true}, {.id = 12, .claimed = true},
		{.id = 13, .hold = true, .claimed = true}};

	add_message(b, 10, to, 3);
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(claim(s, UINT32_MAX, 10).count, 0);
	assert_int_equal(totals(s).held, 2);
	assert_int_equal(totals(s).claimed, 1);
	assert_int_equal(look(s, 11).last.state, RECIPIENT_HELD);
	assert_string_equal(look(s, 11).text, "kim@example.kr|example.kr||||checked by hand");
}

static void a_claim_carries_owner_and_lease(void **state)
{
	uint64_t now = clock_wall_ms(), owner, lease;
	struct store_batch *b = store_batch_create();

	put_at(10, 1);
	claim(s, 5, 10);
	add_message(b, 20, &(struct to){.id = 21, .claimed = true}, 1);
	assert_int_equal(apply(s, b), 0);
	// Nothing is under way: the connection is idle and may be looked through.
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sql_read_number(s->db,
					 i ? "SELECT owner FROM recipient WHERE id = 11"
					   : "SELECT owner FROM recipient WHERE id = 21",
					 &owner),
			0);
		assert_int_equal(sql_read_number(s->db,
					 i ? "SELECT next_ms FROM recipient WHERE id = 11"
					   : "SELECT next_ms FROM recipient WHERE id = 21",
					 &lease),
			0);
		assert_int_equal(owner, 1);
		assert_in_range(lease, now + STORE_LEASE_MS, now + STORE_LEASE_MS + 60000);
	}
}

static void a_restart_makes_claims_due(void **state)
{
	struct store_batch *b = store_batch_create();
	struct to to[] = {{.id = 11}, {.id = 12, .claimed = true},
		{.id = 13, .next_try_ms = UINT32_MAX}, {.id = 14, .claimed = true}};
	struct seen seen;

	add_message(b, 10, to, 4);
	store_batch_hold_recipient(b, 14, STR("while it is tried"));
	assert_int_equal(apply(s, b), 0);
	assert_int_equal(claim(s, 5, 10).count, 1);
	assert_int_equal(totals(s).claimed, 3);
	store_close(s);
	s = open_store(folder);
	assert_int_equal(totals(s).claimed, 0);
	assert_int_equal(totals(s).due, 3);
	assert_int_equal(totals(s).held, 1);
	assert_int_equal(look(s, 14).last.state, RECIPIENT_HELD);
	seen = claim(s, clock_wall_ms(), 10);
	assert_int_equal(seen.count, 3); // 13 too: that time is long over
	assert_int_equal(seen.told, 3);
}

static void a_recipient_without_a_message_is_put_aside(void **state)
{
	put_at(10, 1);
	put_at(20, 2);
	assert_int_equal(sql_script(s->db, "DELETE FROM message WHERE id = 10"), 0);
	assert_int_equal(claim(s, 5, 10).count, 1);
	assert_int_equal(claim(s, 5, 10).count, 0);
	assert_int_equal(totals(s).held, 1);
}

// How the engine does each statement on the real tables: nothing is sorted, and no table is
// walked from its beginning but where that is meant.
static void statements_use_indexes(void **state)
{
	static const bool walks[QUERY_COUNT] = {
		[QUERY_OLDEST] = true, [QUERY_COUNTERS] = true, [QUERY_ACCOUNT_GROUPS] = true, [QUERY_GROUP_LIST] = true,
		[QUERY_INCIDENT_LIST] = true};
	static char texts[QUERY_COUNT][1000];
	const char *pointers[QUERY_COUNT];
	struct sql_options options = {.path = in_folder(folder, "plan.db"),
		.words = "plan",
		.texts = pointers,
		.text_count = QUERY_COUNT,
		.create = true};
	struct sql *db;

	for (int i = 0; i < QUERY_COUNT; i++) {
		snprintf(texts[i], sizeof(texts[i]), "EXPLAIN QUERY PLAN %s", query_texts[i]);
		pointers[i] = texts[i];
	}
	assert_int_equal(sql_open(&options, &db, NULL), 0);
	assert_int_equal(schema_prepare(db, &schema_queue, options.path, NULL), 0);
	for (unsigned i = 0; i < QUERY_COUNT; i++) {
		struct sql_statement *q = sql_use(db, i);
		int code;

		while ((code = sql_step(q)) == 1) {
			struct str detail = sql_str(q, 3);

			if (str_search(detail, STR("TEMP B-TREE")) >= 0 ||
				(str_starts(detail, STR("SCAN")) && !walks[i]))
				fail_msg("%s: %.*s", query_texts[i], STR_ARG(detail));
		}
		assert_int_equal(code, 0);
	}
	sql_close(db);
}

// ---- bodies

static void a_changed_body_is_not_given_out(void **state)
{
	struct read_body body;

	put_at(10, 1);
	put_at(20, 1);
	assert_int_equal(sql_script(s->db, "UPDATE message SET body = CAST(replace(CAST(body AS "
					   "TEXT), 'Text', 'Test') AS BLOB) "
					   "WHERE id = 10"),
		0);
	body = read_body(s, 10);
	assert_int_equal(body.err, ERR_CORRUPT);
	assert_int_equal(body.len, 0);
	assert_int_equal(body.fd, -1);
	assert_int_equal(sql_script(s->db, "UPDATE message SET body = '' WHERE id = 20"), 0);
	assert_int_equal(read_body(s, 20).err, ERR_CORRUPT);
	assert_int_equal(read_body(s, 30).err, ERR_NOT_FOUND);
}

static void a_body_can_be_empty_or_hold_any_octet(void **state)
{
	static const char any[] = "\0\r\n\xff\x80 '\"; DROP TABLE message\0";
	struct str bodies[] = {STR_EMPTY, str_make(any, sizeof(any))};

	for (unsigned i = 0; i < 2; i++) {
		struct store_batch *b = store_batch_create();
		struct read_body body;

		add_message_with(b, 10 + i, &(struct store_body){.octets = bodies[i]}, bodies[i],
			&(struct to){.id = 20 + i}, 1);
		assert_int_equal(apply(s, b), 0);
		body = read_body(s, 10 + i);
		assert_int_equal(body.err, 0);
		assert_true(str_equal(str_make(body.octets, body.len), bodies[i]));
	}
}

// ---- listings

static void listings_select(void **state)
{
	static const struct {
		struct store_filter filter;
		const char *ids;
	} rows[] = {
		{{.any_state = true}, "11 12 21 31 "},
		{{.state = RECIPIENT_HELD}, "12 "},
		{{.state = RECIPIENT_DUE}, "11 31 "},
		{{.state = RECIPIENT_CLAIMED}, "21 "},
		{{.message = 10, .any_state = true}, "11 12 "},
		{{.message = 10, .state = RECIPIENT_HELD}, "12 "},
		{{.message = 21, .any_state = true}, "21 "},
		{{.message = 21, .any_state = true, .after = 21}, ""},
		{{.message = 99, .any_state = true}, ""},
		{{.domain = {"other.example", 13}, .any_state = true}, "12 21 "},
		{{.recipient = {"LEE@other.example", 17}, .any_state = true}, "12 "},
		{{.sender = {"sender@EXAMPLE.com", 18}, .any_state = true}, "11 12 21 31 "},
		{{.sender = {"nobody@example.com", 18}, .any_state = true}, ""},
		{{.account = {"kim@example.kr", 14},
			 .domain = {"example.kr", 10},
			 .any_state = true},
			"11 31 "},
		{{.any_state = true, .limit = 3}, "11 12 21 "},
		{{.any_state = true, .limit = 3, .after = 12}, "21 31 "},
		{{.any_state = true, .after = 31}, ""},
	};
	struct store_batch *b = store_batch_create();
	struct to first[] = {{.id = 11}, {.id = 12,
						 .address = "lee@other.example",
						 .domain = "other.example",
						 .hold = true}};

	add_message(b, 10, first, 2);
	add_message(b, 20,
		&(struct to){.id = 21,
			.address = "x@other.example",
			.domain = "other.example",
			.claimed = true},
		1);
	add_message(b, 30, &(struct to){.id = 31}, 1);
	assert_int_equal(apply(s, b), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen seen = list(s, &rows[i].filter);
		char ids[100] = "";

		for (unsigned n = 0; n < seen.count; n++)
			snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%u ",
				(unsigned)seen.ids[n]);
		if (strcmp(ids, rows[i].ids) != 0)
			print_error("row %zu\n", i);
		assert_string_equal(ids, rows[i].ids);
		assert_int_equal(seen.last_id, seen.count ? seen.ids[seen.count - 1] : 0);
	}
}

// More rows than are read between two commits: the listing goes on by itself, and others get their
// turn in between.
static void a_long_listing_lets_others_through(void **state)
{
	struct seen seen = {.err = 12345};
	struct store_batch *b;
	unsigned count = 12000;
	int err = 12345;

	b = store_batch_create();
	for (unsigned i = 0; i < count; i++)
		add_message(b, 100000 + i,
			&(struct to){
				.id = 200000 + i, .domain = i == count - 1 ? "last.example" : NULL},
			1);
	assert_int_equal(apply(s, b), 0);
	store_list(s, &(struct store_filter){.domain = STR("last.example"), .any_state = true}, see,
		list_done, &seen);
	b = store_batch_create();
	add_message(b, 10, &(struct to){.id = 11}, 1);
	store_apply(s, b, note_err, &err);
	store_wait(s);
	assert_int_equal(err, 0);
	assert_int_equal(seen.err, 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.ids[0], 200000 + count - 1);
	seen = list(s, &(struct store_filter){.any_state = true});
	assert_int_equal(seen.count, 1000); // the most at once
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_due_are_claimed_first),
		TEST(nobody_claims_what_is_held_or_claimed),
		TEST(a_claim_carries_owner_and_lease),
		TEST(a_restart_makes_claims_due),
		TEST(a_recipient_without_a_message_is_put_aside),
		TEST(statements_use_indexes),
		TEST(a_changed_body_is_not_given_out),
		TEST(a_body_can_be_empty_or_hold_any_octet),
		TEST(listings_select),
		TEST(a_long_listing_lets_others_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
