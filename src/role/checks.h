// SPDX-License-Identifier: ISC
// What the roles source and checker share: questions of role auth, how many of a source run at the
// same time, and what its kind has prepared. How one is carried out is the role's own affair.
#ifndef PABAL_ROLE_CHECKS_H
#define PABAL_ROLE_CHECKS_H

#include "auth/pool.h"
#include "auth/source.h"
#include "base/list.h"
#include "role/role.h"

#define CHECKS_RUNNING_MAX 64  // of all sources together
#define CHECKS_WAITING_MAX 256 // of one source

struct checks;
struct checks_generation;

// One question on its way. The role fills answer and calls checks_done.
struct check_task {
	struct list link; // private, as what follows up to question
	struct checks *checks;
	struct checks_generation *generation;
	unsigned index;
	uint64_t request;
	struct ipc_channel *from; // NULL: gone, nobody waits
	uint64_t came_ms;
	const struct config_source *source; // these four: read only
	const struct auth_source_kind *kind;
	void *state; // of the kind
	struct auth_question question;
	struct auth_answer answer;
	struct auth_job job; // for a role with threads
	void *own;	     // of the role, as
	struct list own_link;
};

struct checks_options {
	struct role_context *context;
	bool in_checker;
	void (*start)(void *arg, struct check_task *t); // checks_done follows, not from inside
	void *arg;
};
struct checks *checks_create(const struct checks_options *o);
// Takes the sources of context->config and has their kinds prepare; those before go when nobody
// asks them any more. A kind that cannot is logged, and its questions answered so.
void checks_configure(struct checks *c);
unsigned checks_at_once(const struct checks *c); // at most, with the configuration as it is
unsigned checks_running(const struct checks *c);
// A frame `check` of auth came.
void checks_ask(struct checks *c, struct ipc_channel *from, struct str body);
void checks_done(struct check_task *t); // sends the answer; t is gone
// Nobody waits for what came from there.
void checks_lost(struct checks *c, const struct ipc_channel *from);

// For the table of roles and for commands: whether a source of the configuration runs there.
bool checks_needed_source(const struct config *c);
bool checks_needed_checker(const struct config *c);

#endif
