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
#define ANSWER_TIME_MS 600000          // for a caller that reads nothing, such as a pager
#define ANSWER_MAX (16u * 1024 * 1024) // octets a slow caller may leave unread
#define BEHIND (1024u * 1024)          // more than this, and a long answer waits

struct control_server {
	uv_loop_t *loop;
	struct wheel *wheel;
	struct listener *listener;
	const struct control_handler *handlers;
	size_t count;
	void *arg;
	struct list callers;
	unsigned open;
	unsigned group;           // that is admitted
	bool destroyed;           // the memory goes with the last caller
};

// One connection: one request, its answers.
struct caller {
	struct control_call call; // first: the handler's view of us
	struct list link;
	struct control_server *server;
	struct stream *stream;
	json_t *request;
	void (*go_on)(void *arg); // of the handler, when enough was read
	void *go_on_arg;
	bool running;             // a handler has the call
	bool answered;            // all was said, some of it is still to be sent
	bool cut;                 // the answer ended before its time
	bool gone;                // the peer left while a handler had the call
};

static void caller_destroy(struct caller *c)
{
	struct control_server *s = c->server;
	list_remove(&c->link);
	control_wipe(c->request);
	json_decref(c->request);
	mem_free(c);
	if (--s->open == 0 && s->destroyed)
		mem_free(s);
}

static void send_text(struct caller *c, const char *text)
{
	struct buf *out = stream_output(c->stream);
	// Both or none: half a line would spoil the next one.
	if (buf_len(out) + strlen(text) >= ANSWER_MAX)
		c->cut = true;
	else if (!buf_add_text(out, text))
		(void)buf_add_char(out, '\n');
	stream_flush(c->stream);
}

static void send_line(struct caller *c, json_t *line)
{
	if (c->gone || c->cut)
		return;
	char *text = json_dumps(line, JSON_COMPACT);
	if (!text)
		fatal("out of memory");
	send_text(c, text);
	free(text);
	if (!c->cut)
		return;
	// There is room for this one: the bound of a stream is twice ours.
	struct buf *out = stream_output(c->stream);
	json_t *last = control_line_error("limit", TEXT("the answer is longer than its reader takes"));
	text = json_dumps(last, JSON_COMPACT);
	if (text && !buf_add_text(out, text))
		(void)buf_add_char(out, '\n');
	free(text);
	json_decref(last);
	stream_flush(c->stream);
}

static void give(struct control_call *call, json_t *line, bool last)
{
	struct caller *c = (struct caller *)call;
	send_line(c, line);
	json_decref(line);
	if (!last)
		return;
	c->running = false;
	if (!c->gone && stream_unsent(c->stream) > 0) {
		c->answered = true; // on_sent ends it
		return;
	}
	if (!c->gone)
		stream_close_after_send(c->stream);
	caller_destroy(c);
}

static void run_go_on(struct caller *c)
{
	void (*go_on)(void *arg) = c->go_on;
	c->go_on = NULL;
	if (go_on)
		go_on(c->go_on_arg);
}

static void when_read(struct control_call *call, void (*go_on)(void *arg), void *arg)
{
	struct caller *c = (struct caller *)call;
	if (c->gone || c->cut || stream_unsent(c->stream) < BEHIND) {
		go_on(arg);
		return;
	}
	c->go_on = go_on;
	c->go_on_arg = arg;
}

static bool is_gone(const struct control_call *call)
{
	const struct caller *c = (const struct caller *)call;
	return c->gone || c->cut;
}

static const struct control_way way = {give, when_read, is_gone};

// ---- requests
static void run(struct caller *c, struct str line)
{
	json_error_t where;
	c->running = true;
	c->request = json_loadb(line.data, line.len, 0, &where);
	const char *command = json_string_value(json_object_get(c->request, "command"));
	const json_t *arguments = json_object_get(c->request, "arguments");
	const json_t *version = json_object_get(c->request, "version");
	if (!c->request)
		control_fail(&c->call, "syntax", TEXT("the request is no JSON: %s"), where.text);
	else if (!command || !json_is_integer(version))
		control_fail(&c->call, "syntax", "%s", TEXT("the request is not a command with a version"));
	else if (json_integer_value(version) != CONTROL_VERSION)
		control_fail(&c->call, "unknown",
			TEXT("the server speaks version %d of the control protocol, the caller %lld"),
			CONTROL_VERSION, (long long)json_integer_value(version));
	else
		control_run(&c->call, c->server->handlers, c->server->count, c->server->arg, command,
			arguments);
}

