// SPDX-License-Identifier: ISC
// When a password was right last: kept in memory and written once a minute, so that a login
// never waits for the disk.
#ifndef PABAL_AUTH_USES_H
#define PABAL_AUTH_USES_H

#include "store/secrets.h"

#include <uv.h>

#define AUTH_USES_MAX	 2000 // written at once beyond that
#define AUTH_USES_EVERY (60 * 1000)

struct auth_uses;
struct auth_uses *auth_uses_create(uv_loop_t *loop, struct secrets *secrets);
void auth_uses_destroy(struct auth_uses *u); // writes what is there; the loop must turn once more
// label "": the password of the account itself, or another source's.
void auth_uses_note(struct auth_uses *u, struct str name, struct str label, const struct ipaddr *client);
void auth_uses_write(struct auth_uses *u);
void auth_uses_forget(struct auth_uses *u, struct str name); // it is gone

#endif
