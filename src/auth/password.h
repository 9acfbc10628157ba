// SPDX-License-Identifier: ISC
// Making and checking stored passwords. Blocking (tens of milliseconds): pool threads and commands only.
#ifndef PABAL_AUTH_PASSWORD_H
#define PABAL_AUTH_PASSWORD_H

#include "base/error.h"
#include "store/secrets.h"

#define AUTH_PASSWORD_MAX 511 // octets after preparing: what crypt(3) takes

// yescrypt hash and SCRAM-SHA-256 keys; out->changed_ms is now. The password is prepared
// (SASLprep-like: UTF-8, NFKC, blanks outside ASCII become a space, no control octets; ERR_SYNTAX),
// 1 to AUTH_PASSWORD_MAX octets (ERR_LIMIT).
int password_make(struct str password, struct secret *out, struct error *err);
// The form in which a password is hashed, keyed and sealed. ERR_SYNTAX, ERR_LIMIT as above.
int password_prepare(struct str password, char out[AUTH_PASSWORD_MAX + 1]);
// Only the SCRAM-SHA-256 keys, for an account whose hash was made elsewhere. ERR_SYNTAX, ERR_LIMIT.
int password_make_scram(struct str password, char *out, size_t size);
// Whether a hash made elsewhere is of a kind that can be checked here.
bool password_hash_known(const char *hash);
// 0 right, ERR_DENIED wrong, ERR_UNSUPPORTED unknown kind of hash. Takes crypt(3) hashes and $argon2id$.
// A password that preparing changes is also tried as it came, for hashes made elsewhere.
int password_check(struct str password, const char *hash);
// Costs what a check against a hash of password_make costs, for names that do not exist.
void password_check_dummy(struct str password);
// Hash operations of this process so far: tests compare what known and unknown names cost.
unsigned long password_operations(void);

#endif
