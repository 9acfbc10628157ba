// SPDX-License-Identifier: ISC
// The history: what can be found and how, its bounds, and that it drops rather than waits.
#include "help.h"

#include "store/history.h"

static char *folder;
static char path[300];

static int set_up(void **state)
{
	folder = make_folder();
	snprintf(path, sizeof(path), "%s/history.db", folder);
	return 0;
}

static int tear_down(void **state)
{
	remove_folder(folder);
	return 0;
}

static struct history *open_history(uint64_t age_ms, uint64_t size)
{
	struct history *h = NULL;
	struct error err = {.text = ""};
	int code = history_open(NULL,
		&(struct history_options){
			.path = path, .age_ms = age_ms, .size = size, .create = true},
		&h, &err);

	if (code < 0)
		print_error("%s\n", err.text);
	assert_int_equal(code, 0);
	return h;
}

struct told {
	char text[2000];
	unsigned count;
	int err;
};

static void tell(void *arg, struct str json)
{
	struct told *told = arg;

	if (strlen(told->text) + json.len + 2 < sizeof(told->text)) {
		strncat(told->text, json.data, json.len);
		strcat(told->text, " ");
	}
	told->count++;
}

static void note_told(void *arg, int err)
{
	((struct told *)arg)->err = err;
}

static struct told find(struct history *h, const struct history_query *q)
{
	struct told told = {.err = 12345};

	history_find(h, q, tell, note_told, &told);
	assert_int_equal(told.err, 12345); // never inside the call
	history_wait(h);
	assert_int_equal(told.err, 0);
	return told;
}

#define S(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct history_event story[] = {
	{.wall_ms = 1000,
		.id = 1,
		.name = S("connect"),
		.client = S("192.0.2.1"),
		.json = S("connect1")},
	{.wall_ms = 1001,
		.id = 1,
		.name = S("auth"),
		.account = S("kim@example.kr"),
		.client = S("192.0.2.1"),
		.json = S("auth1")},
	{.wall_ms = 1002,
		.id = 100,
		.session = 1,
		.name = S("accept"),
		.sender = S("kim@example.kr"),
		.recipient = S("lee@example.com"),
		.client = S("192.0.2.1"),
		.json = S("accept100")},
	{.wall_ms = 1003,
		.id = 101,
		.session = 1,
		.name = S("accept"),
		.sender = S("kim@example.kr"),
		.recipient = S("choi@example.com,park@example.com"),
		.client = S("192.0.2.1"),
		.json = S("accept101")},
	{.wall_ms = 1004, .id = 1, .name = S("disconnect"), .json = S("disconnect1")},
	{.wall_ms = 1005,
		.id = 2,
		.name = S("refuse"),
		.recipient = S("Lee@Example.com"),
		.client = S("198.51.100.7"),
		.json = S("refuse2")},
	{.wall_ms = 1006,
		.id = 100,
		.name = S("result"),
		.recipient = S("lee@example.com"),
		.json = S("result100")},
};

static void tell_story(struct history *h)
{
	for (size_t i = 0; i < ARRAY_SIZE(story); i++)
		history_add(h, &story[i]);
}

static void what_can_be_found(void **state)
{
	static const struct {
		struct history_query query;
		const char *text;
	} rows[] = {
		{{.id = 100}, "connect1 auth1 accept100 disconnect1 result100 "},
		{{.id = 1}, "connect1 auth1 accept100 accept101 disconnect1 "},
		{{.id = 2}, "refuse2 "},
		{{.id = 3}, ""},
		{{.address = S("LEE@example.COM")}, "accept100 refuse2 result100 "},
		{{.address = S("Park@example.com")}, "accept101 "},
		{{.address = S("choi@example.com")}, "accept101 "},
		{{.address = S("hoi@example.com")}, ""},
		{{.address = S("kim@example.kr")}, "auth1 accept100 accept101 "},
		{{.client = S("192.0.2.1")}, "connect1 auth1 accept100 accept101 "},
		{{.client = S("192.0.2.1"), .name = S("accept")}, "accept100 accept101 "},
		{{.name = S("refuse")}, "refuse2 "},
		{{.since_ms = 1004}, "disconnect1 refuse2 result100 "},
		{{.limit = 2}, "refuse2 result100 "},
		{{.address = S("lee@example.com"), .limit = 1}, "result100 "},
		{{.id = 100, .name = S("result")}, "result100 "},
		{{0}, "connect1 auth1 accept100 accept101 disconnect1 refuse2 result100 "},
	};
	struct history *h = open_history(0, 0);

	tell_story(h);
	for (int restarted = 0; restarted < 2; restarted++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct told told = find(h, &rows[i].query);

			if (strcmp(told.text, rows[i].text) != 0)
				print_error("row %zu\n", i);
			assert_string_equal(told.text, rows[i].text);
		}
		history_close(h);
		h = open_history(0, 0);
	}
	history_close(h);
	history_close(NULL);
}

