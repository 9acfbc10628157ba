// SPDX-License-Identifier: ISC
// Who is tried next: items wait in groups, one a destination; groups take turns, each with a
// bounded number of jobs at once, so that neither a slow nor a large destination holds up others.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>

#define FAILURES_MAX  3          // of a destination without an answer in between: it is down
#define DOWN_FIRST_MS 60000
#define DOWN_LAST_MS  (30 * 60000)
#define FORGET_MS     (10 * 60000)
#define GROUPS_MAX    50000      // those in trouble are remembered
#define FULL_LEAST_MS 1000
#define FULL_MOST_MS  (15 * 60000)
#define RATE_MS       10000      // over which the speed of a destination is measured
#define CONNECTIONS   20         // where no setting says so

// ---------------------------------------------------------------- groups

static struct str key_of(const struct group *g)
{
	return str_from(g->key);
}

static unsigned most_jobs(const struct config *c, const struct route *r, struct str domain)
{
	if (r->kind == ROUTE_LOCAL)
		return QUEUE_LOCAL_JOBS;
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

static bool is_down(const struct group *g)
{
	return g->down_until_ms && clock_monotonic_ms() < g->down_until_ms;
}

// Has it something that may be handed out, or put off, now?
static bool is_ready(const struct group *g)
{
	return g->waiting && (g->in_flight < g->limit || is_down(g));
}

static void offer(struct queue *q, struct group *g)
{
	if (!list_empty(&g->link) || !is_ready(g))
		return;
	list_add_last(&q->ready, &g->link);
	queue_turn(q);
}

static void forget_if_idle(struct queue *q, struct group *g)
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

// ---------------------------------------------------------------- ways of an item

static void give_back(struct queue *q, struct item *i, uint64_t after_ms)
{
	i->result = TRY_RETURNED;
	i->next_ms = clock_wall_ms() + after_ms;
	queue_job_settle_item(q, i);
}

static void join_group(struct queue *q, struct item *i, const struct route *r, struct str domain)
{
	struct group *g = get_group(q, r, domain);
	if (g->full_at) {
		give_back(q, i, time_until_room(g));
		return;
	}
	list_add_last(&g->items, &i->link);
	i->group = g;
	i->place = ITEM_WAITING;
	count_waiting(g, q, 1);
	if (!is_down(g))
		queue_body_prefetch(q, i->mail);
	offer(q, g);
}

static void set_target(struct item *i, struct str address)
{
	ptrdiff_t at = str_find_last(address, '@');
	mem_free(i->target);
	i->target = str_dup(address);
	i->target_domain = str_from(i->target + (at < 0 ? 0 : at + 1));
}

static void find_way(struct queue *q, struct item *i);

static void map_to_postmaster(struct queue *q, struct item *i)
{
	if (!q->config->postmaster.len) {
		queue_item_set_result(i, TRY_TEMPORARY, "4.3.5", "%s",
			TEXT("the setting postmaster is missing"));
		queue_job_settle_item(q, i);
		return;
	}
	i->mapped = true;
	set_target(i, q->config->postmaster);
	find_way(q, i);
}

static void has_no_account(struct queue *q, struct item *i, bool role)
{
	if (role && !i->mapped) {
		map_to_postmaster(q, i);
		return;
	}
	if (i->mapped) // a mistake of ours, which can be mended while the mail waits
		queue_item_set_result(i, TRY_TEMPORARY, "4.3.5",
			TEXT("the setting postmaster names %s, which does not exist"), i->target);
	else
		queue_item_set_result(i, TRY_PERMANENT, "5.1.1", TEXT("there is no %.*s here"),
			STR_ARG(i->address));
	queue_job_settle_item(q, i);
}

// What happened to it while it was on its way and nobody could touch it. True: it is gone.
static bool was_stopped(struct queue *q, struct item *i)
{
	if (i->deleted) {
		queue_item_destroy(q, i);
		queue_claim_freed(q);
	} else if (i->held || q->stopping) {
		give_back(q, i, 0);
	} else {
		return false;
	}
	return true;
}

static void on_account(void *arg, const struct directory_entry *e)
{
	struct item *i = arg;
	struct queue *q = i->mail->queue;
	list_remove(&i->link);
	i->place = ITEM_TRYING;
	if (was_stopped(q, i))
		return;
	bool role = queue_is_role_address(q->config, i->address, i->domain);
	if (e->err == ERR_NOT_FOUND) {
		has_no_account(q, i, role);
		return;
	}
	if (e->err) {
		give_back(q, i, QUEUE_RETURN_MS);
		return;
	}
	if (!str_equal(e->name, queue_item_target(i)))
		set_target(i, e->name);
	struct str domain = i->target ? i->target_domain : i->domain;
	struct route r = queue_route_for(q->config, domain);
	if (r.kind != ROUTE_HOST)
		r = (struct route){.kind = ROUTE_LOCAL};
	join_group(q, i, &r, domain);
}

static void ask_directory(struct queue *q, struct item *i, struct str domain)
{
	char key[SMTP_ADDRESS_MAX];
	if (!queue_address_key(queue_item_target(i), domain, key)) {
		has_no_account(q, i, false);
		return;
	}
	list_add_last(&q->routing, &i->link);
	i->place = ITEM_ROUTING;
	queue_directory_address(q->directory, str_from(key), on_account, i);
}

static void refuse(struct queue *q, struct item *i, const struct config_route *route)
{
	queue_item_set_result(i, TRY_PERMANENT, "5.7.1", "%.*s",
		STR_ARG(route->text.len ? route->text : STR("mail to this domain is refused")));
	queue_job_settle_item(q, i);
}

static void find_way(struct queue *q, struct item *i)
{
	struct str domain = i->target ? i->target_domain : i->domain;
	bool role = !i->mapped && queue_is_role_address(q->config, i->address, i->domain);
	if (role && !config_is_local_domain(q->config, i->domain)) {
		map_to_postmaster(q, i); // <postmaster>, or at an address literal
		return;
	}
	struct route r = queue_route_for(q->config, domain);
	if (role || r.kind == ROUTE_LOCAL)
		ask_directory(q, i, domain);
	else if (r.kind == ROUTE_REFUSE)
		refuse(q, i, r.config);
	else
		join_group(q, i, &r, domain);
}

void queue_item_enter(struct queue *q, struct item *i)
{
	list_remove(&i->link);
	i->place = ITEM_TRYING;
	if (was_stopped(q, i))
		return;
	mem_free(i->target);
	i->target = NULL;
	i->mapped = false;
	find_way(q, i);
}

// ---------------------------------------------------------------- handing out

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

// The sender with the highest score for this destination: when one comes or goes, only its
// own destinations move, and their connections with them.
static struct deliverer *choose(struct queue *q, const struct group *g)
{
	struct deliverer *best = NULL;
	uint64_t best_score = 0;
	if (g->kind == ROUTE_LOCAL)
		return q->deliverers[QUEUE_LOCAL][0].ready ? &q->deliverers[QUEUE_LOCAL][0] : NULL;
	for (unsigned n = 0; n < QUEUE_SENDERS_MAX; n++) {
		struct deliverer *d = &q->deliverers[QUEUE_SENDER][n];
		uint64_t score = mix(g->hash ^ (n + 1));
		if (d->ready && (!best || score > best_score)) {
			best = d;
			best_score = score;
		}
	}
	return best;
}

// While it is down, what waits is put off without a try of its own: message by message, so that a
// report about several recipients is one.
static void put_off(struct queue *q, struct group *g)
{
	while (g->waiting) {
		struct job *j = queue_job_take(q, g);
		LIST_EACH(link, &j->items) {
			struct item *i = LIST_ENTRY(link, struct item, link);
			queue_item_set_result(i, TRY_TEMPORARY, g->trouble_status, "%s", g->trouble);
			snprintf(i->outcome->remote, sizeof i->outcome->remote, "%s", g->trouble_remote);
		}
		queue_settle(q, j);
	}
}

static void hand_out(struct queue *q, struct group *g, struct deliverer *d)
{
	struct job *j = queue_job_take(q, g);
	g->in_flight++; // so that the group is there after the call
	queue_job_give(q, j, g, d);
	g->in_flight--;
	offer(q, g);
	if (list_empty(&g->link))
		forget_if_idle(q, g);
}

// Bodies that are read for jobs have a bound too; each result that is stored comes back here.
static bool may_hand_out(const struct queue *q)
{
	return !q->stopping && !queue_is_on_hold(q) && q->octets < 2 * QUEUE_WINDOW_OCTETS;
}

void queue_schedule_run(struct queue *q)
{
	while (!list_empty(&q->ready) && may_hand_out(q)) {
		struct group *g = LIST_ENTRY(q->ready.next, struct group, link);
		struct deliverer *d = choose(q, g);
		list_remove(&g->link);
		if (!is_ready(g)) {
			forget_if_idle(q, g);
		} else if (is_down(g)) {
			put_off(q, g);
		} else if (!d) {
			list_add_last(&q->stalled, &g->link);
		} else if (d->jobs >= d->most) {
			list_add_last(&d->blocked, &g->link);
		} else {
			hand_out(q, g, d);
		}
	}
}

// One group a job that ended, so that those that wait longest come first.
void queue_deliverer_relieved(struct queue *q, struct deliverer *d)
{
	if (list_empty(&d->blocked))
		return;
	struct list *first = d->blocked.next;
	list_remove(first);
	list_add_last(&q->ready, first);
	queue_turn(q);
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
	offer(q, g);
	if (list_empty(&g->link))
		forget_if_idle(q, g);
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

void queue_schedule_clean(struct queue *q)
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

void queue_schedule_reroute(struct queue *q)
{
	enter_all_again(q);
	queue_schedule_clean(q);
}

void queue_schedule_return_all(struct queue *q)
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

void queue_schedule_forget(struct queue *q)
{
	map_each(&q->groups, destroy_one, q);
	map_finish(&q->groups);
}
