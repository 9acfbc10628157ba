// SPDX-License-Identifier: ISC
// Which names are users of the system: getpwnam() may ask a network that does not answer, so each is
// asked by a short-lived child, some at a time.
#ifndef PABAL_ROLE_LOCAL_LOOKUP_H
#define PABAL_ROLE_LOCAL_LOOKUP_H

#include "net/wheel.h"
#include "role/role.h"

struct local_lookup;
struct local_lookup_options {
	const struct role_context *context;
	struct wheel *wheel;
	// exists as in ipc user_answer; exactly one for each question, never before local_lookup_ask returns.
	void (*answer)(void *arg, uint64_t request, uint8_t exists);
	void *arg;
};
struct local_lookup *local_lookup_create(const struct local_lookup_options *o);
void local_lookup_ask(struct local_lookup *l, uint64_t request, struct str name);
bool local_lookup_reaped(struct local_lookup *l, pid_t pid); // false: none of these

#endif
