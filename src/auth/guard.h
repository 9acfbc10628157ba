// SPDX-License-Identifier: ISC
// What stands before every check: the limits of the configuration, the counts (guess.h), where
// accounts log in from (places.h), and the line in the log for each login that failed.
#ifndef PABAL_AUTH_GUARD_H
#define PABAL_AUTH_GUARD_H

#include "auth/guess.h"
#include "auth/mechanism.h"
#include "config/config.h"
#include "store/secrets.h"

#include <uv.h>

struct auth_guard;
struct auth_guard *auth_guard_create(
	uv_loop_t *loop, const struct config *config, struct secrets *secrets);
void auth_guard_destroy(struct auth_guard *g); // the loop must turn once more
void auth_guard_set_config(struct auth_guard *g, const struct config *config);

// Who tries what; strings live as long as the call.
struct auth_guard_try {
	const struct authentication_facts *facts;
	struct str name; // key form, or what was sent; "" : none yet
	const char *mechanism;
};
// Before anything is looked at. key: the same for the same name and password. False: it shall not be;
// the log has it, and out_reason a text for the reply.
bool auth_guard_ask(struct auth_guard *g, struct auth_guess_attempt *a,
	const struct auth_guard_try *t, const unsigned char *key, char *out_reason, size_t size);
// The ends of an attempt. One that was not asked for may fail and succeed, too.
void auth_guard_failed(struct auth_guard *g, struct auth_guess_attempt *a,
	const struct auth_guard_try *t, const char *reason);
void auth_guard_succeeded(
	struct auth_guard *g, struct auth_guess_attempt *a, const struct auth_guard_try *t);
void auth_guard_dropped(struct auth_guard *g, struct auth_guess_attempt *a);

// For the commands: what is blocked now (guess.h), and forgetting.
uint64_t auth_guard_each(struct auth_guard *g,
	void (*each)(void *arg, const struct auth_guess_block *b), void *arg);
uint64_t auth_guard_clear(
	struct auth_guard *g, const struct str *name, const struct ipnet *network);

#endif
