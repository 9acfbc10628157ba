// SPDX-License-Identifier: ISC
// What a token says, by itself or by the answer of an introspection endpoint, and whose it is. Pure.
#ifndef PABAL_AUTH_SOURCE_CLAIMS_H
#define PABAL_AUTH_SOURCE_CLAIMS_H

#include "auth/source.h"
#include "auth/source/jwt.h"

#define AUTH_CLAIMS_LEEWAY_S 60 // clocks differ

// "" : not looked at, but account_claim.
struct auth_claims_rule {
	struct str issuer, audience, account_claim;
	uint64_t now_s; // since 1970
};
// Whether the claims name another issuer than the rule: the token is somebody else's affair. May be
// asked before the signature was looked at.
bool auth_claims_of_another(
	const struct auth_jwt *t, const struct auth_claims_rule *r, struct auth_answer *out);
// The claims of a token whose signature is right: YES with the account, or NO with the reason.
void auth_claims_of_token(
	const struct auth_jwt *t, const struct auth_claims_rule *r, struct auth_answer *out);
// The answer to an introspection request (RFC 7662 2.2): also UNKNOWN, when it is not active, and
// CANNOT, when it is no such answer. *out_end_s: of YES, when the token ends; 0: it does not say.
void auth_claims_introspected(struct str json, const struct auth_claims_rule *r,
	struct auth_answer *out, uint64_t *out_end_s);

#endif
