// SPDX-License-Identifier: ISC
// SMTP replies: writing ours, reading a server's.
#ifndef PABAL_SMTP_REPLY_H
#define PABAL_SMTP_REPLY_H

#include "base/buf.h"
#include "smtp/limits.h"

#define SMTP_REPLY_TEXT_MAX 480

// One reply of ours. enhanced "" leaves the enhanced code out (banner, EHLO, 334, 354).
struct smtp_reply {
	unsigned code;      // 200..599
	char enhanced[12];  // "5.7.1"
	char text[SMTP_REPLY_TEXT_MAX]; // one line
};

void smtp_reply_set(struct smtp_reply *r, unsigned code, const char *enhanced, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
// Appends "250 2.1.0 text\r\n"; octets that must not be in a reply (controls, and what
// is not UTF-8) become '?'. One line always: SMTP_REPLY_TEXT_MAX keeps it below 512.
int smtp_reply_write(struct buf *out, const struct smtp_reply *r);

// ---- reading (RFC 5321 4.2.1), bounded and tolerant of what servers do
struct smtp_server_reply {
	unsigned code;
	char enhanced[12];            // of the last line, "" when absent or its class differs from code
	struct buf text;              // lines without both codes, joined by '\n'; as sent, any octets
};

// All zero at start; owned by the client dialogue.
struct smtp_reply_reader {
	struct smtp_server_reply reply;
	unsigned lines;
};

enum smtp_reply_status { SMTP_REPLY_MORE, SMTP_REPLY_READY, SMTP_REPLY_BROKEN };
// Consumes whole lines from input; *out_used octets are done with. READY: reader->reply
// is complete until the next call. BROKEN: what came is no SMTP reply or over a bound.
enum smtp_reply_status smtp_reply_read(struct smtp_reply_reader *reader, struct str input,
	const struct smtp_limits *limits, size_t *out_used);
void smtp_reply_reader_finish(struct smtp_reply_reader *reader);

#endif
