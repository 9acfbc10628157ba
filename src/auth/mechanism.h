// SPDX-License-Identifier: ISC
// SASL mechanisms (RFC 4422): a row each. What a mechanism makes of a response it says by exactly
// one of the three calls below; they may end the dialogue, so it is the last thing a step does.
#ifndef PABAL_AUTH_MECHANISM_H
#define PABAL_AUTH_MECHANISM_H

#include "base/str.h"

struct authentication;

struct auth_mechanism {
	const char *name;
	bool plaintext;	       // the password itself crosses the wire
	void *(*create)(void); // the dialogue's state; may be NULL
	// response.data NULL: the client sent none (only in the first step).
	void (*step)(struct authentication *x, void *state, struct str response);
	void (*dispose)(void *state); // wipes and frees
};
extern const struct auth_mechanism auth_mechanisms[];
extern const size_t auth_mechanism_count;
const struct auth_mechanism *auth_mechanism_find(const char *name); // without case; NULL

void authentication_challenge(struct authentication *x, struct str challenge);
// authzid: "" or what the client wants to act as.
void authentication_check(
	struct authentication *x, struct str authzid, struct str name, struct str password);
void authentication_malformed(struct authentication *x);

#endif
