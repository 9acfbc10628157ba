// SPDX-License-Identifier: ISC
#include "deliver/quota_maildir.h"
#include "quota_place.h"

// ---------------------------------------------------------------- the text

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int err;
		struct maildirsize out;
	} rows[] = {
		{"1000000S,1000C\n100 1\n", 0, {1000000, 1000, {100, 1}, 1}},
		{"1000000S\n         100            1\n          15            1\n", 0,
			{1000000, 0, {115, 2}, 2}}, // courier
		{"0S\n100 1\n-40 -1\n", 0, {0, 0, {60, 0}, 2}}, // Dovecot
		{"5C\n0 0\n", 0, {0, 5, {0, 0}, 1}},
		{"\n7 7\n", 0, {0, 0, {7, 7}, 1}},
		{"1S,2C,3X\n7 7\n", 0, {1, 2, {7, 7}, 1}},
		{"5C,10S\n7 7 \n", 0, {10, 5, {7, 7}, 1}},
		{"9223372036854775807S\n1 1\n", 0, {INT64_MAX, 0, {1, 1}, 1}},
		{"", ERR_CORRUPT, {0}},
		{"\n", ERR_CORRUPT, {0}},
		{"10S\n", ERR_CORRUPT, {0}},
		{"10S\n5 5", ERR_CORRUPT, {0}},      // the end of the line is missing
		{"10S\n5 5\n6", ERR_CORRUPT, {0}},
		{"10S\n5\n", ERR_CORRUPT, {0}},
		{"10S\n5 5 5\n", ERR_CORRUPT, {0}},
		{"10S\n5 -6\n", ERR_CORRUPT, {0}},   // a sum below zero
		{"10S\n-5 6\n", ERR_CORRUPT, {0}},
		{"10S\nx 5\n", ERR_CORRUPT, {0}},
		{"10S\n- 5\n", ERR_CORRUPT, {0}},
		{"10S\n5 5\n\n", ERR_CORRUPT, {0}},
		{"10\n5 5\n", ERR_CORRUPT, {0}},
		{"-10S\n5 5\n", ERR_CORRUPT, {0}},
		{"S\n5 5\n", ERR_CORRUPT, {0}},
		{"9223372036854775808S\n5 5\n", ERR_CORRUPT, {0}},
		{"1S\n9223372036854775807 1\n1 1\n", ERR_CORRUPT, {0}}, // overflows
		{"1S\n99999999999999999999 1\n", ERR_CORRUPT, {0}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct maildirsize m;
		int err = maildirsize_parse(str_from(rows[i].text), &m);
		if (err != rows[i].err)
			print_error("row %zu\n", i);
		assert_int_equal(err, rows[i].err);
		if (!err)
			assert_memory_equal(&m, &rows[i].out, sizeof m);
	}
	struct maildirsize m; // what a power cut leaves
	assert_int_equal(maildirsize_parse(str_make("10S\n\0\0\0\0\n", 9), &m), ERR_CORRUPT);
	assert_int_equal(maildirsize_parse(str_make("\0\0\0\0", 4), &m), ERR_CORRUPT);
}

static void test_render_is_read_back(void **state)
{
	const struct quota_limits rows[] = {{0}, {.octets = 1000000, .messages = 1000},
		{.octets = 5}, {.messages = 7}, {.octets_soft = 9}};
	static const char *const heads[] = {"0S\n", "1000000S,1000C\n", "5S\n", "7C\n", "0S\n"};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf text = BUF_INIT;
		struct maildirsize m;
		const struct quota_usage now = {12345678901, 42};
		assert_int_equal(maildirsize_render(&rows[i], &now, &text), 0);
		assert_true(str_starts(buf_str(&text), str_from(heads[i])));
		assert_int_equal(maildirsize_parse(buf_str(&text), &m), 0);
		assert_int_equal(m.octets_limit, rows[i].octets);
		assert_int_equal(m.messages_limit, rows[i].messages);
		assert_memory_equal(&m.sum, &now, sizeof now);
		assert_int_equal(m.lines, 1);
		buf_finish(&text);
	}
}

// ---------------------------------------------------------------- the file

static const struct quota_limits hundred = {.octets = 100, .messages = 10};

static bool look(struct place *p, uint64_t octets, struct quota_usage *out)
{
	return quota_maildir_look(p->fd, &hundred, octets, out);
}

static void test_when_the_file_tells(void **state)
{
	struct place *p = *state;
	struct quota_usage now;
	assert_false(look(p, 1, &now)); // there is none
	put(p, "maildirsize", "100S,10C\n60 1\n");
	assert_true(look(p, 40, &now));
	assert_int_equal(now.octets, 60);
	assert_true(look(p, 41, &now)); // one line, of now: it is full
	age(p, "maildirsize", 14 * 60);
	assert_true(look(p, 41, &now));
	age(p, "maildirsize", 16 * 60);
	assert_false(look(p, 41, &now)); // full and old
	struct timespec up;
	clock_gettime(CLOCK_BOOTTIME, &up);
	if (up.tv_sec > 17 * 60)
		assert_true(look(p, 40, &now)); // old, but there is room
	put(p, "maildirsize", "100S,10C\n60 1\n10 1\n");
	assert_true(look(p, 30, &now));
	assert_false(look(p, 31, &now)); // full by a sum of lines
	put(p, "maildirsize", "101S,10C\n60 1\n");
	assert_false(look(p, 1, &now)); // made for another limit
	put(p, "maildirsize", "100S,10C\n60 1\nrubbish\n");
	assert_false(look(p, 1, &now));
	put(p, "maildirsize", "100S,10C\n60 1\n");
	age(p, "maildirsize", up.tv_sec + 10);
	assert_false(look(p, 1, &now)); // before the machine started: lines may be missing
}

