// SPDX-License-Identifier: ISC
#include "net/wheel.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct probe {
	struct wheel_timer timer;
	uint64_t set_ms, fired_ms;
	unsigned fired;
	void (*then)(struct probe *p);
	struct wheel *wheel;
	struct probe *other;
};

static void expired(struct wheel_timer *t)
{
	struct probe *p = LIST_ENTRY(t, struct probe, timer);

	p->fired++;
	p->fired_ms = clock_monotonic_ms();
	if (p->then)
		p->then(p);
}

static void start(struct probe *p, struct wheel *w, uint64_t after_ms)
{
	wheel_timer_init(&p->timer, expired);
	p->wheel = w;
	p->set_ms = clock_monotonic_ms();
	wheel_set(w, &p->timer, after_ms);
}

static void finish(uv_loop_t *loop, struct wheel *w)
{
	wheel_destroy(w);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void timers_fire_once_not_early_and_soon_after(void **state)
{
	static const uint64_t after[] = {0, 1, 99, 100, 101, 250, 500, 730};
	struct probe probes[ARRAY_SIZE(after)] = {0};
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct wheel *w = wheel_create(&loop);
	for (size_t i = 0; i < ARRAY_SIZE(after); i++)
		start(&probes[i], w, after[i]);
	uv_run(&loop, UV_RUN_DEFAULT); // ends: the wheel sleeps when no timer is set
	for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
		uint64_t passed = probes[i].fired_ms - probes[i].set_ms;
		assert_int_equal(probes[i].fired, 1);
		assert_true(passed >= after[i]);
		assert_true(passed < after[i] + 1000); // 200 ms and what a loaded machine adds
		assert_int_equal(probes[i].timer.due_ms, 0);
	}
	finish(&loop, w);
}

static void clear_other(struct probe *p)
{
	wheel_clear(p->wheel, &p->other->timer);
}

static void a_callback_may_clear_a_timer_of_the_same_tick(void **state)
{
	struct probe first = {.then = clear_other}, second = {0};
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct wheel *w = wheel_create(&loop);
	first.other = &second;
	start(&first, w, 10);
	start(&second, w, 10);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(first.fired + second.fired, 1);
	finish(&loop, w);
}

static void set_again(struct probe *p)
{
	if (p->fired < 3)
		wheel_set(p->wheel, &p->timer, 50);
}

static void a_timer_may_set_itself_again(void **state)
{
	struct probe p = {.then = set_again};
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct wheel *w = wheel_create(&loop);
	start(&p, w, 50);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(p.fired, 3);
	assert_true(p.fired_ms - p.set_ms >= 150);
	finish(&loop, w);
}

static void moved_and_cleared_timers(void **state)
{
	struct probe moved = {0}, cleared = {0}, last = {0};
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct wheel *w = wheel_create(&loop);
	start(&moved, w, 100000000);
	wheel_set(w, &moved.timer, 120);
	start(&cleared, w, 120);
	wheel_clear(w, &cleared.timer);
	wheel_clear(w, &cleared.timer);
	start(&last, w, 300);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(moved.fired, 1);
	assert_int_equal(cleared.fired, 0);
	assert_int_equal(last.fired, 1);
	finish(&loop, w);
}

static void destroy_wheel(struct probe *p)
{
	wheel_destroy(p->wheel);
}

static void the_wheel_may_go_while_it_fires(void **state)
{
	struct probe p = {.then = destroy_wheel}, same = {0}, late = {0};
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct wheel *w = wheel_create(&loop);
	start(&p, w, 10);
	start(&same, w, 10);
	start(&late, w, 5000);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(p.fired, 1);
	assert_int_equal(same.fired, 0);
	assert_int_equal(late.timer.due_ms, 0);
	wheel_clear(w, &late.timer); // does not touch the wheel
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void many_timers(void **state)
{
	const unsigned count = 100000;
	struct probe *probes = mem_array(count, sizeof(*probes));
	unsigned fired = 0;
	uv_loop_t loop;

	uv_loop_init(&loop);
	struct wheel *w = wheel_create(&loop);
	for (unsigned i = 0; i < count; i++)
		start(&probes[i], w, i % 400);
	uv_run(&loop, UV_RUN_DEFAULT);
	for (unsigned i = 0; i < count; i++) {
		fired += probes[i].fired;
		assert_true(probes[i].fired_ms - probes[i].set_ms >= i % 400);
	}
	assert_int_equal(fired, count);
	mem_free(probes);
	finish(&loop, w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_once_not_early_and_soon_after),
		cmocka_unit_test(a_callback_may_clear_a_timer_of_the_same_tick),
		cmocka_unit_test(a_timer_may_set_itself_again),
		cmocka_unit_test(moved_and_cleared_timers),
		cmocka_unit_test(the_wheel_may_go_while_it_fires),
		cmocka_unit_test(many_timers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
