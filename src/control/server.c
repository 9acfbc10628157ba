// SPDX-License-Identifier: ISC
// Serves a control socket on the loop.
#include "control/control_internal.h"

#include "base/event.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/listener.h"
#include "net/stream.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX 64
#define REQUEST_MAX (64u * 1024)
#define REQUEST_TIME_MS 60000
#define ANSWER_MAX (64u * 1024 * 1024) // octets a slow caller may leave unread

struct control_server {
	uv_loop_t *loop;
	struct wheel *wheel;
	struct listener *listener;
	const struct control_handler *handlers;
	size_t count;
	void *arg;
	struct list callers;
	unsigned open;
};

// One connection: one request, its answers.
struct caller {
	struct control_call call; // first: the handler's view of us
	struct list link;
	struct control_server *server;
	struct stream *stream;
	json_t *request;
	bool running;             // a handler has the call
	bool gone;                // the peer left while it had
};

static void caller_destroy(struct caller *c)
{
	list_remove(&c->link);
	c->server->open--;
	json_decref(c->request);
	mem_free(c);
}

static void give(struct control_call *call, json_t *line, bool last)
{
	struct caller *c = (struct caller *)call;
	char *text = c->gone ? NULL : json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (text && stream_unsent(c->stream) < ANSWER_MAX) {
		struct buf *out = stream_output(c->stream);
		buf_add_text(out, text);
		buf_add_char(out, '\n');
		stream_flush(c->stream);
	}
	free(text);
	if (!last)
		return;
	c->running = false;
	if (!c->gone)
		stream_close_after_send(c->stream);
	caller_destroy(c);
}

static void run(struct caller *c, struct str line)
{
	json_error_t where;
	c->running = true;
	c->request = json_loadb(line.data, line.len, 0, &where);
	const char *command = json_string_value(json_object_get(c->request, "command"));
	const json_t *arguments = json_object_get(c->request, "arguments");
	if (!command)
		control_fail(&c->call, "syntax", TEXT("the request is not a command: %s"), where.text);
	else
		control_run(&c->call, c->server->handlers, c->server->count, c->server->arg, command,
			arguments);
}

static size_t on_input(struct stream *s, void *arg, struct str octets)
{
	struct caller *c = arg;
	if (c->running)
		return octets.len; // one request a connection
	ptrdiff_t end = str_find(octets, '\n');
	if (end < 0 && octets.len < REQUEST_MAX)
		return 0;
	stream_set_timeout(s, 0);
	if (end < 0) {
		c->running = true;
		control_fail(&c->call, "limit", TEXT("the request is too long"));
		return octets.len;
	}
	// The call may end, and the caller with it, inside.
	run(c, str_slice(octets, 0, (size_t)end));
	return octets.len;
}

static void on_ended(struct stream *s, void *arg, int err, const char *why)
{
	struct caller *c = arg;
	(void)err;
	(void)why;
	stream_close(s);
	c->gone = true;
	if (!c->running)
		caller_destroy(c);
}

static const struct stream_events events = {.input = on_input, .ended = on_ended};

static void on_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct control_server *s = arg;
	struct ucred who = {0};
	socklen_t size = sizeof who;
	(void)peer;
	(void)port;
	if (s->open >= CALLS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
		close(fd);
		return;
	}
	struct caller *c = mem_alloc(sizeof *c);
	c->call.give = give;
	c->call.uid = who.uid;
	c->server = s;
	list_add_last(&s->callers, &c->link);
	s->open++;
	c->stream = stream_open(s->loop, s->wheel, fd, &events, c);
	stream_set_timeout(c->stream, REQUEST_TIME_MS);
}

struct control_server *control_server_create(uv_loop_t *loop, int listen_fd,
	const struct control_handler *handlers, size_t count, void *arg)
{
	struct control_server *s = mem_alloc(sizeof *s);
	s->loop = loop;
	s->wheel = wheel_create(loop);
	s->handlers = handlers;
	s->count = count;
	s->arg = arg;
	list_init(&s->callers);
	s->listener = listener_start(loop, listen_fd, on_accepted, s);
	if (!s->listener) {
		wheel_destroy(s->wheel);
		mem_free(s);
		return NULL;
	}
	return s;
}

void control_server_destroy(struct control_server *s)
{
	if (!s)
		return;
	listener_stop(s->listener);
	LIST_EACH(link, &s->callers) {
		struct caller *c = LIST_ENTRY(link, struct caller, link);
		if (c->running) {
			// Its handler still has the call; what it says goes nowhere.
			if (!c->gone)
				stream_close(c->stream);
			c->gone = true;
			continue;
		}
		stream_close(c->stream);
		caller_destroy(c);
	}
	wheel_destroy(s->wheel);
	if (s->open == 0)
		mem_free(s);
}
