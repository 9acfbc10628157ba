// SPDX-License-Identifier: ISC
// The server side of one SMTP connection. Octets in, octets out; everything that takes time is
// asked of the host and answered by a call. No socket, no clock of its own: the same code runs
// in role smtpd, in unit tests and in the fuzzer.
#ifndef PABAL_SESSION_SESSION_H
#define PABAL_SESSION_SESSION_H

#include "base/buf.h"
#include "config/limits.h"
#include "message/envelope.h"
#include "policy/policy.h"

struct session;

enum session_auth_result {
	SESSION_AUTH_OK,        // account holds the name, rights the rights
	SESSION_AUTH_CONTINUE,  // challenge for the client (base64 not yet applied)
	SESSION_AUTH_FAILED,    // 535 5.7.8
	SESSION_AUTH_UNAVAILABLE, // 454 4.7.0
	SESSION_AUTH_BLOCKED,   // 421 4.7.0, and the end
};

// A message that is complete and wants to be committed. Valid until the answer or the end of
// the session.
struct session_submission {
	const struct envelope *envelope;           // id 0; headers and edits are set
	const struct envelope_recipient *recipients;
	unsigned recipient_count;
	struct str body;        // inline, when spool is 0
	bool by_rule;           // the client may relay by its address, and nobody logged in
	uint64_t spool;         // body was written to the file of session_host.spool_open
	const struct policy_facts *facts; // who sends it, with the rates in force; recipients_so_far
};

// What the session asks of its surroundings. Each `ask` is answered exactly once by the
// function named, or not at all after session_destroy. At most one is open at a time, except
// that octets may go on arriving. Answers may come before the ask returns; an answer to
// nothing asked is ignored. No function of the host may call session_destroy from inside,
// except close, which is always the last thing the session does.
struct session_host {
	// Fetch the facts `need` for f; answered by session_facts. f and what it points to live until
	// the answer or the end of the session (close, session_peer_gone, session_timed_out).
	void (*facts)(void *arg, unsigned need, const struct policy_facts *f);
	// Start and go on with SASL; initial.data NULL: none. Answered by session_auth.
	void (*auth_start)(void *arg, const char *mechanism, struct str initial);
	void (*auth_continue)(void *arg, struct str response);
	void (*auth_cancel)(void *arg); // client said "*", or the session is left; no answer follows
	// A file for a large body; answered by session_spool. The session writes to fd.
	void (*spool_open)(void *arg);
	// Write octets to the spool file (in order), then sync: answered by session_spool_synced.
	void (*spool_write)(void *arg, struct str octets); // may buffer; pauses input itself when behind
	void (*spool_sync)(void *arg);
	// The body is not wanted: close the file (or the one that is being opened), nothing else.
	void (*spool_abort)(void *arg);
	// Commit; answered by session_submitted. Takes the spool file over: no spool_abort follows.
	void (*submit)(void *arg, const struct session_submission *s);
	// STARTTLS was answered 220: flush, drop what was received and not used, start TLS, then
	// session_secured. Called from inside session_input: what that returns was used before.
	void (*start_tls)(void *arg);
	// Nothing comes of the message that rates were asked for (POLICY_FACT_RATE): what was reserved is
	// free again. A message that is submitted takes its reservation with it.
	void (*rates_release)(void *arg);
	// Wait before going on; answered by session_delayed.
	void (*delay)(void *arg, uint32_t ms);
	// There is output to send.
	void (*output)(void *arg);
	// Send what is waiting and close. session_destroy by the host follows.
	void (*close)(void *arg);
	uint64_t (*wall_ms)(void *arg);
	// Names of the mechanisms that may be offered now ("PLAIN LOGIN"); "" when there is no auth service.
	const char *(*mechanisms)(void *arg, bool tls);
};

struct session_tls {
	bool active;
	char version[16];
	char cipher[64];
	int bits;
	bool verified;
	char peer_subject[256];
};

// What was said to the client, and why.
struct session_seen {
	const char *step;                  // "connect", "hello", "mail", "rcpt"; "other" of other verbs
	enum policy_kind kind;
	const char *rule, *rule_text;      // as in struct policy_verdict; "" : nothing had to be decided
	const struct smtp_reply *reply;    // of several lines the last; code 0: none, it is closed at once
	uint32_t delay_ms;                 // that a client would wait for it
	const struct policy_facts *facts;  // what was known; sender and recipient as far as they were read
};

// A rehearsal: an administrator asks what a client would be told. The session and policy are the real
// ones, but its answers change nothing: no event is made, nothing is counted, and what would lead to
// a message, a login or TLS is refused.
struct session_rehearsal {
	bool tls;                             // as if under TLS
	struct str account;                   // as if logged in; "" : not. Copied
	// Behind each reply, which is in session_output by then. NULL: nobody wants to know.
	void (*seen)(void *arg, const struct session_seen *seen);
};

struct session_options {
	const struct config *config;          // outlives the session
	const struct config_server *server;
	const struct session_host *host;
	void *arg;
	struct ipaddr client, local;
	uint16_t client_port, local_port;
	struct ipaddr proxy;                  // who said whose connection it is; family 0: nobody
	uint64_t id;                          // of the session
	bool implicit_tls;                    // tls is set by session_secured before session_begin
	bool no_tls;                          // STARTTLS is not offered: the host has no usable certificate
	const struct session_rehearsal *rehearsal; // NULL: it is in earnest
};

struct session *session_create(const struct session_options *o);
void session_destroy(struct session *s);  // at any time; open asks are cancelled
// Says the banner (after the connect verdict). early: the client talked before it.
void session_begin(struct session *s, bool early_talker);
// Feeds octets; returns how many were used. While an answer is awaited, command octets stay
// with the caller; it feeds again after the answer (session_wants_input tells). The same holds
// while the host leaves much output in session_output: feed again when it was sent.
size_t session_input(struct session *s, struct str octets);
bool session_wants_input(const struct session *s);
struct buf *session_output(struct session *s);
// Milliseconds the client may be silent in this state (command or data time-out); how long
// the session may last at all is the host's timer, session_age_limit. 0: it is our turn.
uint64_t session_silence_limit(const struct session *s);
// What is in force for it now: octets, milliseconds or a number; 0: none.
uint64_t session_limit(const struct session *s, enum config_limit_id id);
// Milliseconds that it may last in all; another number once an account is known.
uint64_t session_age_limit(const struct session *s);
// A new generation of the configuration: holds at once, so that a right that was taken away is
// gone. A message that is on its way ends under the limits it began with, and the stages of its body
// still use the old one: it has to stay until the session ends.
void session_reconfigure(struct session *s, const struct config *config,
	const struct config_server *server);
// The client was silent too long, or the server drains: says 421 and closes.
void session_timed_out(struct session *s);
void session_expired(struct session *s); // it has lasted too long
void session_shut_down(struct session *s);  // at the next command boundary, "421 4.3.2"
void session_peer_gone(struct session *s, const char *why); // event, abort; then session_destroy

// ---- answers
void session_facts(struct session *s, unsigned known, const struct policy_facts *filled);
// data_or_account: of CONTINUE the challenge, else who logs in, or tried to ("": not known).
// reason: for the log only.
void session_auth(struct session *s, enum session_auth_result result, struct str data_or_account,
	const char *reason);
void session_spool(struct session *s, int err, uint64_t spool);
void session_spool_synced(struct session *s, int err);
void session_submitted(struct session *s, int err, uint64_t message_id); // ERR_*: 0, ERR_FULL, ERR_UNAVAILABLE …
void session_secured(struct session *s, const struct session_tls *tls);
void session_delayed(struct session *s);

#endif
