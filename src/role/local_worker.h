// SPDX-License-Identifier: ISC
// The processes that deliver. Each is forked by role local and becomes its user before it opens any path
// of his: one for all virtual mailboxes (pabal-mail), one a system user, and one for what aliases name.
#ifndef PABAL_ROLE_LOCAL_WORKER_H
#define PABAL_ROLE_LOCAL_WORKER_H

#include "role/confine.h"
#include "role/role.h"

#include <pwd.h>

// Forks; the child runs body(arg, socket) with nothing of the parent's open but the log and its end of the
// channel, and must not return. *out_socket is ours. ERR_SYSTEM: errno.
int local_fork(void (*body)(void *arg, int socket), void *arg, pid_t *out_pid, int *out_socket);

// Bodies. They serve tries from the socket until its other end is closed.
struct local_worker {
	const struct role_context *context;
	const struct confine_user *mail_user; // of virtual mailboxes
	const char *name;                     // of a system user; "" : the setting alias-user
};
void local_worker_virtual(void *worker, int socket);
void local_worker_user(void *worker, int socket);

// Is this one that may get mail: not root, from `system-users-from` on, with a home folder?
bool local_user_counts(const struct config *c, const struct passwd *pw);

#endif
