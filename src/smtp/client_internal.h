// SPDX-License-Identifier: ISC
// What the files of the client dialogue share: client.c (session), client_auth.c
// (AUTH) and client_message.c (transaction).
#ifndef PABAL_SMTP_CLIENT_INTERNAL_H
#define PABAL_SMTP_CLIENT_INTERNAL_H

#include "smtp/client.h"

// What the next reply answers, or what the client waits for.
enum smtp_client_phase {
	PHASE_BANNER,
	PHASE_EHLO,
	PHASE_HELO,
	PHASE_STARTTLS,
	PHASE_TLS,	 // the driver's handshake
	PHASE_AUTH_WAIT, // the driver's next word
	PHASE_AUTH,
	PHASE_READY,
	PHASE_MAIL,
	PHASE_RCPT,
	PHASE_DATA,
	PHASE_BODY, // the driver sends
	PHASE_FINAL,
	PHASE_LONE_DOT, // 354 though nobody was accepted
	PHASE_RSET,
	PHASE_QUIT,
	PHASE_CLOSED,
	PHASES
};

enum smtp_client_standing { STANDING_OPEN, STANDING_ACCEPTED, STANDING_DONE };

struct smtp_client {
	struct smtp_client_options options;
	char *helo;
	enum smtp_client_phase phase;
	struct buf output;
	struct smtp_reply_reader reader;

	// session
	unsigned has;
	char mechanisms[SMTP_MECHANISMS_MAX];
	uint64_t size_limit;
	bool tls;
	bool tls_refused;
	char server[DOMAIN_MAX + 1]; // name in the banner
	char last[SMTP_REPLY_TEXT_MAX + DOMAIN_MAX + 64];
	struct smtp_result failure;
	bool failure_try_next;
	bool try_next;

	// AUTH
	enum smtp_client_auth_stage auth_stage; // in PHASE_AUTH_WAIT
	struct buf challenge;			// of the server, decoded
	struct buf initial;			// base64, until it is asked for
	bool initial_waits, auth_cancelled;

	// transaction; message is NULL outside of one
	struct smtp_client_message *message;
	unsigned char *standing; // of each recipient
	unsigned current;	 // recipient of the next reply (RCPT, LMTP FINAL)
	unsigned accepted;
	bool pipelined;
};

void smtp_client_send(struct smtp_client *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
// Ends the session: open recipients and the failure of the session get r.
void smtp_client_fail(struct smtp_client *c, const struct smtp_result *r, bool try_next);
// The same with words of ours, temporary.
void smtp_client_fail_text(
	struct smtp_client *c, const char *enhanced, const char *why, bool try_next);
void smtp_client_fail_unexpected(struct smtp_client *c);
// The reply just read as a result: 2yz, 4yz, 5yz; anything else is temporary.
void smtp_client_judge(const struct smtp_client *c, struct smtp_result *out);

// Handlers of replies by phase.
void smtp_client_on_auth(struct smtp_client *c);
void smtp_client_on_mail(struct smtp_client *c);
void smtp_client_on_rcpt(struct smtp_client *c);
void smtp_client_on_data(struct smtp_client *c);
void smtp_client_on_body(struct smtp_client *c);
void smtp_client_on_final(struct smtp_client *c);
void smtp_client_on_lone_dot(struct smtp_client *c);
void smtp_client_on_rset(struct smtp_client *c);

void smtp_client_auth_wipe(struct smtp_client *c);
// Gives r to every recipient without a final result.
void smtp_client_settle_all(struct smtp_client *c, const struct smtp_result *r);
void smtp_client_end_transaction(struct smtp_client *c);

#endif
