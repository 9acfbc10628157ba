// SPDX-License-Identifier: ISC
#include "auth/places.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"

#include <stdio.h>

#define REFRESH_MS (24 * 3600 * 1000ull) // a time that old is written anew

struct account {
	struct list link; // the latest last
	uint64_t last_ms, written_ms;
	unsigned count;
	struct ipaddr places[AUTH_PLACES_EACH]; // the latest first
	bool changed;
	size_t name_len;
	char name[];
};

struct auth_places {
	struct secrets *secrets;
	uv_timer_t *timer; // freed by the loop
	struct map by_name;
	struct list by_age;
};

static struct str name_of(const struct account *a)
{
	return str_make(a->name, a->name_len);
}

static void drop(struct auth_places *p, struct account *a)
{
	(void)map_remove(&p->by_name, name_of(a));
	list_remove(&a->link);
	mem_free(a);
}

static struct account *take(struct auth_places *p, struct str name)
{
	struct account *a = map_get(&p->by_name, name);

	if (!a) {
		if (p->by_name.count >= AUTH_PLACES_ACCOUNTS)
			drop(p, LIST_ENTRY(p->by_age.next, struct account, link));
		a = mem_alloc(sizeof *a + name.len);
		memcpy(a->name, name.data, name.len);
		a->name_len = name.len;
		list_init(&a->link);
		map_set(&p->by_name, name, a);
	}
	list_remove(&a->link);
	list_add_last(&p->by_age, &a->link);
	return a;
}

static struct ipaddr place_of(const struct ipaddr *client)
{
	return client->family == 6 ? ipaddr_network(client, 64).addr : *client;
}

// Its index; count: it is not there.
static unsigned find(const struct account *a, const struct ipaddr *place)
{
	unsigned i = 0;

	while (i < a->count && !ipaddr_equal(&a->places[i], place))
		i++;
	return i;
}

static void put_first(struct account *a, const struct ipaddr *place)
{
	unsigned at = find(a, place);

	if (at == a->count && a->count < AUTH_PLACES_EACH)
		a->count++;
	if (at == AUTH_PLACES_EACH)
		at--;
	memmove(a->places + 1, a->places, at * sizeof a->places[0]);
	a->places[0] = *place;
}

bool auth_places_has(const struct auth_places *p, struct str name, const struct ipaddr *client)
{
	const struct account *a = name.len ? map_get(&p->by_name, name) : NULL;
	struct ipaddr place = place_of(client);

	return a && client->family && find(a, &place) < a->count;
}

static void on_time(uv_timer_t *timer)
{
	auth_places_write(timer->data);
}

void auth_places_add(struct auth_places *p, struct str name, const struct ipaddr *client)
{
	struct ipaddr place = place_of(client);
	struct account *a;

	if (name.len == 0 || client->family == 0)
		return;
	a = take(p, name);
	a->last_ms = clock_wall_ms();
	a->changed = a->changed || find(a, &place) == a->count ||
		     a->last_ms - a->written_ms > REFRESH_MS;
	put_first(a, &place);
	if (a->changed && !uv_is_active((uv_handle_t *)p->timer))
		uv_timer_start(p->timer, on_time, AUTH_PLACES_EVERY_MS, 0);
}

// ---- the store
static void add_text(const struct account *a, struct buf *out)
{
	char text[IPADDR_TEXT_MAX];

	for (unsigned i = 0; i < a->count; i++) {
		if (i)
			buf_add_char(out, ' ');
		buf_add_text(out, ipaddr_format(&a->places[i], text));
	}
	buf_add_char(out, '\0');
}

static int write_changed(struct auth_places *p, size_t changed, struct buf *texts)
{
	struct secret_place *rows = mem_array(changed, sizeof *rows);
	size_t count = 0, at = 0;

	LIST_EACH(link, &p->by_age) {
		struct account *a = LIST_ENTRY(link, struct account, link);
		if (a->changed)
			rows[count++] = (struct secret_place){.name = name_of(a), .last_ms = a->last_ms};
	}
	for (size_t i = 0; i < count; i++) { // the texts lie still now
		rows[i].addresses = str_from(buf_str(texts).data + at);
		at += rows[i].addresses.len + 1;
	}
	int err = secrets_places_set(p->secrets, rows, count, AUTH_PLACES_ACCOUNTS);
	mem_free(rows);
	return err;
}

void auth_places_write(struct auth_places *p)
{
	struct buf texts = BUF_INIT;
	size_t changed = 0;
	int err;

	LIST_EACH(link, &p->by_age) {
		const struct account *a = LIST_ENTRY(link, struct account, link);
		if (a->changed)
			add_text(a, &texts);
		changed += a->changed;
	}
	err = changed ? write_changed(p, changed, &texts) : 0;
	if (err)
		event_report(EVENT_WARNING, "auth", "where accounts log in from cannot be stored: %s",
			err_text(err));
	LIST_EACH(link, &p->by_age) {
		struct account *a = LIST_ENTRY(link, struct account, link);
		if (a->changed && !err)
			a->written_ms = a->last_ms;
		a->changed = a->changed && err;
	}
	buf_finish(&texts);
	uv_timer_stop(p->timer);
}

static void on_row(void *arg, const struct secret_place *row)
{
	struct auth_places *p = arg;
	struct account *a = take(p, row->name);
	struct str rest = row->addresses, one;

	a->last_ms = a->written_ms = row->last_ms;
	while (a->count < AUTH_PLACES_EACH && str_split(&rest, ' ', &one))
		if (ipaddr_parse(one, &a->places[a->count]) == 0)
			a->count++;
}

static void free_timer(uv_handle_t *handle)
{
	mem_free(handle);
}

struct auth_places *auth_places_create(uv_loop_t *loop, struct secrets *secrets)
{
	struct auth_places *p = mem_alloc(sizeof *p);
	int err;

	p->secrets = secrets;
	list_init(&p->by_age);
	p->timer = mem_alloc(sizeof *p->timer);
	if (uv_timer_init(loop, p->timer))
		fatal("cannot make a timer");
	p->timer->data = p;
	uv_unref((uv_handle_t *)p->timer);
	err = secrets_places_each(secrets, AUTH_PLACES_ACCOUNTS, on_row, p);
	if (err)
		event_report(EVENT_WARNING, "auth", "where accounts logged in from cannot be read: %s",
			err_text(err));
	return p;
}

void auth_places_destroy(struct auth_places *p)
{
	if (!p)
		return;
	auth_places_write(p);
	LIST_EACH(link, &p->by_age)
		drop(p, LIST_ENTRY(link, struct account, link));
	map_finish(&p->by_name);
	uv_close((uv_handle_t *)p->timer, free_timer);
	mem_free(p);
}
