// SPDX-License-Identifier: ISC
// Groups: what waits for one destination, how much of it may be in memory and under way, and how
// the destination does.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#define FAILURES_MAX  3          // of a destination without an answer in between: it is down
#define DOWN_FIRST_MS 60000
#define DOWN_LAST_MS  (30 * 60000)
#define FORGET_MS     (10 * 60000)
#define GROUPS_MAX    50000      // those in trouble are remembered
#define FULL_LEAST_MS 1000
#define FULL_MOST_MS  (15 * 60000)
#define RATE_MS       10000      // over which the speed of a destination is measured
#define CONNECTIONS   20         // where no setting says so

static struct str key_of(const struct group *g)
{
	return str_from(g->key);
}

static unsigned most_jobs(const struct config *c, const struct route *r, struct str domain)
{
	if (r->kind == ROUTE_LOCAL || r->kind == ROUTE_USER)
		return r->kind == ROUTE_USER ? QUEUE_USER_JOBS : QUEUE_LOCAL_JOBS;
	const struct config_destination *d = config_destination_for(c,
		r->kind == ROUTE_HOST ? r->config->host : domain);
	uint64_t most = d && d->connections ? d->connections : CONNECTIONS;
	return most > QUEUE_SENDER_JOBS ? QUEUE_SENDER_JOBS : (unsigned)most;
}

// The newest configuration holds for every item that comes.
static void set_route(struct queue *q, struct group *g, const struct route *r, struct str domain)
{
	unsigned most = most_jobs(q->config, r, domain);
	if (g->limit == g->most || g->limit > most)
		g->limit = most;
	g->most = most;
	g->route = r->number;
}

static struct group *find_group(struct queue *q, const struct route *r, struct str domain)
{
	char key[ROUTE_KEY_MAX];
	return map_get(&q->groups, queue_route_key(r, domain, key));
}

static struct group *get_group(struct queue *q, const struct route *r, struct str domain)
{
	struct group *g = find_group(q, r, domain);
	if (!g) {
		g = mem_alloc(sizeof *g);
		list_init(&g->link);
		list_init(&g->items);
		g->domain = str_skip(queue_route_key(r, domain, g->key), 2);
		g->kind = r->kind;
		g->hash = hash_octets(g->key, strlen(g->key));
		g->since_ms = clock_monotonic_ms();
		map_set(&q->groups, key_of(g), g);
	}
	set_route(q, g, r, domain);
	g->seen_ms = clock_monotonic_ms();
	return g;
}

static void destroy_group(struct queue *q, struct group *g)
{
	list_remove(&g->link);
	(void)map_remove(&q->groups, key_of(g));
	q->saturated -= g->full_at != 0;
	mem_free(g);
}

bool queue_group_is_down(const struct group *g)
{
	return g->down_until_ms && clock_monotonic_ms() < g->down_until_ms;
}

bool queue_group_is_ready(const struct group *g)
{
	return g->waiting && (g->in_flight < g->limit || queue_group_is_down(g));
}

// Puts it into the round.
void queue_group_offer(struct queue *q, struct group *g)
{
	if (!list_empty(&g->link) || !queue_group_is_ready(g))
		return;
	list_add_last(&q->ready, &g->link);
	queue_turn(q);
}

void queue_group_forget_if_idle(struct queue *q, struct group *g)
{
	if (!g->waiting && !g->in_flight && !g->failures && g->limit == g->most)
		destroy_group(q, g);
}

// ---- too many of one destination
// One destination may have as much memory as is left for all others: alone half of it, with others
// that are slow less, so that there is always some. When half of that is gone more may come.
static void count_waiting(struct group *g, struct queue *q, int change)
{
	size_t room = q->item_count < QUEUE_WINDOW_ITEMS ? QUEUE_WINDOW_ITEMS - q->item_count : 0;
	g->waiting += (unsigned)change;
	if (g->full_at && g->waiting <= g->full_at / 2) {
		g->full_at = 0;
		q->saturated--;
	} else if (!g->full_at && g->waiting >= room && g->waiting >= QUEUE_GROUP_LEAST) {
		g->full_at = g->waiting;
		q->saturated++;
	}
}

// As long as it will take until there is room, by the speed it has now.
static uint64_t time_until_room(const struct group *g)
{
	uint64_t elapsed = clock_monotonic_ms() - g->since_ms + 1;
	uint64_t ms = (uint64_t)g->waiting / 2 * elapsed / (g->ended ? g->ended : 1);
	return ms < FULL_LEAST_MS ? FULL_LEAST_MS : ms > FULL_MOST_MS ? FULL_MOST_MS : ms;
}

uint64_t queue_group_full_for(struct queue *q, struct str domain)
{
	if (!q->saturated)
		return 0;
	struct route r = queue_route_for(q->config, domain);
	const struct group *g = find_group(q, &r, domain);
	return g && g->full_at ? time_until_room(g) : 0;
}

