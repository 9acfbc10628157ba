// SPDX-License-Identifier: ISC
// One attempt to log in, from the proof that a mechanism brings to the answer: what authenticator.c
// (dialogues and mechanisms) and attempt.c share. Private to both.
#ifndef PABAL_AUTH_ATTEMPT_H
#define PABAL_AUTH_ATTEMPT_H

#include "auth/account.h"
#include "auth/authenticator.h"
#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"

struct authenticator {
	const struct config *config;
	struct authenticator_host host;
	struct secrets *secrets;
	struct auth_chain *chain;
	struct auth_guard *guard;
	struct auth_winbind *winbind;
	struct wheel *wheel;
	struct list dialogues; // struct authentication
	struct list delayed;   // struct authentication, by delayed_link
	size_t delayed_count;
	struct map requests; // 8 octets -> struct authentication
	uint64_t last_request;
	char mechanisms[512];
};

enum stage { IDLE, STEPPING, DELAYED, CHECKING, ASKING };

// What the chain is asked.
struct attempt {
	struct auth_question question;
	unsigned gives; // of LOOKUP
};

struct authentication {
	struct authenticator *authenticator; // NULL: it is gone
	const struct auth_mechanism *mechanism;
	void *state; // of the mechanism
	struct authentication_facts facts;
	struct arena arena; // of their strings
	struct list link;
	enum stage stage;
	authenticator_done done; // of the open step
	void *arg;
	char name[AUTH_NAME_MAX + 1]; // key form, or what was tried, cut; "" : none yet
	char account[AUTH_NAME_MAX + 1]; // who a source said it is; "" : nobody yet
	char authzid[AUTH_NAME_MAX + 1]; // key form; "" : none, "?" : one that cannot be a name
	char login[AUTH_NAME_MAX + 1];	 // of who acts as another: who has logged in; "" : nobody does
	bool own;			 // the account is of `accounts`
	bool has_rights;		 // a foreign source gave these
	uint32_t rights;
	unsigned char key[AUTH_CACHE_KEY]; // of the attempt
	struct auth_guess_attempt guess;
	char refusal[AUTH_REASON_OCTETS]; // while that is delayed
	struct buf last;		   // challenge that goes with the OK
	char refused[AUTH_REASON_OCTETS];  // the client was told and may say a last word; "" : not so
	bool foreign;			   // no account of ours has that name
	struct list delayed_link;
	struct wheel_timer timer;
	struct auth_chain_ask ask;
	uint64_t request;
};

// ---- the end of a step. Each may destroy x: it is the last thing that is done with it.
void attempt_reply(struct authentication *x, const struct authenticator_reply *r);
void attempt_end(struct authentication *x, enum authenticator_outcome outcome, const char *reason);
void attempt_unavailable(struct authentication *x, const char *reason);
// Counted as guessing; with a mechanism that has last words for the client these come first.
void attempt_fail(struct authentication *x, const char *reason);
void attempt_succeed(struct authentication *x, uint32_t rights, struct str account);
void attempt_withdraw(struct authentication *x); // takes the step out of wherever it waits

// ---- the way of a proof
bool attempt_allowed(struct authentication *x); // not a guesser's; else it has been refused
void attempt_begin(struct authentication *x, const struct attempt *t); // if allowed, asks the chain
void attempt_ask(struct authentication *x, const struct attempt *t);   // asks the chain
void attempt_answered(struct auth_chain_ask *ask, const struct auth_chain_result *r);
void attempt_take_account(struct authentication *x, const struct auth_chain_result *r);
void attempt_settle(struct authentication *x); // the proof is right: asks for the account's state
void attempt_refuse(struct authentication *x); // a guesser's, now or later
void attempt_delay_over(struct wheel_timer *timer);

bool attempt_is_anonymous(const struct authentication *x);
bool attempt_is_open(enum stage stage);
struct authentication *attempt_first(struct authenticator *a, bool (*is)(enum stage stage)); // NULL

#endif
