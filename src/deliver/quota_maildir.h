// SPDX-License-Identifier: ISC
// The file maildirsize of a Maildir (Maildir++, courier's README.maildirquota): what the mailbox holds,
// as a first line with the limits and lines that are added up. It is a cache that Dovecot, courier and
// maildrop read and write too; the messages are the truth.
#ifndef PABAL_DELIVER_QUOTA_MAILDIR_H
#define PABAL_DELIVER_QUOTA_MAILDIR_H

#include "base/buf.h"
#include "deliver/quota.h"

#define MAILDIRSIZE_MAX 5120 // octets; a file this long is written anew

struct maildirsize {
	uint64_t octets_limit, messages_limit; // of the first line; 0: none
	struct quota_usage sum;
	unsigned lines;                        // behind the first
};

// ERR_CORRUPT: counted anew is what it must be (a sum below zero, a line without its end, words).
int maildirsize_parse(struct str content, struct maildirsize *out);
// The file as it is written anew: "1000000S,1000C\n" and one line.
int maildirsize_render(const struct quota_limits *l, const struct quota_usage *now, struct buf *out);

// The usage by maildirsize. False: it has to be counted, as the file is missing, damaged, too long,
// made for other limits, older than the last start of the machine (lines that were not yet on the
// disk may be gone); or a message of `octets` more would have no room, and the sum is of several
// lines or older than 15 minutes. folder: the Maildir, O_PATH will do.
bool quota_maildir_look(int folder, const struct quota_limits *l, uint64_t octets,
	struct quota_usage *out);
// Counts cur and new of the Maildir and of its folders, Trash too, by the ,S= of names, else by the
// size of the file; writes maildirsize anew when there is a limit. ERR_SYSTEM, ERR_LIMIT (too many
// folders); errno says why.
int quota_maildir_count(int folder, const struct quota_limits *l, struct quota_usage *out);
// One line more in maildirsize, in one write; where there is no such file nothing. A file that takes
// no line is removed, so that the next look counts.
void quota_maildir_add(int folder, int64_t octets, int messages);

#endif
