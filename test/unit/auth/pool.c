// SPDX-License-Identifier: ISC
#include "auth/pool.h"

#include "base/clock.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_int running, most, may_end;

struct task {
	struct auth_job job;
	struct auth_pool *end_pool; // in done
	int runs, dones;
};

static void run(struct auth_job *job)
{
	int now = atomic_fetch_add(&running, 1) + 1;

	LIST_ENTRY(job, struct task, job)->runs++;
	if (now > atomic_load(&most))
		atomic_store(&most, now);
	while (!atomic_load(&may_end))
		usleep(200);
	atomic_fetch_sub(&running, 1);
}

static void done(struct auth_job *job)
{
	struct task *t = LIST_ENTRY(job, struct task, job);

	t->dones++;
	auth_pool_destroy(t->end_pool);
}

struct world {
	uv_loop_t loop;
	struct auth_pool *pool;
	struct task tasks[20];
};

static void begin(struct world *w, unsigned threads)
{
	*w = (struct world){0};
	atomic_store(&running, 0);
	atomic_store(&most, 0);
	atomic_store(&may_end, 0);
	uv_loop_init(&w->loop);
	w->pool = auth_pool_create(&w->loop, threads, 0);
	for (size_t i = 0; i < ARRAY_SIZE(w->tasks); i++) {
		w->tasks[i].job = (struct auth_job){.run = run, .done = done};
		list_init(&w->tasks[i].job.link);
		auth_pool_add(w->pool, &w->tasks[i].job);
	}
}

static void wait_running(int count)
{
	uint64_t end = clock_monotonic_ms() + 10000;

	while (atomic_load(&running) != count) {
		assert_true(clock_monotonic_ms() < end);
		usleep(200);
	}
}

static void end(struct world *w)
{
	auth_pool_destroy(w->pool);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static int count_done(const struct world *w)
{
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(w->tasks); i++)
		count += w->tasks[i].dones;
	return count;
}

static void never_more_than_its_threads(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 3);
	wait_running(3);
	atomic_store(&may_end, 1);
	while (count_done(&w) < (int)ARRAY_SIZE(w.tasks))
		uv_run(&w.loop, UV_RUN_ONCE);
	assert_int_equal(atomic_load(&most), 3);
	for (size_t i = 0; i < ARRAY_SIZE(w.tasks); i++)
		assert_true(w.tasks[i].runs == 1 && w.tasks[i].dones == 1);
	end(&w);
}

static void takes_back_what_waits(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 1);
	wait_running(1);
	assert_false(auth_pool_take_back(w.pool, &w.tasks[0].job));
	for (size_t i = 1; i < ARRAY_SIZE(w.tasks); i++)
		assert_true(auth_pool_take_back(w.pool, &w.tasks[i].job));
	atomic_store(&may_end, 1);
	while (count_done(&w) == 0)
		uv_run(&w.loop, UV_RUN_ONCE);
	assert_int_equal(w.tasks[0].dones, 1);
	assert_int_equal(count_done(&w), 1);
	end(&w);
}

static void more_and_fewer_threads(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 1);
	auth_pool_set_threads(w.pool, 4);
	wait_running(4);
	atomic_store(&may_end, 1);
	auth_pool_set_threads(w.pool, 1);
	while (count_done(&w) < (int)ARRAY_SIZE(w.tasks))
		uv_run(&w.loop, UV_RUN_ONCE);
	end(&w);
}

// A reload must not wait for what hangs in somebody's library.
static void fewer_threads_wait_for_no_job(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 4);
	wait_running(4);
	auth_pool_set_threads(w.pool, 1); // all four are at work, and stay so
	auth_pool_set_threads(w.pool, 3);
	auth_pool_set_threads(w.pool, 2);
	assert_int_equal(atomic_load(&running), 4);
	atomic_store(&may_end, 1);
	wait_running(0);
	while (count_done(&w) < (int)ARRAY_SIZE(w.tasks))
		uv_run(&w.loop, UV_RUN_ONCE);
	atomic_store(&may_end, 0);
	atomic_store(&most, 0);
	for (size_t i = 0; i < ARRAY_SIZE(w.tasks); i++)
		auth_pool_add(w.pool, &w.tasks[i].job);
	wait_running(2);
	auth_pool_set_threads(w.pool, 3); // one that has ended begins anew
	wait_running(3);
	atomic_store(&may_end, 1);
	while (count_done(&w) < 2 * (int)ARRAY_SIZE(w.tasks))
		uv_run(&w.loop, UV_RUN_ONCE);
	assert_int_equal(atomic_load(&most), 3);
	end(&w);
}

static void ends_without_what_waits(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 2);
	wait_running(2);
	atomic_store(&may_end, 1);
	end(&w);
	assert_int_equal(count_done(&w), 0);
}

static void ends_inside_an_answer(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 2);
	for (size_t i = 0; i < ARRAY_SIZE(w.tasks); i++)
		w.tasks[i].end_pool = w.pool;
	w.pool = NULL;
	atomic_store(&may_end, 1);
	while (count_done(&w) == 0)
		uv_run(&w.loop, UV_RUN_ONCE);
	end(&w);
	assert_int_equal(count_done(&w), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_than_its_threads),
		cmocka_unit_test(takes_back_what_waits),
		cmocka_unit_test(more_and_fewer_threads),
		cmocka_unit_test(fewer_threads_wait_for_no_job),
		cmocka_unit_test(ends_without_what_waits),
		cmocka_unit_test(ends_inside_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
