// SPDX-License-Identifier: ISC
// Timers for very many connections: one wheel a loop, a list link a timer.
#ifndef PABAL_NET_WHEEL_H
#define PABAL_NET_WHEEL_H

#include "base/list.h"

#include <stdint.h>
#include <uv.h>

struct wheel;
struct wheel_timer {
	struct list link;
	uint64_t due_ms; // of clock_monotonic_ms; 0: not set
	void (*expired)(struct wheel_timer *t);
};
// Resolution 100 ms: a timer fires at its time or up to 200 ms later, never earlier. The wheel
// sleeps while no timer is set.
// It also holds what the streams of the loop share, and has SIGPIPE ignored.
struct wheel *wheel_create(uv_loop_t *loop);
// All timers are forgotten, streams that still send without an owner are closed; its handles close
// on the loop. NULL is fine.
void wheel_destroy(struct wheel *w);
void wheel_timer_init(struct wheel_timer *t, void (*expired)(struct wheel_timer *t));
void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t after_ms); // moves it if set
void wheel_clear(struct wheel *w, struct wheel_timer *t); // fine when not set

#endif
