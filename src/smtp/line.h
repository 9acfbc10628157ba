// SPDX-License-Identifier: ISC
// Takes command lines out of a byte stream. Only CRLF ends a line; a bare CR or
// LF is an error of that line, never an end of it (no smuggling).
#ifndef PABAL_SMTP_LINE_H
#define PABAL_SMTP_LINE_H

#include "base/str.h"

enum smtp_line_status {
	SMTP_LINE_MORE,     // no whole line yet
	SMTP_LINE_READY,    // *out_line without CRLF; borrowed from input
	SMTP_LINE_TOO_LONG, // over the bound: the line was skipped up to its CRLF
	SMTP_LINE_BARE,     // contains a bare CR or LF, or NUL: skipped
};

// All zero at start. Remembers that the rest of an over-long line is being skipped.
struct smtp_line {
	bool skipping;
	bool saw_cr; // last octet skipped was CR
};

// Looks at input (all octets not yet consumed, at most limit + some). Tells in
// *out_used how many octets are done with (0 with MORE unless skipping).
enum smtp_line_status smtp_line_take(struct smtp_line *l, struct str input, size_t limit,
	struct str *out_line, size_t *out_used);

#endif
