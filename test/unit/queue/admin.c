// SPDX-License-Identifier: ISC
// What an administrator sees and does: with the server running and with the store alone.
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

// Three recipients that failed for now.
static uint64_t wait_three(void)
{
	struct to to[] = {{.address = "one@there.example"}, {.address = "two@there.example"}};
	uint64_t id = submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 2);
	submit(e, "other@far.example", "three@elsewhere.example");
	WAIT(e, e->job_count == 2);
	while (first_job(e))
		answer(e, first_job(e), &temporary);
	settle_down(e);
	assert_int_equal(look(e), 3);
	return id;
}

static const char *text_id(uint64_t id)
{
	static char text[ID_TEXT_MAX];
	return id_format(id, text);
}

// ---- looking
static void a_listing_tells_what_is_known(void **state)
{
	uint64_t id = wait_three();
	struct called c = call(e, "queue list", json_object());
	assert_int_equal(c.result, 0);
	assert_int_equal(json_array_size(c.rows), 3);
	const json_t *row = json_array_get(c.rows, 0);
	assert_string_equal(text_of(row, "message"), text_id(id));
	assert_string_equal(text_of(row, "id"), text_id(rows.all[0].id));
	assert_string_equal(text_of(row, "sender"), "lee@example.kr");
	assert_string_equal(text_of(row, "recipient"), "one@there.example");
	assert_string_equal(text_of(row, "state"), "due");
	assert_string_equal(text_of(row, "status"), "4.2.0");
	assert_string_equal(text_of(row, "reply"), "451 try later");
	assert_int_equal(number_of(row, "tries"), 1);
	assert_int_equal(number_of(row, "next_try"), rows.all[0].next_ms);
	assert_true(number_of(row, "size") > 0);
	assert_true(number_of(row, "age") >= 0);
	assert_int_equal(number_of(c.done, "count"), 3);
	called_finish(&c);
}

static void listings_select(void **state)
{
	uint64_t id = wait_three();
	const struct {
		const char *key, *value;
		size_t rows;
	} table[] = {
		{"id", text_id(id), 2},
		{"sender", "other@far.example", 1},
		{"recipient", "two@there.example", 1},
		{"domain", "THERE.example.", 2},
		{"domain", "nowhere.example", 0},
		{"state", "due", 3},
		{"state", "held", 0},
		{"state", "all", 3},
		{"limit", "2", 2},
	};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		struct called c = call(e, "queue list", json_pack("{s:s}", table[n].key, table[n].value));
		assert_int_equal(c.result, 0);
		if (json_array_size(c.rows) != table[n].rows)
			fail_msg("%s %s: %zu rows", table[n].key, table[n].value, json_array_size(c.rows));
		called_finish(&c);
	}
}

// Reports of ours and of others have none.
static void those_without_a_sender_can_be_chosen(void **state)
{
	submit(e, "", "one@there.example");
	submit(e, "lee@example.kr", "two@there.example");
	struct called c = call(e, "queue list", json_pack("{s:s}", "sender", "<>"));
	assert_int_equal(c.result, 0);
	assert_int_equal(json_array_size(c.rows), 1);
	assert_string_equal(text_of(json_array_get(c.rows, 0), "recipient"), "one@there.example");
	called_finish(&c);
	assert_int_equal(command(e, "queue delete", json_pack("{s:s}", "sender", "<>")), 1);
	assert_int_equal(look(e), 1);
	assert_string_equal(rows.all[0].address, "two@there.example");
}

static void wrong_arguments_are_said(void **state)
{
	static const struct {
		const char *command, *key, *value;
	} table[] = {
		{"queue list", "id", "not an id!"},
		{"queue list", "state", "odd"},
		{"queue list", "domain", "..."},
		{"queue list", "limit", "many"},
		{"queue show", "sender", "x"},
		{"queue delete", "state", "due"}, // everything at once
		{"account add", "name", "a@b@"},
		{"account add", "name", "someone@not-ours.example"},
		{"account show", "odd", "x"},
		{"trace", "id", "!"},
	};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		struct called c = call(e, table[n].command, json_pack("{s:s}", table[n].key, table[n].value));
		if (c.result != ERR_SYNTAX)
			fail_msg("%s %s=%s: %d", table[n].command, table[n].key, table[n].value, c.result);
		assert_true(c.err.text[0]);
		called_finish(&c);
	}
}

