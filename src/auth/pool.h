// SPDX-License-Identifier: ISC
// A few threads of our own for hashing, so that it never takes all threads of libuv's pool.
#ifndef PABAL_AUTH_POOL_H
#define PABAL_AUTH_POOL_H

#include "base/list.h"

#include <uv.h>

struct auth_job {
	struct list link;		    // private
	void (*run)(struct auth_job *job);  // on a thread
	void (*done)(struct auth_job *job); // on the loop; the job is its owner's again
	bool waiting;			    // no thread has it yet
};

// The threads are started at once. threads: 1 to 64. nice: how much lower than the loop's their
// priority is (0 to 19), so that work on them never delays anybody's dialogue.
struct auth_pool;
struct auth_pool *auth_pool_create(uv_loop_t *loop, unsigned threads, int nice);
// Waits for the jobs that run (not for those that wait); no done is called any more. Its handle
// closes on the loop.
void auth_pool_destroy(struct auth_pool *pool);
void auth_pool_add(struct auth_pool *pool, struct auth_job *job);
// True: no thread had it and none will, done is not called. False: it runs, done comes.
bool auth_pool_take_back(struct auth_pool *pool, struct auth_job *job);
// More at once, fewer as their jobs end: it waits for none.
void auth_pool_set_threads(struct auth_pool *pool, unsigned threads);

#endif
