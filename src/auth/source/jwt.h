// SPDX-License-Identifier: ISC
// Signed tokens (RFC 7519 in the compact form of RFC 7515), under the rules of RFC 8725. Pure.
#ifndef PABAL_AUTH_SOURCE_JWT_H
#define PABAL_AUTH_SOURCE_JWT_H

#include "auth/source/jwk.h"

#define AUTH_JWT_OCTETS 16384

struct json_t;
struct auth_jwt_alg;

struct auth_jwt {
	const struct auth_jwt_alg *alg;
	char kid[AUTH_JWK_KID_OCTETS]; // "" : none
	struct str input;	       // what is signed: part of the token
	struct buf signature;
	struct json_t *claims; // an object; anybody may have written it before auth_jwt_verify is 0
};
// ERR_SYNTAX: no JWT at all; ERR_UNSUPPORTED: one that is never taken: signed by nobody or with a
// shared secret, with an extension or of a type that is not ours. Words in err. finish follows 0.
int auth_jwt_read(struct str token, struct auth_jwt *out, struct error *err);
void auth_jwt_finish(struct auth_jwt *t);
// ERR_NOT_FOUND: no key fits (a newer set may have it); ERR_DENIED: the signature is wrong.
int auth_jwt_verify(const struct auth_jwt *t, const struct auth_jwk_set *keys, struct error *err);

#endif
