// SPDX-License-Identifier: ISC
// Walking the header section of a message as it streams in, and finding fields.
#ifndef PABAL_MESSAGE_HEADERS_H
#define PABAL_MESSAGE_HEADERS_H

#include "base/buf.h"

// Tells each field of the header section once, while octets stream in. Bounded: a field is
// kept up to field_limit octets, more is counted but not kept. A name that does not end within
// field_limit octets is no field.
struct headers_reader {
	struct buf field;       // octets of the field being read that came in earlier calls
	uint64_t offset;        // of the next octet in the body; when done: where the section ended
	uint64_t field_start;
	uint64_t size;          // octets of the whole field lines so far, without the empty line
	size_t field_limit;
	bool done;              // the empty line was seen, or a line that is no field
	bool separated;         // done by an empty line
	bool line_start;
	bool named;             // the field's first line is complete and has a name
	bool truncated;         // the field given is longer than what is kept
};

// name is without ':' (and without blanks before it, RFC 5322 4.5.8), value with folding and
// without the last CRLF. Both are valid during the call only.
typedef void (*headers_give)(void *arg, struct str name, struct str value, uint64_t offset,
	uint64_t length); // of the whole field with CRLF in the body

void headers_reader_init(struct headers_reader *r, size_t field_limit);
void headers_reader_finish(struct headers_reader *r);
// Returns at once when the section is done.
void headers_reader_feed(struct headers_reader *r, struct str octets, headers_give give, void *arg);
// At the end of the body: the last field, when the section ended without an empty line.
void headers_reader_end(struct headers_reader *r, headers_give give, void *arg);
// Appends the value with folding undone and surrounding blanks off. ERR_LIMIT.
int headers_unfold(struct str value, struct buf *out);

#endif
