// SPDX-License-Identifier: ISC
// CRAM-MD5 (RFC 2195) where the password is known: HMAC-MD5 of the challenge with it.
#ifndef PABAL_AUTH_CRAM_H
#define PABAL_AUTH_CRAM_H

#include "base/str.h"

// digest: hexadecimal, either case. Costs the same whatever it is.
bool auth_cram_matches(struct str password, struct str challenge, struct str digest);

#endif
