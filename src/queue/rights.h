// SPDX-License-Identifier: ISC
// What an account may do: what it says itself, then what its groups say, then what everybody may.
// One group that takes a right away is enough; of limits (networks, servers) each group's must fit.
#ifndef PABAL_QUEUE_RIGHTS_H
#define PABAL_QUEUE_RIGHTS_H

#include "base/buf.h"
#include "store/store.h"

// Has it this right (one of ACCOUNT_MAY_*), and who says so: "account", "group staff", "default".
bool queue_right(const struct store_account *a, uint32_t right, char who[80]);
uint32_t queue_rights(const struct store_account *a); // all of them
// Lines "WHO<tab>words": each limits the networks (or servers) an account may be used from; none:
// from everywhere. So that a refusal names who said it.
void queue_limits(const struct store_account *a, bool servers, struct buf *out);

#endif
