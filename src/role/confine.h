// SPDX-License-Identifier: ISC
// Takes every right a role does not need away from the process. Called from one place.
#ifndef PABAL_ROLE_CONFINE_H
#define PABAL_ROLE_CONFINE_H

#include "base/error.h"
#include "role/role.h"

#include <sys/types.h>

// Who the process becomes. Looked up while names can still be looked up.
#define CONFINE_GROUPS_MAX 64
struct confine_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[CONFINE_GROUPS_MAX]; // supplementary ones that are kept
	int group_count;
};
// ERR_NOT_FOUND with words that say how to make the user.
int confine_find_user(const char *name, struct confine_user *out, struct error *err);
// The groups the system lists for the name are kept too.
int confine_find_groups(const char *name, struct confine_user *user, struct error *err);

struct confine_plan {
	const struct role *role;
	bool as_root;                  // started as root: user and root folder change
	struct confine_user user;
	const char *empty_folder;      // root folder of ROLE_ROOT_EMPTY
	int state_folder;              // descriptor for Landlock of ROLE_ROOT_STATE, or -1
};
// After this: no core dumps, no tracing by others, no new privileges (except `keeps_root`), own user
// and root folder, no way back. Any step that fails ends in an error and the role must not run.
int confine(const struct confine_plan *plan, struct error *err);

// Drops to user for good (a worker of `local`, an offline command): groups, gid, uid, checked.
int confine_become(const struct confine_user *user, struct error *err);

// For who parses what others wrote (the builder of tables), and for `local` when the worker it became root
// for runs: what is left is root in name only, without capabilities, files by name (Landlock) or new
// privileges.
int confine_renounce(struct error *err);

// For `local` with system users: root with what is needed to become a user and to end what it started.
// The bound for set-id programs that users start is wider.
int confine_to_deliveries(struct error *err);

// For `checker`: root with what checks of passwords need (becoming a user, reading and writing what
// is somebody's own, ending children, the audit log), for itself and for all it starts.
int confine_to_checks(struct error *err);

#endif
