// SPDX-License-Identifier: ISC
// How full a mailbox may be, and how full it is. A deliverer asks before a message becomes part of a
// mailbox, and says afterwards what became of it. Blocking; any thread of the process that delivers.
#ifndef PABAL_DELIVER_QUOTA_H
#define PABAL_DELIVER_QUOTA_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

// 0: no limit.
struct quota_limits {
	uint64_t octets, messages;           // hard
	uint64_t octets_soft, messages_soft; // above it the owner is warned
	bool pass;                           // counted, but nothing is kept out: the postmaster
};

struct quota_usage {
	uint64_t octets, messages;
};

enum quota_kind { QUOTA_MAILDIR, QUOTA_MBOX };
enum quota_over { QUOTA_FITS, QUOTA_OVER_SOFT, QUOTA_OVER_HARD };

bool quota_is_limited(const struct quota_limits *l);
// Where a mailbox stands with one more message of this many octets; 0: as it is now. `pass` is not
// looked at.
enum quota_over quota_judge(const struct quota_limits *l, const struct quota_usage *now,
	uint64_t octets);

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
// octets 0: only a look, nothing follows. Without any limit nothing is counted, but an existing
// maildirsize is kept up to date for others.
int quota_admit(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	uint64_t octets, struct quota_usage *out_now);
// What was admitted is in the mailbox, or could not be written.
void quota_ended(struct quota *q, enum quota_kind kind, int place, uint64_t octets, bool delivered);

// Counts anew what is there now; a Maildir's maildirsize is written anew when there is a limit.
int quota_count(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	struct quota_usage *out_now);

#endif