static void test_a_long_file_is_counted_anew(void **state)
{
	struct place *p = *state;
	struct quota_usage now;
	char text[20000];
	strcpy(text, "100S,10C\n0 0\n"); // and lines that make it long
	put(p, "maildirsize", text);
	for (unsigned i = 0; i <= 5120 / 26; i++)
		quota_maildir_add(p->fd, i % 2 ? -1 : 1, 0);
	assert_int_equal(strlen(get(p, "maildirsize", text)), 13 + (5120 / 26 + 1) * 26);
	assert_false(look(p, 1, &now));
	assert_int_equal(quota_maildir_count(p->fd, &hundred, &now), 0);
	assert_string_equal(get(p, "maildirsize", text), "100S,10C\n           0            0\n");
	assert_true(look(p, 1, &now));
}

static void test_lines_are_added_only_to_a_file(void **state)
{
	struct place *p = *state;
	char text[20000];
	quota_maildir_add(p->fd, 5, 1);
	assert_string_equal(get(p, "maildirsize", text), "");
	put(p, "maildirsize", "100S\n10 1\n");
	quota_maildir_add(p->fd, 5, 1);
	quota_maildir_add(p->fd, -10, -1);
	assert_string_equal(get(p, "maildirsize", text),
		"100S\n10 1\n           5            1\n         -10           -1\n");
}

static void test_no_file_of_another_kind_is_opened(void **state)
{
	struct place *p = *state;
	struct quota_usage now;
	char path[300], text[20000];
	snprintf(path, sizeof path, "%s/maildirsize", p->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(look(p, 1, &now)); // and does not wait
	quota_maildir_add(p->fd, 5, 1);
	assert_int_equal(unlink(path), 0);
	put(p, "elsewhere", "100S,10C\n60 1\n");
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_false(look(p, 1, &now));
	quota_maildir_add(p->fd, 5, 1);
	assert_string_equal(get(p, "elsewhere", text), "100S,10C\n60 1\n");
	// What is written anew takes the link's place.
	assert_int_equal(quota_maildir_count(p->fd, &hundred, &now), 0);
	assert_string_equal(get(p, "elsewhere", text), "100S,10C\n60 1\n");
	assert_true(look(p, 1, &now));
}

// ---------------------------------------------------------------- counting

static void test_what_is_counted(void **state)
{
	struct place *p = *state;
	struct quota_usage now;
	char text[20000];
	put(p, "new/1.a", "12345");                   // by the file: 5
	put(p, "new/2.a,S=100", "1");                 // by the name
	put(p, "cur/3.a,S=1000,W=1010:2,S", "1");
	put(p, "cur/4.a,S=x:2,S", "1234567");         // 7
	put(p, "cur/5.a,S=5y:2,S", "12345678");       // 8
	put(p, "cur/6.a,W=3,S=10000:2,ST", "");       // marked as deleted counts as well
	put(p, "cur/.hidden", "123456789");
	put(p, "tmp/7.a,S=5", "12345");
	put(p, "8.a,S=7", "1");
	make_folder(p, ".Sent");
	make_folder(p, ".Sent/cur");
	put(p, ".Sent/cur/9.a,S=100000:2,S", "");
	make_folder(p, ".Trash");
	make_folder(p, ".Trash/cur");
	make_folder(p, ".Trash/new");
	put(p, ".Trash/new/10.a,S=1000000", "");
	make_folder(p, ".Sent/.deep");
	make_folder(p, ".Sent/.deep/cur");
	put(p, ".Sent/.deep/cur/11.a,S=3", "");
	make_folder(p, "nodot");
	make_folder(p, "nodot/cur");
	put(p, "nodot/cur/12.a,S=3", "");
	char link[300];
	snprintf(link, sizeof link, "%s/.link", p->folder);
	assert_int_equal(symlink(".Sent", link), 0);
	assert_int_equal(quota_maildir_count(p->fd, &hundred, &now), 0);
	assert_int_equal(now.octets, 5 + 100 + 1000 + 7 + 8 + 10000 + 100000 + 1000000);
	assert_int_equal(now.messages, 8);
	assert_string_equal(get(p, "maildirsize", text), "100S,10C\n     1111120            8\n");
	assert_int_equal(rmdir(p->folder), -1);
	// Without a limit it is none of our files.
	put(p, "maildirsize", "5S\n1 1\n");
	assert_int_equal(quota_maildir_count(p->fd, &(struct quota_limits){0}, &now), 0);
	assert_string_equal(get(p, "maildirsize", text), "5S\n1 1\n");
}

static void test_sizes_that_names_lie_about_do_not_overflow(void **state)
{
	struct place *p = *state;
	struct quota_usage now;
	put(p, "new/1.a,S=9223372036854775807", "");
	put(p, "new/2.a,S=9223372036854775807", "");
	put(p, "new/3.a,S=99999999999999999999999", "12");
	assert_int_equal(quota_maildir_count(p->fd, &hundred, &now), 0);
	assert_int_equal(now.octets, INT64_MAX);
	assert_int_equal(now.messages, 3);
	assert_true(look(p, 1, &now));
	assert_int_equal(quota_judge(&hundred, &now, 1), QUOTA_OVER_HARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_render_is_read_back),
		cmocka_unit_test_setup_teardown(test_when_the_file_tells, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_a_long_file_is_counted_anew, make_place, drop_place),
		cmocka_unit_test_setup_teardown(
			test_lines_are_added_only_to_a_file, make_place, drop_place),
		cmocka_unit_test_setup_teardown(
			test_no_file_of_another_kind_is_opened, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_what_is_counted, make_place, drop_place),
		cmocka_unit_test_setup_teardown(
			test_sizes_that_names_lie_about_do_not_overflow, make_place, drop_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
