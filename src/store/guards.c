// SPDX-License-Identifier: ISC
// Reading what the guard keeps, and profiles. What it writes goes in batches: batch.c.
#include "store/guards.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "store/store_internal.h"

#define LIST_MAX 1000

struct found {
	struct found *next;
	struct store_guard guard;
	struct store_incident incident;
};

struct guard_request {
	struct request request;
	struct arena keys, arena;
	struct str subject, profile; // asked; of a profile the account's name
	unsigned limit;
	bool open;
	struct store_guard guard;    // of get
	struct found *first, *last;  // of lists
	store_guard_done got;
	store_each_guard each_guard;
	store_each_incident each_incident;
	store_done done;
	void *arg;
};

static struct guard_request *create(const struct request_class *class, struct str subject, void *arg)
{
	struct guard_request *r = request_create(sizeof(*r), class);

	r->subject = arena_str(&r->keys, subject);
	r->arg = arg;
	return r;
}

static void destroy(struct guard_request *r)
{
	arena_finish(&r->keys);
	arena_finish(&r->arena);
	mem_free(r);
}

static void forget(struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;

	arena_finish(&r->arena);
	r->first = r->last = NULL;
	r->guard = (struct store_guard){0};
}

static struct found *add_found(struct guard_request *r)
{
	struct found *f = arena_alloc(&r->arena, sizeof(*f));

	if (r->last)
		r->last->next = f;
	else
		r->first = f;
	r->last = f;
	return f;
}

// ---------------------------------------------------------------- one state

static int read_state(struct store *s, struct guard_request *r)
{
	struct sql_statement *q = sql_use(s->db, QUERY_GUARD_GET);
	int code;

	sql_bind_text(q, 1, r->subject);
	code = sql_step(q);
	if (code != 1)
		return code;
	r->guard.changed_ms = sql_u64(q, 0);
	r->guard.state = arena_str(&r->arena, sql_str(q, 1));
	sql_end(q);
	return 0;
}

static int read_profile(struct store *s, struct guard_request *r)
{
	struct sql_statement *q;
	int code;

	if (!str_starts(r->subject, STR(STORE_SUBJECT_ACCOUNT)))
		return 0;
	q = sql_use(s->db, QUERY_PROFILE_GET);
	sql_bind_text(q, 1, str_skip(r->subject, sizeof(STORE_SUBJECT_ACCOUNT) - 1));
	code = sql_step(q);
	if (code != 1)
		return code;
	r->guard.is_account = true;
	r->guard.profile = arena_str(&r->arena, sql_str(q, 0));
	r->guard.created_ms = sql_u64(q, 1);
	sql_end(q);
	return 0;
}

static int get_run(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;
	int code = read_state(s, r);

	r->guard.subject = r->subject;
	return code < 0 ? code : read_profile(s, r);
}

static void get_complete(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;

	r->guard.subject = r->subject;
	r->got(r->arg, request->err, &r->guard);
	destroy(r);
}

static const struct request_class get_class = {
	.run = get_run,
	.forget = forget,
	.complete = get_complete,
};

void store_guard_get(struct store *s, struct str subject, store_guard_done done, void *arg)
{
	struct guard_request *r = create(&get_class, subject, arg);

	r->got = done;
	store_request(s, &r->request);
}

// ---------------------------------------------------------------- lists

static int list_run(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;
	struct sql_statement *q = sql_use(s->db, QUERY_GUARD_LIST);
	int code;

	sql_bind_text(q, 1, r->subject);
	sql_bind_u64(q, 2, r->limit);
	while ((code = sql_step(q)) == 1) {
		struct store_guard *g = &add_found(r)->guard;

		g->subject = arena_str(&r->arena, sql_str(q, 0));
		g->changed_ms = sql_u64(q, 1);
		g->state = arena_str(&r->arena, sql_str(q, 2));
	}
	return code;
}

static int incidents_run(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;
	struct sql_statement *q = sql_use(s->db, QUERY_INCIDENT_LIST);
	int code;

	sql_bind_text(q, 1, r->subject);
	sql_bind_u64(q, 2, !r->open);
	sql_bind_u64(q, 3, r->limit);
	while ((code = sql_step(q)) == 1) {
		struct store_incident *i = &add_found(r)->incident;

		i->id = sql_u64(q, 0);
		i->subject = arena_str(&r->arena, sql_str(q, 1));
		i->action = (uint32_t)sql_u64(q, 2);
		i->started_ms = sql_u64(q, 3);
		i->ended_ms = sql_u64(q, 4);
		i->evidence = arena_str(&r->arena, sql_str(q, 5));
	}
	return code;
}

static void list_complete(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;

	for (struct found *f = r->first; f && request->err == 0; f = f->next) {
		if (r->each_guard)
			r->each_guard(r->arg, &f->guard);
		else
			r->each_incident(r->arg, &f->incident);
	}
	r->done(r->arg, request->err);
	destroy(r);
}

static const struct request_class list_class = {
	.run = list_run,
	.forget = forget,
	.complete = list_complete,
};
static const struct request_class incidents_class = {
	.run = incidents_run,
	.forget = forget,
	.complete = list_complete,
};

static void start_list(struct store *s, struct guard_request *r, unsigned limit, store_done done)
{
	r->limit = limit > 0 && limit < LIST_MAX ? limit : LIST_MAX;
	r->done = done;
	store_request(s, &r->request);
}

void store_guard_list(struct store *s, struct str after, unsigned limit, store_each_guard each,
	store_done done, void *arg)
{
	struct guard_request *r = create(&list_class, after, arg);

	r->each_guard = each;
	start_list(s, r, limit, done);
}

void store_incident_list(struct store *s, struct str subject, bool open, unsigned limit,
	store_each_incident each, store_done done, void *arg)
{
	struct guard_request *r = create(&incidents_class, subject, arg);

	r->open = open;
	r->each_incident = each;
	start_list(s, r, limit, done);
}

// ---------------------------------------------------------------- profiles

static int profile_run(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;
	struct sql_statement *q = sql_use(s->db, QUERY_PROFILE_SET);
	int code;

	sql_bind_text(q, 1, r->profile);
	sql_bind_u64(q, 2, clock_wall_ms());
	sql_bind_text(q, 3, r->subject);
	code = sql_run(q);
	if (code == 0)
		request->err = sql_changed(s->db) ? 0 : ERR_NOT_FOUND;
	return code;
}

static void profile_complete(struct store *s, struct request *request)
{
	struct guard_request *r = (struct guard_request *)request;

	known_change_end(&s->known);
	r->done(r->arg, request->err);
	destroy(r);
}

static const struct request_class profile_class = {.run = profile_run, .complete = profile_complete};

void store_profile_set(struct store *s, struct str name, struct str profile, store_done done, void *arg)
{
	struct guard_request *r = create(&profile_class, name, arg);

	r->profile = arena_str(&r->keys, profile);
	r->done = done;
	known_change_begin(&s->known);
	store_request(s, &r->request);
}
