// SPDX-License-Identifier: ISC
// What an mbox holds: its octets are those of the file, its messages are counted.
#ifndef PABAL_DELIVER_QUOTA_MBOX_H
#define PABAL_DELIVER_QUOTA_MBOX_H

#include "deliver/quota.h"

// What is remembered of files by size and time of the last change. Thread safe.
struct quota_mbox;
struct quota_mbox *quota_mbox_create(void);
void quota_mbox_destroy(struct quota_mbox *m); // NULL is fine

// fd: open for reading, locked by the caller. The messages are counted only when a limit of them is
// set, and read through only when the file is not as it was last. ERR_SYSTEM: errno says why.
int quota_mbox_usage(struct quota_mbox *m, int fd, const struct quota_limits *l,
	struct quota_usage *out);
// Our own message was appended to what quota_mbox_usage told last.
void quota_mbox_added(struct quota_mbox *m, int fd);
void quota_mbox_forget(struct quota_mbox *m, int fd);

#endif