static void long_listings_come_in_pages(void **state)
{
	static char addresses[2500][40];
	static struct to to[2500];
	for (unsigned n = 0; n < 2500; n++) {
		snprintf(addresses[n], sizeof addresses[n], "u%u@there.example", n);
		to[n] = (struct to){.address = addresses[n], .hold = "test"};
	}
	submit_mail(e, &(struct mail_of){.sender = "lee@example.kr"}, to, 2500);
	struct called c = call(e, "queue list", json_pack("{s:i}", "limit", 2400));
	assert_int_equal(json_array_size(c.rows), 2400);
	called_finish(&c);
	assert_int_equal(command(e, "queue release", json_pack("{s:s, s:i}", "sender",
		"lee@example.kr", "limit", 100)), 100);
	settle_down(e);
	assert_int_equal(totals(e).held, 2400);
	assert_int_equal(command(e, "queue delete", json_pack("{s:s, s:s}", "sender", "lee@example.kr",
		"state", "held")), 2400);
	assert_int_equal(totals(e).held, 0);
	e->always = &delivered;
	settle_down(e);
	assert_int_equal(look(e), 0);
}

static void show_gives_recipients_and_headers(void **state)
{
	uint64_t id = wait_three();
	struct called c = call(e, "queue show", json_pack("{s:s}", "id", text_id(id)));
	assert_int_equal(c.result, 0);
	assert_int_equal(json_array_size(c.rows), 3);
	const json_t *message = json_array_get(c.rows, 2);
	assert_string_equal(text_of(message, "headers"), "Received: from test\r\nSubject: hello\r\n");
	assert_string_equal(text_of(message, "id"), text_id(id));
	assert_int_equal(number_of(message, "size"), 26);
	assert_int_equal(number_of(c.done, "count"), 2);
	called_finish(&c);
	// A recipient's id stands for its message.
	c = call(e, "queue show", json_pack("{s:s}", "id", text_id(rows.all[1].id)));
	assert_int_equal(c.result, 0);
	assert_non_null(strstr(text_of(json_array_get(c.rows, 1), "headers"), "Subject: hello"));
	called_finish(&c);
	c = call(e, "queue show", json_pack("{s:s}", "id", text_id(12345)));
	assert_int_equal(c.result, ERR_NOT_FOUND);
	called_finish(&c);
}

static void status_gives_the_numbers(void **state)
{
	wait_three();
	queue_note_refusal(e->q, STR("relay-denied"));
	queue_note_refusal(e->q, STR("relay-denied"));
	struct called c = call(e, "queue status", json_object());
	assert_int_equal(c.result, 0);
	assert_int_equal(number_of(c.done, "messages"), 2);
	assert_int_equal(number_of(c.done, "due"), 3);
	assert_int_equal(number_of(c.done, "claimed"), 0);
	assert_int_equal(number_of(c.done, "held"), 0);
	assert_true(number_of(c.done, "oldest_received_ms") > 0);
	assert_true(number_of(c.done, "disk_free") > 0);
	assert_true(json_is_false(json_object_get(c.done, "port25_blocked")));
	bool refused = false, deferred = false;
	for (size_t n = 0; n < json_array_size(c.rows); n++) {
		const json_t *row = json_array_get(c.rows, n);
		assert_true(number_of(row, "last_ms") > 0);
		if (!strcmp(text_of(row, "event"), "refuse")) {
			assert_string_equal(text_of(row, "rule"), "relay-denied");
			assert_int_equal(number_of(row, "count"), 2);
			refused = true;
		} else if (!strcmp(text_of(row, "rule"), "4.2.0 there.example")) {
			assert_string_equal(text_of(row, "event"), "deferred");
			assert_int_equal(number_of(row, "count"), 2);
			deferred = true;
		}
	}
	assert_true(refused && deferred);
	called_finish(&c);
}

static void causes_are_bounded(void **state)
{
	char rule[300];
	for (unsigned n = 0; n < 200; n++) {
		memset(rule, 'x', sizeof rule - 1);
		rule[sizeof rule - 1] = '\0';
		snprintf(rule, sizeof rule, "rule %u", n);
		queue_note_refusal(e->q, str_make(rule, sizeof rule - 1));
	}
	assert_true(e->q->trouble.cause_count <= QUEUE_CAUSES);
}

