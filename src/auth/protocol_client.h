// SPDX-License-Identifier: ISC
// What the two files of the client's end share: one connection and its exchanges on this side,
// which connection is used on the other.
#ifndef PABAL_AUTH_PROTOCOL_CLIENT_H
#define PABAL_AUTH_PROTOCOL_CLIENT_H

#include "auth/protocol.h"
#include "base/list.h"
#include "base/map.h"
#include "net/stream.h"

#define AUTH_MECHANISMS_MAX 512

// Owned by its client. Closed as soon as it is of no use: current is served, next is greeted, the
// others finish what they have.
struct auth_connection {
	struct list link; // in auth_client.connections
	struct auth_client *client;
	struct stream *stream;
	bool version_seen;
	bool up;	  // greeted
	bool broken;	  // closed when the call stack is back in its input
	uint64_t greeted_ms;
	struct map by_id; // 4 octets -> struct auth_exchange
	uint32_t last_id;
	struct wheel_timer greeting;
	char mechanisms[AUTH_MECHANISMS_MAX];	 // all
	char not_plaintext[AUTH_MECHANISMS_MAX]; // those of them that do not show the password
};

// What to offer at one server block.
struct auth_offer {
	struct list link;
	char server[256];
	char before[AUTH_OFFER_MAX], after[AUTH_OFFER_MAX]; // TLS
};
#define AUTH_CLIENT_OFFERS_MAX 256

struct auth_client {
	struct list offers; // struct auth_offer
	unsigned offer_count;
	struct auth_client_options options;
	struct wheel *wheel;
	struct list connections;
	struct auth_connection *current; // takes new exchanges; NULL: there is no service
	struct auth_connection *next;	 // being greeted
	struct list exchanges;		 // struct auth_exchange
	uint64_t retry_ms;
	struct wheel_timer timer; // until the next question for a connection
	bool renewal_failed;	  // once
};

struct auth_exchange {
	struct list link;
	struct auth_client *client;
	struct auth_connection *connection; // NULL: its failure is about to be told
	uint32_t id;
	auth_client_done done;
	void *arg;
	struct wheel_timer timer; // for an answer, or until the failure is told
	enum auth_outcome failure;
	const char *failure_reason;
};

// ---- protocol_connection.c
struct auth_connection *auth_connection_open(struct auth_client *c, int fd); // takes fd
// Its exchanges fail, but not before the loop turns.
void auth_connection_close(struct auth_connection *k, const char *why);
// Adds the exchange and sends its request; ERR_LIMIT: it does not fit, nothing was sent.
int auth_connection_start(
	struct auth_connection *k, struct auth_exchange *x, const struct auth_request *r);
int auth_connection_continue(struct auth_exchange *x, struct str response); // ERR_LIMIT
void auth_connection_cancel(struct auth_exchange *x);			    // tells the server
void auth_connection_remove(struct auth_exchange *x);			    // takes it out

// ---- protocol_client.c
void auth_client_take_offer(struct auth_client *c, const struct auth_offer *o); // copied
void auth_client_greeted(struct auth_connection *k);
void auth_client_lost(struct auth_connection *k, const char *why); // closes it
void auth_client_idle(struct auth_connection *k); // no exchange is left on it; may close it
void auth_client_renew(struct auth_client *c);	  // another connection, soon
void auth_exchange_finish(struct auth_exchange *x, const struct auth_reply *r);
void auth_exchange_fail_later(
	struct auth_exchange *x, enum auth_outcome outcome, const char *reason);

#endif
