// SPDX-License-Identifier: ISC
// The callers' side: over the socket of a running server, or straight into the handlers.
#include "control/control_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_OCTETS (16u * 1024 * 1024)

// What answers have brought so far.
struct outcome {
	control_on_row on_row;
	void *arg;
	json_t *done;
	bool ended;
	int code;
	struct error *err;
};

static int code_of(const char *code)
{
	static const struct {
		const char *name;
		int err;
	} codes[] = {{"not-found", ERR_NOT_FOUND}, {"exists", ERR_EXISTS}, {"syntax", ERR_SYNTAX},
		{"unknown", ERR_UNSUPPORTED}, {"busy", ERR_UNAVAILABLE}, {"full", ERR_FULL}};
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (!strcmp(codes[i].name, code))
			return codes[i].err;
	return ERR_DENIED;
}

static void take_line(struct outcome *o, const json_t *line)
{
	json_t *row = json_object_get(line, "row"), *done = json_object_get(line, "done");
	json_t *error = json_object_get(line, "error");
	if (row) {
		if (o->on_row)
			o->on_row(row, o->arg);
	} else if (done) {
		o->done = json_incref(done);
		o->ended = true;
	} else if (error) {
		const char *code = json_string_value(json_object_get(error, "code"));
		const char *text = json_string_value(json_object_get(error, "text"));
		o->code = error_set(o->err, code_of(code ? code : ""), "%s", text ? text : "?");
		o->ended = true;
	}
}

static int finish(struct outcome *o, json_t **out_done)
{
	if (!o->ended)
		o->code = error_set(o->err, ERR_UNAVAILABLE,
			TEXT("the server ended the connection in mid answer"));
	if (out_done && !o->code)
		*out_done = o->done;
	else
		json_decref(o->done);
	return o->code;
}

// ---- over the socket
static int connect_to(const char *run_folder, const char *role, struct error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int n = snprintf(to.sun_path, sizeof to.sun_path, "%s/%s.sock", run_folder, role);
	if (n < 0 || (size_t)n >= sizeof to.sun_path)
		return error_set(err, ERR_LIMIT, TEXT("the run folder's name is too long for a socket"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_system(err, TEXT("cannot make a socket"));
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	int why = errno;
	close(fd);
	errno = why;
	if (why == ENOENT || why == ECONNREFUSED)
		return error_set(err, ERR_CLOSED, TEXT("the server is not running (nobody answers on %s)"),
			to.sun_path);
	return error_system(err, TEXT("cannot reach the server on %s"), to.sun_path);
}

// A server that answers before it has read everything ("too many callers") has still said why.
static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : ERR_SYSTEM;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{s:i, s:s, s:O}", "version", CONTROL_VERSION, "command", command,
		"arguments", arguments);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int result = ERR_SYNTAX;
	if (text) {
		result = send_all(fd, text, strlen(text));
		if (!result)
			result = send_all(fd, "\n", 1);
		mem_wipe(text, strlen(text)); // it may hold a password
	}
	free(text);
	json_decref(request);
	return result;
}

// 1, 0 at the end, or an error.
static int read_some(int fd, struct buf *in, unsigned timeout_ms, struct error *err)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int ready = poll(&wait, 1, (int)timeout_ms);
	if (ready == 0)
		return error_set(err, ERR_TIMEOUT, TEXT("the server does not answer"));
	if (ready < 0 && errno == EINTR)
		return 1;
	char *space = buf_reserve(in, 65536);
	if (!space)
		return error_set(err, ERR_LIMIT, TEXT("an answer of the server is too long"));
	ssize_t n = read(fd, space, 65536);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n < 0)
		return error_system(err, TEXT("cannot read the answer"));
	buf_commit(in, (size_t)n);
	return n > 0 ? 1 : 0;
}

static void take_lines(struct outcome *o, struct buf *in)
{
	ptrdiff_t end;
	while (!o->ended && (end = str_find(buf_str(in), '\n')) >= 0) {
		json_t *line = json_loadb(buf_str(in).data, (size_t)end, 0, NULL);
		take_line(o, line);
		json_decref(line);
		buf_consume(in, (size_t)end + 1);
	}
}

int control_request(const char *run_folder, const char *command, json_t *arguments,
	control_on_row on_row, void *arg, unsigned timeout_ms, json_t **out_done, struct error *err)
{
	const struct control_command *known = control_command_find(command);
	if (!known)
		return error_set(err, ERR_UNSUPPORTED, TEXT("there is no command \"%s\""), command);
	int fd = connect_to(run_folder, known->role, err);
	if (fd < 0)
		return fd;
	struct outcome o = {.on_row = on_row, .arg = arg, .err = err};
	struct buf in = {.limit = LINE_MAX_OCTETS};
	json_t *none = arguments ? NULL : json_object();
	int result = send_request(fd, command, arguments ? arguments : none);
	json_decref(none);
	if (result)
		result = error_set(err, result, TEXT("cannot send the request"));
	while (!result && !o.ended && (result = read_some(fd, &in, timeout_ms, err)) > 0) {
		take_lines(&o, &in);
		result = 0;
	}
	buf_finish(&in);
	fd_close(&fd);
	if (result < 0) {
		json_decref(o.done);
		return result;
	}
	return finish(&o, out_done);
}

// ---- straight into the handlers
struct local_call {
	struct control_call call;
	struct outcome outcome;
};

static void give_local(struct control_call *call, json_t *line, bool last)
{
	(void)last;
	take_line(&((struct local_call *)call)->outcome, line);
	json_decref(line);
}

static void go_on_local(struct control_call *call, void (*go_on)(void *arg), void *arg)
{
	(void)call;
	go_on(arg);
}

static bool is_gone_local(const struct control_call *call)
{
	(void)call;
	return false;
}

static const struct control_way local_way = {give_local, go_on_local, is_gone_local};

int control_local(uv_loop_t *loop, const struct control_handler *handlers, size_t count, void *handler_arg,
	const char *command, json_t *arguments, control_on_row on_row, void *arg, json_t **out_done,
	struct error *err)
{
	struct local_call call = {
		.call = {.way = &local_way, .uid = getuid(), .right = CONTROL_ADMIN},
		.outcome = {.on_row = on_row, .arg = arg, .err = err},
	};
	control_run(&call.call, handlers, count, handler_arg, command, arguments);
	while (!call.outcome.ended && uv_run(loop, UV_RUN_ONCE))
		;
	return finish(&call.outcome, out_done);
}
