// SPDX-License-Identifier: ISC
// Edits of a stored body, and the message as it is sent: added fields, then the
// body with its edits applied. The stored octets are never rewritten.
#ifndef PABAL_MESSAGE_EDIT_H
#define PABAL_MESSAGE_EDIT_H

#include "base/buf.h"

struct edit {
	uint64_t offset;     // into the stored body
	uint64_t remove;     // octets left out from there
	struct str insert;   // put in their place
};

// Appends one encoded edit; edits come in ascending, non-overlapping order (else
// ERR_SYNTAX). ERR_LIMIT when the bound of the buffer would be passed.
int edit_add(struct buf *edits, const struct edit *e);
// Walks encoded edits: *cursor starts as the whole; false at the end. *err is 0, or
// ERR_CORRUPT (and the answer false) for what edit_add did not write.
bool edit_next(struct str *cursor, struct edit *out, int *err);

// Produces the message as it is sent, piece by piece. Borrowed strings.
struct render {
	struct str headers;
	struct str edits;    // those behind next
	uint64_t body_size;
	uint64_t size;       // of the whole as sent
	uint64_t position;   // in the stored body
	struct edit next;    // valid when has_next
	bool has_next;
	bool headers_done;
};
// ERR_CORRUPT when the edits are damaged, out of order or reach over the end of the body.
int render_init(struct render *r, struct str headers, struct str edits, uint64_t body_size);
// Size of the whole as sent.
uint64_t render_size(const struct render *r);
// Gives out what must be sent before body octets at r->position are needed (given once: send
// all of it) and how many octets of the body follow unchanged, at least one octet in all.
// Returns false at the end. Call render_advance with the body octets that were taken; it may
// be fewer, the next call then gives the rest.
bool render_next(struct render *r, struct str *out_literal, uint64_t *out_body_offset,
	uint64_t *out_body_len);
void render_advance(struct render *r, uint64_t body_octets);

#endif
