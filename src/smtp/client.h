// SPDX-License-Identifier: ISC
// The client side of SMTP and LMTP as a pure state machine: replies in, commands
// and results out. No socket, clock or TLS in it; deliver/ drives it.
#ifndef PABAL_SMTP_CLIENT_H
#define PABAL_SMTP_CLIENT_H

#include "smtp/address.h"
#include "smtp/limits.h"
#include "smtp/parameters.h"
#include "smtp/reply.h"

// What EHLO offered.
enum {
	SMTP_HAS_PIPELINING = 1, SMTP_HAS_SIZE = 2, SMTP_HAS_8BITMIME = 4, SMTP_HAS_SMTPUTF8 = 8,
	SMTP_HAS_DSN = 16, SMTP_HAS_CHUNKING = 32, SMTP_HAS_STARTTLS = 64, SMTP_HAS_AUTH = 128,
	SMTP_HAS_ENHANCED = 256, SMTP_HAS_ESMTP = 512
};

enum smtp_outcome { SMTP_DELIVERED, SMTP_TEMPORARY, SMTP_PERMANENT };

// The result of one recipient. text is a copy, one line.
struct smtp_result {
	enum smtp_outcome outcome;
	unsigned code;        // 0: no reply was read (connection trouble)
	char enhanced[12];
	char text[SMTP_REPLY_TEXT_MAX];
};

struct smtp_client_recipient {
	const char *address;  // as smtp_address.text
	unsigned notify;
	const char *orcpt;    // "" for none
	struct smtp_result result; // filled by the client; final when it wants READY or CLOSE
};

// One message to send. Borrowed until the client reports DONE.
struct smtp_client_message {
	const char *sender;   // "" for <>
	uint64_t size;        // octets of the body as it will be sent
	bool eightbit;        // needs 8BITMIME
	bool smtputf8;        // needs SMTPUTF8
	enum smtp_ret ret;
	const char *envid;
	struct smtp_client_recipient *recipients;
	unsigned recipient_count;
};

enum smtp_client_want {
	SMTP_WANT_REPLY,     // send `output`, then feed what the server says
	SMTP_WANT_TLS,       // server said 220 to STARTTLS: do the handshake, then smtp_client_tls_done
	SMTP_WANT_AUTH,      // logging in: smtp_client_auth_stage says what is next
	SMTP_WANT_READY,     // idle: smtp_client_message / quit may be called
	SMTP_WANT_BODY,      // 354 was read: send the body (stuffed), then smtp_client_body_sent
	SMTP_WANT_CLOSE,     // session over: every open recipient has a result. `output` may hold
	                     // a last QUIT: send what fits, wait for nothing, close
};

enum smtp_client_tls { SMTP_TLS_NEVER, SMTP_TLS_WHEN_OFFERED, SMTP_TLS_REQUIRED, SMTP_TLS_IMPLICIT };

struct smtp_client_options {
	bool lmtp;                     // LHLO, one reply a recipient after the body (RFC 2033)
	const char *helo;
	enum smtp_client_tls tls;
	bool authenticate;             // WANT_AUTH after (TLS and) EHLO
	struct smtp_limits limits;
};

struct smtp_client; // opaque; created before the banner is read

struct smtp_client *smtp_client_create(const struct smtp_client_options *options);
void smtp_client_destroy(struct smtp_client *c);
// Octets to send now. buf_consume them when they are handed to the kernel or to TLS, before
// the next smtp_client_input: an answer to a command still in here is taken as unasked for.
struct buf *smtp_client_output(struct smtp_client *c);
enum smtp_client_want smtp_client_want(const struct smtp_client *c);
// Feeds octets of the server; returns how many were used. Octets behind the 220 of
// STARTTLS are never used (they are an injection: the client goes to CLOSE with a result).
size_t smtp_client_input(struct smtp_client *c, struct str octets);
void smtp_client_tls_done(struct smtp_client *c, bool verified);
// AUTH (RFC 4954): what is said in it is the driver's affair. What is next in WANT_AUTH:
enum smtp_client_auth_stage {
	SMTP_AUTH_BEGIN,     // start, or fail
	SMTP_AUTH_CHALLENGE, // answer or cancel
	SMTP_AUTH_ACCEPTED,  // done, or fail
	SMTP_AUTH_REFUSED,   // start again, or fail: smtp_client_last_reply
};
#define SMTP_MECHANISMS_MAX 512
enum smtp_client_auth_stage smtp_client_auth_stage(const struct smtp_client *c);
// As the server's last EHLO had them, in upper case, a space between; "" : none.
const char *smtp_client_auth_mechanisms(const struct smtp_client *c);
unsigned smtp_client_auth_code(const struct smtp_client *c); // of ACCEPTED and REFUSED
struct str smtp_client_auth_challenge(const struct smtp_client *c); // decoded; "" : no base64
// initial.data NULL: none. One too long for a command (RFC 4954 4) is sent when the server asks.
void smtp_client_auth_start(struct smtp_client *c, const char *mechanism, struct str initial);
void smtp_client_auth_answer(struct smtp_client *c, struct str response);
void smtp_client_auth_cancel(struct smtp_client *c); // REFUSED follows
void smtp_client_auth_done(struct smtp_client *c);   // then READY
// Ends the session, temporary. After a refusal with its code and enhanced code, else with this one.
void smtp_client_auth_fail(struct smtp_client *c, const char *enhanced, const char *why);
// Starts a transaction (pipelined MAIL, RCPT…, DATA when offered). In state READY only.
// In state CLOSE every recipient gets smtp_client_failure. Recipients are judged without
// sending where the host lacks what the mail needs: SIZE 5.3.4, SMTPUTF8 5.6.7, 8BITMIME 5.6.3.
void smtp_client_message(struct smtp_client *c, struct smtp_client_message *message);
// When the final dot was handed over, before the next smtp_client_input.
void smtp_client_body_sent(struct smtp_client *c);
void smtp_client_quit(struct smtp_client *c);
// The connection broke or timed out: every recipient without a final result becomes
// temporary with these words. After the body's final dot: temporary too (maybe twice delivered).
void smtp_client_broken(struct smtp_client *c, const char *enhanced, const char *why);
unsigned smtp_client_has(const struct smtp_client *c);   // SMTP_HAS_* bits
uint64_t smtp_client_size_limit(const struct smtp_client *c); // 0: none announced
bool smtp_client_tls_active(const struct smtp_client *c);
// Why the session ended (WANT_CLOSE); for what was to be sent on it and was not given to
// smtp_client_message yet. A banner of 5yz (554: no mail service here, RFC 5321 3.1) and a
// refused HELO are permanent, a refused STARTTLS or AUTH temporary.
const struct smtp_result *smtp_client_failure(const struct smtp_client *c);
// True when the transaction failed in a way that another host may do better (421, 4yz or 5yz at
// banner and HELO, no TLS, 4yz at MAIL, connection broken before the final dot), so that the next
// MX is tried; false when the answer is about this mail.
bool smtp_client_try_next_host(const struct smtp_client *c);
// The last reply as one line for logs: "mx.example.org said: 451 4.7.1 try later".
const char *smtp_client_last_reply(const struct smtp_client *c);

#endif
