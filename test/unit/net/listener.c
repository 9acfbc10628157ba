// SPDX-License-Identifier: ISC
#include "net/listener.h"

#include "base/event.h"
#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct ipaddr loopback4 = {4, {127, 0, 0, 1}};
static const struct ipaddr loopback6 = {6, {[15] = 1}};

static uint16_t port_of(int fd)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	struct ipaddr addr;
	uint16_t port;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	ipaddr_from_sockaddr((struct sockaddr *)&at, &addr, &port);
	return port;
}

static int connect_to(const struct ipaddr *address, uint16_t port)
{
	int fd = socket(address->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage to;
	socklen_t len = ipaddr_to_sockaddr(address, port, &to);

	if (connect(fd, (struct sockaddr *)&to, len) != 0)
		fd_close(&fd);
	return fd;
}

static void both_families_share_a_port(void **state)
{
	static const struct ipaddr any4 = {.family = 4}, any6 = {.family = 6};
	struct error err = {0};
	int first, second, client;

	assert_int_equal(listener_open(&any4, 0, &first, &err), 0);
	if (listener_open(&any6, port_of(first), &second, &err) != 0)
		fail_msg("%s", err.text);
	client = connect_to(&loopback6, port_of(second));
	assert_true(client >= 0);
	close(client);
	client = connect_to(&loopback4, port_of(first));
	assert_true(client >= 0);
	close(client);
	assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
	close(first);
	close(second);
}

static void a_taken_port_names_its_owner(void **state)
{
	static const struct {
		const char *command, *words;
	} rows[] = {
		{"master", "taken by Postfix (process"},
		{"exim4", "systemctl disable --now exim4"},
		{"odd daemon", "(odd daemon); stop it or choose another port"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = {0};
		int first, second, ready[2];
		char octet, pid_text[32];
		assert_int_equal(listener_open(&loopback4, 0, &first, &err), 0);
		uint16_t port = port_of(first);
		assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, rows[i].command);
			if (write(ready[1], "x", 1) == 1)
				pause();
			_exit(0);
		}
		assert_int_equal(read(ready[0], &octet, 1), 1);
		close(first); // the child alone has it now
		assert_int_equal(listener_open(&loopback4, port, &second, &err), ERR_EXISTS);
		assert_int_equal(second, -1);
		snprintf(pid_text, sizeof(pid_text), "process %d", (int)child);
		if (!strstr(err.text, rows[i].words) || !strstr(err.text, pid_text))
			fail_msg("%s", err.text);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		close(ready[0]);
		close(ready[1]);
	}
}

static void other_failures_have_words(void **state)
{
	static const struct ipaddr foreign = {4, {192, 0, 2, 1}};
	struct error err = {0};
	int fd;

	assert_int_equal(listener_open(&foreign, 0, &fd, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "192.0.2.1"));
}

// ---- Unix sockets
static void old_unix_sockets_are_replaced_and_living_ones_kept(void **state)
{
	char folder[] = "/tmp/pabal-listener-XXXXXX", path[64], file[64], too_long[200];
	struct error err = {0};
	struct stat st;
	int first, second;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(file, sizeof(file), "%s/file", folder);
	if (listener_open_unix(path, 0660, &first, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(listener_open_unix(path, 0660, &second, &err), ERR_EXISTS);
	assert_non_null(strstr(err.text, "another process answers on"));
	close(first);
	assert_int_equal(listener_open_unix(path, 0600, &first, &err), 0);
	close(first);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listener_open_unix(file, 0600, &first, &err), ERR_EXISTS);
	assert_int_equal(stat(file, &st), 0); // still there
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(listener_open_unix(too_long, 0600, &first, &err), ERR_LIMIT);
	unlink(path);
	unlink(file);
	rmdir(folder);
}

// ---- accepting
struct worker {
	uv_loop_t loop;
	struct listener *listener;
	unsigned accepted;
	struct ipaddr peer;
	uint16_t port;
};

static void on_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct worker *w = arg;

	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	w->accepted++;
	w->peer = *peer;
	w->port = port;
	close(fd);
}

static void start(struct worker *w, int fd)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->listener = listener_start(&w->loop, fd, on_accepted, w);
}

static void stop(struct worker *w)
{
	listener_stop(w->listener);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void workers_share_and_a_stopped_one_holds_none_back(void **state)
{
	struct worker first, second, stopped;
	struct error err;
	int fd, clients[20];

	assert_int_equal(listener_open(&loopback4, 0, &fd, &err), 0);
	start(&first, fd);
	start(&second, fd);
	start(&stopped, fd); // its loop does not run
	for (unsigned i = 0; i < 20; i++)
		assert_true((clients[i] = connect_to(&loopback4, port_of(fd))) >= 0);
	uv_run(&first.loop, UV_RUN_ONCE);
	assert_int_equal(first.accepted, 1);
	assert_true(ipaddr_equal(&first.peer, &loopback4));
	assert_int_equal(first.port, port_of(clients[0]));
	while (first.accepted + second.accepted < 20) {
		uv_run(&first.loop, UV_RUN_NOWAIT);
		uv_run(&second.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(second.accepted, 9 + (first.accepted == 10));
	for (unsigned i = 0; i < 20; i++)
		close(clients[i]);
	stop(&first);
	stop(&second);
	stop(&stopped);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); // not closed
	close(fd);
}

static void want_of_descriptors_is_waited_out(void **state)
{
	struct rlimit old, low;
	struct worker w;
	struct error err;
	int fd, client, probe;

	event_setup("test", -1, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_ERROR);
	assert_int_equal(listener_open(&loopback4, 0, &fd, &err), 0);
	start(&w, fd);
	client = connect_to(&loopback4, port_of(fd));
	probe = dup(0);
	close(probe);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = (rlim_t)probe; // no descriptor is free below
	setrlimit(RLIMIT_NOFILE, &low);
	uv_run(&w.loop, UV_RUN_ONCE);
	assert_int_equal(w.accepted, 0);
	assert_true(uv_backend_timeout(&w.loop) > 0); // waits for its timer only
	setrlimit(RLIMIT_NOFILE, &old);
	while (w.accepted == 0)
		uv_run(&w.loop, UV_RUN_ONCE);
	assert_int_equal(w.accepted, 1);
	close(client);
	stop(&w);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_share_a_port),
		cmocka_unit_test(a_taken_port_names_its_owner),
		cmocka_unit_test(other_failures_have_words),
		cmocka_unit_test(old_unix_sockets_are_replaced_and_living_ones_kept),
		cmocka_unit_test(workers_share_and_a_stopped_one_holds_none_back),
		cmocka_unit_test(want_of_descriptors_is_waited_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
