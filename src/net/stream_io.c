// SPDX-License-Identifier: ISC
// The octets of a connection: reading, writing and TLS, with one read buffer for all streams of a
// loop. Its life is in stream.c.
#include "net/stream.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/stream_internal.h"

#include <openssl/err.h>

#include <errno.h>
#include <sys/socket.h>

#define FLUSH_SIZE     ((size_t)64 * 1024) // more than this does not wait for the end of the turn
#define READS_A_TURN   4
#define TLS_RECORD_MAX 16384

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

void stream_release_output(struct stream *s)
{
	if (s->secret && s->out.data)
		mem_wipe(s->out.data, s->out.size);
	buf_release(&s->out);
}

void stream_drop_output(struct stream *s)
{
	s->blocked = false;
	s->write_failed = true;
	s->plain_left = 0;
	stream_release_output(s);
}

static void write_failed(struct stream *s, int err, const char *why)
{
	stream_drop_output(s);
	// On a plain connection the peer's last words and its end are still to be read.
	if (s->ssl || s->paused)
		stream_end_later(s, err, why);
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
		write_failed(s, stream_error_of(errno), stream_words_of(errno));
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
		write_failed(
			s, number ? stream_error_of(number) : ERR_CLOSED, stream_words_of(number));
		break;
	default:
		tls_describe_failure(s->ssl, SSL_ERROR_SSL, why, sizeof(why));
		write_failed(s, ERR_TLS, why);
	}
	return 0;
}

// Makes no callback.
void stream_send(struct stream *s)
{
	while (sendable(s) > 0 && !s->blocked) {
		const char *data = buf_str(&s->out).data;
		size_t len = s->plain_left > 0 ? s->plain_left : buf_len(&s->out);
		ssize_t n =
			output_is_plain(s) ? write_plain(s, data, len) : write_tls(s, data, len);
		if (n == 0)
			break;
		if (s->plain_left > 0)
			s->plain_left -= (uint32_t)n;
		s->active_ms = clock_monotonic_ms();
		if (s->secret)
			mem_wipe((char *)data, (size_t)n);
		buf_consume(&s->out, (size_t)n);
		s->sent_due = true;
	}
	if (buf_len(&s->out) == 0)
		stream_release_output(s); // an idle stream holds no memory
}

// May be the end of the stream.
void stream_tell_sent(struct stream *s)
{
	if (!s->sent_due || buf_len(&s->out) > 0 || s->state != STREAM_OPEN)
		return;
	s->sent_due = false;
	if (s->events->sent)
		s->events->sent(s, s->arg);
}

struct buf *stream_output(struct stream *s)
{
	stream_wait_for_turn(s);
	return &s->out;
}

void stream_flush(struct stream *s)
{
	if (s->write_failed)
		stream_release_output(s);
	if (s->state == STREAM_OPEN && !s->handshaking && buf_len(&s->out) > FLUSH_SIZE) {
		stream_send(s);
		stream_update_poll(s);
	}
	stream_wait_for_turn(s);
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
	stream_end(s, number ? stream_error_of(number) : ERR_CLOSED, stream_words_of(number));
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
		stream_end(s, ERR_CLOSED, stream_words_of(0));
		return -1;
	case SSL_ERROR_SYSCALL:
		s->write_failed = true;
		stream_end(
			s, number ? stream_error_of(number) : ERR_CLOSED, stream_words_of(number));
		return -1;
	default:
		s->write_failed = true;
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
			ERR_clear_error();
			stream_end(s, ERR_CLOSED, stream_words_of(0));
		} else {
			tls_describe_failure(s->ssl, SSL_ERROR_SSL, why, sizeof(why));
			stream_end(s, ERR_TLS, why);
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

// What came may hold a password; nothing of it stays in memory that is given back.
void stream_release_input(struct stream *s)
{
	if (s->in.data)
		mem_wipe(s->in.data, s->in.end);
	buf_release(&s->in);
}

// Keeps what the consumer has left of octets, which are either s->in's or fresh.
static void keep_rest(struct stream *s, struct str octets, size_t used, bool fresh)
{
	BUG_ON(used > octets.len);
	if (s->handshaking) // TLS began in the callback: the rest came without protection
		used = octets.len;
	if (!fresh && used == buf_len(&s->in))
		stream_release_input(s);
	else if (!fresh)
		buf_consume(&s->in, used);
	else if (used < octets.len)
		buf_add_str(&s->in, str_skip(octets, used));
	if (buf_len(&s->in) == 0)
		stream_release_input(s);
}

static void deliver(struct stream *s, struct str octets, bool fresh)
{
	s->delivering = true;
	size_t used = s->events->input(s, s->arg, octets);
	s->delivering = false;
	if (s->state == STREAM_OPEN)
		keep_rest(s, octets, used, fresh);
	else if (s->state == STREAM_LINGER_SEND || s->state == STREAM_LINGER_WAIT)
		stream_release_input(s);
}

void stream_deliver_kept(struct stream *s)
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
		stream_end(s, ERR_LIMIT, TEXT("more octets arrived than can be held"));
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
		stream_deliver_kept(s);
	} else {
		deliver(s, str_make(to, (size_t)n), true);
	}
	mem_wipe(to, (size_t)n);
	return more && s->state == STREAM_OPEN && !s->paused && !s->handshaking;
}

void stream_read(struct stream *s)
{
	for (unsigned i = 0; i < READS_A_TURN; i++)
		if (!read_once(s))
			return;
	if (s->ssl && SSL_pending(s->ssl) > 0) { // the socket would not tell of these
		s->deliver_due = true;
		stream_wait_for_turn(s);
	}
}

void stream_pause(struct stream *s, bool paused)
{
	if (s->paused == paused || s->state > STREAM_OPEN)
		return;
	s->paused = paused;
	s->held_back = false;
	if (!paused)
		stream_resume_input(s);
	stream_update_poll(s);
}

void stream_resume_input(struct stream *s)
{
	s->deliver_due = true;
	stream_wait_for_turn(s);
}

bool stream_has_input(struct stream *s)
{
	char octet;

	if (buf_len(&s->in) > 0 || (s->secured && s->ssl && SSL_pending(s->ssl) > 0))
		return true;
	return s->fd >= 0 && s->state == STREAM_OPEN &&
	       recv(s->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// ---- TLS
void stream_handshake(struct stream *s)
{
	char why[256];

	ERR_clear_error();
	errno = 0;
	int result = SSL_do_handshake(s->ssl);
	if (result == 1) {
		s->handshaking = s->handshake_wants_write = false;
		s->secured = true;
		s->active_ms = clock_monotonic_ms();
		stream_arm(s);
		if (buf_len(&s->out) > 0)
			stream_wait_for_turn(s);
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
	stream_end(s, ERR_TLS, why);
}

size_t stream_start_tls(struct stream *s, SSL *ssl, bool server)
{
	size_t dropped = s->delivering ? 0 : buf_len(&s->in);

	BUG_ON(s->ssl);
	if (s->state != STREAM_OPEN) {
		SSL_free(ssl);
		return 0;
	}
	stream_send(s);
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
	stream_arm(s);
	stream_wait_for_turn(s);
	stream_update_poll(s);
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

// After a failure in OpenSSL nothing may be sent on the session, not even a goodbye.
void stream_drop_tls(struct stream *s, bool goodbye)
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
