// SPDX-License-Identifier: ISC
// Connections: libuv tells when a socket is ready; reading, writing and TLS are done here, with one
// read buffer for all streams of a loop. Callbacks are made from the loop only, never from inside a
// call of the owner: what a call finds out is put on the wheel's waiting list.
#include "net/stream.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/net_internal.h"

#include <openssl/err.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLUSH_SIZE (64 * 1024)     // more than this does not wait for the end of the turn
#define OUTPUT_MAX (32 * 1024 * 1024)
#define READS_A_TURN 4
#define TLS_RECORD_MAX 16384
#define HANDSHAKE_MS (60 * 1000)   // where the owner set no limit
#define LINGER_MS (5 * 1000)

enum state {
	CONNECTING,
	OPEN,
	LINGER_SEND, // no owner any more; output is on its way
	LINGER_WAIT, // all sent and shut down; waiting for the peer to close, so that it reads our last words
	ENDED,       // told the owner
	CLOSED,
};

// Small, because there are very many. Owned by the one who opened it until stream_close.
struct stream {
	uv_poll_t poll;
	struct wheel_timer timer;
	struct list link;          // in the wheel's waiting or lingering list
	struct wheel *wheel;
	const struct stream_events *events;
	void *arg;
	SSL *ssl;
	struct buf in;             // what the consumer has left; no memory when empty
	struct buf out;
	uint64_t active_ms;        // last octet in or out
	uint64_t timeout_ms;
	char *end_why;             // ended is due: with these words and end_err
	uint32_t plain_left;       // octets of out that were written before TLS began
	int fd;
	int end_err;
	struct ipaddr peer;
	uint16_t peer_port;
	uint8_t state;
	uint8_t polled;            // what the poll handle waits for now
	bool has_poll : 1;
	bool paused : 1;
	bool blocked : 1;          // the socket takes no more now
	bool write_failed : 1;     // output is dropped; input may still hold the peer's last words
	bool write_wants_read : 1; // of TLS
	bool read_wants_write : 1;
	bool handshaking : 1;
	bool handshake_wants_write : 1;
	bool secured : 1;
	bool delivering : 1;       // the consumer looks at octets now
	bool deliver_due : 1;
	bool sent_due : 1;
};
_Static_assert(sizeof(struct stream) < 512, "a stream is small");

static void socket_ready(uv_poll_t *handle, int status, int events);
static void expired(struct wheel_timer *timer);
static void linger(struct stream *s);

