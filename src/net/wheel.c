// SPDX-License-Identifier: ISC
// A hashed timing wheel: a slot is a list of timers of one tick, modulo the round. A timer that is
// due in a later round is looked at and left.
#include "net/wheel.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/net_internal.h"

#include <signal.h>

static void tick(uv_timer_t *timer);

static void run_turn(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	stream_run_waiting(idle->data);
}

// A peer that closes must not end the process while OpenSSL writes to its socket.
static void ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

struct wheel *wheel_create(uv_loop_t *loop)
{
	struct wheel *w = mem_alloc(sizeof(*w));

	ignore_sigpipe();
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->slots[i]);
	list_init(&w->firing);
	list_init(&w->waiting);
	list_init(&w->lingering);
	uv_timer_init(loop, &w->timer);
	uv_idle_init(loop, &w->turn);
	w->timer.data = w->turn.data = w;
	w->open_handles = 2;
	return w;
}

static void handle_closed(uv_handle_t *handle)
{
	struct wheel *w = handle->data;

	if (--w->open_handles > 0)
		return;
	mem_free(w->input);
	mem_free(w);
}

static void forget_all(struct list *head)
{
	LIST_EACH(item, head)
	{
		LIST_ENTRY(item, struct wheel_timer, link)->due_ms = 0;
		list_remove(item);
	}
}

void wheel_destroy(struct wheel *w)
{
	if (!w)
		return;
	stream_close_lingering(w);
	while (!list_empty(&w->waiting))
		list_remove(w->waiting.next);
	for (unsigned i = 0; i < WHEEL_SLOTS; i++)
		forget_all(&w->slots[i]);
	forget_all(&w->firing);
	w->count = 0;
	w->destroyed = true;
	uv_close((uv_handle_t *)&w->timer, handle_closed);
	uv_close((uv_handle_t *)&w->turn, handle_closed);
}

void wheel_timer_init(struct wheel_timer *t, void (*expired)(struct wheel_timer *t))
{
	list_init(&t->link);
	t->due_ms = 0;
	t->expired = expired;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t after_ms)
{
	uint64_t now = clock_monotonic_ms();

	if (w->destroyed)
		return;
	wheel_clear(w, t);
	if (w->count++ == 0) {
		w->tick = now / WHEEL_TICK_MS;
		uv_update_time(w->timer.loop);
		uv_timer_start(&w->timer, tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
	}
	t->due_ms = now + after_ms;
	uint64_t at = (t->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
	if (at <= w->tick)
		at = w->tick + 1;
	list_add_last(&w->slots[at % WHEEL_SLOTS], &t->link);
}

void wheel_clear(struct wheel *w, struct wheel_timer *t)
{
	if (t->due_ms == 0)
		return;
	t->due_ms = 0;
	list_remove(&t->link);
	if (--w->count == 0)
		uv_timer_stop(&w->timer);
}

// Moves the timers that are due now to the firing list.
static void collect(struct wheel *w, uint64_t now)
{
	uint64_t last = now / WHEEL_TICK_MS;
	uint64_t first = w->tick + 1;

	if (last >= first + WHEEL_SLOTS) // the process was stopped for more than a round
		first = last - WHEEL_SLOTS + 1;
	for (uint64_t at = first; at <= last; at++)
		LIST_EACH(item, &w->slots[at % WHEEL_SLOTS])
		{
			if (LIST_ENTRY(item, struct wheel_timer, link)->due_ms > now)
				continue;
			list_remove(item);
			list_add_last(&w->firing, item);
		}
	w->tick = last;
}

static void tick(uv_timer_t *timer)
{
	struct wheel *w = timer->data;

	collect(w, clock_monotonic_ms());
	while (!list_empty(&w->firing)) { // a callback may set and clear any timer
		struct wheel_timer *t = LIST_ENTRY(w->firing.next, struct wheel_timer, link);
		wheel_clear(w, t);
		t->expired(t);
	}
}

void wheel_wake(struct wheel *w)
{
	if (!w->destroyed && !uv_is_active((uv_handle_t *)&w->turn))
		uv_idle_start(&w->turn, run_turn);
}
