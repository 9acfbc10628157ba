// SPDX-License-Identifier: ISC
// Finds the roles that hang: each has to answer from its loop every now and then, and one that
// drains has to end. Time is counted in beats of our own timer, so that a machine that slept, or a
// master that was held up itself, is nobody's fault.
#include "role/master_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "ipc/channel.h"

#include <signal.h>

#define BEAT_MS      2000
#define SILENT_BEATS 10 // 20 s
#define GRACE_BEATS  3  // behind the limit that a role that drains knows

static void end_child(struct child *c, const char *why)
{
	event_report(EVENT_ERROR, "role", "%s[%u] (process %d) %s and is killed%s", c->role->name, c->index,
		(int)c->pid, why, c->place ? "; it is started again" : "");
	c->killed = true;
	kill(c->pid, SIGKILL);
}

static void look_at(struct child *c)
{
	if (c->killed || c->state == CHILD_STARTING)
		return; // a store that is opened may take its time
	if (c->state == CHILD_DRAINING) {
		if (c->drain_beats && --c->drain_beats == 0)
			end_child(c, "did not end in time");
		return;
	}
	if (c->unanswered == SILENT_BEATS) {
		end_child(c, "has not answered for 20 s");
		return;
	}
	struct ipc_ping ping = {0};
	c->unanswered++;
	if (c->channel)
		(void)ipc_send_ping(c->channel, &ping);
}

void pulse_beat(struct master *m, uint64_t now_ms)
{
	bool late = now_ms - m->beat_ms > 2 * BEAT_MS;
	m->beat_ms = now_ms;
	if (m->stopping)
		return; // has its own limits
	LIST_EACH(link, &m->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		// Who did not run while we did not run had no chance to answer.
		if (late)
			c->unanswered = 0;
		else
			look_at(c);
	}
}

void pulse_answered(struct child *c)
{
	c->unanswered = 0;
}

void pulse_expect_end(struct child *c, uint64_t within_ms)
{
	c->drain_beats = (unsigned)(within_ms / BEAT_MS) + GRACE_BEATS;
}

static void on_beat(uv_timer_t *timer)
{
	pulse_beat(timer->data, clock_monotonic_ms());
}

void pulse_start(struct master *m)
{
	m->beat_ms = clock_monotonic_ms();
	uv_timer_init(&m->loop, &m->beat_timer);
	m->beat_timer.data = m;
	uv_timer_start(&m->beat_timer, on_beat, BEAT_MS, BEAT_MS);
}
