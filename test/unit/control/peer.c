// SPDX-License-Identifier: ISC
#include "world.h"

#include "control/control_internal.h"

#include <grp.h>
#include <sys/stat.h>

#define ADMINS 64111
#define STATUS "{\"version\":1,\"command\":\"status\",\"arguments\":{}}\n"

static unsigned runs;

static void run(struct control_call *call, const json_t *arguments, void *arg)
{
	(void)arguments;
	(void)arg;
	runs++;
	control_done(call, NULL);
}

static const struct control_handler handlers[] = {
	{"status", run}, {"reload", run}, {"stop", run}, {"of its own", run}};

static int setup(void **state)
{
	static struct world w;
	world_open(&w, handlers, ARRAY_SIZE(handlers));
	// As an administrator who wanted it simple would have it.
	assert_int_equal(chmod(w.folder, 0755), 0);
	assert_int_equal(chmod(w.path, 0666), 0);
	runs = 0;
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

// Who one is when one connects is what counts.
static int open_as(const struct world *w, uid_t user, gid_t group, const gid_t *more, size_t count)
{
	gid_t before[64];
	int n = getgroups(64, before);
	assert_true(n >= 0);
	assert_int_equal(setgroups(count, more), 0);
	assert_int_equal(setegid(group), 0);
	assert_int_equal(seteuid(user), 0);
	int fd = call_open(w);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_int_equal(setgroups((size_t)n, before), 0);
	return fd;
}

static void who_may_give_commands(void **state)
{
	static const gid_t many[] = {4, 20, ADMINS, 64112}, others[] = {4, 20, 64112};
	static const struct {
		uid_t user;
		gid_t group;
		const gid_t *more;
		size_t count;
		bool good, good_with_group;
	} rows[] = {
		{0, 0, NULL, 0, true, true},
		{0, 65533, NULL, 0, true, true},
		{65533, 65533, NULL, 0, false, false},
		{65533, 0, NULL, 0, false, false},
		{65533, 65533, others, ARRAY_SIZE(others), false, false},
		{65533, 65533, many, ARRAY_SIZE(many), false, true},
		{65533, ADMINS, NULL, 0, false, true},
		{65533, ADMINS, others, ARRAY_SIZE(others), false, true},
	};
	struct world *w = *state;
	struct buf out = BUF_INIT;
	if (geteuid() != 0)
		skip();
	for (int group = 0; group < 2; group++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			bool good = group ? rows[i].good_with_group : rows[i].good;
			if (group)
				control_server_admit(w->server, ADMINS);
			runs = 0;
			int fd = open_as(w, rows[i].user, rows[i].group, rows[i].more, rows[i].count);
			call_say(w, fd, STATUS);
			const char *answer = call_end(w, fd, &out);
			if (runs != good || !strstr(answer, good ? "\"done\"" : "user 65533 may not give this command") ||
				(!good && !strstr(answer, "\"denied\"")))
				fail_msg("%d %zu: %s", group, i, answer);
		}
	buf_finish(&out);
}

static void the_own_user_may(void **state)
{
	struct buf out = BUF_INIT;
	assert_string_equal(ask(*state, STATUS, &out), "{\"done\":{}}\n");
	assert_int_equal(runs, 1);
	buf_finish(&out);
}

// ---- what each right is good for
static bool done;

static void give(struct control_call *call, json_t *line, bool last)
{
	(void)call;
	assert_true(last);
	done = json_object_get(line, "done") != NULL;
	json_decref(line);
}

static void each_command_has_its_right(void **state)
{
	static const struct control_way way = {.give = give};
	static const struct {
		const char *command;
		enum control_right least;
	} rows[] = {{"status", CONTROL_READ}, {"reload", CONTROL_OPERATE}, {"stop", CONTROL_ADMIN},
		{"of its own", CONTROL_ADMIN}};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (enum control_right right = CONTROL_NOTHING; right <= CONTROL_ADMIN; right++) {
			struct control_call call = {.way = &way, .right = right};
			control_run(&call, handlers, ARRAY_SIZE(handlers), NULL, rows[i].command, NULL);
			assert_int_equal(done, right >= rows[i].least);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_may_give_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(the_own_user_may, setup, teardown),
		cmocka_unit_test(each_command_has_its_right),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
