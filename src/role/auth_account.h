// SPDX-License-Identifier: ISC
// How an account can log in: what is shown of its secrets, hashes made elsewhere, recoverable,
// one-time and application passwords. Handlers beside those of auth_admin.h.
#ifndef PABAL_ROLE_AUTH_ACCOUNT_H
#define PABAL_ROLE_AUTH_ACCOUNT_H

#include "role/auth_admin.h"

void auth_account_show(struct control_call *call, const json_t *arguments, void *arg);
void auth_account_hash(struct control_call *call, const json_t *arguments, void *arg);
void auth_account_otp(struct control_call *call, const json_t *arguments, void *arg);
void auth_account_otp_remove(struct control_call *call, const json_t *arguments, void *arg);
void auth_account_unseal(struct control_call *call, const json_t *arguments, void *arg);
void auth_application_add(struct control_call *call, const json_t *arguments, void *arg);
void auth_application_list(struct control_call *call, const json_t *arguments, void *arg);
void auth_application_remove(struct control_call *call, const json_t *arguments, void *arg);

// ---- shared with auth_admin.c
struct str auth_admin_argument(const json_t *arguments, const char *name);
// Fails the call when "name" is none.
bool auth_admin_take_name(
	struct control_call *call, const json_t *arguments, char out[AUTH_NAME_MAX + 1]);
void auth_admin_fail(struct control_call *call, int err);
// The change is stored: what is remembered of the name goes, and one line says who did it.
void auth_admin_changed(const struct auth_admin *admin, struct control_call *call, const char *name,
	const char *what);

#endif