void queue_group_remove(struct group *g, struct item *i)
{
	list_remove(&i->link);
	i->group = NULL;
	count_waiting(g, i->mail->queue, -1);
}

void queue_group_join(struct queue *q, struct item *i, const struct route *r, struct str domain)
{
	struct group *g = get_group(q, r, domain);
	if (g->full_at) {
		queue_item_give_back(q, i, time_until_room(g));
		return;
	}
	list_add_last(&g->items, &i->link);
	i->group = g;
	i->place = ITEM_WAITING;
	count_waiting(g, q, 1);
	if (!queue_group_is_down(g))
		queue_body_prefetch(q, i->mail);
	queue_group_offer(q, g);
}

// ---------------------------------------------------------------- how a destination does

static void answered(struct group *g)
{
	g->failures = g->downs = 0;
	g->down_until_ms = 0;
	if (g->limit < g->most)
		g->limit++;
}

// Nothing answered for a while: after a pause one item is tried to see.
static void put_down(struct group *g)
{
	uint64_t pause = DOWN_FIRST_MS;
	for (unsigned n = 0; n < g->downs && pause < DOWN_LAST_MS; n++)
		pause *= 2;
	g->downs++;
	g->down_until_ms = clock_monotonic_ms() + (pause < DOWN_LAST_MS ? pause : DOWN_LAST_MS);
}

static void failed(struct group *g)
{
	g->failures++;
	g->limit = g->limit > 1 ? g->limit / 2 : 1;
	// Others that are still under way may be answered.
	if (g->failures >= FAILURES_MAX && !g->in_flight)
		put_down(g);
}

static void measure(struct group *g)
{
	uint64_t now = clock_monotonic_ms(), elapsed = now - g->since_ms;
	g->ended++;
	g->seen_ms = now;
	if (elapsed > RATE_MS) {
		g->ended = g->ended / 2 + 1;
		g->since_ms = now - elapsed / 2;
	}
}

void queue_group_ended(struct queue *q, struct group *g, enum group_answer answer)
{
	g->in_flight--;
	measure(g);
	if (answer == GROUP_ANSWERED)
		answered(g);
	else if (answer == GROUP_FAILED)
		failed(g);
	queue_group_offer(q, g);
	if (list_empty(&g->link))
		queue_group_forget_if_idle(q, g);
}

// ---------------------------------------------------------------- all groups

struct walk {
	struct queue *queue;
	struct list items;
	uint64_t now_ms;
};

static void wake_one(struct str key, void *value, void *arg)
{
	struct group *g = value;
	(void)key;
	(void)arg;
	g->failures = g->downs = 0;
	g->down_until_ms = 0;
}

void queue_group_wake(struct queue *q, struct str domain)
{
	struct route r = queue_route_for(q->config, domain);
	struct group *g = domain.len ? find_group(q, &r, domain) : NULL;
	if (g)
		wake_one(domain, g, NULL);
	else if (!domain.len)
		map_each(&q->groups, wake_one, NULL);
}

static void clean_one(struct str key, void *value, void *arg)
{
	struct group *g = value;
	const struct walk *w = arg;
	(void)key;
	bool old = w->now_ms > g->seen_ms + FORGET_MS && w->now_ms > g->down_until_ms;
	if (!g->waiting && !g->in_flight && (old || w->queue->groups.count > GROUPS_MAX))
		destroy_group(w->queue, g);
}

void queue_groups_clean(struct queue *q)
{
	struct walk w = {.queue = q, .now_ms = clock_monotonic_ms()};
	map_each(&q->groups, clean_one, &w);
}

static void take_items(struct str key, void *value, void *arg)
{
	struct group *g = value;
	struct walk *w = arg;
	(void)key;
	while (!list_empty(&g->items)) {
		struct item *i = LIST_ENTRY(g->items.next, struct item, link);
		queue_group_remove(g, i);
		i->place = ITEM_TRYING;
		list_add_last(&w->items, &i->link);
	}
}

// Every waiting item goes its way from the start.
static void enter_all_again(struct queue *q)
{
	struct walk w;
	list_init(&w.items);
	map_each(&q->groups, take_items, &w);
	while (!list_empty(&w.items))
		queue_item_enter(q, LIST_ENTRY(w.items.next, struct item, link));
}

void queue_groups_reroute(struct queue *q)
{
	enter_all_again(q);
	queue_groups_clean(q);
}

void queue_groups_return_all(struct queue *q)
{
	enter_all_again(q); // which gives them back, since the queue is stopping
}

static void destroy_one(struct str key, void *value, void *arg)
{
	struct group *g = value;
	(void)key;
	while (!list_empty(&g->items))
		queue_item_destroy(arg, LIST_ENTRY(g->items.next, struct item, link));
	destroy_group(arg, g);
}

void queue_groups_forget(struct queue *q)
{
	map_each(&q->groups, destroy_one, q);
	map_finish(&q->groups);
}
