// SPDX-License-Identifier: ISC
// Counting what mailboxes hold. A deliverer asks before a message becomes part of a
// mailbox, and says afterwards what became of it. Blocking; any thread of the process that delivers.
#ifndef PABAL_DELIVER_QUOTA_H
#define PABAL_DELIVER_QUOTA_H

#include "base/error.h"
#include "base/quota.h"

enum quota_kind { QUOTA_MAILDIR, QUOTA_MBOX };

// What a process remembers of mailboxes, and its locks. Of one mailbox only one process may deliver;
// its threads are kept apart here. Writers of other programs lock nothing: each that delivers in the
// same moment may pass the limit by its one message.
struct quota;
struct quota *quota_create(void);
void quota_destroy(struct quota *q); // NULL is fine

// May a message of this many octets come in? place: of a Maildir the open folder (O_PATH will do), of
// an mbox the file, open for reading and locked by the caller until quota_ended.
// Returns enum quota_over: after FITS and OVER_SOFT (with `pass` after each) the message is counted and
// quota_ended must follow; after OVER_HARD nothing was counted. *out_now: with the message, or without
// it when it has no room. Negative: it cannot be counted, errno says why; nothing was counted.
// Without any limit nothing is counted, but an existing maildirsize is kept up to date for others.
int quota_admit(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	uint64_t octets, struct quota_usage *out_now);
// What was admitted is in the mailbox, or could not be written.
void quota_ended(struct quota *q, enum quota_kind kind, int place, uint64_t octets, bool delivered);

// As quota_admit, but only a look: nothing is counted as added, nothing follows. *out_now: without the
// message.
int quota_look(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	uint64_t octets, struct quota_usage *out_now);

// Counts anew what is there now; a Maildir's maildirsize is written anew when there is a limit.
int quota_count(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	struct quota_usage *out_now);

#endif
