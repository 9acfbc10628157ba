// SPDX-License-Identifier: ISC
// Password sources: one contract for all, one file a kind in source/, one row a kind in source.c.
// A check blocks. It runs where its kind says: on the pool of role source (network and sockets),
// in a short-lived child of role checker (programs, PAM, files of others), never in role auth.
// `accounts`, our own, is no row here: role auth answers for it (check.h).
#ifndef PABAL_AUTH_SOURCE_H
#define PABAL_AUTH_SOURCE_H

#include "base/error.h"
#include "base/ipaddr.h"
#include "config/config.h"

#define AUTH_NAME_OCTETS   1024 // of a user name, as sent
#define AUTH_SECRET_OCTETS 4096 // of a password or token
#define AUTH_REASON_OCTETS 256

enum auth_verdict {
	AUTH_YES,
	AUTH_NO,      // knows the name; the password is wrong or the account must not be used
	AUTH_UNKNOWN, // no such name here: the next source is asked
	AUTH_CANNOT,  // cannot answer now: down, too slow, broken configuration
};

enum auth_ask {
	AUTH_ASK_PASSWORD, // is this the password?
	AUTH_ASK_LOOKUP,   // what is stored for the name? Only of kinds that say they can
	AUTH_ASK_CRAM,	   // is this the digest of that challenge? (CRAM-MD5 of checkpassword)
	AUTH_ASK_TOKEN,	   // is this bearer token good, and whose is it? name may be empty
};

// What a kind or a stored credential can serve.
enum {
	AUTH_GIVES_VERIFY = 1, // PLAIN, LOGIN
	AUTH_GIVES_CLEAR = 2,  // the password itself: CRAM-MD5, DIGEST-MD5, NTLM, SCRAM
	AUTH_GIVES_SCRAM = 4,  // stored SCRAM keys
	AUTH_GIVES_CRAM = 8,   // AUTH_ASK_CRAM
	AUTH_GIVES_TOKEN = 16, // AUTH_ASK_TOKEN
	AUTH_GIVES_OTP = 32,   // the state of one-time passwords; `accounts` only
};

struct auth_question {
	enum auth_ask ask;
	struct str name;      // as the client sent it, after default-domain
	struct str secret;    // password, token, or CRAM digest in hex
	struct str challenge; // of AUTH_ASK_CRAM, with its angle brackets
	struct ipaddr client;
	struct str server;	   // the server block's name
	struct str default_domain; // of the configuration; "" : none
};
// The name as files and programs of one machine know it: without "@default-domain"; a name of any
// other domain stays whole, so that it cannot pass for a user of ours.
struct str auth_question_bare(const struct auth_question *q);
// Neither name nor secret is empty or has a NUL in it, which C strings would end at.
bool auth_question_sound(const struct auth_question *q);

// Fixed storage, so that it crosses processes as it is. Wiped by its owner.
struct auth_answer {
	enum auth_verdict verdict;
	char account[AUTH_NAME_OCTETS];	  // of YES: who it is, when the source says other than the name
	char reason[AUTH_REASON_OCTETS];  // for the log: "expired", "the server does not answer: …"
	bool has_rights;		  // of YES: the source grants rights itself
	uint32_t rights;		  // ACCOUNT_MAY_*
	char clear[512];		  // of LOOKUP: the password; "" : none
	char scram[3][512];		  // of LOOKUP: "SCRAM-SHA-256$4096:salt$stored:server"
	char otp[128];			  // of LOOKUP, of `accounts`: as otp.h; stays in role auth
};

struct auth_source_kind {
	const char *name; // as in the configuration
	enum { AUTH_IN_SOURCE, AUTH_IN_CHECKER } where;
	const char *module; // file it is loaded from (module.h); NULL: part of the program
	// What this source can serve (AUTH_GIVES_*), as configured.
	unsigned (*gives)(const struct config_source *s);
	// Loads and prepares before confinement: libraries, CA files. Keeps *state, which check gets
	// back. NULL: nothing to do. Called once a source and generation; finish undoes it.
	int (*prepare)(const struct config_source *s, void **state, struct error *err);
	void (*finish)(void *state);
	// Blocks at most s->timeout. Threads of role source call it at the same time. Never UNKNOWN for
	// a broken connection, never CANNOT for a wrong password.
	void (*check)(const struct config_source *s, void *state, const struct auth_question *q,
		struct auth_answer *out);
	// For `pabal check`: what is wrong on this machine ("group sasl is missing to reach …"). NULL.
	void (*advise)(const struct config_source *s, struct config_findings *findings);
};
extern const struct auth_source_kind *const auth_source_kinds[];
extern const size_t auth_source_kind_count;
const struct auth_source_kind *auth_source_kind_find(struct str name); // NULL: none
// The row that serves a configured source: its kind, and "KIND-sql" for a vpopmail with an engine,
// which runs elsewhere than one with files. NULL: none.
const struct auth_source_kind *auth_source_kind_of(const struct config_source *s);

// The one way to answer.
void auth_answer_set(struct auth_answer *a, enum auth_verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
