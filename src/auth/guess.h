// SPDX-License-Identifier: ISC
// Counts failed logins by client address and by name, and says how long the next one has to wait
// before its password is looked at. Bounded: of very many addresses the oldest are forgotten.
#ifndef PABAL_AUTH_GUESS_H
#define PABAL_AUTH_GUESS_H

#include "base/ipaddr.h"
#include "base/list.h"
#include "base/map.h"

#define AUTH_GUESS_FREE	     3	   // failures within the window that cost nothing
#define AUTH_GUESS_WINDOW_MS 60000 // after this long without a failure everything is forgotten
#define AUTH_GUESS_MAX_MS    8000  // 1, 2, 4, 8 s, and not more
#define AUTH_GUESS_ENTRIES   20000

struct auth_guess {
	struct map entries;
	struct list by_age;
};

void auth_guess_init(struct auth_guess *g);
void auth_guess_finish(struct auth_guess *g);
// The larger of what name and address have to wait. Addresses count by /64 in IPv6; family 0: none.
uint64_t auth_guess_delay(
	const struct auth_guess *g, struct str name, const struct ipaddr *client, uint64_t now_ms);
// attempt: a hash of name and password. The same one again is a program with an old password, not a
// guess: it does not count twice in a row.
void auth_guess_failed(struct auth_guess *g, struct str name, const struct ipaddr *client,
	uint64_t attempt, uint64_t now_ms);
// The name starts anew; the address gets one failure back, so that an account of one's own does not
// pay for guessing at others.
void auth_guess_succeeded(struct auth_guess *g, struct str name, const struct ipaddr *client);

#endif
