// SPDX-License-Identifier: ISC
// The message that a report gives back to its sender: as it was sent on, all of it or only
// its header section.
#ifndef PABAL_MESSAGE_RETURNED_H
#define PABAL_MESSAGE_RETURNED_H

#include "message/report.h"

// Owned by whoever holds the struct.
struct returned {
	struct buf octets;     // whole lines of at most 998 octets
	bool whole;            // else the header section only
	bool eightbit;         // octets over 127 are in it
	struct buf message_id; // its Message-ID, "" when there is none or an odd one
	struct buf subject;    // its Subject when people can read it as it stands, else ""
};

// failed: the report tells of a failure; RFC 3461 4.3 gives the body back only then.
void returned_init(struct returned *t, const struct report *r, bool failed);
void returned_finish(struct returned *t);

#endif
