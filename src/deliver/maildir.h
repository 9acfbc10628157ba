// SPDX-License-Identifier: ISC
// Delivery into Maildir: tmp, fsync, link to new, folder fsync. Blocking: runs on pool threads of a
// process that already has the recipient's rights.
#ifndef PABAL_DELIVER_MAILDIR_H
#define PABAL_DELIVER_MAILDIR_H

#include "config/config.h"
#include "deliver/deliver.h"
#include "deliver/maildir_known.h"

// pattern: "/var/mail/%d/%u/Maildir" (%d domain, %u local part, both through file_name_encode;
// %a the whole address). The fixed part before the first % must exist or is made once with 0700.
// The result is SMTP_DELIVERED, or TEMPORARY for everything the machine can recover from (no space
// 4.2.2 for EDQUOT, 4.3.1 for ENOSPC, 4.2.0 else). DELIVERED means that the message and every folder
// on the way to it are on the disk, whoever made them.
void maildir_deliver(struct maildir_known *known, const char *pattern, const char *hostname,
	struct deliver_job *job, struct deliver_recipient *r);

#endif
