// SPDX-License-Identifier: ISC
// Searching the history: from the newest block to the oldest, reading only those that perhaps
// have the key.
#include "store/history_internal.h"

#include "base/arena.h"
#include "base/memory.h"
#include "store/keys.h"

#define FIND_DEFAULT 1000
#define FIND_MAX     10000

struct found_event {
	struct found_event *older; // as they were found
	struct found_event *newer;
	struct str json;
};

struct history_find_request {
	struct history_find_request *next;
	struct arena arena; // the query's strings, then what was found
	struct history_query query;
	uint64_t session; // of the message asked for; 0: none
	struct found_event *oldest, *newest;
	unsigned count;
	int err;
	void (*each)(void *arg, struct str json);
	void (*done)(void *arg, int err);
	void *arg;
};

// ---------------------------------------------------------------- queues

static void add_last(struct history_find_queue *q, struct history_find_request *f)
{
	f->next = NULL;
	if (q->last)
		q->last->next = f;
	else
		q->first = f;
	q->last = f;
}

static struct history_find_request *take_first(struct history_find_queue *q)
{
	struct history_find_request *f = q->first;

	if (f)
		q->first = f->next;
	if (!q->first)
		q->last = NULL;
	return f;
}

struct history_find_request *history_take_find(struct history *h)
{
	return take_first(&h->finds);
}

void history_put_found(struct history *h, struct history_find_request *f)
{
	add_last(&h->found, f);
}

// ---------------------------------------------------------------- thread: matching

// An event as the row has it.
struct row {
	uint64_t wall_ms, id, session;
	struct str name, sender, recipient, account, client, json;
};

static void read_row(struct sql_statement *q, struct row *out)
{
	out->wall_ms = sql_u64(q, 0);
	out->id = sql_u64(q, 1);
	out->session = sql_u64(q, 2);
	out->name = sql_str(q, 3);
	out->sender = sql_str(q, 4);
	out->recipient = sql_str(q, 5);
	out->account = sql_str(q, 6);
	out->client = sql_str(q, 7);
	out->json = sql_str(q, 8);
}

static bool id_matches(const struct history_find_request *f, const struct row *r)
{
	return f->query.id == 0 || r->id == f->query.id || r->session == f->query.id ||
	       (f->session && r->id == f->session);
}

static bool is_among(struct str address, struct str list)
{
	struct str one;

	while (str_split(&list, ',', &one))
		if (str_equal_nocase(address, one))
			return true;
	return false;
}

static bool address_matches(struct str address, const struct row *r)
{
	return address.len == 0 || str_equal_nocase(address, r->sender) ||
	       str_equal_nocase(address, r->recipient) || is_among(address, r->recipient) ||
	       str_equal_nocase(address, r->account);
}

static bool row_matches(const struct history_find_request *f, const struct row *r)
{
	const struct history_query *q = &f->query;

	return r->wall_ms >= q->since_ms && id_matches(f, r) && address_matches(q->address, r) &&
	       (q->client.len == 0 || str_equal_nocase(q->client, r->client)) &&
	       (q->name.len == 0 || str_equal_nocase(q->name, r->name));
}

// Perhaps: only "no" is certain.
static bool block_matches(const struct history_find_request *f, struct str keys)
{
	const struct history_query *q = &f->query;
	bool id = q->id == 0 || keys_has(keys, keys_hash_number(KEY_ID, q->id)) ||
		  (f->session && keys_has(keys, keys_hash_number(KEY_ID, f->session)));

	return id && (q->address.len == 0 || keys_has(keys, keys_hash(KEY_ADDRESS, q->address))) &&
	       (q->client.len == 0 || keys_has(keys, keys_hash(KEY_CLIENT, q->client))) &&
	       (q->name.len == 0 || keys_has(keys, keys_hash(KEY_NAME, q->name)));
}

// ---------------------------------------------------------------- thread: walking

// Tells each row that matches, newest first, until visit returns false.
typedef bool (*visit_row)(struct history_find_request *f, const struct row *r);

// 1: go on, 0: enough.
static int walk_block(struct history *h, struct history_find_request *f, uint64_t first,
	uint64_t last, visit_row visit)
{
	struct sql_statement *q = sql_use(h->db, HISTORY_EVENTS);
	struct row row;
	bool more = true;
	int code;

	sql_bind_u64(q, 1, first);
	sql_bind_u64(q, 2, last);
	while (more && (code = sql_step(q)) == 1) {
		read_row(q, &row);
		if (row_matches(f, &row))
			more = visit(f, &row);
	}
	if (!more) {
		sql_end(q);
		return 0;
	}
	return code < 0 ? code : 1;
}

static int walk(struct history *h, struct history_find_request *f, visit_row visit)
{
	struct sql_statement *q = sql_use(h->db, HISTORY_BLOCKS);
	int code, more = 1;

	while (more == 1 && (code = sql_step(q)) == 1) {
		if (sql_u64(q, 2) >= f->query.since_ms && block_matches(f, sql_str(q, 3)))
			more = walk_block(h, f, sql_u64(q, 0), sql_u64(q, 1), visit);
	}
	if (more != 1) {
		sql_end(q);
		return more;
	}
	return code < 0 ? code : 0;
}

static bool keep_row(struct history_find_request *f, const struct row *r)
{
	struct found_event *e = arena_alloc(&f->arena, sizeof(*e));

	e->json = arena_str(&f->arena, r->json);
	e->newer = f->oldest;
	if (f->oldest)
		f->oldest->older = e;
	else
		f->newest = e;
	f->oldest = e;
	return ++f->count < f->query.limit;
}

static bool learn_session(struct history_find_request *f, const struct row *r)
{
	if (r->id != f->query.id || r->session == 0 || r->session == r->id)
		return true;
	f->session = r->session;
	return false;
}

void history_run_find(struct history *h, struct history_find_request *f)
{
	// A message's story begins with its session's: connect, auth, and how it ended.
	if (f->query.id)
		f->err = walk(h, f, learn_session);
	if (f->err == 0)
		f->err = walk(h, f, keep_row);
}

// ---------------------------------------------------------------- loop

void history_complete_found(struct history *h)
{
	struct history_find_request *f;

	for (;;) {
		pthread_mutex_lock(&h->lock);
		f = take_first(&h->found);
		pthread_mutex_unlock(&h->lock);
		if (!f)
			return;
		h->pending--;
		if (h->async && h->pending == 0)
			uv_unref((uv_handle_t *)h->async);
		for (const struct found_event *e = f->oldest; e && f->err == 0; e = e->newer)
			f->each(f->arg, e->json);
		f->done(f->arg, f->err);
		arena_finish(&f->arena);
		mem_free(f);
	}
}

void history_find(struct history *h, const struct history_query *q,
	void (*each)(void *arg, struct str json), void (*done)(void *arg, int err), void *arg)
{
	struct history_find_request *f = mem_alloc(sizeof(*f));

	f->query = *q;
	f->query.address = arena_str(&f->arena, q->address);
	f->query.client = arena_str(&f->arena, q->client);
	f->query.name = arena_str(&f->arena, q->name);
	if (q->limit == 0)
		f->query.limit = FIND_DEFAULT;
	else if (q->limit > FIND_MAX)
		f->query.limit = FIND_MAX;
	f->each = each;
	f->done = done;
	f->arg = arg;
	if (h->async && h->pending == 0)
		uv_ref((uv_handle_t *)h->async);
	h->pending++;
	pthread_mutex_lock(&h->lock);
	add_last(&h->finds, f);
	pthread_mutex_unlock(&h->lock);
	pthread_cond_signal(&h->work);
}
