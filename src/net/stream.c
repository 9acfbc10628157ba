// SPDX-License-Identifier: ISC
// The life of a connection: opening, waiting for the socket, time limits, the end. libuv tells when
// a socket is ready; the octets are moved in stream_io.c. Callbacks are made from the loop only,
// never from inside a call of the owner: what a call finds out is put on the wheel's waiting list.
#include "net/stream.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/stream_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUTPUT_MAX   ((size_t)32 * 1024 * 1024)
#define HANDSHAKE_MS ((uint64_t)60 * 1000) // where the owner set no limit
#define LINGER_MS    ((uint64_t)5 * 1000)

static void socket_ready(uv_poll_t *handle, int status, int events);
static void expired(struct wheel_timer *timer);
static void linger(struct stream *s);

// A pause takes effect when something arrives: most are short, and changing what the loop waits
// for costs system calls.
static bool reads(const struct stream *s)
{
	return !s->paused || (!s->held_back && (s->polled & UV_READABLE));
}

void stream_update_poll(struct stream *s)
{
	int wanted = 0;

	if (!s->has_poll || s->state >= STREAM_ENDED)
		return;
	if (s->state == STREAM_CONNECTING)
		wanted = UV_WRITABLE;
	else if (s->handshaking)
		wanted = s->handshake_wants_write || s->plain_left > 0 ? UV_WRITABLE : UV_READABLE;
	else if (s->state == STREAM_LINGER_WAIT)
		wanted = UV_READABLE;
	else {
		if (s->state == STREAM_OPEN && reads(s))
			wanted |= UV_READABLE | (s->read_wants_write ? UV_WRITABLE : 0);
		if (s->blocked)
			wanted |= s->write_wants_read ? UV_READABLE : UV_WRITABLE;
	}
	if (wanted == s->polled)
		return;
	s->polled = (uint8_t)wanted;
	if (wanted)
		uv_poll_start(&s->poll, wanted, socket_ready);
	else
		uv_poll_stop(&s->poll);
}

void stream_wait_for_turn(struct stream *s)
{
	if (s->state > STREAM_OPEN || !list_empty(&s->link))
		return;
	list_add_last(&s->wheel->waiting, &s->link);
	wheel_wake(s->wheel);
}

// ---- time
static uint64_t time_limit(const struct stream *s)
{
	return s->timeout_ms == 0 && s->handshaking ? HANDSHAKE_MS : s->timeout_ms;
}

// An activity only notes the time; a timer that fires too early is set again.
void stream_arm(struct stream *s)
{
	uint64_t limit = time_limit(s);

	if (s->state != STREAM_OPEN)
		return;
	if (limit == 0)
		wheel_clear(s->wheel, &s->timer);
	else if (s->timer.due_ms == 0 || s->timer.due_ms > s->active_ms + limit)
		wheel_set(s->wheel, &s->timer, limit);
}

void stream_set_timeout(struct stream *s, uint64_t ms)
{
	s->timeout_ms = ms;
	s->active_ms = clock_monotonic_ms();
	stream_arm(s);
}

void stream_set_secret(struct stream *s)
{
	s->secret = true;
}

// ---- the end
static void closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	stream_release_input(s);
	stream_release_output(s);
	mem_free(s);
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	BUG_ON(s->state == STREAM_CLOSED);
	stream_drop_tls(s, s->state == STREAM_OPEN);
	s->state = STREAM_CLOSED;
	wheel_clear(s->wheel, &s->timer);
	list_remove(&s->link);
	mem_free(s->end_why);
	s->end_why = NULL;
	if (s->has_poll) {
		uv_close((uv_handle_t *)&s->poll, closed);
		fd_close(&s->fd);
	} else {
		closed((uv_handle_t *)&s->poll);
	}
}

// Tells the owner, who may close the stream in the callback: nobody looks at it after this but
// to ask for its state, and only when it has a poll handle.
void stream_end(struct stream *s, int err, const char *why)
{
	if (s->state >= STREAM_ENDED)
		return;
	if (s->state == STREAM_LINGER_SEND || s->state == STREAM_LINGER_WAIT) {
		stream_close(s);
		return;
	}
	s->state = STREAM_ENDED;
	if (s->has_poll)
		uv_poll_stop(&s->poll);
	wheel_clear(s->wheel, &s->timer);
	list_remove(&s->link);
	stream_release_output(s);
	s->events->ended(s, s->arg, err, why);
}

void stream_end_later(struct stream *s, int err, const char *why)
{
	if (s->state > STREAM_OPEN || s->end_why)
		return;
	s->end_err = err;
	s->end_why = str_dup(str_from(why));
	stream_wait_for_turn(s);
}

int stream_error_of(int number)
{
	switch (number) {
	case ECONNRESET:
	case EPIPE:
		return ERR_CLOSED;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_SYSTEM;
	}
}

