// SPDX-License-Identifier: ISC
// Making and checking stored passwords. Blocking (tens of milliseconds): pool threads and commands only.
#ifndef PABAL_AUTH_PASSWORD_H
#define PABAL_AUTH_PASSWORD_H

#include "base/error.h"
#include "store/secrets.h"

// yescrypt hash and SCRAM-SHA-256 keys. The password is prepared (SASLprep-like: UTF-8, NFKC, no
// control octets; ERR_SYNTAX), 1 to 1024 octets.
int password_make(struct str password, struct secret *out, struct error *err);
// 0 right, ERR_DENIED wrong, ERR_UNSUPPORTED unknown kind of hash. Takes crypt(3) hashes and $argon2id$.
int password_check(struct str password, const char *hash);
// Costs what a check costs, for names that do not exist.
void password_check_dummy(struct str password);

#endif
