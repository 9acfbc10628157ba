// SPDX-License-Identifier: ISC
// The mail that tells an owner that the mailbox is nearly full.
#ifndef PABAL_MESSAGE_WARNING_H
#define PABAL_MESSAGE_WARNING_H

#include "base/buf.h"
#include "base/quota.h"

struct warning {
	struct str to, from;        // addresses
	struct str hostname;
	struct quota_limits limits; // in force
	struct quota_usage usage;
	uint64_t id;                // message id
	uint64_t wall_ms;
};

// Appends a whole RFC 5322 message with CRLF line ends, Auto-Submitted (RFC 3834 5). ERR_LIMIT.
int warning_write(struct buf *out, const struct warning *w);

#endif