// ---- changing
static void hold_and_release(void **state)
{
	wait_three();
	look_for(e, "hold", "");
	assert_int_equal(command(e, "queue hold", json_pack("{s:s}", "recipient", "one@there.example")), 1);
	assert_int_equal(e->events, 1);
	assert_int_equal(totals(e).held, 1);
	assert_int_equal(command(e, "queue retry", json_object()), 2); // not the held one
	WAIT(e, e->job_count == 4);
	look_for(e, "release", "");
	assert_int_equal(command(e, "queue release", json_pack("{s:s}", "recipient", "one@there.example")), 1);
	assert_int_equal(e->events, 1);
	WAIT(e, e->job_count == 5);
}

static void hold_reaches_what_is_in_memory(void **state)
{
	queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
	submit(e, "lee@example.kr", "waiting@there.example");
	settle_down(e);
	assert_int_equal(command(e, "queue hold", json_object()), 1);
	settle_down(e);
	assert_int_equal(totals(e).held, 1);
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	settle_down(e);
	assert_int_equal(e->job_count, 0);
	command(e, "queue release", json_object());
	WAIT(e, e->job_count == 1);
	// One that is being tried now ends its try first.
	assert_int_equal(command(e, "queue hold", json_object()), 1);
	answer(e, first_job(e), &temporary);
	settle_down(e);
	assert_int_equal(totals(e).held, 1);
	assert_int_equal(command(e, "queue delete", json_pack("{s:s}", "sender", "lee@example.kr")), 1);
	assert_int_equal(look(e), 0);
}

static void delete_ends_without_a_report(void **state)
{
	uint64_t id = submit(e, "lee@example.kr", "one@there.example");
	WAIT(e, first_job(e));
	assert_int_equal(command(e, "queue delete", json_pack("{s:s}", "id", text_id(id))), 1);
	assert_int_equal(look(e), 0);
	answer(e, first_job(e), &permanent);
	settle_down(e);
	assert_int_equal(look(e), 0);
	assert_int_equal(e->job_count, 1);
	assert_int_equal(e->q->item_count, 0);
}

static void delete_reaches_what_waits_in_memory(void **state)
{
	queue_deliverer_gone(e->q, QUEUE_SENDER, 0);
	submit(e, "lee@example.kr", "one@there.example");
	settle_down(e);
	assert_int_equal(command(e, "queue delete", json_pack("{s:s}", "domain", "there.example")), 1);
	assert_int_equal(e->q->item_count, 0);
	queue_deliverer_ready(e->q, QUEUE_SENDER, 0);
	settle_down(e);
	assert_int_equal(e->job_count, 0);
}

static void an_unknown_id_is_said(void **state)
{
	static const char *const commands[] = {"queue retry", "queue hold", "queue release", "queue delete"};
	for (size_t n = 0; n < ARRAY_SIZE(commands); n++) {
		struct called c = call(e, commands[n], json_pack("{s:s}", "id", text_id(99)));
		assert_int_equal(c.result, ERR_NOT_FOUND);
		called_finish(&c);
	}
}

// ---- accounts
static void accounts(void **state)
{
	struct called c = call(e, "account list", json_object());
	assert_int_equal(json_array_size(c.rows), 2);
	const json_t *row = json_array_get(c.rows, 0);
	assert_string_equal(text_of(row, "name"), "kim@example.kr");
	assert_string_equal(text_of(row, "rights"), "submit relay");
	assert_true(json_is_true(json_object_get(row, "enabled")));
	called_finish(&c);

	command(e, "account add", json_pack("{s:s, s:s, s:s}", "name", "Park@Example.KR", "rights", "submit",
		"quota", "1G"));
	c = call(e, "account show", json_pack("{s:s}", "name", "park@example.kr"));
	row = json_array_get(c.rows, 0);
	assert_string_equal(text_of(row, "rights"), "submit");
	assert_int_equal(number_of(row, "quota"), 1LL << 30);
	called_finish(&c);

	c = call(e, "account add", json_pack("{s:s}", "name", "park@example.kr"));
	assert_int_equal(c.result, ERR_EXISTS);
	called_finish(&c);
	command(e, "account disable", json_pack("{s:s}", "name", "park")); // of the default domain
	c = call(e, "account show", json_pack("{s:s}", "name", "park@example.kr"));
	assert_true(json_is_false(json_object_get(json_array_get(c.rows, 0), "enabled")));
	called_finish(&c);
	command(e, "account remove", json_pack("{s:s}", "name", "park@example.kr"));
	c = call(e, "account show", json_pack("{s:s}", "name", "park@example.kr"));
	assert_int_equal(c.result, ERR_NOT_FOUND);
	called_finish(&c);
	assert_int_equal(e->changed_accounts, 2 + 3); // the two of the beginning, and each change
}

