// SPDX-License-Identifier: ISC
// Whether an account that may log in has a password and no SCRAM keys: then SCRAM is offered to
// nobody. The passwords are here, whether an account is enabled is known to queue.
#ifndef PABAL_ROLE_AUTH_LACKING_H
#define PABAL_ROLE_AUTH_LACKING_H

#include "control/control.h"
#include "ipc/channel.h"
#include "store/secrets.h"

#define AUTH_LACKING_REQUEST (1ULL << 62) // set in the ids of its questions
#define AUTH_LACKING_MAX     1000 // names; of more, one is taken to be enabled

struct auth_lacking;
struct auth_lacking *auth_lacking_create(
	struct secrets *secrets, void (*known)(void *arg, bool any), void *arg);
void auth_lacking_destroy(struct auth_lacking *l); // NULL is fine
// Looks once more, asking queue about one name after another; known is called, perhaps before this
// returns. While it looks already, it looks again after that. Without a queue nothing is found out.
void auth_lacking_look(struct auth_lacking *l, struct ipc_channel *queue);
void auth_lacking_answer(struct auth_lacking *l, const struct ipc_account_answer *m);
void auth_lacking_lost(struct auth_lacking *l); // queue is gone

// "secret lacking" {}: rows {name}, enabled or not, AUTH_LACKING_MAX at most; the summary: {count}.
// arg is a struct auth_admin.
void auth_lacking_list(struct control_call *call, const json_t *arguments, void *arg);

#endif
