// SPDX-License-Identifier: ISC
// Both locks of an mbox that mail programs agree on: MBOX.lock beside it and fcntl on it. The second is
// only tried while the first is held, so the order of others does not matter.
#ifndef PABAL_DELIVER_MBOX_LOCK_H
#define PABAL_DELIVER_MBOX_LOCK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MBOX_LOCK_STALE_MS (5 * 60 * 1000) // since its last change: whoever made it is gone

struct mbox_lock {
	char name[300];  // of the lock file, in folder
	int folder;      // borrowed
	int fd;          // of the mbox, locked; borrowed
	gid_t group;     // to make the lock file with, or (gid_t)-1
	bool has_file;   // false: the folder may not be written to; fcntl alone
};

// folder: open (O_PATH will do); name: of the mbox in it; fd: the mbox, open for reading and writing.
// Waits up to wait_ms. ERR_TIMEOUT: somebody else holds a lock; ERR_SYSTEM, ERR_FULL: errno.
int mbox_lock_take(struct mbox_lock *l, int folder, const char *name, int fd, gid_t group,
	uint64_t wait_ms);
void mbox_lock_give(struct mbox_lock *l);

// The group counts while files are opened; (gid_t)-1: nothing changes. Of this thread.
void mbox_enter_group(gid_t group);
void mbox_leave_group(gid_t group);

#endif
