// SPDX-License-Identifier: ISC
#include "store/mailboxes.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/rows.h"
#include "store/store_internal.h"

#define LIST_MAX 1000

// A question, a change or a listing: rows are what is given or found.
struct mailbox_request {
	struct request request;
	struct arena arena;       // of what was asked
	struct arena found_arena; // of rows of a listing
	struct str name;          // asked, or what a listing is behind
	struct store_mailbox *rows;
	unsigned count, limit;
	struct quota_limits values;
	unsigned which;
	store_mailbox_done got;
	store_each_mailbox each;
	store_done done;
	void *arg;
};

static struct mailbox_request *create(
	const struct request_class *class, struct str name, unsigned rows, void *arg)
{
	struct mailbox_request *r = request_create(sizeof(*r), class);

	r->name = arena_str(&r->arena, name);
	r->rows = mem_array(rows, sizeof(r->rows[0]));
	r->limit = rows;
	r->arg = arg;
	return r;
}

static void destroy(struct mailbox_request *r)
{
	arena_finish(&r->arena);
	arena_finish(&r->found_arena);
	mem_free(r->rows);
	mem_free(r);
}

struct quota_limits store_account_quota(const struct store_account *a)
{
	return (struct quota_limits){.octets = a->quota, .octets_soft = a->quota_soft,
		.messages = a->quota_messages, .messages_soft = a->quota_messages_soft};
}

// ---------------------------------------------------------------- reading

static void read_limits(struct sql_statement *row, struct quota_limits *out)
{
	*out = (struct quota_limits){.octets = sql_u64(row, 0), .octets_soft = sql_u64(row, 1),
		.messages = sql_u64(row, 2), .messages_soft = sql_u64(row, 3)};
}

int mailboxes_read_domain(struct store *s, struct str name, struct quota_limits *out)
{
	struct sql_statement *q = sql_use(s->db, QUERY_DOMAIN_QUOTA_GET);
	ptrdiff_t at = str_find_last(name, '@');
	int code;

	sql_bind_text(q, 1, at < 0 ? name : str_skip(name, (size_t)at + 1));
	code = sql_step(q);
	if (code != 1)
		return code;
	read_limits(q, out);
	sql_end(q);
	return 1;
}

static int read_usage(struct store *s, struct store_mailbox *m)
{
	struct sql_statement *q = sql_use(s->db, QUERY_MAILBOX_GET);
	int code;

	sql_bind_text(q, 1, m->name);
	code = sql_step(q);
	if (code != 1)
		return code;
	m->usage = (struct quota_usage){sql_u64(q, 0), sql_u64(q, 1)};
	m->counted_ms = sql_u64(q, 2);
	m->warned_ms = sql_u64(q, 3);
	sql_end(q);
	return 1;
}

static int get_run(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;
	struct store_mailbox *m = &r->rows[0];
	struct store_account a = {0};
	int code = directory_find_account(s, QUERY_ACCOUNT_GET, r->name, &r->found_arena, &a);

	if (code < 0)
		return code;
	request->err = code ? 0 : ERR_NOT_FOUND;
	*m = (struct store_mailbox){.name = r->name, .own = store_account_quota(&a),
		.domain = a.domain_quota};
	code = read_usage(s, m);
	return code < 0 ? code : 0;
}

static void get_complete(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;

	(void)s;
	r->got(r->arg, request->err, &r->rows[0]);
	destroy(r);
}

static const struct request_class get_class = {.run = get_run, .complete = get_complete};

void store_mailbox_get(struct store *s, struct str name, store_mailbox_done done, void *arg)
{
	struct mailbox_request *r = create(&get_class, name, 1, arg);

	r->got = done;
	store_request(s, &r->request);
}

// ---------------------------------------------------------------- listing

static void list_forget(struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;

	arena_finish(&r->found_arena);
	r->count = 0;
}

static int list_run(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;
	struct sql_statement *q = sql_use(s->db, QUERY_ACCOUNT_LIST);
	int code;

	sql_bind_text(q, 1, r->name);
	sql_bind_u64(q, 2, r->limit);
	while ((code = sql_step(q)) == 1) {
		struct store_account a = {0};
		rows_read_account(q, &r->found_arena, &a);
		r->rows[r->count++] =
			(struct store_mailbox){.name = a.name, .own = store_account_quota(&a)};
	}
	for (unsigned i = 0; i < r->count && code >= 0; i++) {
		struct store_mailbox *m = &r->rows[i];
		code = mailboxes_read_domain(s, m->name, &m->domain);
		if (code >= 0)
			code = read_usage(s, m);
	}
	return code < 0 ? code : 0;
}

static int domains_run(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;
	struct sql_statement *q = sql_use(s->db, QUERY_DOMAIN_QUOTA_LIST);
	int code;

	sql_bind_text(q, 1, r->name);
	sql_bind_u64(q, 2, r->limit);
	while ((code = sql_step(q)) == 1) {
		struct store_mailbox *m = &r->rows[r->count++];
		*m = (struct store_mailbox){.name = arena_str(&r->found_arena, sql_str(q, 4))};
		read_limits(q, &m->domain);
	}
	return code;
}

static void list_complete(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;

	(void)s;
	for (unsigned i = 0; i < r->count && request->err == 0; i++)
		r->each(r->arg, &r->rows[i]);
	r->done(r->arg, request->err);
	destroy(r);
}