const char *stream_words_of(int number)
{
	switch (number) {
	case 0:
		return TEXT("the other side closed the connection");
	case ECONNRESET:
	case EPIPE:
		return TEXT("the other side reset the connection");
	default:
		return strerror(number);
	}
}

static void expired(struct wheel_timer *timer)
{
	struct stream *s = LIST_ENTRY(timer, struct stream, timer);
	uint64_t limit = time_limit(s);
	uint64_t passed = clock_monotonic_ms() - s->active_ms;
	char why[80];

	if (s->state == STREAM_CONNECTING) {
		stream_end(s, ERR_TIMEOUT, TEXT("no answer to the attempt to connect"));
		return;
	}
	if (s->state != STREAM_OPEN) {
		stream_close(s);
		return;
	}
	if (limit == 0)
		return;
	if (passed < limit) {
		wheel_set(s->wheel, timer, limit - passed);
		return;
	}
	snprintf(why, sizeof(why),
		s->handshaking ? TEXT("no TLS handshake within %u seconds")
			       : TEXT("nothing was received or sent for %u seconds"),
		(unsigned)(limit / 1000));
	stream_end(s, ERR_TIMEOUT, why);
}

// ---- events of the loop
static void finish_connect(struct stream *s)
{
	socklen_t len = sizeof(int);
	int number = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
		number = errno;
	if (number) {
		stream_end(s, stream_error_of(number), stream_words_of(number));
		return;
	}
	s->state = STREAM_OPEN;
	wheel_clear(s->wheel, &s->timer);
	s->active_ms = clock_monotonic_ms();
	stream_arm(s);
	if (buf_len(&s->out) > 0)
		stream_wait_for_turn(s);
	if (s->events->connected)
		s->events->connected(s, s->arg);
}

static void work_open(struct stream *s, bool readable, bool writable)
{
	if (writable || s->write_wants_read) {
		s->blocked = s->write_wants_read = false;
		stream_send(s);
		stream_tell_sent(s);
	}
	if (s->state == STREAM_OPEN && s->handshaking && s->plain_left == 0)
		stream_handshake(s);
	else if (s->state == STREAM_OPEN && !s->handshaking && !s->paused &&
		 (readable || s->read_wants_write))
		stream_read(s);
}

// The poll handle reports an error that stays: while paused nobody would read it.
static void look_for_error(struct stream *s)
{
	socklen_t len = sizeof(int);
	int number = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 && number)
		stream_end(s, stream_error_of(number), stream_words_of(number));
}

