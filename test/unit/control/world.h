// SPDX-License-Identifier: ISC
// A control server on a loop of its own, and callers that write and read octets as they are.
#ifndef PABAL_TEST_CONTROL_WORLD_H
#define PABAL_TEST_CONTROL_WORLD_H

#include "base/buf.h"
#include "base/file.h"
#include "control/control.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS_MAX 20000 // of the loop, until a test gives up

struct world {
	uv_loop_t loop;
	char folder[64], path[80];
	int listen_fd;
	struct control_server *server;
};

__attribute__((unused)) static void world_folder(char folder[64])
{
	strcpy(folder, "/tmp/pabal-control.XXXXXX");
	assert_non_null(mkdtemp(folder));
}

__attribute__((unused)) static void world_open(struct world *w, const struct control_handler *handlers,
	size_t count)
{
	struct error err = {0};
	memset(w, 0, sizeof *w);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	world_folder(w->folder);
	snprintf(w->path, sizeof w->path, "%s/master.sock", w->folder);
	assert_int_equal(listener_open_unix(w->path, 0660, &w->listen_fd, &err), 0);
	w->server = control_server_create(&w->loop, w->listen_fd, handlers, count, w);
	assert_non_null(w->server);
}

// The loop must run dry: a handle that stays open would keep it here.
__attribute__((unused)) static void world_close(struct world *w)
{
	control_server_destroy(w->server);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	close(w->listen_fd);
	unlink(w->path);
	rmdir(w->folder);
}

__attribute__((unused)) static int call_open(const struct world *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(to.sun_path, w->path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

__attribute__((unused)) static void turn(struct world *w)
{
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

// Runs the loop meanwhile, as the server may have to read before there is room. False: it has closed.
__attribute__((unused)) static bool call_send(struct world *w, int fd, const void *data, size_t len)
{
	const char *at = data;
	for (unsigned i = 0; len && i < TURNS_MAX; i++) {
		ssize_t n = send(fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
		turn(w);
	}
	assert_int_equal(len, 0);
	return true;
}

__attribute__((unused)) static void call_say(struct world *w, int fd, const char *text)
{
	(void)call_send(w, fd, text, strlen(text));
}

// What comes until the server closes.
__attribute__((unused)) static void call_read(struct world *w, int fd, struct buf *out)
{
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		struct pollfd waits[] = {{.fd = fd, .events = POLLIN},
			{.fd = uv_backend_fd(&w->loop), .events = POLLIN}};
		turn(w);
		int timeout = uv_backend_timeout(&w->loop);
		poll(waits, 2, timeout >= 0 && timeout < 1000 ? timeout : 1000);
		if (!waits[0].revents)
			continue;
		ssize_t n = read(fd, buf_reserve(out, 65536), 65536);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return;
		assert_true(n > 0);
		buf_commit(out, (size_t)n);
	}
	fail_msg("the server does not close; so far it said: %s", buf_cstr(out));
}

// The answer to a request, as the text of its lines; ends the call.
__attribute__((unused)) static const char *call_end(struct world *w, int fd, struct buf *out)
{
	buf_clear(out);
	call_read(w, fd, out);
	close(fd);
	return buf_cstr(out);
}

__attribute__((unused)) static const char *ask(struct world *w, const char *request, struct buf *out)
{
	int fd = call_open(w);
	call_say(w, fd, request);
	return call_end(w, fd, out);
}

// The one key of the line ("row", "done", "error"); the line must be JSON.
__attribute__((unused)) static void check_lines(const struct buf *text, size_t *out_rows, char out_last[16])
{
	struct str rest = buf_str(text), line;
	*out_rows = 0;
	out_last[0] = '\0';
	while (str_split(&rest, '\n', &line) && line.len) {
		json_t *value = json_loadb(line.data, line.len, 0, NULL);
		if (!value)
			fail_msg("no JSON: %.*s", (int)(line.len > 200 ? 200 : line.len), line.data);
		assert_string_equal(out_last[0] ? out_last : "row", "row"); // nothing after the end
		strcpy(out_last, json_object_iter_key(json_object_iter(value)));
		*out_rows += !strcmp(out_last, "row");
		json_decref(value);
	}
}

#endif
