// SPDX-License-Identifier: ISC
// What an alias leads to, as the right side of a line of an aliases file has it: parts with commas
// between, in quotes where there are blanks or commas in them. Text only: nothing is looked up.
#ifndef PABAL_QUEUE_TARGETS_H
#define PABAL_QUEUE_TARGETS_H

#include "base/str.h"

#define TARGET_MAX 1024 // octets of one part, without quotes

enum target_kind {
	TARGET_ADDRESS, // text: LOCAL@DOMAIN, or a bare name
	TARGET_PLAIN,   // "\kim": kim himself, whatever aliases say; text without the backslash
	TARGET_DOMAIN,  // "@example.kr": the same name in that domain; text without the @
	TARGET_PROGRAM, // "|command": text is the command
	TARGET_FILE,    // "/path"
	TARGET_INCLUDE, // ":include:/path": text is the path
	TARGET_WRONG,   // too long, or a quote does not end; text as far as it goes
};

struct target {
	enum target_kind kind;
	struct str text;       // in space, or in the list
	char space[TARGET_MAX];
};

// Takes the next part off *rest; empty ones are passed over. False at the end.
bool queue_target_next(struct str *rest, struct target *out);

#endif
