// SPDX-License-Identifier: ISC
// The public keys that sign tokens, as their issuer publishes them (RFC 7517 5). Pure.
#ifndef PABAL_AUTH_SOURCE_JWK_H
#define PABAL_AUTH_SOURCE_JWK_H

#include "base/buf.h"
#include "base/error.h"

#include <openssl/evp.h>

#define AUTH_JWK_SET_OCTETS ((size_t)1 << 20)
#define AUTH_JWK_MAX	    64	// keys of a set; what comes after them is not looked at
#define AUTH_JWK_KID_OCTETS 256 // of a key's name

enum auth_jwk_kind { AUTH_JWK_RSA, AUTH_JWK_P256, AUTH_JWK_P384, AUTH_JWK_ED25519, AUTH_JWK_ED448 };

struct auth_jwk {
	enum auth_jwk_kind kind;
	char kid[AUTH_JWK_KID_OCTETS]; // "" : none
	char alg[16];		       // the only algorithm it is for; "" : any of its kind
	EVP_PKEY *key;
};
struct auth_jwk_set {
	size_t count;
	struct auth_jwk keys[AUTH_JWK_MAX];
};
// Keys of other kinds, for other uses, too weak or malformed are left out. ERR_SYNTAX with words:
// not a set, or nothing in it that can be used. Owned by the caller.
int auth_jwk_set_read(struct str json, struct auth_jwk_set **out, struct error *err);
void auth_jwk_set_destroy(struct auth_jwk_set *set);

// base64url without padding, in its one right form (RFC 7515 2). ERR_SYNTAX; ERR_LIMIT: of out.
int auth_base64url_read(struct str text, struct buf *out);

#endif