static void on_added(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
}

static void many_accounts_are_listed(void **state)
{
	char name[40];
	for (unsigned n = 0; n < 1100; n++) {
		snprintf(name, sizeof name, "user%04u@example.kr", n);
		struct store_account a = {.id = 1000000 + n, .name = str_from(name), .enabled = true};
		store_account_add(e->store, &a, on_added, NULL);
	}
	struct called c = call(e, "account list", json_object());
	assert_int_equal(json_array_size(c.rows), 1102);
	called_finish(&c);
}

// ---- with the store alone
static void commands_work_without_a_server(void **state)
{
	uint64_t id = wait_three();
	close_queue(e);
	struct error err;
	struct store_options so = {.folder = e->folder};
	assert_int_equal(store_open(&e->loop, &so, &e->store, &err), 0);
	assert_int_equal(command(e, "queue list", json_object()), 3);
	assert_int_equal(command(e, "queue hold", json_pack("{s:s}", "id", text_id(id))), 2);
	assert_int_equal(command(e, "queue release", json_pack("{s:s}", "id", text_id(id))), 2);
	assert_int_equal(command(e, "queue retry", json_object()), 3);
	assert_int_equal(command(e, "queue delete", json_pack("{s:s}", "sender", "other@far.example")), 1);
	command(e, "account add", json_pack("{s:s}", "name", "new@example.kr"));
	struct called c = call(e, "queue show", json_pack("{s:s}", "id", text_id(id)));
	assert_int_equal(c.result, 0);
	called_finish(&c);
	c = call(e, "queue status", json_object());
	assert_int_equal(c.result, 0);
	assert_int_equal(number_of(c.done, "due"), 2);
	called_finish(&c);
	c = call(e, "trace", json_pack("{s:s}", "id", text_id(id)));
	assert_int_equal(c.result, ERR_UNAVAILABLE); // without a history
	called_finish(&c);
	store_close(e->store);
}

// ---- the story of a message
static void trace_tells_what_the_history_knows(void **state)
{
	char path[100];
	struct error err;
	struct history *h;
	snprintf(path, sizeof path, "%s/history.db", e->folder);
	struct history_options o = {.path = path, .age_ms = DAY, .size = 1 << 20, .create = true};
	if (history_open(&e->loop, &o, &h, &err))
		fail_msg("%s", err.text);
	struct history_event event = {.wall_ms = clock_wall_ms(), .id = 4711, .session = 42,
		.name = STR("result"), .sender = STR("a@b.example"), .recipient = STR("c@d.example"),
		.json = STR("{\"event\":\"result\",\"outcome\":\"delivered\"}")};
	history_add(h, &event);
	static const struct {
		const char *key, *value;
		size_t rows;
	} table[] = {{"address", "c@d.example", 1}, {"address", "a@b.example", 1}, {"address", "x@y.example", 0}};
	for (size_t n = 0; n < ARRAY_SIZE(table); n++) {
		struct called c = call_with(e, "trace", json_pack("{s:s}", table[n].key, table[n].value), h);
		assert_int_equal(c.result, 0);
		assert_int_equal(json_array_size(c.rows), table[n].rows);
		if (table[n].rows)
			assert_string_equal(text_of(json_object_get(json_array_get(c.rows, 0), "event"),
				"outcome"), "delivered");
		called_finish(&c);
	}
	struct called c = call_with(e, "trace", json_pack("{s:s}", "id", text_id(42)), h);
	assert_int_equal(json_array_size(c.rows), 1);
	called_finish(&c);
	history_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_listing_tells_what_is_known),
		T(listings_select),
		T(those_without_a_sender_can_be_chosen),
		T(wrong_arguments_are_said),
		T(long_listings_come_in_pages),
		T(show_gives_recipients_and_headers),
		T(status_gives_the_numbers),
		T(causes_are_bounded),
		T(hold_and_release),
		T(hold_reaches_what_is_in_memory),
		T(delete_ends_without_a_report),
		T(delete_reaches_what_waits_in_memory),
		T(an_unknown_id_is_said),
		T(accounts),
		T(many_accounts_are_listed),
		T(commands_work_without_a_server),
		T(trace_tells_what_the_history_knows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
