// SPDX-License-Identifier: ISC
// Aliases and domain aliases: look-ups of one address, and changes.
#include "store/addresses.h"

#include "base/clock.h"
#include "base/domain.h"
#include "base/memory.h"
#include "store/store_internal.h"

#define LIST_MAX 1000

struct address_request {
	struct request request;
	struct arena arena; // of what was asked
	struct arena found_arena;
	struct store_alias alias; // asked: its name; put: all
	enum query query;	  // of a listing
	unsigned limit, count;
	struct store_alias *aliases; // of a listing: room for limit
	struct store_address found;
	struct store_account account;
	store_address_done address_done;
	store_each_alias each;
	store_done done;
	void *arg;
};

static struct address_request *create(
	const struct request_class *class, const struct store_alias *a, store_done done, void *arg)
{
	struct address_request *r = request_create(sizeof(*r), class);

	r->alias.name = arena_str(&r->arena, a->name);
	r->alias.targets = arena_str(&r->arena, a->targets);
	r->alias.changed_ms = clock_wall_ms();
	r->done = done;
	r->arg = arg;
	return r;
}

static void destroy(struct address_request *r)
{
	arena_finish(&r->arena);
	arena_finish(&r->found_arena);
	mem_free(r->aliases);
	mem_free(r);
}

// 1: there is a row; out (may be NULL) is a copy of its column.
static int read_text(struct store *s, enum query query, struct str name, int column,
	struct arena *arena, struct str *out)
{
	struct sql_statement *q = sql_use(s->db, query);
	int code;

	sql_bind_text(q, 1, name);
	code = sql_step(q);
	if (code != 1)
		return code;
	if (out)
		*out = arena_str(arena, sql_str(q, column));
	sql_end(q);
	return 1;
}

int directory_has_alias(struct store *s, struct str name)
{
	return read_text(s, QUERY_ALIAS_GET, name, 0, NULL, NULL);
}

// ---------------------------------------------------------------- what an address is

// The key in the domain that its own is an alias of.
static int real_key(struct store *s, struct address_request *r, struct str *out)
{
	struct str key = r->alias.name, other = STR_EMPTY;
	ptrdiff_t at = str_find_last(key, '@');
	int code;

	*out = key;
	if (at < 0)
		return 0;
	code = read_text(s, QUERY_DOMAIN_ALIAS_GET, str_skip(key, (size_t)at + 1), 0,
		&r->found_arena, &other);
	if (code != 1)
		return code;
	*out = str_from(arena_format(&r->found_arena, "%.*s@%.*s",
		STR_ARG(str_slice(key, 0, (size_t)at)), STR_ARG(other)));
	return 0;
}

static int find_run(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;
	struct store_address *f = &r->found;
	int code;

	*f = (struct store_address){0};
	code = real_key(s, r, &f->key);
	if (code < 0)
		return code;
	code = directory_find_account(s, QUERY_ADDRESS_GET, f->key, &r->found_arena, &r->account);
	if (code == 1) {
		f->kind = STORE_ADDRESS_ACCOUNT;
		f->account = &r->account;
	}
	if (code != 0)
		return code < 0 ? code : 0;
	code = read_text(s, QUERY_ALIAS_GET, f->key, 1, &r->found_arena, &f->targets);
	if (code == 1)
		f->kind = STORE_ADDRESS_ALIAS;
	return code < 0 ? code : 0;
}

static void find_complete(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;

	(void)s;
	r->address_done(r->arg, request->err, &r->found);
	destroy(r);
}

static const struct request_class find_class = {.run = find_run, .complete = find_complete};

void store_address_find(struct store *s, struct str key, store_address_done done, void *arg)
{
	struct store_alias asked = {.name = key};
	struct address_request *r = create(&find_class, &asked, NULL, arg);

	r->address_done = done;
	store_request(s, &r->request);
}

// ---------------------------------------------------------------- listing

static int list_run(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;
	struct sql_statement *q = sql_use(s->db, r->query);
	int code;

	r->count = 0;
	sql_bind_text(q, 1, r->alias.name);
	if (r->query != QUERY_ALIAS_GET)
		sql_bind_u64(q, 2, r->limit);
	while ((code = sql_step(q)) == 1) {
		struct store_alias *a = &r->aliases[r->count++];

		a->name = arena_str(&r->found_arena, sql_str(q, 0));
		a->targets = arena_str(&r->found_arena, sql_str(q, 1));
		a->changed_ms = sql_u64(q, 2);
	}
	return code;
}

static void list_complete(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;

	(void)s;
	for (unsigned i = 0; i < r->count && request->err == 0; i++)
		r->each(r->arg, &r->aliases[i]);
	r->done(r->arg, request->err);
	destroy(r);
}

static const struct request_class list_class = {.run = list_run, .complete = list_complete};