static size_t on_input(struct stream *s, void *arg, struct str octets)
{
	struct caller *c = arg;
	ptrdiff_t end = str_find(octets, '\n');
	if (end < 0 && octets.len < REQUEST_MAX)
		return 0;
	// One request a connection. A caller that has closed its half still gets the answer.
	stream_pause(s, true);
	stream_set_timeout(s, ANSWER_TIME_MS);
	// The call may end, and the caller with it, inside.
	if (end < 0 || end >= (ptrdiff_t)REQUEST_MAX) {
		c->running = true;
		control_fail(&c->call, "limit", "%s", TEXT("the request is too long"));
	} else {
		run(c, str_slice(octets, 0, (size_t)end));
	}
	return octets.len;
}

static void on_sent(struct stream *s, void *arg)
{
	struct caller *c = arg;
	if (c->answered) {
		stream_close_after_send(s);
		caller_destroy(c);
		return;
	}
	run_go_on(c);
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
	else
		run_go_on(c);
}

static const struct stream_events events = {.input = on_input, .sent = on_sent, .ended = on_ended};

// ---- callers
// One line and the end, for whom there is no caller.
static void turn_away(int fd)
{
	json_t *line = control_line_error("busy", TEXT("too many callers at once; try again"));
	char *text = json_dumps(line, JSON_COMPACT);
	struct buf octets = BUF_INIT;
	if (text && !buf_add_format(&octets, "%s\n", text))
		(void)!send(fd, buf_str(&octets).data, buf_len(&octets), MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_finish(&octets);
	free(text);
	json_decref(line);
	close(fd);
}

static void on_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct control_server *s = arg;
	struct control_call who;
	(void)peer;
	(void)port;
	if (s->open >= CALLS_MAX || control_peer_look(fd, s->group, &who)) {
		turn_away(fd);
		return;
	}
	struct caller *c = mem_alloc(sizeof *c);
	c->call = who;
	c->call.way = &way;
	c->server = s;
	list_add_last(&s->callers, &c->link);
	s->open++;
	c->stream = stream_open(s->loop, s->wheel, fd, &events, c);
	stream_set_timeout(c->stream, REQUEST_TIME_MS);
}

// ---- the server
struct control_server *control_server_create(uv_loop_t *loop, int listen_fd,
	const struct control_handler *handlers, size_t count, void *arg)
{
	struct control_server *s = mem_alloc(sizeof *s);
	s->loop = loop;
	s->wheel = wheel_create(loop);
	s->handlers = handlers;
	s->count = count;
	s->arg = arg;
	s->group = CONTROL_NO_GROUP;
	list_init(&s->callers);
	s->listener = listener_start(loop, listen_fd, on_accepted, s);
	return s;
}

void control_server_admit(struct control_server *s, unsigned group)
{
	s->group = group;
}

// What its handler says after this goes nowhere.
static void send_off(struct caller *c)
{
	if (!c->gone && !c->answered) {
		json_t *line = control_line_error("busy", TEXT("the server is shutting down"));
		send_line(c, line);
		json_decref(line);
	}
	if (!c->gone)
		stream_close_after_send(c->stream);
	c->gone = true;
	if (!c->running)
		caller_destroy(c);
	else
		run_go_on(c);
}

void control_server_destroy(struct control_server *s)
{
	if (!s)
		return;
	s->open++; // ours, so that it is there until the end
	listener_stop(s->listener);
	LIST_EACH(link, &s->callers)
		send_off(LIST_ENTRY(link, struct caller, link));
	wheel_destroy(s->wheel);
	s->destroyed = true;
	if (--s->open == 0)
		mem_free(s);
}
