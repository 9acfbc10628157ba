// SPDX-License-Identifier: ISC
// Bodies on the wire: DATA with dot transparency (RFC 5321 4.5.2) and BDAT
// chunks (RFC 3030). Strict: bare CR or LF fails the message; only CRLF.CRLF ends it.
#ifndef PABAL_SMTP_BODY_H
#define PABAL_SMTP_BODY_H

#include "base/buf.h"
#include "smtp/limits.h"

enum smtp_body_fault {
	SMTP_BODY_OK,
	SMTP_BODY_BARE,      // bare CR or LF: 554 5.6.0
	SMTP_BODY_NUL,       // NUL octet: 554 5.6.0
	SMTP_BODY_LONG_LINE, // over limits.body_line: 554 5.6.0
	SMTP_BODY_TOO_LARGE, // over limits.message_size: 552 5.3.4
};

// Decodes DATA. After a fault it goes on to find the end, giving out no more octets.
struct smtp_data {
	uint8_t state;
	enum smtp_body_fault fault; // the first one
	uint64_t size;              // octets given out
	size_t line;                // octets of the current line
};

void smtp_data_init(struct smtp_data *d);
// Reads from input, calls give with runs of decoded octets (borrowed from input
// or a constant). Returns true when CRLF.CRLF (or .CRLF at the start) was read;
// *out_used octets of input are done with.
bool smtp_data_read(struct smtp_data *d, struct str input, const struct smtp_limits *limits,
	void (*give)(void *arg, struct str octets), void *arg, size_t *out_used);

// Checks BDAT octets for the same faults over all chunks of a message.
struct smtp_chunks {
	bool cr;                    // last octet of the chunks so far was CR
	enum smtp_body_fault fault;
	uint64_t size;
	size_t line;
};
void smtp_chunks_init(struct smtp_chunks *c);
void smtp_chunks_check(struct smtp_chunks *c, struct str octets, const struct smtp_limits *limits);
// At LAST: a body that does not end in CRLF gets *out_tail = "\r\n" to be added.
void smtp_chunks_end(struct smtp_chunks *c, struct str *out_tail);

// Encodes for DATA: dots doubled, ends with "\r\n.\r\n" in smtp_stuff_end (a last
// line without CRLF gets one, an empty body is ".\r\n"). Octets
// given must be line-end clean; a bare CR or LF returns ERR_SYNTAX (never sent).
// After an error out may hold a part of the octets: the connection must be dropped.
struct smtp_stuff {
	bool line_start;
	bool cr;
};
void smtp_stuff_init(struct smtp_stuff *s);
int smtp_stuff_write(struct smtp_stuff *s, struct str octets, struct buf *out);
int smtp_stuff_end(struct smtp_stuff *s, struct buf *out);

#endif
