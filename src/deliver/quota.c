// SPDX-License-Identifier: ISC
#include "deliver/quota.h"

#include "base/map.h"
#include "base/memory.h"
#include "deliver/quota_maildir.h"
#include "deliver/quota_mbox.h"

#include <pthread.h>
#include <sys/stat.h>

#define GATES 256

// Of the mailboxes that share it by hash. Messages are admitted one after the other; while messages
// that were admitted are still on their way, nobody counts what lies in the folders.
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned on_the_way;
	unsigned counting; // threads that wait to count, or do
};

struct quota {
	struct gate gates[GATES];
	struct quota_mbox *mboxes;
};

struct quota *quota_create(void)
{
	struct quota *q = mem_alloc(sizeof *q);
	for (unsigned i = 0; i < GATES; i++)
		if (pthread_mutex_init(&q->gates[i].lock, NULL) ||
			pthread_cond_init(&q->gates[i].idle, NULL))
			fatal("cannot make a lock");
	q->mboxes = quota_mbox_create();
	return q;
}

void quota_destroy(struct quota *q)
{
	if (!q)
		return;
	for (unsigned i = 0; i < GATES; i++) {
		pthread_mutex_destroy(&q->gates[i].lock);
		pthread_cond_destroy(&q->gates[i].idle);
	}
	quota_mbox_destroy(q->mboxes);
	mem_free(q);
}

static struct gate *gate_of(struct quota *q, int place)
{
	struct stat st;
	if (fstat(place, &st) < 0)
		return &q->gates[0];
	const uint64_t key[] = {st.st_dev, st.st_ino};
	return &q->gates[hash_octets(key, sizeof key) % GATES];
}

// ---------------------------------------------------------------- at the gate
static struct gate *enter(struct quota *q, int place)
{
	struct gate *g = gate_of(q, place);
	pthread_mutex_lock(&g->lock);
	while (g->counting)
		pthread_cond_wait(&g->idle, &g->lock);
	return g;
}

static void leave(struct gate *g)
{
	pthread_mutex_unlock(&g->lock);
}

static int count_maildir(struct gate *g, int folder, const struct quota_limits *l,
	struct quota_usage *out)
{
	g->counting++;
	while (g->on_the_way)
		pthread_cond_wait(&g->idle, &g->lock);
	int err = quota_maildir_count(folder, l, out);
	g->counting--;
	pthread_cond_broadcast(&g->idle);
	return err;
}

static int look(struct quota *q, struct gate *g, enum quota_kind kind, int place,
	const struct quota_limits *l, uint64_t octets, struct quota_usage *out)
{
	if (kind == QUOTA_MBOX)
		return quota_mbox_usage(q->mboxes, place, l, out);
	return quota_maildir_look(place, l, octets, out) ? 0 : count_maildir(g, place, l, out);
}

static void let_in(struct gate *g, enum quota_kind kind, int place, uint64_t octets)
{
	if (kind == QUOTA_MAILDIR)
		quota_maildir_add(place, (int64_t)octets, 1);
	g->on_the_way++;
}

// At the gate.
static int judge(struct quota *q, struct gate *g, enum quota_kind kind, int place,
	const struct quota_limits *l, uint64_t octets, struct quota_usage *out_now)
{
	int result = 0;
	*out_now = (struct quota_usage){0};
	if (quota_is_limited(l) || kind == QUOTA_MBOX)
		result = look(q, g, kind, place, l, octets, out_now);
	if (!result)
		result = (int)quota_judge(l, out_now, octets);
	return result == QUOTA_OVER_HARD && l->pass ? QUOTA_OVER_SOFT : result;
}

int quota_admit(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	uint64_t octets, struct quota_usage *out_now)
{
	struct gate *g = enter(q, place);
	bool limited = quota_is_limited(l);
	int result = judge(q, g, kind, place, l, octets, out_now);
	if (result >= 0 && result != QUOTA_OVER_HARD) {
		let_in(g, kind, place, octets);
		out_now->octets += limited ? octets : 0;
		out_now->messages += limited;
	}
	leave(g);
	return result;
}

int quota_look(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	uint64_t octets, struct quota_usage *out_now)
{
	struct gate *g = enter(q, place);
	int result = judge(q, g, kind, place, l, octets, out_now);
	leave(g);
	return result;
}

void quota_ended(struct quota *q, enum quota_kind kind, int place, uint64_t octets, bool delivered)
{
	struct gate *g = gate_of(q, place);
	pthread_mutex_lock(&g->lock);
	if (kind == QUOTA_MBOX && delivered)
		quota_mbox_added(q->mboxes, place);
	else if (kind == QUOTA_MBOX)
		quota_mbox_forget(q->mboxes, place);
	else if (!delivered)
		quota_maildir_add(place, -(int64_t)octets, -1);
	if (!--g->on_the_way)
		pthread_cond_broadcast(&g->idle);
	pthread_mutex_unlock(&g->lock);
}

int quota_count(struct quota *q, const struct quota_limits *l, enum quota_kind kind, int place,
	struct quota_usage *out_now)
{
	struct gate *g = enter(q, place);
	int err = kind == QUOTA_MBOX ? quota_mbox_usage(q->mboxes, place, l, out_now) :
		count_maildir(g, place, l, out_now);
	leave(g);
	return err;
}