static void socket_ready(uv_poll_t *handle, int status, int events)
{
	struct stream *s = handle->data;

	if (status < 0) { // libuv has stopped the handle: find out by trying
		s->polled = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (s->paused && (events & UV_READABLE))
		s->held_back = true;
	if (s->state == STREAM_CONNECTING)
		finish_connect(s);
	else if (s->state == STREAM_LINGER_SEND || s->state == STREAM_LINGER_WAIT)
		linger(s);
	else if (s->state == STREAM_OPEN && status < 0 && s->paused && s->blocked)
		look_for_error(s);
	else if (s->state == STREAM_OPEN)
		work_open(s, events & UV_READABLE, events & UV_WRITABLE);
	stream_update_poll(s);
}

static void run_open(struct stream *s)
{
	if (s->write_failed)
		stream_release_output(s);
	stream_send(s);
	stream_tell_sent(s);
	if (s->state == STREAM_OPEN && s->handshaking && s->plain_left == 0)
		stream_handshake(s);
	if (s->state != STREAM_OPEN || s->handshaking || s->paused || !s->deliver_due)
		return;
	s->deliver_due = false;
	stream_deliver_kept(s);
	if (s->state == STREAM_OPEN && s->secured && !s->paused && SSL_pending(s->ssl) > 0)
		stream_read(s);
}

void stream_run_waiting(struct wheel *w)
{
	struct list now;

	list_init(&now);
	while (!list_empty(&w->waiting)) {
		struct list *item = w->waiting.next;
		list_remove(item);
		list_add_last(&now, item);
	}
	while (!list_empty(&now)) { // any stream may be closed by any callback
		struct stream *s = LIST_ENTRY(now.next, struct stream, link);
		list_remove(&s->link);
		if (s->end_why) {
			char why[256];
			str_copy(str_slice(str_from(s->end_why), 0, sizeof(why) - 1), why,
				sizeof(why));
			stream_end(s, s->end_err, why);
		} else if (s->state == STREAM_OPEN) {
			run_open(s);
			stream_update_poll(s);
		}
	}
}

// ---- the last words
// Sends the rest, then shuts down and reads until the peer has closed too: closing with unread
// octets would make the kernel send a reset that can overtake what we said.
static void linger(struct stream *s)
{
	if (s->state == STREAM_LINGER_SEND) {
		s->blocked = s->write_wants_read = false;
		stream_send(s);
		if (s->blocked)
			return;
		if (s->write_failed) {
			stream_close(s);
			return;
		}
		stream_drop_tls(s, true);
		shutdown(s->fd, SHUT_WR);
		s->state = STREAM_LINGER_WAIT;
		return;
	}
	if (!s->wheel->input)
		s->wheel->input = mem_alloc(STREAM_READ_SIZE);
	ssize_t n = recv(s->fd, s->wheel->input, STREAM_READ_SIZE, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		stream_close(s);
}

void stream_close_after_send(struct stream *s)
{
	if (!s)
		return;
	if (s->state != STREAM_OPEN || s->handshaking || s->write_failed || s->end_why) {
		stream_close(s);
		return;
	}
	s->state = STREAM_LINGER_SEND;
	if (!s->delivering)
		stream_release_input(s);
	list_remove(&s->link);
	list_add_last(&s->wheel->lingering, &s->link);
	wheel_set(s->wheel, &s->timer, LINGER_MS);
	linger(s);
	stream_update_poll(s);
}

void stream_close_lingering(struct wheel *w)
{
	while (!list_empty(&w->lingering))
		stream_close(LIST_ENTRY(w->lingering.next, struct stream, link));
}

// ---- the beginning
static struct stream *create(
	struct wheel *wheel, int fd, const struct stream_events *events, void *arg)
{
	struct stream *s = mem_alloc(sizeof(*s));

	BUG_ON(!wheel);
	s->wheel = wheel;
	s->events = events;
	s->arg = arg;
	s->fd = fd;
	s->poll.data = s;
	s->out.limit = OUTPUT_MAX;
	s->active_ms = clock_monotonic_ms();
	list_init(&s->link);
	wheel_timer_init(&s->timer, expired);
	return s;
}

static void watch(struct stream *s, uv_loop_t *loop)
{
	if (uv_poll_init(loop, &s->poll, s->fd) == 0) {
		s->has_poll = true;
		s->poll.data = s;
		return;
	}
	fd_close(&s->fd); // epoll has no space for it: a system limit
	stream_end_later(s, ERR_SYSTEM, TEXT("the system cannot watch one more connection"));
}

struct stream *stream_open(
	uv_loop_t *loop, struct wheel *wheel, int fd, const struct stream_events *events, void *arg)
{
	struct stream *s = create(wheel, fd, events, arg);
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	int on = 1;

	if (getpeername(fd, (struct sockaddr *)&address, &len) == 0)
		ipaddr_from_sockaddr((struct sockaddr *)&address, &s->peer, &s->peer_port);
	if (s->peer.family)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->state = STREAM_OPEN;
	watch(s, loop);
	stream_update_poll(s);
	return s;
}

// A socket on its way to the address, or -1 with errno.
static int start_connect(const struct ipaddr *to, uint16_t port, const struct ipaddr *source)
{
	int fd = socket(to->family == 6 ? AF_INET6 : AF_INET,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage address;
	socklen_t len;
	int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (source && source->family) {
		len = ipaddr_to_sockaddr(source, 0, &address);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (struct sockaddr *)&address, len) != 0)
			goto failed;
	}
	len = ipaddr_to_sockaddr(to, port, &address);
	if (connect(fd, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS)
		return fd;
failed:
	fd_close(&fd);
	return -1;
}

struct stream *stream_connect(uv_loop_t *loop, struct wheel *wheel, const struct ipaddr *to,
	uint16_t port, const struct ipaddr *source, uint64_t timeout_ms,
	const struct stream_events *events, void *arg)
{
	int fd = start_connect(to, port, source);
	int number = errno;
	struct stream *s = create(wheel, fd, events, arg);

	s->state = STREAM_CONNECTING;
	s->peer = *to;
	s->peer_port = port;
	if (fd < 0) {
		stream_end_later(s, stream_error_of(number), stream_words_of(number));
		return s;
	}
	watch(s, loop);
	stream_update_poll(s);
	wheel_set(wheel, &s->timer, timeout_ms);
	return s;
}

void stream_set_arg(struct stream *s, void *arg)
{
	s->arg = arg;
}

void stream_set_events(struct stream *s, const struct stream_events *events, void *arg)
{
	s->events = events;
	s->arg = arg;
}

void stream_get_peer(const struct stream *s, struct ipaddr *out_addr, uint16_t *out_port)
{
	*out_addr = s->peer;
	*out_port = s->peer_port;
}

void stream_get_local(const struct stream *s, struct ipaddr *out_addr, uint16_t *out_port)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	memset(out_addr, 0, sizeof(*out_addr));
	*out_port = 0;
	if (s->fd >= 0 && getsockname(s->fd, (struct sockaddr *)&address, &len) == 0)
		ipaddr_from_sockaddr((struct sockaddr *)&address, out_addr, out_port);
}
