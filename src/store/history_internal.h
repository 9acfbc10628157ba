// SPDX-License-Identifier: ISC
// Shared by history.c (writing, the thread) and history_find.c (searching).
#ifndef PABAL_STORE_HISTORY_INTERNAL_H
#define PABAL_STORE_HISTORY_INTERNAL_H

#include "base/buf.h"
#include "store/history.h"
#include "store/sql.h"

#include <pthread.h>

enum history_query_number {
	HISTORY_ADD,
	HISTORY_ADD_BLOCK,
	HISTORY_OLDEST,
	HISTORY_REMOVE,
	HISTORY_REMOVE_BLOCK,
	HISTORY_LAST,
	HISTORY_BLOCKS,
	HISTORY_EVENTS,
	HISTORY_QUERY_COUNT,
};

// Kinds of keys in a block (keys.h).
enum { KEY_ID = 'i', KEY_ADDRESS = 'a', KEY_CLIENT = 'c', KEY_NAME = 'n' };

struct history_find_request;
struct history_find_queue {
	struct history_find_request *first, *last;
};

struct history {
	uv_async_t *async; // freed by the loop; NULL: only history_wait completes
	size_t pending;	   // loop: finds not yet completed
	uint64_t age_ms, size;

	pthread_mutex_t lock;
	pthread_cond_t work, completed;
	struct buf waiting, spare; // events; the thread takes one and gives it back empty
	unsigned waiting_count;
	uint64_t dropped;
	struct history_find_queue finds, found;
	bool hurry; // write at once what waits
	bool busy;  // the thread is at it
	bool stop;

	// The thread's.
	pthread_t thread;
	struct sql *db;
	uint64_t last_number;
};

// Thread, under the lock: the next one or NULL; and the way back.
struct history_find_request *history_take_find(struct history *h);
void history_put_found(struct history *h, struct history_find_request *f);
// Thread, without the lock.
void history_run_find(struct history *h, struct history_find_request *f);
// Loop.
void history_complete_found(struct history *h);

#endif
