// SPDX-License-Identifier: ISC
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "ipc/channel.h"
#include "role/role.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BEAT 2000

static unsigned reported;
static char words[512];

static void on_event(const struct event *e, void *arg)
{
	(void)arg;
	assert_int_equal(e->level, EVENT_ERROR);
	assert_true(str_copy(event_get(e, "reason"), words, sizeof words));
	reported++;
}

// A master and one child, a process that sleeps.
struct world {
	struct master master;
	struct child child;
	struct place place;
	uint64_t now;
	int other_end;
};

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch, (void)arg, (void)type, (void)body, (void)fd;
}

static void on_close(struct ipc_channel *ch, void *arg)
{
	(void)ch, (void)arg;
}

static int setup(void **state)
{
	struct world *w = mem_alloc(sizeof *w);
	int pair[2];
	assert_int_equal(uv_loop_init(&w->master.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	list_init(&w->master.children);
	w->child = (struct child){.master = &w->master, .place = &w->place, .role = role_find("queue"),
		.state = CHILD_READY};
	w->child.channel = ipc_channel_open(&w->master.loop, pair[0], on_frame, on_close, NULL);
	w->other_end = pair[1];
	list_add_last(&w->master.children, &w->child.link);
	w->child.pid = fork();
	if (w->child.pid == 0)
		for (;;)
			pause();
	assert_true(w->child.pid > 0);
	w->now = w->master.beat_ms = 1000000;
	reported = 0;
	event_set_tap(on_event, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	event_set_tap(NULL, NULL);
	kill(w->child.pid, SIGKILL);
	(void)waitpid(w->child.pid, NULL, 0); // a test may have done it
	ipc_channel_close(w->child.channel);
	uv_run(&w->master.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->master.loop), 0);
	fd_close(&w->other_end);
	mem_free(w);
	return 0;
}

static void beat(struct world *w, unsigned count)
{
	while (count--)
		pulse_beat(&w->master, w->now += BEAT);
}

static void assert_killed(struct world *w)
{
	int status;
	assert_int_equal(waitpid(w->child.pid, &status, 0), w->child.pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void assert_lives(const struct world *w)
{
	assert_int_equal(reported, 0);
	assert_int_equal(waitpid(w->child.pid, NULL, WNOHANG), 0);
}

static void who_is_silent_is_killed_and_that_is_said_once(void **state)
{
	struct world *w = *state;
	beat(w, 10);
	assert_lives(w);
	beat(w, 1);
	assert_killed(w);
	beat(w, 5);
	assert_int_equal(reported, 1);
	assert_non_null(strstr(words, "queue[0]"));
	assert_non_null(strstr(words, "has not answered for 20 s and is killed; it is started again"));
}

static void it_is_asked(void **state)
{
	struct world *w = *state;
	struct buf body = {.limit = IPC_FRAME_MAX};
	unsigned type = 0;
	int fd = -1;
	beat(w, 1);
	uv_run(&w->master.loop, UV_RUN_NOWAIT);
	assert_int_equal(ipc_receive_blocking(w->other_end, &type, &body, &fd), 0);
	assert_int_equal(type, IPC_TYPE_ping);
	buf_finish(&body);
}

static void who_answers_now_and_then_lives(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 20; i++) {
		beat(w, 10);
		pulse_answered(&w->child);
	}
	assert_lives(w);
}

static void who_starts_has_time(void **state)
{
	struct world *w = *state;
	w->child.state = CHILD_STARTING;
	beat(w, 1000);
	assert_lives(w);
	w->child.state = CHILD_READY;
	beat(w, 10);
	assert_lives(w);
}

// The machine slept, or somebody stopped us.
static void a_late_master_kills_nobody(void **state)
{
	struct world *w = *state;
	beat(w, 10);
	pulse_beat(&w->master, w->now += 3600000);
	beat(w, 9);
	assert_lives(w);
	pulse_beat(&w->master, w->now += 2 * BEAT + 1);
	beat(w, 10);
	assert_lives(w);
	beat(w, 1);
	assert_killed(w);
}

static void who_drains_answers_nobody_but_has_to_end(void **state)
{
	struct world *w = *state;
	w->child.state = CHILD_DRAINING;
	w->child.place = NULL;
	pulse_expect_end(&w->child, 60000);
	beat(w, 30);
	pulse_beat(&w->master, w->now += 3600000); // is not its time
	beat(w, 2);
	assert_lives(w);
	kill(w->child.pid, SIGSTOP);
	beat(w, 1);
	assert_killed(w);
	assert_int_equal(reported, 1);
	assert_non_null(strstr(words, "did not end in time and is killed"));
	assert_null(strstr(words, "started again"));
}

static void at_the_stop_other_limits_hold(void **state)
{
	struct world *w = *state;
	w->master.stopping = true;
	beat(w, 100);
	assert_lives(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(who_is_silent_is_killed_and_that_is_said_once),
		TEST(it_is_asked),
		TEST(who_answers_now_and_then_lives),
		TEST(who_starts_has_time),
		TEST(a_late_master_kills_nobody),
		TEST(who_drains_answers_nobody_but_has_to_end),
		TEST(at_the_stop_other_limits_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
