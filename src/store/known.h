// SPDX-License-Identifier: ISC
// Answers about accounts that were given lately, so that each recipient of each message does not
// wait for a commit. Forgotten as a whole when any account changes. Loop thread.
#ifndef PABAL_STORE_KNOWN_H
#define PABAL_STORE_KNOWN_H

#include "base/map.h"
#include "store/queries.h"
#include "store/store.h"

// All zero is valid and empty. Owned by the store.
struct known {
	struct map map;
	uint64_t version; // of the directory; a change begins a new one
	unsigned changes; // under way: nothing is known meanwhile
};

void known_finish(struct known *k);
// False: not known. *out_account: NULL when there is no such account; valid until the next call.
bool known_get(struct known *k, enum query query, struct str name,
	const struct store_account **out_account);
// An answer to a question asked at that version. account NULL: there is none.
void known_add(struct known *k, enum query query, struct str name, uint64_t version,
	const struct store_account *account);
// Around every change, from the request to its completion.
void known_change_begin(struct known *k);
void known_change_end(struct known *k);

#endif
