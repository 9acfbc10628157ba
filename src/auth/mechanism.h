// SPDX-License-Identifier: ISC
// SASL mechanisms (RFC 4422): a row each. What a mechanism makes of a response it says by exactly
// one of the calls below; they may end the dialogue, so it is the last thing a step does.
#ifndef PABAL_AUTH_MECHANISM_H
#define PABAL_AUTH_MECHANISM_H

#include "auth/source.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct authentication;

// What is known of the connection before the first step; strings live as long as the dialogue.
struct authentication_facts {
	struct str server; // the server block's name
	struct str session; // for the log
	struct ipaddr client;
	bool secured;		   // TLS
	bool trusted;		   // asked by our own smtpd: bindings and certificate are true
	struct str binding_exporter;  // tls-exporter (RFC 9266), octets; "" : none
	struct str binding_end_point; // tls-server-end-point (RFC 5929)
	struct str binding_unique;    // tls-unique; TLS 1.2 only
	bool certificate_verified;    // a client certificate that a CA of the server signed
	struct str certificate_subject;	    // RFC 4514
	struct str certificate_names;	    // SAN: e-mail addresses, space-separated
	struct str certificate_fingerprint; // SHA-256, lower-case hex
};

struct auth_mechanism {
	const char *name;
	bool plaintext;	       // the password itself crosses the wire
	unsigned needs;	       // any one of these AUTH_GIVES_* must be given by every source; 0: nothing
	bool needs_tls;	       // -PLUS, EXTERNAL
	bool private_only;     // never offered on the public socket
	bool on_request;       // offered only when the configuration names it
	bool by_library;       // carried out by the library of sasl.h
	bool by_ticket;        // needs a keytab
	const struct auth_mechanism *by_winbind; // carries it out where winbind is configured; NULL
	const char *failure;   // sent as a last challenge before it has FAILED; NULL: nothing
	void *(*create)(struct authentication *x); // the dialogue's state; may be NULL
	// response.data NULL: the client sent none (only in the first step).
	void (*step)(struct authentication *x, void *state, struct str response);
	// The answer to authentication_lookup. account.len 0: no such name (or it has not what is
	// needed): go on as if it had, with credentials derived from a secret, and fail at the end.
	void (*looked_up)(struct authentication *x, void *state, const struct auth_answer *found);
	void (*dispose)(void *state); // wipes and frees
};
// In the order in which they are offered: strongest first.
extern const struct auth_mechanism *const auth_mechanisms[];
extern const size_t auth_mechanism_count;
const struct auth_mechanism *auth_mechanism_find(const char *name); // without case; NULL
// The row that carries it out with this configuration.
const struct auth_mechanism *auth_mechanism_as_configured(
	const struct auth_mechanism *m, const struct config *c);

const struct authentication_facts *authentication_facts(const struct authentication *x);
const struct config *authentication_config(const struct authentication *x);

struct auth_winbind *authentication_winbind(const struct authentication *x);

void authentication_challenge(struct authentication *x, struct str challenge);
// Name and password go to the chain of sources. authzid: "" or what the client wants to act as.
void authentication_check(
	struct authentication *x, struct str authzid, struct str name, struct str password);
// The same for a bearer token; name: what the client says it is, may be "".
void authentication_check_token(
	struct authentication *x, struct str authzid, struct str name, struct str token);
// CRAM-MD5 for sources that only take the digest.
void authentication_check_cram(
	struct authentication *x, struct str name, struct str digest, struct str challenge);
// What the chain has stored for a name (guessing is counted and stopped here, before it is told).
// Ends in looked_up.
void authentication_lookup(struct authentication *x, struct str name, unsigned gives);
// For mechanisms that are proved elsewhere, before the proof is looked at: whether this name ("" :
// not known yet) may try from there. False: the step has ended.
bool authentication_may_try(struct authentication *x, struct str name);
// The mechanism itself has proved who it is (SCRAM, EXTERNAL, GSSAPI …): the account's state, rights
// and authzid are looked at, then OK. last: sent with it as the last challenge ("" : nothing).
void authentication_proved(
	struct authentication *x, struct str authzid, struct str name, struct str last);
// The one-time password that was proved: next is stored in the place of was, on the disk when this
// returns 0. ERR_NOT_FOUND: another dialogue used it first.
int authentication_replace_otp(struct authentication *x, const char *was, const char *next);
// The mechanism itself found it wrong. reason: for the log, a literal or living as long as x.
void authentication_refuted(struct authentication *x, struct str name, const char *reason);
void authentication_malformed(struct authentication *x);
void authentication_unavailable(struct authentication *x, const char *reason);

#endif
