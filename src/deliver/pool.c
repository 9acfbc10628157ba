// SPDX-License-Identifier: ISC
// Destinations and the connections that are kept for their next job.
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/remote_internal.h"

#include <stdio.h>

#define KEEP_MS      5000
#define IDLE_MAX     500        // kept connections in all
#define PLAN_MS      60000      // hosts are looked up again after this at the latest
#define DEADLINE_MS  (60 * 60 * 1000)
#define SLOWEST      1000       // octets a second
#define UNUSED_MAX   1000       // destinations whose hosts are remembered
#define KEY_MAX      1100
#define CONNECTIONS  20         // where the configuration says nothing
#define MESSAGES     100

// ---- destinations
static struct str make_key(const struct deliver_job *job, char out[KEY_MAX])
{
	int n = snprintf(out, KEY_MAX, "%c%s", job->route ? 'r' : 'm', job->destination);
	return str_make(out, n < KEY_MAX ? (size_t)n : KEY_MAX - 1);
}

static const struct config_destination *pace_of(const struct remote *r, const struct deliver_job *job)
{
	const struct config_route *route = remote_route(r, job);
	return config_destination_for(r->config, route ? route->host : str_from(job->destination));
}

struct destination *pool_destination(struct remote *r, const struct deliver_job *job)
{
	char space[KEY_MAX];
	struct str key = make_key(job, space);
	struct destination *d = map_get(&r->destinations, key);
	if (!d) {
		d = mem_alloc(sizeof *d);
		d->r = r;
		const struct config_destination *pace = pace_of(r, job);
		d->idle_most = pace && pace->connections ? (unsigned)pace->connections : CONNECTIONS;
		d->key = str_dup(key);
		list_init(&d->idle);
		list_init(&d->waiting);
		list_init(&d->unused);
		map_set(&r->destinations, key, d);
	}
	if (!list_empty(&d->unused)) {
		list_remove(&d->unused);
		r->unused_count--;
	}
	d->users++;
	return d;
}

static void destroy(struct destination *d)
{
	map_remove(&d->r->destinations, str_from(d->key));
	hosts_cancel(d->search);
	plan_release(d->plan);
	mem_free(d->key);
	mem_free(d);
}

static void drop_oldest(struct remote *r)
{
	struct destination *d = LIST_ENTRY(r->unused.next, struct destination, unused);
	list_remove(&d->unused);
	r->unused_count--;
	destroy(d);
}

// Its hosts are remembered, and which of them were dead.
void pool_release(struct destination *d)
{
	struct remote *r = d->r;
	if (--d->users)
		return;
	if (!d->plan || r->destroyed) {
		destroy(d);
		return;
	}
	list_add_last(&r->unused, &d->unused);
	if (++r->unused_count > UNUSED_MAX)
		drop_oldest(r);
}

void pool_forget_unused(struct remote *r)
{
	while (!list_empty(&r->unused))
		drop_oldest(r);
}

// ---- hosts
void plan_release(struct plan *p)
{
	if (p && --p->users == 0)
		mem_free(p);
}

static void set_plan(struct destination *d, const struct hosts_plan *hosts)
{
	plan_release(d->plan);
	d->plan = NULL;
	if (!hosts->address_count)
		return;
	d->plan = mem_alloc(sizeof *d->plan);
	d->plan->users = 1;
	d->plan->until_ms = clock_monotonic_ms() +
		(hosts->ttl < PLAN_MS / 1000 ? hosts->ttl * 1000 : PLAN_MS);
	d->plan->hosts = *hosts;
}

static void on_hosts(void *arg, const struct hosts_plan *hosts)
{
	struct destination *d = arg;
	struct list now;
	d->search = NULL;
	set_plan(d, hosts);
	list_init(&now);
	while (!list_empty(&d->waiting)) {
		struct list *item = d->waiting.next;
		list_remove(item);
		list_add_last(&now, item);
	}
	d->users++; // the last try may go
	while (!list_empty(&now)) {
		struct try *t = LIST_ENTRY(now.next, struct try, wait);
		list_remove(&t->wait);
		try_go_on(t, hosts->address_count ? NULL : hosts);
	}
	pool_release(d);
}

