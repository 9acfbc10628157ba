// SPDX-License-Identifier: ISC
// Text of a dot-qmail file, line by line, as qmail-local reads it (dot-qmail(5)). Pure.
#ifndef PABAL_DELIVER_DOTQMAIL_H
#define PABAL_DELIVER_DOTQMAIL_H

#include "base/str.h"

#define DOTQMAIL_LINE_MAX 1000 // octets

enum dotqmail_kind {
	DOTQMAIL_FORWARD, // &address, or a line that begins with a letter or digit
	DOTQMAIL_COMMAND, // |command
	DOTQMAIL_MBOX,    // /path or ./path
	DOTQMAIL_MAILDIR, // the same with a / at its end
	DOTQMAIL_LIST,    // +list: only forwards may follow
	DOTQMAIL_WRONG,   // too long, a control octet, an empty first line, nothing behind & or |
};

struct dotqmail_line {
	enum dotqmail_kind kind;
	char text[DOTQMAIL_LINE_MAX + 1]; // without & and |
};

// Takes the next instruction off *rest; comments and empty lines are passed over. first: the first line
// of the file, which must not be empty. False at the end.
bool dotqmail_next(struct str *rest, bool *first, struct dotqmail_line *out);

// The name of the n-th file to look for with this extension ("" : none), without the folder: .qmail-EXT,
// then for foo-bar .qmail-foo-default, then .qmail-default. Dots in it become colons, letters small.
// *out_default: what of the extension the word default stands for. False: there is none left, the name
// does not fit, or the extension has a / in it.
bool dotqmail_name(struct str extension, unsigned n, char *out, size_t size, struct str *out_default);

#endif
