// SPDX-License-Identifier: ISC
// One connection to another host: stream, TLS and the client dialogue of smtp/client.h, driven until
// the host is ready for mail, through one mail after the other, and to the end.
#ifndef PABAL_DELIVER_CONNECTION_H
#define PABAL_DELIVER_CONNECTION_H

#include "deliver/deliver.h"
#include "deliver/login.h"
#include "net/stream.h"

struct connection;

enum connection_stage { CONNECTION_CONNECTING, CONNECTION_SHAKING_HANDS, CONNECTION_TALKING };

// Called from the loop only. In each the connection may be destroyed.
struct connection_events {
	// No mail is under way: connection_send or connection_quit. After connection_send it means that
	// every recipient of that mail has its result.
	void (*ready)(struct connection *c, void *arg);
	// The session is over. Every recipient of a mail under way has its result; connection_failure
	// has the words for what was not begun. It still must be destroyed.
	void (*closed)(struct connection *c, void *arg);
	// A token is needed, another one than `refused` (0: any): connection_token follows, not from inside.
	void (*token)(struct connection *c, void *arg, uint64_t refused);
};

// Everything is copied, but for loop, wheel and tls_client.
struct connection_options {
	uv_loop_t *loop;
	struct wheel *wheel;
	int fd;                       // connected Unix socket, or -1: connect to
	struct ipaddr address, source;// source.family 0: any
	uint16_t port;
	uint64_t connect_ms;
	const char *host;             // name for TLS and for words, without brackets
	struct tls_client *tls_client;// NULL only where smtp.tls is never
	bool verify;                  // the certificate must be good for host
	const struct login_options *login; // NULL: none. What TLS knows is filled in
	const char *route;            // the pattern, for words; with login
	struct smtp_client_options smtp;
};

struct connection *connection_open(const struct connection_options *o,
	const struct connection_events *events, void *arg);
// Without a word.
void connection_destroy(struct connection *c);
// Says QUIT if it is ready, then destroys; the goodbye is bounded by 5 s.
void connection_quit(struct connection *c);
// Ends it as if the peer had gone: `closed` is called.
void connection_break(struct connection *c, const char *why);
// Once after each `ready`, there or later. The recipients of message are given, the rest is filled
// from the job, whose edits are known to be good; both are borrowed until ready or closed. False:
// every recipient has its result at once (the host cannot take such mail), no callback follows.
bool connection_send(struct connection *c, const struct deliver_job *job,
	struct smtp_client_message *message);

// The answer to `token`. serial 0: there is none, and why.
void connection_token(struct connection *c, struct str token, uint64_t serial, const char *why);

enum connection_stage connection_stage(const struct connection *c);
const struct smtp_result *connection_failure(const struct connection *c);
bool connection_try_next_host(const struct connection *c);
// The way to the host, not the host: connecting timed out, or there is no network.
bool connection_network_failed(const struct connection *c);
// The host has answered something that belongs to the mail sent last.
bool connection_answered(const struct connection *c);
unsigned connection_has(const struct connection *c);     // SMTP_HAS_* bits
const char *connection_remote(const struct connection *c); // "host [address]"
const char *connection_tls(const struct connection *c);    // "TLSv1.3 TLS_AES_256_GCM_SHA384" or ""

#endif
