// SPDX-License-Identifier: ISC
// Questions and answers of password sources as messages between roles.
#ifndef PABAL_AUTH_WIRE_H
#define PABAL_AUTH_WIRE_H

#include "auth/source.h"
#include "ipc/channel.h"

// The strings point into m. ERR_CORRUPT for what cannot be a question.
int auth_wire_question(const struct ipc_check *m, struct auth_question *out);
// Whether two are the same is not asked: fixed storage is copied and bounded. ERR_CORRUPT.
int auth_wire_answer(const struct ipc_checked *m, struct auth_answer *out);
int auth_wire_send_answer(
	struct ipc_channel *ch, uint64_t request, const struct auth_answer *answer);

#endif
