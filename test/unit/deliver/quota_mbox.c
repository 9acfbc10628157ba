// SPDX-License-Identifier: ISC
#include "deliver/quota_mbox.h"
#include "quota_place.h"

static const struct quota_limits three = {.messages = 3};

static uint64_t messages_in(struct quota_mbox *m, struct place *p, const char *name)
{
	char path[300];
	struct quota_usage now = {0, 99};
	snprintf(path, sizeof path, "%s/%s", p->folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(quota_mbox_usage(m, fd, &three, &now), 0);
	close(fd);
	return now.messages;
}

static void test_messages_are_counted(void **state)
{
	static const struct {
		const char *text;
		uint64_t messages;
	} rows[] = {
		{"", 0}, {"From ", 1}, {"From", 0}, {"From a\n", 1}, {"\nFrom a\n", 1},
		{"From a\nFrom b\nFrom c\n", 3}, {"From a\n>From b\n From c\n", 1},
		{"FFrom a\nFrFrom b\nFromFrom c\n", 0}, {"x\n\n\nFrom a", 1}, {"Fro\nFrom a\nFrom", 1},
		{"From a\r\nFrom b\r\n", 2}, {"from a\nFROM b\n", 0},
	};
	struct place *p = *state;
	struct quota_mbox *m = quota_mbox_create();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[20];
		snprintf(name, sizeof name, "mbox%zu", i);
		put(p, name, rows[i].text);
		assert_int_equal(messages_in(m, p, name), rows[i].messages);
		assert_int_equal(messages_in(m, p, name), rows[i].messages); // remembered
	}
	quota_mbox_destroy(m);
}

// The line that begins a message lies at every place around the end of a piece that is read.
static void test_across_pieces(void **state)
{
	struct place *p = *state;
	struct quota_mbox *m = quota_mbox_create();
	char *text = mem_alloc(65536 + 100);
	for (unsigned at = 65525; at < 65545; at++) {
		char name[20];
		memset(text, 'x', 65536 + 99);
		memcpy(text + at, "\nFrom a\n", 8);
		snprintf(name, sizeof name, "mbox%u", at);
		put(p, name, text);
		assert_int_equal(messages_in(m, p, name), 1);
	}
	mem_free(text);
	quota_mbox_destroy(m);
}

static void test_a_limit_that_goes_and_comes(void **state)
{
	struct place *p = *state;
	struct quota_mbox *m = quota_mbox_create();
	struct quota_usage now;
	char path[300];
	put(p, "mbox", "From a\n");
	snprintf(path, sizeof path, "%s/mbox", p->folder);
	assert_int_equal(messages_in(m, p, "mbox"), 1);
	int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	assert_int_equal(quota_mbox_usage(m, fd, &(struct quota_limits){.octets = 5}, &now), 0);
	assert_int_equal(now.messages, 0);
	assert_int_equal(write(fd, "From b\nFrom c\n", 14), 14);
	quota_mbox_added(m, fd); // was not counted, so it is not believed
	close(fd);
	assert_int_equal(messages_in(m, p, "mbox"), 3);
	quota_mbox_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages_are_counted, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_across_pieces, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_a_limit_that_goes_and_comes, make_place, drop_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
