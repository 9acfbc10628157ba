// SPDX-License-Identifier: ISC
// Passwords that can be read again, for old mechanisms (CRAM-MD5, DIGEST-MD5, NTLM, SCRAM-SHA-1):
// only of accounts for which that was switched on, and sealed with the key file beside secrets.db.
#ifndef PABAL_AUTH_SEAL_H
#define PABAL_AUTH_SEAL_H

#include "auth/password.h"

// Puts the password, prepared, into secret->sealed; makes the key file at first use. It opens for
// that name only. ERR_SYNTAX, ERR_LIMIT for what can be no password, else what the key file says.
int auth_seal_put(struct secrets *s, struct str name, struct str password, struct secret *secret,
	struct error *err);
// ERR_NOT_FOUND: nothing is sealed. ERR_CORRUPT: another key, another name, or changed octets. out
// is wiped by its owner.
int auth_seal_take(struct secrets *s, struct str name, const struct secret *secret,
	char out[AUTH_PASSWORD_MAX + 1], struct error *err);

#endif
