// SPDX-License-Identifier: ISC
// What saslauthd answers, as octets.
#ifndef PABAL_AUTH_SOURCE_SASLAUTHD_H
#define PABAL_AUTH_SOURCE_SASLAUTHD_H

#include "auth/source.h"

// 1: *out is YES or NO; 0: not whole yet; ERR_SYNTAX.
int auth_saslauthd_reply_read(struct str octets, enum auth_verdict *out);

#endif
