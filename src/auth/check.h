// SPDX-License-Identifier: ISC
// Password checks on the pool of threads: the same name and password is hashed once for all who ask
// at that moment, a success is remembered, and what waits is bounded. Knows nothing of accounts'
// state or mechanisms.
#ifndef PABAL_AUTH_CHECK_H
#define PABAL_AUTH_CHECK_H

#include "auth/cache.h"
#include "auth/source.h"
#include "base/list.h"
#include "store/secrets.h"

#include <uv.h>

#define AUTH_CHECKS_MAX 1000  // running and waiting for a thread
#define AUTH_ASKERS_MAX 20000 // who waits for one of them

enum auth_check_result {
	AUTH_CHECK_RIGHT,
	AUTH_CHECK_WRONG,
	AUTH_CHECK_UNKNOWN,	// no such name; cost what a wrong password costs
	AUTH_CHECK_UNAVAILABLE, // too many wait, or the store cannot be read
	AUTH_CHECK_PENDING,	// done is called
};

// One who waits; part of the asker, who takes it out with auth_check_cancel before it goes away.
struct auth_asker {
	struct list link;
	struct check *check; // NULL: waits for nothing
	struct ipaddr client;  // set by the asker: application passwords can be bound to networks
	char note[160];	       // for the log, beside "wrong password"; "" : nothing to add
	void (*done)(struct auth_asker *asker, enum auth_check_result result);
};

struct auth_checks;
struct auth_checks *auth_checks_create(uv_loop_t *loop, struct secrets *secrets, unsigned threads);
void auth_checks_destroy(struct auth_checks *c); // askers are forgotten, not called
void auth_checks_set_threads(struct auth_checks *c, unsigned threads);
// The key of a name and a password: what makes two checks the same.
void auth_checks_key(const struct auth_checks *c, struct str name, struct str password,
	unsigned char out[AUTH_CACHE_KEY]);
// Whether this success is remembered.
bool auth_checks_remembered(
	struct auth_checks *c, const unsigned char key[AUTH_CACHE_KEY], uint64_t life_ms);
// Anything but PENDING is the answer itself. The password is copied and wiped after use. An
// application password of the name is right as well. A right password makes the SCRAM keys that an
// imported hash came without.
enum auth_check_result auth_check_start(struct auth_checks *c,
	const unsigned char key[AUTH_CACHE_KEY], struct str name, struct str password,
	struct auth_asker *asker);
void auth_check_cancel(struct auth_asker *asker); // fine when it waits for nothing
// What is remembered of the name goes ("": of all), and checks on their way are made again.
void auth_checks_forget(struct auth_checks *c, struct str name);

// A login was let in: remembered as its last. Written once a minute and with auth_checks_write_uses.
void auth_checks_note_login(struct auth_checks *c, struct str name, const struct ipaddr *client);
void auth_checks_write_uses(struct auth_checks *c);

// What our own accounts have stored for a name: AUTH_ASK_LOOKUP of the source `accounts`. gives: what
// would do (AUTH_GIVES_CLEAR, AUTH_GIVES_SCRAM). AUTH_NO: the account has none of it; the reason
// names the command that would change it. The caller wipes *out.
void auth_accounts_lookup(struct secrets *secrets, struct str name, unsigned gives, struct auth_answer *out);

#endif
