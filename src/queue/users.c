// SPDX-License-Identifier: ISC
// Which names are users of the system: role local is asked, as this process can look nobody up; its
// answers are remembered for a minute. Several who ask for one name wait for one answer.
#include "queue/queue_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#define REMEMBER_MS 60000
#define ANSWER_MS   10000
#define ENTRIES_MAX 10000
#define NAME_MAX_OCTETS 64

enum { USER_NO, USER_YES, USER_UNKNOWN, USER_ASKED };

struct waiting {
	struct list link;
	queue_user_known done;
	void *arg;
};

struct entry {
	struct list link;          // in users.used, the one asked last first
	struct list waiting;       // of USER_ASKED
	uint64_t request;          // of USER_ASKED
	uint64_t until_ms;         // monotonic: remembered, or waited for
	uint8_t exists;
	char name[NAME_MAX_OCTETS + 1];
};

struct users {
	struct map entries;        // by name
	struct list used;
	uint64_t last_request;
	unsigned asking;
};

struct users *queue_users_create(void)
{
	struct users *u = mem_alloc(sizeof *u);
	list_init(&u->used);
	return u;
}

static void forget(struct users *u, struct entry *e)
{
	(void)map_remove(&u->entries, str_from(e->name));
	list_remove(&e->link);
	mem_free(e);
}

static void answer(struct users *u, struct entry *e, uint8_t exists)
{
	struct list waiting;
	list_init(&waiting);
	LIST_EACH(link, &e->waiting) {
		list_remove(link);
		list_add_last(&waiting, link);
	}
	u->asking--;
	e->exists = exists;
	e->until_ms = clock_monotonic_ms() + REMEMBER_MS;
	if (exists != USER_NO && exists != USER_YES)
		forget(u, e);
	while (!list_empty(&waiting)) {
		struct waiting *w = LIST_ENTRY(waiting.next, struct waiting, link);
		list_remove(&w->link);
		w->done(w->arg, exists == USER_NO || exists == USER_YES ? exists : USER_UNKNOWN);
		mem_free(w);
	}
}

void queue_users_destroy(struct users *u)
{
	if (!u)
		return;
	while (!list_empty(&u->used)) {
		struct entry *e = LIST_ENTRY(u->used.next, struct entry, link);
		while (!list_empty(&e->waiting)) {
			struct waiting *w = LIST_ENTRY(e->waiting.next, struct waiting, link);
			list_remove(&w->link);
			mem_free(w);
		}
		forget(u, e);
	}
	map_finish(&u->entries);
	mem_free(u);
}

// One that may be forgotten: the one not asked for longest.
static bool make_room(struct users *u)
{
	if (u->entries.count < ENTRIES_MAX)
		return true;
	for (struct list *at = u->used.prev; at != &u->used; at = at->prev) {
		struct entry *e = LIST_ENTRY(at, struct entry, link);
		if (e->exists == USER_ASKED)
			continue;
		forget(u, e);
		return true;
	}
	return false;
}

static struct entry *ask(struct queue *q, struct str name)
{
	struct users *u = q->users;
	struct entry *e;
	if (!make_room(u))
		return NULL;
	e = mem_alloc(sizeof *e);
	list_init(&e->waiting);
	e->exists = USER_ASKED;
	e->request = ++u->last_request;
	e->until_ms = clock_monotonic_ms() + ANSWER_MS;
	str_copy(name, e->name, sizeof e->name);
	if (!q->o.ask_user || q->o.ask_user(q->o.arg, e->request, name)) {
		mem_free(e);
		return NULL;
	}
	u->asking++;
	list_add_first(&u->used, &e->link);
	map_set(&u->entries, str_from(e->name), e);
	return e;
}

static bool is_user_name(struct str name)
{
	return name.len && name.len <= NAME_MAX_OCTETS && !strchr("-+.", name.data[0]) &&
		str_only(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-");
}

void queue_user(struct queue *q, struct str name, queue_user_known done, void *arg)
{
	struct entry *e;
	struct waiting *w;
	if (!is_user_name(name)) {
		done(arg, USER_NO);
		return;
	}
	e = map_get(&q->users->entries, name);
	if (e && e->exists != USER_ASKED && clock_monotonic_ms() >= e->until_ms) {
		forget(q->users, e);
		e = NULL;
	}
	if (!e)
		e = ask(q, name);
	if (!e || e->exists != USER_ASKED) {
		done(arg, e ? e->exists : USER_UNKNOWN);
		return;
	}
	w = mem_alloc(sizeof *w);
	w->done = done;
	w->arg = arg;
	list_add_last(&e->waiting, &w->link);
}

void queue_user_answered(struct queue *q, uint64_t request, uint8_t exists)
{
	LIST_EACH(link, &q->users->used) {
		struct entry *e = LIST_ENTRY(link, struct entry, link);
		if (e->exists != USER_ASKED || e->request != request)
			continue;
		answer(q->users, e, exists);
		return;
	}
}

// before_ms: of those that were to be answered until then; 0: of all.
static void give_up(struct queue *q, uint64_t before_ms)
{
	bool again = q->users->asking > 0;
	while (again) { // an answer may ask anew
		again = false;
		LIST_EACH(link, &q->users->used) {
			struct entry *e = LIST_ENTRY(link, struct entry, link);
			if (e->exists != USER_ASKED || (before_ms && e->until_ms > before_ms))
				continue;
			answer(q->users, e, USER_UNKNOWN);
			again = true;
			break;
		}
	}
}

void queue_users_beat(struct queue *q)
{
	give_up(q, clock_monotonic_ms());
}

void queue_users_lost(struct queue *q)
{
	give_up(q, 0);
}

bool queue_users_asking(const struct users *u)
{
	return u->asking > 0;
}
