// SPDX-License-Identifier: ISC
// Passwords without an account, left by a crash between the two steps of making or removing one:
// found once after start and thrown away.
#ifndef PABAL_ROLE_AUTH_SWEEP_H
#define PABAL_ROLE_AUTH_SWEEP_H

#include "ipc/channel.h"
#include "store/secrets.h"

#define AUTH_SWEEP_REQUEST (1ULL << 63) // set in the ids of its questions

struct auth_sweep;
// Asks queue about one name after another. Those that changed in the last ten minutes are left:
// their account may be about to be made.
struct auth_sweep *auth_sweep_start(struct secrets *secrets, struct ipc_channel *queue);
// An answer to one of its questions. False when it has ended.
bool auth_sweep_answer(struct auth_sweep *s, const struct ipc_account_answer *m);
void auth_sweep_stop(struct auth_sweep *s); // NULL is fine

#endif
