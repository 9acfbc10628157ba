// SPDX-License-Identifier: ISC
// The struct of a stream, for stream.c (its life) and stream_io.c (its octets). No other file looks
// into it.
#ifndef PABAL_NET_STREAM_INTERNAL_H
#define PABAL_NET_STREAM_INTERNAL_H

#include "base/ipaddr.h"
#include "net/net_internal.h"
#include "net/stream.h"

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_LINGER_SEND, // no owner any more; output is on its way
	STREAM_LINGER_WAIT, // all sent and shut down; waiting for the peer to close, so that it
			    // reads our last words
	STREAM_ENDED,	    // told the owner
	STREAM_CLOSED,
};

// Small, because there are very many. Owned by the one who opened it until stream_close.
struct stream {
	uv_poll_t poll;
	struct wheel_timer timer;
	struct list link; // in the wheel's waiting or lingering list
	struct wheel *wheel;
	const struct stream_events *events;
	void *arg;
	SSL *ssl;
	struct buf in; // what the consumer has left; no memory when empty
	struct buf out;
	uint64_t active_ms; // last octet in or out
	uint64_t timeout_ms;
	char *end_why;	     // ended is due: with these words and end_err
	uint32_t plain_left; // octets of out that were written before TLS began
	int fd;
	int end_err;
	struct ipaddr peer;
	uint16_t peer_port;
	uint8_t state;
	uint8_t polled; // what the poll handle waits for now
	bool has_poll : 1;
	bool paused : 1;
	bool held_back : 1;	   // something arrived in the pause
	bool blocked : 1;	   // the socket takes no more now
	bool write_failed : 1;	   // output is dropped; input may still hold the peer's last words
	bool write_wants_read : 1; // of TLS
	bool read_wants_write : 1;
	bool handshaking : 1;
	bool handshake_wants_write : 1;
	bool secured : 1;
	bool delivering : 1; // the consumer looks at octets now
	bool deliver_due : 1;
	bool sent_due : 1;
	bool secret : 1; // its output is wiped
};
_Static_assert(sizeof(struct stream) < 512, "a stream is small");

// ---- stream.c
void stream_update_poll(struct stream *s);   // waits for what is wanted now and for nothing else
void stream_wait_for_turn(struct stream *s); // has run before the loop waits
void stream_arm(struct stream *s);	     // starts the timer for the limit that holds now
// Tells the owner, who may close the stream in the callback: nobody looks at it after this but to
// ask for its state, and only when it has a poll handle.
void stream_end(struct stream *s, int err, const char *why);
void stream_end_later(struct stream *s, int err, const char *why);
int stream_error_of(int number);	 // errno to ERR_*
const char *stream_words_of(int number); // 0: the peer has closed

// ---- stream_io.c
void stream_release_output(struct stream *s);
void stream_release_input(struct stream *s);
void stream_send(struct stream *s); // as much as the socket takes; makes no callback
void stream_tell_sent(struct stream *s);
void stream_read(struct stream *s);
void stream_deliver_kept(struct stream *s);
void stream_handshake(struct stream *s);
void stream_drop_output(struct stream *s);
// Ends TLS; with a goodbye where nothing was lost.
void stream_drop_tls(struct stream *s, bool goodbye);

#endif
