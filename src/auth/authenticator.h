// SPDX-License-Identifier: ISC
// Checks who somebody is: SASL mechanisms over a chain of password sources, on a bounded pool of
// threads, with a short memory of successes. Knows nothing of sockets.
#ifndef PABAL_AUTH_AUTHENTICATOR_H
#define PABAL_AUTH_AUTHENTICATOR_H

#include "auth/account.h"
#include "auth/chain.h"
#include "auth/guard.h"
#include "auth/mechanism.h"
#include "auth/winbind.h"
#include "config/config.h"
#include "store/secrets.h"

#include <uv.h>

struct authenticator;

// Whether an account is enabled and what it may do: asked of the directory (role queue).
// Answered by authenticator_account.
struct authenticator_host {
	void (*account)(void *arg, uint64_t request, struct str name);
	void *arg;
	// Sends a question of the chain (chain.h) to role checker, or to role source; NULL: there are
	// none. Answered by auth_chain_answer.
	int (*send)(void *arg, bool to_checker, const struct ipc_check *m);
	struct auth_winbind_host winbind; // of mechanisms that winbind carries out; zero: none
};

struct authenticator *authenticator_create(uv_loop_t *loop, const struct config *config,
	struct secrets *secrets, const struct authenticator_host *host);
void authenticator_destroy(struct authenticator *a); // open steps are answered UNAVAILABLE first
void authenticator_set_config(struct authenticator *a, const struct config *config); // between two events
// state: 0 unknown, 1 enabled, 2 disabled, 3 cannot tell now, 4 locked, 5 expired.
void authenticator_account(struct authenticator *a, uint64_t request, int state, uint32_t rights,
	struct str name);
// The same with all that the directory knows.
void authenticator_account_found(
	struct authenticator *a, uint64_t request, const struct auth_account *found);
// The directory is gone: every question that is open counts as answered "cannot tell now".
void authenticator_accounts_lost(struct authenticator *a);
struct auth_chain *authenticator_chain(struct authenticator *a);
struct auth_guard *authenticator_guard(struct authenticator *a);
struct auth_winbind *authenticator_winbind(struct authenticator *a);
struct str authenticator_domain(const struct authenticator *a); // of bare names
void authenticator_forget(struct authenticator *a, struct str name); // an account changed; "" : all

enum { AUTHENTICATOR_SUBMIT = 1, AUTHENTICATOR_RELAY = 2 }; // rights, as in the directory
// BLOCKED: it was not looked at, for too much failed before; only to our own smtpd, which ends the
// session. Others hear FAILED after a while.
enum authenticator_outcome { AUTHENTICATOR_OK, AUTHENTICATOR_CONTINUE, AUTHENTICATOR_FAILED,
	AUTHENTICATOR_UNAVAILABLE, AUTHENTICATOR_BLOCKED };
struct authenticator_reply {
	enum authenticator_outcome outcome;
	struct str challenge;  // of CONTINUE; of OK: the last challenge, sent with it, or empty
	struct str account;    // of OK: key form; of FAILED: the name tried, for the log
	uint32_t rights;       // of OK
	bool foreign;          // of OK: only another password source knows the account, not our directory
	const char *reason;    // of FAILED and UNAVAILABLE, for the log: "wrong password", "unknown name",
	                       // "disabled", "authzid differs", "SOURCE: …"
};
typedef void (*authenticator_done)(void *arg, const struct authenticator_reply *r);

// One SASL dialogue.
struct authentication;
struct authentication *authentication_create(struct authenticator *a, const char *mechanism,
	const struct authentication_facts *facts); // NULL: no such mechanism; facts are copied
// initial.data NULL: the client sent none. Exactly one done a step; it may come before the call returns,
// and may destroy x. What r points to lives as long as the call.
void authentication_step(struct authentication *x, struct str response, authenticator_done done, void *arg);
void authentication_destroy(struct authentication *x); // cancels
// Mechanisms offered, space-separated; flags in the protocol's MECH line come from the table.
const char *authenticator_mechanisms(const struct authenticator *a);
bool authenticator_mechanism_plaintext(const char *name);

#endif
