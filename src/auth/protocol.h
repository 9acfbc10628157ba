// SPDX-License-Identifier: ISC
// The Dovecot authentication protocol, version 1.2, both ends: role auth speaks the server side to
// our smtpd (private socket) and to other programs (public socket); role smtpd speaks the client
// side to role auth or to a real Dovecot. Lines of tab-separated fields, at most 16 KiB.
#ifndef PABAL_AUTH_PROTOCOL_H
#define PABAL_AUTH_PROTOCOL_H

#include "auth/authenticator.h"
#include "auth/offers.h"
#include "base/error.h"
#include "base/ipaddr.h"
#include "net/wheel.h"

#include <uv.h>

// ---------------------------------------------------------------- server side
// One connected peer. trusted: the private socket of our smtpd, which may send channel bindings,
// certificate facts and the server's name, and is told rights; the public one never lists -PLUS or
// EXTERNAL, and plaintext mechanisms need the parameter "secured".
struct auth_server;
struct auth_server_options {
	uv_loop_t *loop;
	struct authenticator *authenticator;
	bool trusted;
	const struct auth_offer_state *offers; // kept; NULL: every mechanism may be used
	struct wheel *wheel;      // NULL: one of its own
	void (*closed)(struct auth_server *s, void *arg); // the peer is gone: destroy it, here or later
	void *arg;
};
struct auth_server *auth_server_create(const struct auth_server_options *o, int fd); // takes fd
void auth_server_destroy(struct auth_server *s);
// *offers changed: our own smtpd is told.
void auth_server_offers_changed(struct auth_server *s);

// ---------------------------------------------------------------- client side
// One connection to an authentication server that is made again when it is lost.
struct auth_client;
struct auth_client_options {
	uv_loop_t *loop;
	// Asks for a new connected socket; answered by auth_client_connected (fd -1: not now; it
	// asks again after a pause that grows to 5 s). The first time from inside auth_client_create.
	void (*connect)(void *arg);
	void *arg;
	bool trusted;
};
struct auth_client *auth_client_create(const struct auth_client_options *o);
// Open exchanges are answered UNAVAILABLE first. Not from inside done.
void auth_client_destroy(struct auth_client *c);
// Takes fd. It may come without having been asked for. Once the new connection is greeted new exchanges
// go there; those on the old one end there. Not trusted: one that is used is asked to be replaced every
// ten seconds, because a server that was restarted may leave its old process to us.
void auth_client_connected(struct auth_client *c, int fd);

// What its MECH lines list, usable now: space-separated, "" while there is no service. Plaintext
// ones (PLAIN, LOGIN) only with tls or plaintext_ok.
const char *auth_client_mechanisms(struct auth_client *c, bool tls, bool plaintext_ok);

// What role auth told us to offer at the server block of this name; NULL: it told nothing. Stands while
// there is no connection; until the next line of the kind.
const char *auth_client_offers(struct auth_client *c, struct str server, bool tls);

enum auth_outcome { AUTH_OK, AUTH_CONTINUE, AUTH_FAILED, AUTH_UNAVAILABLE, AUTH_BLOCKED };
struct auth_reply {
	enum auth_outcome outcome;
	struct str data;       // challenge of CONTINUE, decoded
	struct str account;    // of OK
	bool may_submit, may_relay; // of OK; both true when the server tells no rights
	bool foreign;               // of OK: our directory does not know the account, and need not
	struct str reason;     // for the log
};
// What role auth may know of the TLS below a dialogue; strings live as long as the call.
struct auth_tls {
	struct str exporter, end_point, unique; // channel bindings; "" : none
	bool verified;                          // the client's certificate is good
	struct str subject, mailboxes, fingerprint;
};
typedef void (*auth_client_done)(void *arg, const struct auth_reply *reply);
struct auth_exchange;
struct auth_request {
	const char *mechanism;
	struct str initial;      // decoded initial response; data NULL: none
	bool secured;            // TLS is active
	struct ipaddr client, local;
	uint16_t client_port, local_port;
	struct str server;       // name of the server block
	uint64_t session;
	const struct auth_tls *tls; // NULL: none
};
// done is called for each step, never from inside a call below; after all but CONTINUE the
// exchange is gone. A lost connection answers UNAVAILABLE, and so do 60 s of silence.
struct auth_exchange *auth_client_start(struct auth_client *c, const struct auth_request *r,
	auth_client_done done, void *arg);
void auth_client_continue(struct auth_exchange *x, struct str response);
void auth_client_cancel(struct auth_exchange *x); // no callback after this

#endif
