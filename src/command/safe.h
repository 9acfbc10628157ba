// SPDX-License-Identifier: ISC
// What strangers wrote (headers, replies of other hosts, names) on a terminal: no octet of it may
// move the cursor, change colours or turn the direction of writing.
#ifndef PABAL_COMMAND_SAFE_H
#define PABAL_COMMAND_SAFE_H

#include <stdbool.h>

// A copy in which such characters are "?". lines: newlines and tabs stay (CRLF becomes LF). The
// caller frees it with mem_free.
char *safe_text(const char *text, bool lines);
void safe_print(const char *text); // to standard output, without lines

#endif