static void list(struct store *s, enum query query, struct str name, unsigned limit,
	store_each_alias each, store_done done, void *arg)
{
	struct store_alias asked = {.name = name};
	struct address_request *r = create(&list_class, &asked, done, arg);

	r->query = query;
	r->limit = limit > 0 && limit < LIST_MAX ? limit : LIST_MAX;
	r->aliases = mem_array(r->limit, sizeof(r->aliases[0]));
	r->each = each;
	store_request(s, &r->request);
}

void store_alias_list(struct store *s, struct str after, unsigned limit, store_each_alias each,
	store_done done, void *arg)
{
	list(s, QUERY_ALIAS_LIST, after, limit, each, done, arg);
}

void store_alias_get(struct store *s, struct str name, store_each_alias each, store_done done, void *arg)
{
	list(s, QUERY_ALIAS_GET, name, 1, each, done, arg);
}

void store_domain_alias_list(struct store *s, struct str after, unsigned limit, store_each_alias each,
	store_done done, void *arg)
{
	list(s, QUERY_DOMAIN_ALIAS_LIST, after, limit, each, done, arg);
}

// ---------------------------------------------------------------- changing

static int put(struct store *s, enum query query, const struct store_alias *a)
{
	struct sql_statement *q = sql_use(s->db, query);

	sql_bind_text(q, 1, a->name);
	sql_bind_text(q, 2, a->targets);
	sql_bind_u64(q, 3, a->changed_ms);
	return sql_run(q);
}

static int remove_row(struct store *s, enum query query, struct str name)
{
	struct sql_statement *q = sql_use(s->db, query);

	sql_bind_text(q, 1, name);
	return sql_run(q);
}

static int put_run(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;
	struct store_account other = {0};
	int code = directory_find_account(
		s, QUERY_ADDRESS_GET, r->alias.name, &r->found_arena, &other);

	request->err = code == 1 ? ERR_EXISTS : 0;
	if (code != 0)
		return code < 0 ? code : 0;
	return put(s, QUERY_ALIAS_PUT, &r->alias);
}

static int remove_run(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;
	int code = remove_row(s, QUERY_ALIAS_REMOVE, r->alias.name);

	request->err = code == 0 && !sql_changed(s->db) ? ERR_NOT_FOUND : 0;
	return code;
}

static int domain_put_run(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;
	int code = read_text(s, QUERY_DOMAIN_ALIAS_GET, r->alias.targets, 0, NULL, NULL);

	if (code == 0)
		code = read_text(s, QUERY_DOMAIN_ALIASED, r->alias.name, 0, NULL, NULL);
	request->err = code == 1 ? ERR_EXISTS : 0;
	if (code != 0)
		return code < 0 ? code : 0;
	return put(s, QUERY_DOMAIN_ALIAS_PUT, &r->alias);
}

// The row goes when nothing else is said of the domain.
static int domain_remove_run(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;
	int code = read_text(s, QUERY_DOMAIN_ALIAS_GET, r->alias.name, 0, NULL, NULL);

	request->err = code == 0 ? ERR_NOT_FOUND : 0;
	if (code != 1)
		return code;
	code = put(s, QUERY_DOMAIN_ALIAS_PUT, &r->alias);
	return code < 0 ? code : remove_row(s, QUERY_DOMAIN_UNUSED_REMOVE, r->alias.name);
}

static void change_complete(struct store *s, struct request *request)
{
	struct address_request *r = (struct address_request *)request;

	(void)s;
	if (r->done)
		r->done(r->arg, request->err);
	destroy(r);
}

static const struct request_class put_class = {.run = put_run, .complete = change_complete};
static const struct request_class remove_class = {.run = remove_run, .complete = change_complete};
static const struct request_class domain_put_class = {
	.run = domain_put_run, .complete = change_complete};
static const struct request_class domain_remove_class = {
	.run = domain_remove_run, .complete = change_complete};

static void change(struct store *s, const struct request_class *class, const struct store_alias *a,
	store_done done, void *arg)
{
	struct address_request *r = create(class, a, done, arg);

	store_request(s, &r->request);
}

void store_alias_put(struct store *s, const struct store_alias *a, store_done done, void *arg)
{
	BUG_ON(a->name.len == 0 || a->targets.len > STORE_TARGETS_MAX);
	change(s, &put_class, a, done, arg);
}

void store_alias_remove(struct store *s, struct str name, store_done done, void *arg)
{
	change(s, &remove_class, &(struct store_alias){.name = name}, done, arg);
}

void store_domain_alias_put(struct store *s, const struct store_alias *a, store_done done, void *arg)
{
	change(s, &domain_put_class, a, done, arg);
}

void store_domain_alias_remove(struct store *s, struct str name, store_done done, void *arg)
{
	change(s, &domain_remove_class, &(struct store_alias){.name = name}, done, arg);
}
