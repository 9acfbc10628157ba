// SPDX-License-Identifier: ISC
// Delivery into an mbox (RFC 4155; mboxrd quoting). Blocking, in a process that already has the
// recipient's rights.
#ifndef PABAL_DELIVER_MBOX_H
#define PABAL_DELIVER_MBOX_H

#include "deliver/deliver.h"
#include "deliver/safe.h"

struct mbox_options {
	struct safe_owner owner;  // uid: whose the file must be
	struct quota *quota;      // NULL: nothing is counted
	uint64_t lock_wait_ms;
	bool uses_group;          // owner.mailbox_group makes the file and its lock; else it makes nothing
	bool makes_folders;       // missing ones are made with 0700
};

// Appends to the mbox at this absolute path, which is made with 0600 when it is missing. Refused
// (temporary, 4.2.0, with what to do): what safe.h refuses, symbolic links, files of others, files with
// several names, devices. Locks held by others: waited for, then temporary. A torn message at the end is
// cut off first (mbox_torn.h). DELIVERED: the message and the file's name are on the disk. After an error
// the file is as long as before. "/dev/null" takes everything.
void mbox_deliver(const struct mbox_options *o, const char *path, struct deliver_job *job,
	struct deliver_recipient *r);

#endif
