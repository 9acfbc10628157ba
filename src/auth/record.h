// SPDX-License-Identifier: ISC
// An answer as a child of role checker writes it: fixed size, one write to a pipe. It may come from a
// process that somebody else has taken over.
#ifndef PABAL_AUTH_RECORD_H
#define PABAL_AUTH_RECORD_H

#include "auth/source.h"

struct auth_record {
	uint32_t verdict, has_rights, rights;
	char account[AUTH_NAME_OCTETS];
	char reason[AUTH_REASON_OCTETS];
	char clear[512];
	char scram[3][512];
};
_Static_assert(sizeof(struct auth_record) <= 4096, "one write to a pipe is whole up to PIPE_BUF");

void auth_record_make(struct auth_record *r, const struct auth_answer *answer);
// ERR_CORRUPT: not such a record; out is not touched.
int auth_record_read(const struct auth_record *r, struct auth_answer *out);

#endif
