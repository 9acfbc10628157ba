// SPDX-License-Identifier: ISC
// When to try again, when to warn, when to give up.
#include "queue/queue_internal.h"

#include "base/memory.h"
#include "smtp/parameters.h"

// A fifth up or down, so that what failed together does not come again together.
static uint64_t scatter(uint64_t ms)
{
	uint32_t random;
	mem_random(&random, sizeof random);
	uint64_t fifth = ms / 5;
	return ms - fifth + (fifth ? random % (2 * fifth + 1) : 0);
}

uint64_t queue_retry_pause(const struct config *c, unsigned tries)
{
	uint64_t pause = c->queue.first_retry;
	for (unsigned n = 1; n < tries && pause < c->queue.max_retry; n++)
		pause *= 2;
	return scatter(pause < c->queue.max_retry ? pause : c->queue.max_retry);
}

// By the life that is configured now, so that a change holds for what waits already.
uint64_t queue_retry_expiry(const struct config *c, const struct envelope *e)
{
	return e->received_ms + c->queue.life;
}

// RFC 3461 4.1: without NOTIFY, or with DELAY in it. A null sender hears of nothing.
static bool wants_warning(const struct queue *q, const struct item *i)
{
	return q->config->queue.delay_warning && !i->delay_warned && i->mail->envelope.sender.len &&
		(i->notify == 0 || (i->notify & SMTP_NOTIFY_DELAY));
}

void queue_retry_decide(struct queue *q, struct item *i, uint64_t now_ms)
{
	const struct envelope *e = &i->mail->envelope;
	uint64_t expiry = queue_retry_expiry(q->config, e);
	uint64_t warning = e->received_ms + q->config->queue.delay_warning;
	if (now_ms >= expiry) {
		i->result = TRY_PERMANENT;
		i->expired = true;
		return;
	}
	// What is wrong with our own network is not the recipient's fault: its pause does not grow.
	if (!i->outcome || !i->outcome->own_network)
		i->tries++;
	i->next_ms = now_ms + queue_retry_pause(q->config, i->tries);
	if (wants_warning(q, i)) {
		i->warn = now_ms >= warning;
		// Not told late because a long pause lies across the time.
		if (!i->warn && i->next_ms > warning)
			i->next_ms = warning;
	}
	// One last try when its time is over.
	if (i->next_ms > expiry)
		i->next_ms = expiry;
}