static void forget_plan(struct str key, void *value, void *arg)
{
	struct destination *d = value;
	(void)key;
	(void)arg;
	plan_release(d->plan);
	d->plan = NULL;
}

void pool_forget_plans(struct remote *r)
{
	map_each(&r->destinations, forget_plan, NULL);
}

static void look_up(struct destination *d, const struct deliver_job *job)
{
	const struct config_route *route = remote_route(d->r, job);
	struct hosts_plan plan;
	char name[KEY_MAX];
	struct hosts_question q = {.dns = d->r->o.dns, .own = &d->r->own, .name = name, .mx = !route};
	str_copy(route ? route->host : str_from(job->destination), name, sizeof name);
	if (route)
		q.source = route->source;
	if (hosts_from_literal(&q, &plan))
		on_hosts(d, &plan);
	else
		d->search = hosts_find(&q, on_hosts, d);
}

void pool_wait_for_plan(struct try *t)
{
	struct destination *d = t->d;
	if (d->plan && d->plan->until_ms > clock_monotonic_ms()) {
		try_go_on(t, NULL);
		return;
	}
	list_add_last(&d->waiting, &t->wait);
	if (!d->search)
		look_up(d, t->job);
}

// ---- kept connections
static void leave_idle(struct pooled *s)
{
	list_remove(&s->link);
	list_remove(&s->age);
	s->d->idle_count--;
	s->d->r->idle_count--;
	wheel_clear(s->d->r->o.wheel, &s->timer);
}

void pooled_start_deadline(struct pooled *s)
{
	wheel_set(s->d->r->o.wheel, &s->timer, DEADLINE_MS + s->t->job->size / SLOWEST * 1000);
}

struct pooled *pool_take_idle(struct destination *d)
{
	if (list_empty(&d->idle))
		return NULL;
	struct pooled *s = LIST_ENTRY(d->idle.next, struct pooled, link);
	leave_idle(s);
	return s;
}

static void expired(struct wheel_timer *timer)
{
	struct pooled *s = LIST_ENTRY(timer, struct pooled, timer);
	if (!s->t)
		pooled_quit(s);
	else if (s->c)
		connection_break(s->c, TEXT("the host is too slow: the time for one message is over"));
	else
		try_socket(s, -1, TEXT("no answer to the attempt to connect"));
}

struct pooled *pooled_create(struct try *t)
{
	struct remote *r = t->r;
	const struct config_destination *pace = pace_of(r, t->job);
	struct pooled *s = mem_alloc(sizeof *s);
	list_init(&s->link);
	list_init(&s->age);
	r->session_count++;
	s->d = t->d;
	s->d->users++;
	s->t = t;
	s->generation = r->generation;
	s->most = pace && pace->messages ? pace->messages : MESSAGES;
	wheel_timer_init(&s->timer, expired);
	pooled_start_deadline(s);
	return s;
}

static void forget(struct pooled *s)
{
	struct remote *r = s->d->r;
	if (!list_empty(&s->link))
		leave_idle(s);
	wheel_clear(r->o.wheel, &s->timer);
	if (s->request)
		map_remove(&r->requests, str_make(&s->request, sizeof s->request));
	r->session_count--;
	pool_release(s->d);
	mem_free(s);
}

void pooled_destroy(struct pooled *s)
{
	connection_destroy(s->c);
	forget(s);
}

void pooled_quit(struct pooled *s)
{
	if (s->c)
		connection_quit(s->c);
	forget(s);
}

void pooled_keep(struct pooled *s)
{
	struct remote *r = s->d->r;
	s->t = NULL;
	s->sending = false;
	if (r->destroyed || s->generation != r->generation || s->sent >= s->most ||
		s->d->idle_count >= s->d->idle_most) {
		pooled_quit(s);
		return;
	}
	list_add_first(&s->d->idle, &s->link);
	list_add_last(&r->idle, &s->age);
	s->d->idle_count++;
	r->idle_count++;
	wheel_set(r->o.wheel, &s->timer, KEEP_MS);
	if (r->idle_count > IDLE_MAX)
		pooled_quit(LIST_ENTRY(r->idle.next, struct pooled, age));
}

void pool_close_idle(struct remote *r)
{
	while (!list_empty(&r->idle))
		pooled_quit(LIST_ENTRY(r->idle.next, struct pooled, age));
}
