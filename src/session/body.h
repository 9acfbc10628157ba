// SPDX-License-Identifier: ISC
// The body of one message on its way in, by DATA or BDAT: checked, digested, seen by the
// stages, kept in memory while it is small and in the host's spool file when it is not.
// Memory is bounded whatever the client sends.
#ifndef PABAL_SESSION_BODY_H
#define PABAL_SESSION_BODY_H

#include "session/replies.h"
#include "session/session.h"
#include "smtp/body.h"

struct body;

struct body *body_create(struct session *s, bool chunked);
// Gives the spool file up unless it was handed over with the message. NULL is fine.
void body_destroy(struct session *s, struct body *b);
// Octets off the wire, at most BODY_SLICE at once. data: true when the end was read.
bool body_take_data(struct session *s, struct str octets, size_t *out_used);
void body_take_chunk(struct session *s, struct str octets);
void body_end_chunks(struct session *s); // after the last one
// More was thrown away than any honest client sends.
bool body_is_endless(const struct session *s);
uint64_t body_size(const struct body *b); // octets that are kept
uint64_t body_wire(const struct body *b); // octets that came, refused ones too
// To be called after what was taken: opens the spool when it is time; at the end of a chunk
// or of the body says the reply or begins what leads to it. The transaction may be gone then.
void body_advance(struct session *s, bool ended);

#define BODY_SLICE 16384

#endif