static void add_many(struct history *h, uint64_t first, unsigned count, uint64_t wall_ms)
{
	char json[300], recipient[40];

	for (unsigned i = 0; i < count; i++) {
		snprintf(recipient, sizeof(recipient), "user%u@example.com",
			(unsigned)(first + i) % 5000);
		memset(json, 'x', 250);
		snprintf(json + 250, sizeof(json) - 250, "%u", (unsigned)(first + i));
		history_add(h, &(struct history_event){.wall_ms = wall_ms,
				       .id = first + i,
				       .name = STR("accept"),
				       .sender = STR("kim@example.kr"),
				       .recipient = str_from(recipient),
				       .json = str_from(json)});
		if (i % 5000 == 4999)
			history_wait(h);
	}
	history_wait(h);
}

static uint64_t file_size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static void one_of_many_is_found(void **state)
{
	struct history *h = open_history(0, 0);
	struct told told;

	add_many(h, 1000, 30000, 5);
	told = find(h, &(struct history_query){.id = 17000});
	assert_int_equal(told.count, 1);
	assert_non_null(strstr(told.text, "x17000 "));
	told = find(h, &(struct history_query){.address = STR("user1234@example.com")});
	assert_int_equal(told.count, 6);
	told = find(h, &(struct history_query){.address = STR("kim@example.kr"), .limit = 50000});
	assert_int_equal(told.count, 10000); // the most at once
	assert_int_equal(history_dropped(h), 0);
	history_close(h);
}

static void old_ones_go_by_age(void **state)
{
	uint64_t now = clock_wall_ms();
	struct history *h = open_history(60000, 0);

	add_many(h, 1, 3000, now - 120000);
	add_many(h, 10000, 300, now);
	assert_int_equal(find(h, &(struct history_query){.id = 5}).count, 0);
	assert_int_equal(find(h, &(struct history_query){.limit = 10000}).count, 300);
	history_close(h);
}

static void the_oldest_go_by_size(void **state)
{
	uint64_t bound = 2 * 1024 * 1024;
	struct history *h = open_history(0, bound);
	unsigned count;

	add_many(h, 1, 30000, 5);
	assert_int_equal(find(h, &(struct history_query){.id = 1}).count, 0);
	assert_int_equal(find(h, &(struct history_query){.id = 30000}).count, 1);
	count = find(h, &(struct history_query){.limit = 10000}).count;
	assert_in_range(count, 3000, 8000);
	history_close(h);
	assert_in_range(file_size(), bound / 2, bound + bound / 4);
}

static void a_smaller_bound_shrinks_the_file(void **state)
{
	struct history *h = open_history(0, 0);

	add_many(h, 1, 20000, 5);
	history_close(h);
	assert_true(file_size() > 6 * 1024 * 1024);
	h = open_history(0, 1024 * 1024);
	for (unsigned i = 0; i < 40; i++)
		add_many(h, 50000 + i, 1, 5);
	history_close(h);
	assert_true(file_size() < 2 * 1024 * 1024);
}

// Faster than any disk: what does not fit is dropped and counted, and the caller never waits.
static void a_flood_is_dropped_and_counted(void **state)
{
	struct history *h = open_history(0, 0);
	static char json[8000];
	unsigned given = 20000;
	struct told told;

	memset(json, 'x', sizeof(json));
	for (unsigned i = 0; i < given; i++)
		history_add(h, &(struct history_event){.wall_ms = 5,
				       .id = i + 1,
				       .name = STR("flood"),
				       .json = str_make(json, sizeof(json))});
	history_wait(h);
	assert_true(history_dropped(h) > 0);
	assert_true(history_dropped(h) < given);
	given -= (unsigned)history_dropped(h);
	told = find(h, &(struct history_query){.limit = 10000});
	assert_int_equal(told.count, given < 10000 ? given : 10000);
	history_close(h);
}

static void too_long_an_event_is_dropped(void **state)
{
	struct history *h = open_history(0, 0);
	static char json[70000];

	history_add(h, &(struct history_event){.id = 1, .json = str_make(json, sizeof(json))});
	history_wait(h);
	assert_int_equal(history_dropped(h), 1);
	history_close(h);
}

static void a_loop_gets_the_answer(void **state)
{
	struct history_options options = {.path = path, .create = true};
	struct told told = {.err = 12345};
	struct history *h;
	uv_loop_t loop;

	uv_loop_init(&loop);
	assert_int_equal(history_open(&loop, &options, &h, NULL), 0);
	tell_story(h);
	history_find(h, &(struct history_query){.id = 2}, tell, note_told, &told);
	uv_run(&loop, UV_RUN_DEFAULT); // ends by itself
	assert_int_equal(told.err, 0);
	assert_string_equal(told.text, "refuse2 ");
	history_find(h, &(struct history_query){.id = 2}, tell, note_told, &told);
	history_close(h); // completes it
	assert_string_equal(told.text, "refuse2 refuse2 ");
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_can_be_found),
		TEST(one_of_many_is_found),
		TEST(old_ones_go_by_age),
		TEST(the_oldest_go_by_size),
		TEST(a_smaller_bound_shrinks_the_file),
		TEST(a_flood_is_dropped_and_counted),
		TEST(too_long_an_event_is_dropped),
		TEST(a_loop_gets_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
