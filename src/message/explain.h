// SPDX-License-Identifier: ISC
// What an enhanced status code (RFC 3463) means for the person who sent the message.
#ifndef PABAL_MESSAGE_EXPLAIN_H
#define PABAL_MESSAGE_EXPLAIN_H

#include "base/str.h"

struct explanation {
	const char *code;   // subject and detail "1.1", or the subject "1" for all of it
	const char *what;   // one sentence: what happened
	const char *advice; // one or more sentences: what to do about it
};

// Never NULL: the nearest that is known of "5.1.1", or that nothing is known. Plain English
// without TEXT(): a report is read on another machine, not in this one's language.
const struct explanation *explain_status(struct str status);

#endif
