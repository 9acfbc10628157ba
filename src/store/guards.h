// SPDX-License-Identifier: ISC
// What the guard keeps: a state for each subject ("account NAME", "client ADDRESS"; "" is the
// guard's own), the profile of an account, and incidents. What the octets mean is policy/guard.h's
// and queue/guard.c's business.
#ifndef PABAL_STORE_GUARDS_H
#define PABAL_STORE_GUARDS_H

#include "store/store.h"

#define STORE_SUBJECT_ACCOUNT "account "
#define STORE_SUBJECT_CLIENT  "client "

// Valid during the callback only.
struct store_guard {
	struct str subject;
	uint64_t changed_ms;  // 0: it has no state
	struct str state;
	// Of an account in our directory; else false, "" and 0.
	bool is_account;
	struct str profile;
	uint64_t created_ms;
};
// err: 0 (also when nothing is kept), ERR_SYSTEM, ERR_CORRUPT.
typedef void (*store_guard_done)(void *arg, int err, const struct store_guard *g);
void store_guard_get(struct store *s, struct str subject, store_guard_done done, void *arg);
typedef void (*store_each_guard)(void *arg, const struct store_guard *g);
// At most limit (1000) behind the subject `after`, in order; states only.
void store_guard_list(struct store *s, struct str after, unsigned limit, store_each_guard each,
	store_done done, void *arg);
// In place of what it was; state "" removes it. Goes with whatever is in the batch.
void store_batch_put_guard(struct store_batch *b, struct str subject, uint64_t changed_ms, struct str state);
// ERR_NOT_FOUND: no such account. Told like every change of an account.
void store_profile_set(struct store *s, struct str name, struct str profile, store_done done, void *arg);

struct store_incident {
	uint64_t id;
	struct str subject;
	uint32_t action;      // the most that was done, enum guard_action
	uint64_t started_ms;
	uint64_t ended_ms;    // 0: it goes on
	struct str evidence;  // JSON
};
// One more, or in place of the one with that id.
void store_batch_put_incident(struct store_batch *b, const struct store_incident *i);
typedef void (*store_each_incident)(void *arg, const struct store_incident *i);
// The newest first, at most limit (1000). subject "" : of all; open: only those that go on.
void store_incident_list(struct store *s, struct str subject, bool open, unsigned limit,
	store_each_incident each, store_done done, void *arg);

#endif
