// SPDX-License-Identifier: ISC
// Who a caller is, as the kernel says it, and what it may do.
#include "control/control_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 65536 // the kernel's own bound

static bool is_among(const gid_t *groups, size_t count, gid_t wanted)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

// One that cannot be asked for its groups has none.
static bool has_group(int socket, gid_t wanted)
{
	socklen_t size = 0;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE ||
		size > GROUPS_MAX * sizeof(gid_t))
		return false;
	gid_t *groups = mem_alloc(size);
	bool found = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0 &&
		is_among(groups, size / sizeof(gid_t), wanted);
	mem_free(groups);
	return found;
}

bool control_peer_is_admin(int socket, unsigned group)
{
	struct control_call call = {0};
	return control_peer_look(socket, group, &call) == 0 && call.right == CONTROL_ADMIN;
}

int control_peer_look(int socket, unsigned admins, struct control_call *out_call)
{
	struct ucred who;
	socklen_t size = sizeof who;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		return ERR_SYSTEM;
	bool known = who.uid == 0 || who.uid == geteuid();
	if (!known && admins != CONTROL_NO_GROUP)
		known = who.gid == admins || has_group(socket, admins);
	out_call->uid = who.uid;
	out_call->right = known ? CONTROL_ADMIN : CONTROL_NOTHING;
	return 0;
}
