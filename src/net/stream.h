// SPDX-License-Identifier: ISC
// A non-blocking TCP or Unix connection with optional TLS, on a libuv loop: octets in by
// callback, octets out through a bounded buffer. An idle stream holds no buffer.
#ifndef PABAL_NET_STREAM_H
#define PABAL_NET_STREAM_H

#include "base/buf.h"
#include "net/tls.h"
#include "net/wheel.h"

#include <uv.h>

struct stream;

// Every callback comes from the loop, never from inside a call of the owner, who may close the
// stream in each of them.
struct stream_events {
	// Octets arrived; returns how many were used. What is left is given again with the next
	// octets, at most STREAM_INPUT_MAX are kept: a consumer that uses nothing of a full buffer
	// is closed by ERR_LIMIT. One that waits for something pauses the stream, so that what the
	// peer sent before it closed is not lost with the connection.
	size_t (*input)(struct stream *s, void *arg, struct str octets);
	void (*sent)(struct stream *s, void *arg);           // everything written has left (may be NULL)
	void (*secured)(struct stream *s, void *arg);        // TLS handshake is done
	void (*connected)(struct stream *s, void *arg);      // of stream_connect
	// The connection ended: ERR_CLOSED (peer closed), ERR_TIMEOUT, ERR_TLS, ERR_SYSTEM, ERR_LIMIT; why
	// is one line. Called once, not after stream_close by us; the stream still must be closed.
	void (*ended)(struct stream *s, void *arg, int err, const char *why);
};

#define STREAM_INPUT_MAX ((size_t)128 * 1024)

// Takes the connected socket fd. The wheel is that of the loop and must outlive the stream.
struct stream *stream_open(uv_loop_t *loop, struct wheel *wheel, int fd,
	const struct stream_events *events, void *arg);
// Starts connecting; source may have family 0. Returns at once; connected or ended follows.
struct stream *stream_connect(uv_loop_t *loop, struct wheel *wheel, const struct ipaddr *to,
	uint16_t port, const struct ipaddr *source, uint64_t timeout_ms,
	const struct stream_events *events, void *arg);
// No callback after this. Octets not yet sent are dropped. Memory is freed from the loop.
void stream_close(struct stream *s);
// Sends what is waiting, shuts TLS and the socket down, then closes; bounded by 5 s. No callbacks.
void stream_close_after_send(struct stream *s);
// What is sent is a secret: it is wiped where it waited, as all input is.
void stream_set_secret(struct stream *s);
void stream_set_arg(struct stream *s, void *arg);
// Another owner from now on, also from inside a callback of the one before.
void stream_set_events(struct stream *s, const struct stream_events *events, void *arg);

// The output buffer: add octets, then stream_flush. Sent at the latest when the loop turns, so that
// the answers of one turn leave together. Adding gives ERR_LIMIT when 32 MiB wait: look at
// stream_unsent before adding much.
struct buf *stream_output(struct stream *s);
void stream_flush(struct stream *s);
size_t stream_unsent(const struct stream *s);
// While paused nothing is read (back-pressure), the peer is not noticed as gone. Going on gives kept
// input again, as stream_resume_input.
void stream_pause(struct stream *s, bool paused);
// Gives buffered and unread input to the consumer again (after it had used nothing while it waited).
void stream_resume_input(struct stream *s);
// True when octets of the peer wait, read or not: an early talker.
bool stream_has_input(struct stream *s);
// Ends the stream with ERR_TIMEOUT when no octets were read or written for that long; 0: no limit.
void stream_set_timeout(struct stream *s, uint64_t ms);

// Starts TLS; takes ssl. What is in the output buffer is sent before it in plain text, what is added
// later goes through TLS. Plain octets that were received but not used are dropped (RFC 3207 4.2;
// returns how many; inside the input callback 0, as only the callback knows what it will use).
// Handshake failure ends the stream with ERR_TLS and words; it takes at most the time limit of the
// stream, 60 s where none is set.
size_t stream_start_tls(struct stream *s, SSL *ssl, bool server);
bool stream_is_tls(const struct stream *s);
SSL *stream_ssl(const struct stream *s); // NULL when plain
void stream_get_peer(const struct stream *s, struct ipaddr *out_addr, uint16_t *out_port);
void stream_get_local(const struct stream *s, struct ipaddr *out_addr, uint16_t *out_port);

#endif