static void update_poll(struct stream *s)
{
	int wanted = 0;

	if (!s->has_poll || s->state >= ENDED)
		return;
	if (s->state == CONNECTING)
		wanted = UV_WRITABLE;
	else if (s->handshaking)
		wanted = s->handshake_wants_write || s->plain_left > 0 ? UV_WRITABLE : UV_READABLE;
	else if (s->state == LINGER_WAIT)
		wanted = UV_READABLE;
	else {
		if (!s->paused && s->state == OPEN)
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

static void wait_for_turn(struct stream *s)
{
	if (s->state > OPEN || !list_empty(&s->link))
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
static void arm(struct stream *s)
{
	uint64_t limit = time_limit(s);

	if (s->state != OPEN)
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
	arm(s);
}

// ---- the end
static void closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	buf_finish(&s->in);
	buf_finish(&s->out);
	mem_free(s);
}

// After a failure in OpenSSL nothing may be sent on the session, not even a goodbye.
static void drop_tls(struct stream *s, bool goodbye)
{
	if (!s->ssl)
		return;
	ERR_clear_error();
	if (goodbye && s->secured && !s->write_failed && buf_len(&s->out) == 0)
		SSL_shutdown(s->ssl);
	ERR_clear_error();
	SSL_free(s->ssl);
	s->ssl = NULL;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	BUG_ON(s->state == CLOSED);
	drop_tls(s, s->state == OPEN);
	s->state = CLOSED;
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
static void end(struct stream *s, int err, const char *why)
{
	if (s->state >= ENDED)
		return;
	if (s->state == LINGER_SEND || s->state == LINGER_WAIT) {
		stream_close(s);
		return;
	}
	s->state = ENDED;
	if (s->has_poll)
		uv_poll_stop(&s->poll);
	wheel_clear(s->wheel, &s->timer);
	list_remove(&s->link);
	buf_release(&s->out);
	s->events->ended(s, s->arg, err, why);
}

static void end_later(struct stream *s, int err, const char *why)
{
	if (s->state > OPEN || s->end_why)
		return;
	s->end_err = err;
	s->end_why = str_dup(str_from(why));
	wait_for_turn(s);
}

static int error_of(int number)
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

static const char *words_of(int number)
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

	if (s->state == CONNECTING) {
		end(s, ERR_TIMEOUT, TEXT("no answer to the attempt to connect"));
		return;
	}
	if (s->state != OPEN) {
		stream_close(s);
		return;
	}
	if (limit == 0)
		return;
	if (passed < limit) {
		wheel_set(s->wheel, timer, limit - passed);
		return;
	}
	snprintf(why, sizeof(why), s->handshaking ? TEXT("no TLS handshake within %u seconds") :
		TEXT("nothing was received or sent for %u seconds"), (unsigned)(limit / 1000));
	end(s, ERR_TIMEOUT, why);
}

// ---- writing
static bool output_is_plain(const struct stream *s)
{
	return !s->ssl || s->plain_left > 0;
}

static size_t sendable(const struct stream *s)
{
	if (s->handshaking)
		return s->plain_left;
	return buf_len(&s->out);
}

static void drop_output(struct stream *s)
{
	s->blocked = false;
	s->write_failed = true;
	s->plain_left = 0;
	buf_release(&s->out);
}

static void write_failed(struct stream *s, int err, const char *why)
{
	drop_output(s);
	// On a plain connection the peer's last words and its end are still to be read.
	if (s->ssl || s->paused)
		end_later(s, err, why);
}

static ssize_t write_plain(struct stream *s, const char *data, size_t len)
{
	ssize_t n;

	do
		n = send(s->fd, data, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		s->blocked = true;
	else
		write_failed(s, error_of(errno), words_of(errno));
	return 0;
}

static ssize_t write_tls(struct stream *s, const char *data, size_t len)
{
	char why[256];
	int number;

	ERR_clear_error();
	errno = 0;
	int n = SSL_write(s->ssl, data, len > INT32_MAX ? INT32_MAX : (int)len);
	if (n > 0)
		return n;
	number = errno;
	switch (SSL_get_error(s->ssl, n)) {
	case SSL_ERROR_WANT_WRITE:
		s->blocked = true;
		break;
	case SSL_ERROR_WANT_READ:
		s->blocked = s->write_wants_read = true;
		break;
	case SSL_ERROR_SYSCALL:
		write_failed(s, number ? error_of(number) : ERR_CLOSED, words_of(number));
		break;
	default:
		tls_describe_failure(s->ssl, SSL_ERROR_SSL, why, sizeof(why));
		write_failed(s, ERR_TLS, why);
	}
	return 0;
}

// Makes no callback.
static void flush(struct stream *s)
{
	while (sendable(s) > 0 && !s->blocked) {
		const char *data = buf_str(&s->out).data;
		size_t len = s->plain_left > 0 ? s->plain_left : buf_len(&s->out);
		ssize_t n = output_is_plain(s) ? write_plain(s, data, len) : write_tls(s, data, len);
		if (n == 0)
			break;
		if (s->plain_left > 0)
			s->plain_left -= (uint32_t)n;
		s->active_ms = clock_monotonic_ms();
		buf_consume(&s->out, (size_t)n);
		s->sent_due = true;
	}
	if (buf_len(&s->out) == 0)
		buf_release(&s->out); // an idle stream holds no memory
}

// May be the end of the stream.
static void tell_sent(struct stream *s)
{
	if (!s->sent_due || buf_len(&s->out) > 0 || s->state != OPEN)
		return;
	s->sent_due = false;
	if (s->events->sent)
		s->events->sent(s, s->arg);
}

struct buf *stream_output(struct stream *s)
{
	wait_for_turn(s);
	return &s->out;
}

void stream_flush(struct stream *s)
{
	if (s->write_failed)
		buf_release(&s->out);
	if (s->state == OPEN && !s->handshaking && buf_len(&s->out) > FLUSH_SIZE) {
		flush(s);
		update_poll(s);
	}
	wait_for_turn(s);
}

size_t stream_unsent(const struct stream *s)
{
	return buf_len(&s->out);
}

// ---- reading
// Each gives the octets that were read, 0 for none now; -1 after the stream has ended.
static ssize_t read_plain(struct stream *s, char *to, size_t space, bool *more)
{
	ssize_t n;

	do
		n = recv(s->fd, to, space, 0);
	while (n < 0 && errno == EINTR);
	*more = n == (ssize_t)space;
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	int number = n == 0 ? 0 : errno;
	end(s, number ? error_of(number) : ERR_CLOSED, words_of(number));
	return -1;
}

static ssize_t tls_read_failed(struct stream *s, int result, int number)
{
	char why[256];

	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_WANT_WRITE:
		s->read_wants_write = true;
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		end(s, ERR_CLOSED, words_of(0));
		return -1;
	case SSL_ERROR_SYSCALL:
		s->write_failed = true;
		end(s, number ? error_of(number) : ERR_CLOSED, words_of(number));
		return -1;
	default:
		s->write_failed = true;
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
			ERR_clear_error();
			end(s, ERR_CLOSED, words_of(0));
		} else {
			tls_describe_failure(s->ssl, SSL_ERROR_SSL, why, sizeof(why));
			end(s, ERR_TLS, why);
		}
		return -1;
	}
}

// OpenSSL gives a record at a time; many large ones are gathered for the consumer.
static ssize_t read_tls(struct stream *s, char *to, size_t space, bool *more)
{
	size_t total = 0;
	int n;

	s->read_wants_write = false;
	*more = false;
	do {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(s->ssl, to + total, (int)(space - total));
		if (n <= 0)
			return total > 0 ? (ssize_t)total : tls_read_failed(s, n, errno);
		total += (size_t)n;
	} while ((n > TLS_RECORD_MAX / 2 && space - total >= TLS_RECORD_MAX) ||
		(SSL_pending(s->ssl) > 0 && total < space));
	*more = SSL_pending(s->ssl) > 0;
	return (ssize_t)total;
}

// Keeps what the consumer has left of octets, which are either s->in's or fresh.
static void keep_rest(struct stream *s, struct str octets, size_t used, bool fresh)
{
	BUG_ON(used > octets.len);
	if (s->handshaking) // TLS began in the callback: the rest came without protection
		used = octets.len;
	if (!fresh)
		buf_consume(&s->in, used);
	else if (used < octets.len)
		buf_add_str(&s->in, str_skip(octets, used));
	if (buf_len(&s->in) == 0)
		buf_release(&s->in);
}

static void deliver(struct stream *s, struct str octets, bool fresh)
{
	s->delivering = true;
	size_t used = s->events->input(s, s->arg, octets);
	s->delivering = false;
	if (s->state == OPEN)
		keep_rest(s, octets, used, fresh);
	else if (s->state == LINGER_SEND || s->state == LINGER_WAIT)
		buf_release(&s->in);
}

static void deliver_kept(struct stream *s)
{
	if (buf_len(&s->in) > 0)
		deliver(s, buf_str(&s->in), false);
}

// Returns false when nothing more should be read in this turn.
static bool read_once(struct stream *s)
{
	size_t kept = buf_len(&s->in);
	size_t space = STREAM_READ_SIZE;
	bool more;

	if (kept >= STREAM_INPUT_MAX) {
		end(s, ERR_LIMIT, TEXT("more octets arrived than can be held"));
		return false;
	}
	if (space > STREAM_INPUT_MAX - kept)
		space = STREAM_INPUT_MAX - kept;
	if (!s->wheel->input)
		s->wheel->input = mem_alloc(STREAM_READ_SIZE);
	char *to = s->wheel->input;
	ssize_t n = s->ssl ? read_tls(s, to, space, &more) : read_plain(s, to, space, &more);
	if (n <= 0)
		return false;
	s->active_ms = clock_monotonic_ms();
	if (kept > 0) {
		buf_add(&s->in, to, (size_t)n);
		deliver_kept(s);
	} else {
		deliver(s, str_make(to, (size_t)n), true);
	}
	return more && s->state == OPEN && !s->paused && !s->handshaking;
}

static void read_input(struct stream *s)
{
	for (unsigned i = 0; i < READS_A_TURN; i++)
		if (!read_once(s))
			return;
	if (s->ssl && SSL_pending(s->ssl) > 0) { // the socket would not tell of these
		s->deliver_due = true;
		wait_for_turn(s);
	}
}

void stream_pause(struct stream *s, bool paused)
{
	if (s->paused == paused || s->state > OPEN)
		return;
	s->paused = paused;
	if (!paused)
		stream_resume_input(s);
	update_poll(s);
}

void stream_resume_input(struct stream *s)
{
	s->deliver_due = true;
	wait_for_turn(s);
}

bool stream_has_input(struct stream *s)
{
	char octet;

	if (buf_len(&s->in) > 0 || (s->secured && s->ssl && SSL_pending(s->ssl) > 0))
		return true;
	return s->fd >= 0 && s->state == OPEN && recv(s->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// ---- TLS
static void handshake(struct stream *s)
{
	char why[256];

	ERR_clear_error();
	errno = 0;
	int result = SSL_do_handshake(s->ssl);
	if (result == 1) {
		s->handshaking = s->handshake_wants_write = false;
		s->secured = true;
		s->active_ms = clock_monotonic_ms();
		arm(s);
		if (buf_len(&s->out) > 0)
			wait_for_turn(s);
		if (s->events->secured)
			s->events->secured(s, s->arg);
		return;
	}
	int error = SSL_get_error(s->ssl, result);
	s->handshake_wants_write = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return;
	s->write_failed = true;
	tls_describe_failure(s->ssl, error, why, sizeof(why));
	end(s, ERR_TLS, why);
}

size_t stream_start_tls(struct stream *s, SSL *ssl, bool server)
{
	size_t dropped = s->delivering ? 0 : buf_len(&s->in);

	BUG_ON(s->ssl);
	if (s->state != OPEN) {
		SSL_free(ssl);
		return 0;
	}
	flush(s);
	if (!s->delivering)
		buf_release(&s->in);
	if (SSL_set_fd(ssl, s->fd) != 1)
		fatal("out of memory (a TLS session)");
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	s->ssl = ssl;
	s->plain_left = (uint32_t)buf_len(&s->out);
	s->handshaking = true;
	s->active_ms = clock_monotonic_ms();
	arm(s);
	wait_for_turn(s);
	update_poll(s);
	return dropped;
}

bool stream_is_tls(const struct stream *s)
{
	return s->secured;
}

SSL *stream_ssl(const struct stream *s)
{
	return s->ssl;
}

// ---- events of the loop
static void finish_connect(struct stream *s)
{
	socklen_t len = sizeof(int);
	int number = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
		number = errno;
	if (number) {
		end(s, error_of(number), words_of(number));
		return;
	}
	s->state = OPEN;
	wheel_clear(s->wheel, &s->timer);
	s->active_ms = clock_monotonic_ms();
	arm(s);
	if (buf_len(&s->out) > 0)
		wait_for_turn(s);
	if (s->events->connected)
		s->events->connected(s, s->arg);
}

static void work_open(struct stream *s, bool readable, bool writable)
{
	if (writable || s->write_wants_read) {
		s->blocked = s->write_wants_read = false;
		flush(s);
		tell_sent(s);
	}
	if (s->state == OPEN && s->handshaking && s->plain_left == 0)
		handshake(s);
	else if (s->state == OPEN && !s->handshaking && !s->paused &&
		(readable || s->read_wants_write))
		read_input(s);
}

// The poll handle reports an error that stays: while paused nobody would read it.
static void look_for_error(struct stream *s)
{
	socklen_t len = sizeof(int);
	int number = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 && number)
		end(s, error_of(number), words_of(number));
}

static void socket_ready(uv_poll_t *handle, int status, int events)
{
	struct stream *s = handle->data;

	if (status < 0) { // libuv has stopped the handle: find out by trying
		s->polled = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (s->state == CONNECTING)
		finish_connect(s);
	else if (s->state == LINGER_SEND || s->state == LINGER_WAIT)
		linger(s);
	else if (s->state == OPEN && status < 0 && s->paused)
		look_for_error(s);
	else if (s->state == OPEN)
		work_open(s, events & UV_READABLE, events & UV_WRITABLE);
	update_poll(s);
}

static void run_open(struct stream *s)
{
	if (s->write_failed)
		buf_release(&s->out);
	flush(s);
	tell_sent(s);
	if (s->state == OPEN && s->handshaking && s->plain_left == 0)
		handshake(s);
	if (s->state != OPEN || s->handshaking || s->paused || !s->deliver_due)
		return;
	s->deliver_due = false;
	deliver_kept(s);
	if (s->state == OPEN && s->secured && !s->paused && SSL_pending(s->ssl) > 0)
		read_input(s);
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
			str_copy(str_slice(str_from(s->end_why), 0, sizeof(why) - 1), why, sizeof(why));
			end(s, s->end_err, why);
		} else if (s->state == OPEN) {
			run_open(s);
			update_poll(s);
		}
	}
}

// ---- the last words
// Sends the rest, then shuts down and reads until the peer has closed too: closing with unread
// octets would make the kernel send a reset that can overtake what we said.
static void linger(struct stream *s)
{
	if (s->state == LINGER_SEND) {
		s->blocked = s->write_wants_read = false;
		flush(s);
		if (s->blocked)
			return;
		if (s->write_failed) {
			stream_close(s);
			return;
		}
		drop_tls(s, true);
		shutdown(s->fd, SHUT_WR);
		s->state = LINGER_WAIT;
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
	if (s->state != OPEN || s->handshaking || s->write_failed || s->end_why) {
		stream_close(s);
		return;
	}
	s->state = LINGER_SEND;
	if (!s->delivering)
		buf_release(&s->in);
	list_remove(&s->link);
	list_add_last(&s->wheel->lingering, &s->link);
	wheel_set(s->wheel, &s->timer, LINGER_MS);
	linger(s);
	update_poll(s);
}

void stream_close_lingering(struct wheel *w)
{
	while (!list_empty(&w->lingering))
		stream_close(LIST_ENTRY(w->lingering.next, struct stream, link));
}

// ---- the beginning
static struct stream *create(struct wheel *wheel, int fd, const struct stream_events *events, void *arg)
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
	end_later(s, ERR_SYSTEM, TEXT("the system cannot watch one more connection"));
}

struct stream *stream_open(uv_loop_t *loop, struct wheel *wheel, int fd,
	const struct stream_events *events, void *arg)
{
	struct stream *s = create(wheel, fd, events, arg);
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	int on = 1;

	if (getpeername(fd, (struct sockaddr *)&address, &len) == 0)
		ipaddr_from_sockaddr((struct sockaddr *)&address, &s->peer, &s->peer_port);
	if (s->peer.family)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->state = OPEN;
	watch(s, loop);
	update_poll(s);
	return s;
}

// A socket on its way to the address, or -1 with errno.
static int start_connect(const struct ipaddr *to, uint16_t port, const struct ipaddr *source)
{
	int fd = socket(to->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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

	s->state = CONNECTING;
	s->peer = *to;
	s->peer_port = port;
	if (fd < 0) {
		end_later(s, error_of(number), words_of(number));
		return s;
	}
	watch(s, loop);
	update_poll(s);
	wheel_set(wheel, &s->timer, timeout_ms);
	return s;
}

void stream_set_arg(struct stream *s, void *arg)
{
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
