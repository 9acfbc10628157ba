// SPDX-License-Identifier: ISC
// Counts what accounts, clients and domains send, in windows of a minute, an hour or a day that begin
// with the full minute, hour and (UTC) day. A window's count is what was accepted (used) and what
// open transactions have asked for (reserved); together they never pass a limit that refuses.
// In memory; the caller writes what changed with its commits. A clock that jumps moves the windows
// along and takes no count away.
#ifndef PABAL_QUEUE_RATES_H
#define PABAL_QUEUE_RATES_H

#include "ipc/messages.h"
#include "store/store.h"

struct rates;

struct rates_time {
	uint64_t wall_ms;   // since 1970, UTC
	uint64_t steady_ms; // only goes forward, also while the machine sleeps
};
struct rates_time rates_now(void);

struct rates *rates_create(void);
void rates_destroy(struct rates *r); // NULL is fine; what was taken must have ended

// A row of table counter; others than ours are passed over. Then rates_loaded, once.
void rates_load(struct rates *r, struct rates_time t, struct str name, uint64_t window, uint64_t value);
void rates_loaded(struct rates *r);
bool rates_is_loaded(const struct rates *r);

// ---- before a message or a recipient is accepted
struct rates_full {
	unsigned index;     // of the one that has no room
	uint64_t count;     // what it stands at, with what was asked for
	uint64_t left_ms;   // of its window
};
// Reserves all of them (a list of ipc rate) for this session, or none. 0; ERR_LIMIT: *full says which
// has no room; ERR_UNAVAILABLE: not loaded; ERR_CORRUPT. amount 0 looks whether one more would
// pass and reserves nothing.
int rates_reserve(struct rates *r, struct rates_time t, unsigned worker, uint64_t session,
	struct str list, struct rates_full *full);
void rates_release(struct rates *r, uint64_t session); // nothing came of it
void rates_worker_gone(struct rates *r, unsigned worker);

// ---- a message
// The whole message was counted: its reservations are used up, and what only holds is judged.
struct rates_taken {
	struct ipc_rate held;   // the first rate with action hold that was passed; key "" : none.
	uint64_t held_count;    // Borrowed from the list
	unsigned count;
	struct rates_item {
		struct counter *counter;
		uint64_t window;
		uint32_t amount;
	} items[];
};
// 0 and *out; ERR_UNAVAILABLE: not loaded, or there is no room where none was reserved (we were started
// anew meanwhile): then nothing is counted or reserved any more. ERR_CORRUPT.
int rates_take(struct rates *r, struct rates_time t, uint64_t session, struct str list,
	struct rates_taken **out);
// The message was committed, or not; frees it. NULL is fine.
void rates_taken_end(struct rates *r, struct rates_taken *taken, bool committed);

// ---- the store
// Adds every count that changed since the last time.
void rates_write(struct rates *r, struct store_batch *b);
// A commit failed: everything is written once more.
void rates_unwritten(struct rates *r);
// Forgets windows that are over; false: there were none, and nothing was added.
bool rates_sweep(struct rates *r, struct rates_time t, struct store_batch *b);

// ---- for administrators
struct rates_row {
	struct str key;              // "account kim@example.kr recipients day"
	uint64_t used, reserved;
	uint64_t window, left_ms;    // when it began, and still lasts
};
void rates_each(struct rates *r, struct rates_time t, void (*each)(void *arg, const struct rates_row *row),
	void *arg);
// What it stands at; 0 when nobody counted yet.
uint64_t rates_peek(struct rates *r, struct rates_time t, struct str key);
// Back to nothing used. False: there is no such count. To be written.
bool rates_reset(struct rates *r, struct str key);
// Of a row of table counter, for when no server runs: its key, when it is one of ours and not over.
bool rates_read_row(struct rates_time t, struct str name, uint64_t window, uint64_t value,
	struct rates_row *out);
#define RATES_ROW_PREFIX "rate " // of their names in table counter

#endif
