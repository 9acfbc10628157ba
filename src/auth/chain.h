// SPDX-License-Identifier: ISC
// Asks the password sources of a server in their order and makes one answer of theirs. `accounts`
// is asked here (check.h), the others over the roles source and checker. Knows nothing of
// mechanisms, guessing or the state of accounts.
#ifndef PABAL_AUTH_CHAIN_H
#define PABAL_AUTH_CHAIN_H

#include "auth/check.h"
#include "auth/name.h"
#include "auth/source.h"
#include "ipc/messages.h"
#include "net/wheel.h"

#define AUTH_CHAIN_FOREIGN_MAX 4000  // questions to the two roles that are not answered yet
#define AUTH_CHAIN_SKIP_MS     10000 // a source past its time limit is not asked for so long
#define AUTH_CHAIN_GRACE_MS    1000  // beyond a source's limit, for its role to say so itself

struct auth_chain_host {
	// Sends a question to role checker, or to role source; ERR_* when that is not there.
	// Answered by auth_chain_answer.
	int (*send)(void *arg, bool to_checker, const struct ipc_check *m);
	void *arg;
};

// What the sources say together. YES: one said so (answer.account is filled, in key form). NO:
// one knows the name and refuses. UNKNOWN: none knows it. CANNOT: none said yes and one could not
// answer.
struct auth_chain_result {
	struct auth_answer answer;
	bool own; // of YES: `accounts` said so
};

// One question; part of the asker, who takes it out with auth_chain_cancel before it goes away.
struct auth_chain_ask {
	// Called at most once, perhaps before auth_chain_start returns; r lives as long as the call.
	void (*done)(struct auth_chain_ask *ask, const struct auth_chain_result *r);
	// private
	struct list link;
	struct auth_chain *chain; // NULL: waits for nothing
	struct auth_chain_generation *generation;
	struct auth_asker asker;
	struct wheel_timer timer;
	uint64_t request, asked_ms;
	uint32_t left; // sources not asked yet, by bit
	unsigned source;
	unsigned gives;
	enum auth_ask asks;
	bool name_valid, trying, cannot, refused, ending;
	char key_name[AUTH_NAME_MAX + 1];
	char *name, *secret, *challenge, *server; // copies; the second is wiped
	size_t secret_len;
	struct ipaddr client;
	unsigned char key[AUTH_CACHE_KEY];
	char reason[AUTH_REASON_OCTETS]; // of the first that could not answer, or refused
};

struct auth_chain;
struct auth_chain *auth_chain_create(uv_loop_t *loop, struct wheel *wheel,
	const struct config *config, struct secrets *secrets, const struct auth_chain_host *host);
void auth_chain_destroy(struct auth_chain *c); // asks are forgotten, not called
// Forgets what was right a moment ago. What is being asked goes on as it began.
void auth_chain_set_config(struct auth_chain *c, const struct config *config);

// q->name: as the client sent it. gives: of LOOKUP, which AUTH_GIVES_* are wanted.
void auth_chain_start(struct auth_chain *c, struct auth_chain_ask *ask,
	const struct auth_question *q, unsigned gives);
void auth_chain_cancel(struct auth_chain_ask *ask); // fine when it waits for nothing
// A password that was right a moment ago at the same server, and to a foreign source from the same
// address; then *out says YES.
bool auth_chain_remembered(
	struct auth_chain *c, const struct auth_question *q, struct auth_chain_result *out);
// The checks of our own accounts.
struct auth_checks *auth_chain_checks(struct auth_chain *c);
// What makes two attempts the same.
void auth_chain_key(const struct auth_chain *c, struct str name, struct str secret,
	unsigned char out[AUTH_CACHE_KEY]);

void auth_chain_answer(struct auth_chain *c, const struct ipc_checked *m);
void auth_chain_lost(struct auth_chain *c, bool checker); // that role is gone
void auth_chain_forget(struct auth_chain *c, struct str name); // an account changed; "": all

// The sources that are passed over now because they were too slow, in order; the times are what is
// left of it.
void auth_chain_skipped(const struct auth_chain *c,
	void (*each)(void *arg, const char *source, uint64_t left_ms), void *arg);

#endif