static const struct request_class list_class = {
	.run = list_run, .forget = list_forget, .complete = list_complete};
static const struct request_class domains_class = {
	.run = domains_run, .forget = list_forget, .complete = list_complete};

static void list(struct store *s, struct mailbox_request *r, store_each_mailbox each, store_done done)
{
	r->each = each;
	r->done = done;
	store_request(s, &r->request);
}

static unsigned page_of(unsigned limit)
{
	return limit > 0 && limit < LIST_MAX ? limit : LIST_MAX;
}

void store_mailbox_list(struct store *s, struct str after, unsigned limit, store_each_mailbox each,
	store_done done, void *arg)
{
	list(s, create(&list_class, after, page_of(limit), arg), each, done);
}

void store_domain_quota_list(struct store *s, struct str after, unsigned limit,
	store_each_mailbox each, store_done done, void *arg)
{
	list(s, create(&domains_class, after, page_of(limit), arg), each, done);
}

// ---------------------------------------------------------------- changing

static int put_run(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;
	int code = 0;

	for (unsigned i = 0; i < r->count && code == 0; i++) {
		const struct store_mailbox *m = &r->rows[i];
		struct sql_statement *q = sql_use(s->db, QUERY_MAILBOX_PUT);
		sql_bind_u64(q, 1, m->usage.octets);
		sql_bind_u64(q, 2, m->usage.messages);
		sql_bind_u64(q, 3, m->counted_ms);
		sql_bind_u64(q, 4, m->warned_ms);
		sql_bind_text(q, 5, m->name);
		code = sql_run(q);
	}
	return code;
}

static void put_complete(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;

	(void)s;
	r->done(r->arg, request->err);
	destroy(r);
}

static const struct request_class put_class = {.run = put_run, .complete = put_complete};

void store_mailbox_put(struct store *s, const struct store_mailbox *rows, unsigned count,
	store_done done, void *arg)
{
	struct mailbox_request *r = create(&put_class, STR_EMPTY, count, arg);

	BUG_ON(count > STORE_MAILBOXES_MAX);
	for (unsigned i = 0; i < count; i++) {
		r->rows[i] = rows[i];
		r->rows[i].name = arena_str(&r->arena, rows[i].name);
	}
	r->count = count;
	r->done = done;
	store_request(s, &r->request);
}

// What is not set stays as it is.
static void merge(struct quota_limits *l, const struct quota_limits *values, unsigned which)
{
	if (which & STORE_QUOTA_OCTETS)
		l->octets = values->octets;
	if (which & STORE_QUOTA_SOFT)
		l->octets_soft = values->octets_soft;
	if (which & STORE_QUOTA_MESSAGES)
		l->messages = values->messages;
	if (which & STORE_QUOTA_MESSAGES_SOFT)
		l->messages_soft = values->messages_soft;
}

static int write_limits(
	struct store *s, enum query query, struct str name, const struct quota_limits *l)
{
	struct sql_statement *q = sql_use(s->db, query);

	sql_bind_u64(q, 1, l->octets);
	sql_bind_u64(q, 2, l->octets_soft);
	sql_bind_u64(q, 3, l->messages);
	sql_bind_u64(q, 4, l->messages_soft);
	sql_bind_u64(q, 5, clock_wall_ms());
	sql_bind_text(q, 6, name);
	return sql_run(q);
}

static int set_account_run(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;
	struct store_account a = {0};
	int code = directory_find_account(s, QUERY_ACCOUNT_GET, r->name, &r->found_arena, &a);
	struct quota_limits l = store_account_quota(&a);

	request->err = code == 0 ? ERR_NOT_FOUND : 0;
	if (code != 1)
		return code;
	merge(&l, &r->values, r->which);
	return write_limits(s, QUERY_ACCOUNT_QUOTA_SET, r->name, &l);
}

static int set_domain_run(struct store *s, struct request *request)
{
	struct mailbox_request *r = (struct mailbox_request *)request;
	struct quota_limits l = {0};
	struct sql_statement *q;
	int code = mailboxes_read_domain(s, r->name, &l);

	if (code < 0)
		return code;
	merge(&l, &r->values, r->which);
	code = write_limits(s, QUERY_DOMAIN_QUOTA_PUT, r->name, &l);
	if (code < 0)
		return code;
	q = sql_use(s->db, QUERY_DOMAIN_UNUSED_REMOVE);
	sql_bind_text(q, 1, r->name);
	return sql_run(q);
}

static void set_complete(struct store *s, struct request *request)
{
	known_change_end(&s->known);
	put_complete(s, request);
}

static const struct request_class set_account_class = {
	.run = set_account_run, .complete = set_complete};
static const struct request_class set_domain_class = {
	.run = set_domain_run, .complete = set_complete};

static void set(struct store *s, struct mailbox_request *r, const struct quota_limits *values,
	unsigned which, store_done done)
{
	r->values = *values;
	r->which = which;
	r->done = done;
	known_change_begin(&s->known);
	store_request(s, &r->request);
}

void store_account_set_quota(struct store *s, struct str name, const struct quota_limits *values,
	unsigned which, store_done done, void *arg)
{
	set(s, create(&set_account_class, name, 1, arg), values, which, done);
}

void store_domain_set_quota(struct store *s, struct str domain, const struct quota_limits *values,
	unsigned which, store_done done, void *arg)
{
	set(s, create(&set_domain_class, domain, 1, arg), values, which, done);
}
