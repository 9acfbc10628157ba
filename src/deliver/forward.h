// SPDX-License-Identifier: ISC
// Text of a .forward file as sendmail reads it: recipients with commas or line ends between them,
// comments from a # where a recipient could begin to the end of the line, quotes around what has blanks or commas in it.
// Pure: nothing is opened.
#ifndef PABAL_DELIVER_FORWARD_H
#define PABAL_DELIVER_FORWARD_H

#include "base/str.h"

#define FORWARD_TEXT_MAX 1000 // octets of one entry

enum forward_kind {
	FORWARD_ADDRESS, // kim@example.kr, or a bare name
	FORWARD_KEEP,    // \kim: into the mailbox; text without the backslash
	FORWARD_COMMAND, // "|command": for /bin/sh -c; text without the bar
	FORWARD_FILE,    // /path
	FORWARD_INCLUDE, // :include:/path; text is the path
	FORWARD_WRONG,   // too long, a quote without end, a control octet
};

struct forward_entry {
	enum forward_kind kind;
	char text[FORWARD_TEXT_MAX + 1];
};

// Takes the next entry off *rest; false at the end. <kim@example.kr> and "Kim <kim@example.kr>" give the
// address inside.
bool forward_next(struct str *rest, struct forward_entry *out);

#endif
