// SPDX-License-Identifier: ISC
// Credentials in the form the SASL library wants, and for names that have none: derived from a
// secret, so that they look the same each time they are asked for and names cannot be counted.
#ifndef PABAL_AUTH_SASL_KEYS_H
#define PABAL_AUTH_SASL_KEYS_H

#include "auth/otp.h"
#include "auth/sasl.h"

// hash: "SHA-1", "SHA-256" or "SHA-512". Blocks for the time of PBKDF2 (SCRAM from a clear password).
// The salt comes from secret and name. ERR_UNSUPPORTED, ERR_LIMIT.
int auth_sasl_keys_make(const char *hash, struct str password, struct str name,
	const unsigned char *secret, char *out, size_t size);
// Keys that no password belongs to.
int auth_sasl_keys_derive(
	const char *hash, struct str name, const unsigned char *secret, char *out, size_t size);
// A state of one-time passwords that nobody can go on from.
void auth_sasl_otp_derive(struct str name, const unsigned char *secret, char out[AUTH_OTP_TEXT]);
// A password that nobody has.
void auth_sasl_password_derive(struct str name, const unsigned char *secret, char *out, size_t size);

#endif
