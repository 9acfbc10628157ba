// SPDX-License-Identifier: ISC
// Writes header fields and plain text word by word in lines of at most 78 octets where the
// words allow it and 998 always (RFC 5322 2.1.1). Whatever comes from the wire is made
// harmless on the way: no control octet and no broken UTF-8 gets out.
#ifndef PABAL_MESSAGE_FOLD_H
#define PABAL_MESSAGE_FOLD_H

#include "base/buf.h"

#define FOLD_ATOM_MAX 256

// One field or paragraph at a time; lives on the stack of the one who writes it.
struct fold {
	struct buf *out;
	const char *indent; // starts each further line
	size_t margin;      // a word right behind this many octets needs no blank before it
	size_t column;      // octets on the line
	size_t words;       // on the line
	bool utf8;          // octets over 127 may stay
	int err;            // the first one
};

// "Name:"; further lines start with a tab.
void fold_field(struct fold *f, struct buf *out, const char *name, bool utf8);
// A paragraph of plain text whose lines all start with indent (a literal).
void fold_paragraph(struct fold *f, struct buf *out, const char *indent, bool utf8);
// The next word starts a new line.
void fold_break(struct fold *f);
// One word, blanks inside are kept. Octets that must not be there become '?'; a word that
// fits no line is cut into several.
void fold_word(struct fold *f, struct str word);
// As fold_word; what is over 1000 octets is cut off.
void fold_format(struct fold *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Every word of a text; blanks, tabs and line ends lie between words.
void fold_text(struct fold *f, struct str text);
// Ends the line. 0 or ERR_LIMIT, also of any call before.
int fold_end(struct fold *f);

// A name from the wire as an RFC 5322 atom, dots and a bracketed literal allowed: what would
// mean something in a structured field becomes '?'. "unknown" when empty. Cut at the bound.
struct str fold_atom(struct str s, char out[FOLD_ATOM_MAX]);

#endif
