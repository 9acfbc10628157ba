// SPDX-License-Identifier: ISC
// Delivery into Maildir: tmp, fsync, link to new, folder fsync. Blocking: runs on pool threads of a
// process that already has the recipient's rights.
#ifndef PABAL_DELIVER_MAILDIR_H
#define PABAL_DELIVER_MAILDIR_H

#include "config/config.h"
#include "deliver/deliver.h"
#include "deliver/maildir_known.h"

struct maildir_options {
	// "/var/mail/%d/%u/Maildir" (%d domain, %u local part, both through file_name_encode; %a the
	// whole address). The fixed part before the first % must exist or is made once with 0700.
	const char *pattern;
	const char *hostname;
	struct maildir_known *known;
	struct quota *quota;
	const char *home;     // what "%h/" at its beginning stands for; NULL: there is none
};

// The result is SMTP_DELIVERED, or TEMPORARY for everything the machine can recover from (over a quota,
// ours or the kernel's, 4.2.2; no space 4.3.1; 4.2.0 else). DELIVERED means that the message and every
// folder on the way to it are on the disk, whoever made them. What is not delivered leaves nothing.
// Fills r->usage when the mailbox has limits.
void maildir_deliver(const struct maildir_options *o, struct deliver_job *job,
	struct deliver_recipient *r);
// How full the Maildir of an address is; anew: counted, else as maildirsize has it. One that is not there
// yet is empty. 0, or negative: errno says why.
int maildir_usage(const struct maildir_options *o, const char *address,
	const struct quota_limits *l, bool anew, struct quota_usage *out);

#endif
