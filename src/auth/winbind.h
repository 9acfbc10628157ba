// SPDX-License-Identifier: ISC
// NTLM and SPNEGO for a Windows domain: role auth hands each step to role checker, which has one of
// Samba's helpers (ntlm_auth) make the answer. Here: what the helper's lines and the messages of
// NTLM say, and the dialogues that wait for role checker. Knows no process.
#ifndef PABAL_AUTH_WINBIND_H
#define PABAL_AUTH_WINBIND_H

#include "auth/source.h"
#include "base/list.h"
#include "ipc/messages.h"

#define AUTH_WINBIND_TOKEN 16384 // octets of a token, either way
#define AUTH_WINBIND_LINE  24576 // of a line of the helper

enum auth_winbind_outcome {
	AUTH_WINBIND_CHALLENGE,
	AUTH_WINBIND_PROVED,
	AUTH_WINBIND_REFUTED,
	AUTH_WINBIND_CANNOT,
};

// A line of the helper without its end: TT, AF, NA or BH. Strings lie in the line; token is in
// base64 ("" : none).
struct auth_winbind_reply {
	enum auth_winbind_outcome outcome;
	struct str token;
	struct str name;   // of PROVED: "DOMAIN\user"
	struct str reason; // of REFUTED and CANNOT
};
// spnego: the protocol gss-spnego; else squid-2.5-ntlmssp. ERR_SYNTAX: the helper says what it must not.
int auth_winbind_reply_read(struct str line, bool spnego, struct auth_winbind_reply *out);

// Who an AUTHENTICATE_MESSAGE of NTLM says it is, "DOMAIN\user" or "user". ERR_SYNTAX: it is none;
// ERR_LIMIT.
int auth_ntlm_name_read(struct str message, char out[AUTH_NAME_OCTETS]);

// The account of a name that winbind gave, by the pairs of the configuration. ERR_NOT_FOUND: the
// domain is none of ours; ERR_LIMIT.
int auth_winbind_account(const struct config *c, struct str name, char out[AUTH_NAME_OCTETS]);
bool auth_winbind_configured(const struct config *c);

// ---- dialogues of role auth
struct auth_winbind_host {
	int (*send)(void *arg, const struct ipc_negotiate *m); // ERR_*: role checker is not there
	void (*end)(void *arg, const struct ipc_negotiate_end *m);
	void *arg;
};
struct auth_winbind;
struct auth_winbind_talk { // part of the asker
	// At most once a step; m lives as long as the call. May end the talk.
	void (*answered)(struct auth_winbind_talk *t, const struct ipc_negotiated *m);
	// private
	struct auth_winbind *winbind;
	struct list link;
	uint64_t id;
	bool begun, waits;
};
struct auth_winbind *auth_winbind_create(const struct auth_winbind_host *host);
void auth_winbind_destroy(struct auth_winbind *w);
// Sends a step; false: it cannot be asked now.
bool auth_winbind_ask(struct auth_winbind *w, struct auth_winbind_talk *t, bool spnego, struct str token);
void auth_winbind_end(struct auth_winbind_talk *t); // fine when nothing was begun
void auth_winbind_answer(struct auth_winbind *w, const struct ipc_negotiated *m);
void auth_winbind_lost(struct auth_winbind *w); // role checker is gone

#endif
