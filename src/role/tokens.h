// SPDX-License-Identifier: ISC
// Tokens for logging in at smart hosts, in role source: read from the token files of routes, renewed
// at their endpoints on threads, kept in memory and, where we may, written back.
#ifndef PABAL_ROLE_TOKENS_H
#define PABAL_ROLE_TOKENS_H

#include "role/role.h"

struct tokens;
// idle: nothing runs any more.
struct tokens *tokens_create(
	struct role_context *context, void (*idle)(void *arg), void *arg);
// Takes the routes of context->config.
void tokens_configure(struct tokens *t);
// A frame `token_wanted` of a sender came.
void tokens_ask(struct tokens *t, struct ipc_channel *from, struct str body);
void tokens_lost(struct tokens *t, const struct ipc_channel *from); // nobody waits there
unsigned tokens_running(const struct tokens *t);

// For the table of roles: whether a route has a token file.
bool tokens_needed(const struct config *c);

#endif
