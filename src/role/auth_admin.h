// SPDX-License-Identifier: ISC
// What `pabal account` asks of auth: handlers for the control socket, and the same ones for a
// command while the server is stopped.
#ifndef PABAL_ROLE_AUTH_ADMIN_H
#define PABAL_ROLE_AUTH_ADMIN_H

#include "auth/authenticator.h"
#include "auth/name.h"
#include "control/control.h"
#include "store/secrets.h"

struct auth_admin {
	struct secrets *secrets;
	struct authenticator
		*authenticator; // forgets what changed; NULL when the server is stopped
	uv_loop_t *loop;	// hashing is done on its pool; NULL: at once
};
// arg of every handler is a struct auth_admin. "secret set" {name, password}, "secret remove" {name},
// "secret seal" {name, password}, "secret unseal" {name}, "secret hash" {name, hash}, "secret show"
// {name}, "application add" {name, label, from, expires}, "application list" {name}, "application
// remove" {name, label}: the name is an account's in key form; nobody here knows whether there is such an account.
extern const struct control_handler auth_admin_handlers[];
extern const size_t auth_admin_handler_count;

#endif
