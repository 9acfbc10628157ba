// SPDX-License-Identifier: ISC
// Logging in at a smart host (SASL as a client) as a pure state machine: the host's list and its
// challenges in, responses out. No socket, clock or configuration in it; connection.c drives it.
#ifndef PABAL_DELIVER_LOGIN_H
#define PABAL_DELIVER_LOGIN_H

#include "base/buf.h"
#include "base/error.h"

#define LOGIN_TOKEN_OCTETS    8192
#define LOGIN_ITERATIONS_LEAST 4096   // RFC 7677 4: with fewer a password is too cheap to guess
#define LOGIN_ITERATIONS_MOST  600000 // a quarter of a second of our loop

// Everything is copied.
struct login_options {
	const char *user;           // "" : none; then EXTERNAL alone
	struct str password;        // "" : none
	bool has_token;             // a bearer token can be had
	bool certificate;           // the host can see our certificate
	const struct str *wanted;   // names, in the order of preference; none: strongest first
	size_t wanted_count;
	const char *host;           // for OAUTHBEARER
	uint16_t port;
	const char *nonce;          // for tests; NULL: random
};

struct login;
struct login *login_create(const struct login_options *o);
void login_destroy(struct login *l); // wipes; NULL is fine
// TLS is on. name: "tls-exporter" or "tls-server-end-point"; binding "" : there is none.
void login_set_secured(struct login *l, const char *name, struct str binding);

// The mechanism to use with a host that offers these ("PLAIN LOGIN", upper case): the strongest we
// have a secret for, or the first of those wanted; not one that was refused. NULL with words.
const char *login_choose(struct login *l, const char *offered, struct error *err);
// The mechanism chosen takes a token: login_set_token before login_start.
bool login_needs_token(const struct login *l);
void login_set_token(struct login *l, struct str token);
// The first response into out. False: the mechanism has none.
bool login_start(struct login *l, struct buf *out);
// A challenge: the response into out. ERR_SYNTAX, ERR_DENIED, ERR_LIMIT with words: cancel.
int login_answer(struct login *l, struct str challenge, struct buf *out, struct error *err);
// The host says yes. ERR_DENIED: it has not proved that it knows the password.
int login_accepted(const struct login *l, struct error *err);

enum login_next {
	LOGIN_GIVE_UP,
	LOGIN_NEW_TOKEN,  // set a token that is newer, then login_start again
	LOGIN_NEXT,       // login_choose again: another mechanism is wanted after this one
};
// The host says no, with this code.
enum login_next login_refused(struct login *l, unsigned code);

const char *login_mechanism(const struct login *l); // the one in use; "" : none yet
// Whether the text holds what must be in no log: the password or the token.
bool login_is_secret(const struct login *l, struct str text);

#endif
