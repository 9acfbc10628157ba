// SPDX-License-Identifier: ISC
// Groups of accounts: few, and changed seldom.
#include "store/store_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "store/rows.h"

#define LIST_MAX 1000

struct group_request {
	struct request request;
	struct arena arena;
	struct store_group group;
	unsigned fields;
	struct store_group *groups; // of a listing: room for LIST_MAX
	unsigned count;
	store_each_group each;
	store_done done;
	void *arg;
};

static struct group_request *create(const struct request_class *class, const struct store_group *g,
	store_done done, void *arg)
{
	struct group_request *r = request_create(sizeof(*r), class);

	r->group = *g;
	r->group.name = arena_str(&r->arena, g->name);
	r->group.networks = arena_str(&r->arena, g->networks);
	r->group.servers = arena_str(&r->arena, g->servers);
	r->done = done;
	r->arg = arg;
	return r;
}

// 1: found.
static int find(struct store *s, struct group_request *r, struct store_group *out)
{
	struct sql_statement *q = sql_use(s->db, QUERY_GROUP_GET);
	int code;

	sql_bind_text(q, 1, r->group.name);
	code = sql_step(q);
	if (code == 1) {
		rows_read_group(q, &r->arena, out);
		sql_end(q);
	}
	return code;
}

static int put(struct store *s, const struct store_group *g)
{
	struct sql_statement *q = sql_use(s->db, QUERY_GROUP_PUT);

	rows_bind_group(q, g);
	return sql_run(q);
}

static int add_run(struct store *s, struct request *request)
{
	struct group_request *r = (struct group_request *)request;
	struct store_group other = {0};
	int code = find(s, r, &other);

	request->err = code == 1 ? ERR_EXISTS : 0;
	return code == 0 ? put(s, &r->group) : code < 0 ? code : 0;
}

static int set_run(struct store *s, struct request *request)
{
	struct group_request *r = (struct group_request *)request;
	struct store_group g = {0};
	uint32_t bits = r->fields & ACCOUNT_RIGHTS_ALL;
	int code = find(s, r, &g);

	_Static_assert((int)STORE_SET_SUBMIT == (int)ACCOUNT_MAY_SUBMIT &&
			       (int)STORE_SET_RELAY == (int)ACCOUNT_MAY_RELAY,
		"the field of a right is its bit");
	request->err = code == 0 ? ERR_NOT_FOUND : 0;
	if (code != 1)
		return code;
	g.rights = (g.rights & ~bits) | (r->group.rights & bits);
	g.stated = (g.stated & ~bits) | (r->group.stated & bits);
	if (r->fields & STORE_SET_NETWORKS)
		g.networks = r->group.networks;
	if (r->fields & STORE_SET_SERVERS)
		g.servers = r->group.servers;
	g.changed_ms = r->group.changed_ms;
	return put(s, &g);
}

static bool has_word(struct str words, struct str word)
{
	struct str one;

	while (words.len && str_split(&words, ' ', &one))
		if (str_equal(one, word))
			return true;
	return false;
}

// 1: an account is in it.
static int is_used(struct store *s, struct str name)
{
	struct sql_statement *q = sql_use(s->db, QUERY_ACCOUNT_GROUPS);
	int code;

	while ((code = sql_step(q)) == 1) {
		if (has_word(sql_str(q, 0), name)) {
			sql_end(q);
			return 1;
		}
	}
	return code;
}

static int remove_run(struct store *s, struct request *request)
{
	struct group_request *r = (struct group_request *)request;
	struct sql_statement *q;
	int code = is_used(s, r->group.name);

	request->err = code == 1 ? ERR_DENIED : 0;
	if (code != 0)
		return code < 0 ? code : 0;
	q = sql_use(s->db, QUERY_GROUP_REMOVE);
	sql_bind_text(q, 1, r->group.name);
	code = sql_run(q);
	if (code == 0)
		request->err = sql_changed(s->db) ? 0 : ERR_NOT_FOUND;
	return code;
}

static void change_complete(struct store *s, struct request *request)
{
	struct group_request *r = (struct group_request *)request;

	known_change_end(&s->known);
	r->done(r->arg, request->err);
	arena_finish(&r->arena);
	mem_free(r);
}

static const struct request_class add_class = {.run = add_run, .complete = change_complete};
static const struct request_class set_class = {.run = set_run, .complete = change_complete};
static const struct request_class remove_class = {.run = remove_run, .complete = change_complete};

static void change(struct store *s, struct group_request *r)
{
	known_change_begin(&s->known);
	store_request(s, &r->request);
}

void store_group_add(struct store *s, const struct store_group *g, store_done done, void *arg)
{
	struct group_request *r = create(&add_class, g, done, arg);

	BUG_ON(g->name.len == 0);
	r->group.created_ms = r->group.changed_ms = clock_wall_ms();
	change(s, r);
}

void store_group_set(struct store *s, const struct store_group *values, unsigned fields,
	store_done done, void *arg)
{
	struct group_request *r = create(&set_class, values, done, arg);

	r->fields = fields;
	r->group.changed_ms = clock_wall_ms();
	change(s, r);
}

void store_group_remove(struct store *s, struct str name, store_done done, void *arg)
{
	change(s, create(&remove_class, &(struct store_group){.name = name}, done, arg));
}

// ---------------------------------------------------------------- listing

static void list_forget(struct request *request)
{
	((struct group_request *)request)->count = 0;
}

static int list_run(struct store *s, struct request *request)
{
	struct group_request *r = (struct group_request *)request;
	struct sql_statement *q = sql_use(s->db, QUERY_GROUP_LIST);
	int code;

	sql_bind_u64(q, 1, LIST_MAX);
	while ((code = sql_step(q)) == 1)
		rows_read_group(q, &r->arena, &r->groups[r->count++]);
	return code;
}

static void list_complete(struct store *s, struct request *request)
{
	struct group_request *r = (struct group_request *)request;

	for (unsigned i = 0; i < r->count && request->err == 0; i++)
		r->each(r->arg, &r->groups[i]);
	r->done(r->arg, request->err);
	arena_finish(&r->arena);
	mem_free(r->groups);
	mem_free(r);
}

static const struct request_class list_class = {
	.run = list_run,
	.forget = list_forget,
	.complete = list_complete,
};

void store_group_list(struct store *s, store_each_group each, store_done done, void *arg)
{
	struct group_request *r = create(&list_class, &(struct store_group){.name = STR_EMPTY}, done, arg);

	r->groups = mem_array(LIST_MAX, sizeof(r->groups[0]));
	r->each = each;
	store_request(s, &r->request);
}
