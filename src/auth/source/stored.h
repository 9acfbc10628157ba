// SPDX-License-Identifier: ISC
// Passwords as other programs' databases store them.
#ifndef PABAL_AUTH_SOURCE_STORED_H
#define PABAL_AUTH_SOURCE_STORED_H

#include "auth/source.h"

// 0 right, ERR_DENIED wrong, ERR_UNSUPPORTED a form that is not known (what is neither a crypt(3)
// hash, $argon2id$ nor SCRAM keys needs its scheme in front: "{PLAIN}secret"). Schemes as Dovecot and
// OpenLDAP write them: PLAIN, CRYPT and its kinds, ARGON2ID, SHA, SSHA, SHA256, SSHA256, SHA512,
// SSHA512, SMD5, SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512. Costs what the hash costs.
int auth_stored_check(struct str stored, struct str password);

// For AUTH_ASK_LOOKUP: adds what stored holds beyond a hash, the password itself or SCRAM keys in the
// form of struct auth_answer. False: nothing.
bool auth_stored_give(struct str stored, struct auth_answer *out);

#endif
