// SPDX-License-Identifier: ISC
// Threads that take jobs from one list and put them on another, for the loop.
#include "auth/pool.h"

#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX 64

struct auth_pool {
	uv_async_t wake;
	uv_mutex_t lock; // over all below
	uv_cond_t work;
	struct list waiting;
	struct list finished;
	unsigned wanted; // threads with a higher number end
	bool ended[THREADS_MAX]; // or are about to, and take no job any more
	int nice;
	uv_thread_t threads[THREADS_MAX];
	bool started[THREADS_MAX]; // and not joined; the loop's
	bool ending;
};

struct thread_start {
	struct auth_pool *pool;
	unsigned number;
};

static struct auth_job *next_job(struct auth_pool *pool, unsigned number)
{
	while (list_empty(&pool->waiting) && !pool->ending && number < pool->wanted)
		uv_cond_wait(&pool->work, &pool->lock);
	if (pool->ending || number >= pool->wanted)
		return NULL;
	struct auth_job *job = LIST_ENTRY(pool->waiting.next, struct auth_job, link);
	list_remove(&job->link);
	job->waiting = false;
	return job;
}

static void run_thread(void *arg)
{
	struct thread_start start = *(struct thread_start *)arg;
	struct auth_pool *pool = start.pool;
	struct auth_job *job;

	mem_free(arg);
	// A thread has a priority of its own in Linux. Without it all is slower, and right.
	if (pool->nice > 0)
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), pool->nice);
	uv_mutex_lock(&pool->lock);
	while ((job = next_job(pool, start.number))) {
		uv_mutex_unlock(&pool->lock);
		job->run(job);
		uv_mutex_lock(&pool->lock);
		list_add_last(&pool->finished, &job->link);
		uv_async_send(&pool->wake);
	}
	pool->ended[start.number] = true;
	uv_mutex_unlock(&pool->lock);
}

static void on_wake(uv_async_t *wake)
{
	struct auth_pool *pool = wake->data;

	for (;;) {
		struct auth_job *job = NULL;
		uv_mutex_lock(&pool->lock);
		if (!list_empty(&pool->finished) && !pool->ending) {
			job = LIST_ENTRY(pool->finished.next, struct auth_job, link);
			list_remove(&job->link);
		}
		uv_mutex_unlock(&pool->lock);
		if (!job)
			return;
		job->done(job);
		// done may end the pool, but its memory stays until the handle is closed.
	}
}

static void start_thread(struct auth_pool *pool, unsigned number)
{
	struct thread_start *start = mem_alloc(sizeof *start);
	sigset_t all, before;

	*start = (struct thread_start){pool, number};
	pool->ended[number] = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); // signals are for the loop's thread
	if (uv_thread_create(&pool->threads[number], run_thread, start))
		fatal("cannot start a thread for hashing");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pool->started[number] = true;
}

// One whose job takes long is left to it.
static void join_ended(struct auth_pool *pool)
{
	for (unsigned i = 0; i < THREADS_MAX; i++) {
		uv_mutex_lock(&pool->lock);
		bool ended = pool->started[i] && pool->ended[i];
		uv_mutex_unlock(&pool->lock);
		if (!ended)
			continue;
		uv_thread_join(&pool->threads[i]);
		pool->started[i] = false;
	}
}

void auth_pool_set_threads(struct auth_pool *pool, unsigned threads)
{
	unsigned wanted = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;

	uv_mutex_lock(&pool->lock);
	pool->wanted = wanted;
	uv_cond_broadcast(&pool->work);
	uv_mutex_unlock(&pool->lock);
	join_ended(pool);
	for (unsigned i = 0; i < wanted; i++)
		if (!pool->started[i])
			start_thread(pool, i);
}

struct auth_pool *auth_pool_create(uv_loop_t *loop, unsigned threads, int nice)
{
	struct auth_pool *pool = mem_alloc(sizeof *pool);

	pool->nice = nice;
	list_init(&pool->waiting);
	list_init(&pool->finished);
	if (uv_mutex_init(&pool->lock) || uv_cond_init(&pool->work) ||
		uv_async_init(loop, &pool->wake, on_wake))
		fatal("cannot make a pool of threads");
	pool->wake.data = pool;
	auth_pool_set_threads(pool, threads);
	return pool;
}

static void on_closed(uv_handle_t *handle)
{
	struct auth_pool *pool = handle->data;

	uv_cond_destroy(&pool->work);
	uv_mutex_destroy(&pool->lock);
	mem_free(pool);
}

void auth_pool_destroy(struct auth_pool *pool)
{
	if (!pool)
		return;
	uv_mutex_lock(&pool->lock);
	pool->ending = true;
	uv_cond_broadcast(&pool->work);
	uv_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		if (pool->started[i])
			uv_thread_join(&pool->threads[i]);
	uv_close((uv_handle_t *)&pool->wake, on_closed);
}

void auth_pool_add(struct auth_pool *pool, struct auth_job *job)
{
	uv_mutex_lock(&pool->lock);
	job->waiting = true;
	list_add_last(&pool->waiting, &job->link);
	uv_cond_signal(&pool->work);
	uv_mutex_unlock(&pool->lock);
}

bool auth_pool_take_back(struct auth_pool *pool, struct auth_job *job)
{
	uv_mutex_lock(&pool->lock);
	bool waiting = job->waiting;
	if (waiting) {
		job->waiting = false;
		list_remove(&job->link);
	}
	uv_mutex_unlock(&pool->lock);
	return waiting;
}
