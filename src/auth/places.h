// SPDX-License-Identifier: ISC
// Where each account has logged in from: its last few addresses. Kept in memory, written to
// secrets.db once a minute and at the end, so that a login never waits for the disk.
#ifndef PABAL_AUTH_PLACES_H
#define PABAL_AUTH_PLACES_H

#include "base/ipaddr.h"
#include "store/secrets.h"

#include <uv.h>

#define AUTH_PLACES_ACCOUNTS 20000 // the one that logged in longest ago is forgotten first
#define AUTH_PLACES_EACH     16	   // of an account; likewise
#define AUTH_PLACES_EVERY_MS (60 * 1000)

struct auth_places;
// Reads what was written before; what cannot be read is reported and begins empty.
struct auth_places *auth_places_create(uv_loop_t *loop, struct secrets *secrets);
void auth_places_destroy(struct auth_places *p); // writes; the loop must turn once more
// An IPv6 address stands for its /64.
bool auth_places_has(const struct auth_places *p, struct str name, const struct ipaddr *client);
void auth_places_add(struct auth_places *p, struct str name, const struct ipaddr *client);
void auth_places_write(struct auth_places *p);

#endif
