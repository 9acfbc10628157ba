// SPDX-License-Identifier: ISC
// A body and what is made of it at its end.
#ifndef PABAL_SESSION_BODY_INTERNAL_H
#define PABAL_SESSION_BODY_INTERNAL_H

#include "session/body.h"
#include "session/session_internal.h"

#include "base/map.h"
#include "filter/stage.h"
#include "message/digest.h"

enum spool_state {
	SPOOL_NONE,
	SPOOL_OPENING,
	SPOOL_OPEN,
	SPOOL_HANDED_OVER, // with the submission: the host's from now on
	SPOOL_GIVEN_UP,    // it could not be opened, or was aborted
};

struct body {
	bool chunked;           // BDAT, else DATA
	bool ended;             // the chunk, or the whole, is here
	bool eightbit;          // an octet over 127 was seen
	struct smtp_data data;
	struct smtp_chunks chunks;
	struct stage_run *stages;
	struct digest *digest;
	struct buf memory;      // the octets, until there is a spool
	enum spool_state spool_state;
	uint64_t spool;         // the host's name of it
	uint64_t wire;          // octets received, refused ones too
	uint64_t size;          // octets kept
	uint64_t received_ms;
	const struct stage_result *result; // of the stages, at the end; theirs
	enum reply failure;     // a fault of ours, told at the end; REPLY_NONE: none
	// what the end makes of it; lives until the answer of the host
	struct buf headers;
	char client[IPADDR_TEXT_MAX];
	struct envelope envelope;
	struct session_submission submission;
};

// The reply to a body that cannot be taken, or REPLY_NONE.
enum reply body_fault(const struct body *b);
// The whole body is here: stages, Received, then sync and submit.
void body_finish(struct session *s);

#endif
