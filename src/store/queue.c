// SPDX-License-Identifier: ISC
// Reading the queue: claims, bodies, listings, numbers.
#include "store/store_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "message/digest.h"
#include "store/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEASE_MS  (60 * 60 * 1000)
#define LIST_MAX  1000
#define CLAIM_MAX 1000
#define LIST_SCAN 5000 // rows looked at between two commits
#define BODY_STEP (64UL * 1024)

// ---------------------------------------------------------------- rows on their way to the loop

struct found {
	struct found *next;
	const struct store_message *message; // shared by neighbours
	struct store_recipient recipient;
};

// Filled by the commit thread, given out by the loop.
struct found_list {
	struct arena arena;
	struct found *first, *last;
	unsigned count;
};

static void found_clear(struct found_list *l)
{
	arena_finish(&l->arena);
	l->first = l->last = NULL;
	l->count = 0;
}

static void found_add(struct found_list *l, struct found *f)
{
	if (l->last)
		l->last->next = f;
	else
		l->first = f;
	l->last = f;
	l->count++;
}

// 1: found, 0: no such message.
static int read_message(
	struct store *s, uint64_t id, struct arena *arena, struct store_message *out)
{
	struct sql_statement *q = sql_use(s->db, QUERY_MESSAGE);
	int code;

	sql_bind_u64(q, 1, id);
	code = sql_step(q);
	if (code != 1)
		return code;
	rows_read_message(q, arena, out);
	sql_end(q);
	return 1;
}

// Finds the message of f, or shares that of the one before. 1: found, 0: there is none.
static int find_message(
	struct store *s, struct arena *arena, const struct found *before, struct found *f)
{
	struct store_message *m;
	int code;

	if (before && before->message && before->recipient.message == f->recipient.message) {
		f->message = before->message;
		return 1;
	}
	m = arena_alloc(arena, sizeof(*m));
	code = read_message(s, f->recipient.message, arena, m);
	f->message = code == 1 ? m : NULL;
	return code;
}

static void found_give(const struct found_list *l, store_each_due each, void *arg)
{
	for (const struct found *f = l->first; f; f = f->next) {
		if (f->message)
			each(arg, f->message, &f->recipient);
	}
}

// ---------------------------------------------------------------- claiming

struct claim {
	struct request request;
	uint64_t now_ms;
	unsigned limit;
	struct found_list found;
	uint64_t next_due_ms;
	store_each_due each;
	store_due_done done;
	void *arg;
};

// All are read before the first is changed: changing moves rows within the index we read.
static int find_due(struct store *s, struct claim *c)
{
	struct sql_statement *q = sql_use(s->db, QUERY_DUE);
	int code;

	sql_bind_u64(q, 1, c->now_ms);
	sql_bind_u64(q, 2, c->limit);
	while ((code = sql_step(q)) == 1) {
		struct found *f = arena_alloc(&c->found.arena, sizeof(*f));

		rows_read_recipient(q, &c->found.arena, &f->recipient);
		found_add(&c->found, f);
	}
	return code;
}

static int claim_one(struct store *s, struct found *f, uint64_t lease)
{
	struct sql_statement *q = sql_use(s->db, QUERY_RECIPIENT_CLAIM);

	sql_bind_u64(q, 1, s->node);
	sql_bind_u64(q, 2, lease);
	sql_bind_u64(q, 3, f->recipient.id);
	f->recipient.state = RECIPIENT_CLAIMED;
	effects_move_recipient(&s->effects, RECIPIENT_DUE, RECIPIENT_CLAIMED);
	return sql_run(q);
}

// A recipient without a message cannot be (doc/queue.md I1). If the disk did it, it must not
// stop the others: it waits for a human.
static int put_aside(struct store *s, struct found *f)
{
	struct sql_statement *q = sql_use(s->db, QUERY_RECIPIENT_SET_HOLD);

	sql_bind_u64(q, 1, RECIPIENT_HELD);
	sql_bind_u64(q, 2, true);
	sql_bind_text(q, 3, STR("its message is missing in the store"));
	sql_bind_u64(q, 4, f->recipient.id);
	effects_move_recipient(&s->effects, RECIPIENT_DUE, RECIPIENT_HELD);
	return sql_run(q);
}

static int find_next_due(struct store *s, uint64_t *out)
{
	struct sql_statement *q = sql_use(s->db, QUERY_NEXT_DUE);
	int code = sql_step(q);

	*out = 0;
	if (code == 1) {
		*out = sql_u64(q, 0);
		if (*out == 0)
			*out = 1; // due since ever
		sql_end(q);
	}
	return code < 0 ? code : 0;
}

static int claim_run(struct store *s, struct request *r)
{
	struct claim *c = (struct claim *)r;
	uint64_t lease = clock_wall_ms() + STORE_LEASE_MS;
	const struct found *before = NULL;
	int code = find_due(s, c);

	for (struct found *f = c->found.first; f && code >= 0; f = f->next) {
		code = find_message(s, &c->found.arena, before, f);
		if (code >= 0)
			code = code == 1 ? claim_one(s, f, lease) : put_aside(s, f);
		if (!f->message)
			c->found.count--;
		before = f;
	}
	return code < 0 ? code : find_next_due(s, &c->next_due_ms);
}

static void claim_forget(struct request *r)
{
	struct claim *c = (struct claim *)r;

	found_clear(&c->found);
}

static void claim_complete(struct store *s, struct request *r)
{
	struct claim *c = (struct claim *)r;

	if (r->err == 0)
		found_give(&c->found, c->each, c->arg);
	c->done(c->arg, r->err, r->err == 0 ? c->found.count : 0, c->next_due_ms);
	found_clear(&c->found);
	mem_free(c);
}

static const struct request_class claim_class = {
	.run = claim_run,
	.forget = claim_forget,
	.complete = claim_complete,
};

void store_claim_due(struct store *s, uint64_t now_ms, unsigned limit, store_each_due each,
	store_due_done done, void *arg)
{
	struct claim *c = request_create(sizeof(*c), &claim_class);

	c->now_ms = now_ms;
	c->limit = limit < CLAIM_MAX ? limit : CLAIM_MAX;
	c->each = each;
	c->done = done;
	c->arg = arg;
	if (s->closing)
		store_refuse(s, &c->request, ERR_CLOSED);
	else
		store_request(s, &c->request);
}

// ---------------------------------------------------------------- bodies

struct body {
	struct request request;
	uint64_t message;
	uint64_t size, spool;
	uint8_t digest[MESSAGE_DIGEST_SIZE];
	struct buf octets;
	int fd;
	store_body_done done;
	void *arg;
};

static int body_run(struct store *s, struct request *r)
{
	struct body *b = (struct body *)r;
	struct sql_statement *q = sql_use(s->db, QUERY_BODY);
	struct str digest;
	int code;

	sql_bind_u64(q, 1, b->message);
	code = sql_step(q);
	if (code != 1) {
		r->err = code == 0 ? ERR_NOT_FOUND : 0;
		return code;
	}
	b->size = sql_u64(q, 0);
	b->spool = sql_u64(q, 1);
	digest = sql_str(q, 2);
	if (digest.len == sizeof(b->digest))
		memcpy(b->digest, digest.data, sizeof(b->digest));
	buf_clear(&b->octets);
	code = buf_add_str(&b->octets, sql_str(q, 3));
	sql_end(q);
	return code;
}

// SHA-256 of the file; its descriptor stands at the beginning afterwards.
static int digest_file(int fd, uint8_t out[MESSAGE_DIGEST_SIZE])
{
	char *step = mem_alloc(BODY_STEP);
	struct digest *digest = digest_create();
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, step, BODY_STEP, at)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		digest_update(digest, str_make(step, (size_t)n));
		at += n;
	}
	digest_result(digest, out);
	digest_destroy(digest);
	mem_free(step);
	return n < 0 ? ERR_SYSTEM : 0;
}

// ERR_CORRUPT when it is missing, ERR_SYSTEM when that cannot be known.
static int open_file(struct store *s, struct body *b)
{
	char name[SPOOL_NAME_MAX];
	struct stat st;

	spool_name(b->spool, false, name);
	b->fd = openat(s->spool_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (b->fd < 0)
		return errno == ENOENT || errno == ELOOP ? ERR_CORRUPT : ERR_SYSTEM;
	if (fstat(b->fd, &st) < 0)
		return ERR_SYSTEM;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == b->size ? 0 : ERR_CORRUPT;
}

static int check_body(struct store *s, struct body *b)
{
	uint8_t digest[MESSAGE_DIGEST_SIZE];
	int err = 0;

	if (b->spool)
		err = open_file(s, b);
	else if (buf_len(&b->octets) != b->size)
		err = ERR_CORRUPT;
	if (err == 0 && b->spool)
		err = digest_file(b->fd, digest);
	else if (err == 0)
		digest_of(buf_str(&b->octets), digest);
	if (err == 0 && memcmp(digest, b->digest, sizeof(digest)) != 0)
		err = ERR_CORRUPT;
	return err;
}

// File thread.
static void body_after(struct store *s, struct request *r)
{
	struct body *b = (struct body *)r;

	r->err = check_body(s, b);
	if (r->err < 0)
		fd_close(&b->fd);
}

static void body_complete(struct store *s, struct request *r)
{
	struct body *b = (struct body *)r;

	b->done(b->arg, r->err, r->err == 0 ? buf_str(&b->octets) : STR_EMPTY, b->fd);
	buf_finish(&b->octets);
	mem_free(b);
}

static const struct request_class body_class = {
	.run = body_run,
	.after = body_after,
	.complete = body_complete,
};

void store_read_body(struct store *s, uint64_t message, store_body_done done, void *arg)
{
	struct body *b = request_create(sizeof(*b), &body_class);

	b->message = message;
	b->fd = -1;
	b->done = done;
	b->arg = arg;
	store_request(s, &b->request);
}

// ---------------------------------------------------------------- listings

struct listing {
	struct request request;
	struct arena keys; // the filter's strings
	struct store_filter filter;
	uint64_t after; // the last row looked at
	struct found_list found;
	store_each_due each;
	store_list_done done;
	void *arg;
};

static bool selects(struct str key, struct str value)
{
	return key.len == 0 || str_equal_nocase(key, value);
}

// "<>" is no address, so it can name those without one.
static bool selects_sender(struct str key, struct str value)
{
	return str_equal(key, STR("<>")) ? value.len == 0 : selects(key, value);
}

static bool recipient_matches(const struct store_filter *f, const struct store_recipient *r)
{
	return (f->any_state || f->state == r->state) && selects(f->recipient, r->address) &&
	       selects(f->domain, r->domain);
}

// 1: yes, 0: no. Looks at the message only when it has to.
static int message_matches(struct store *s, const struct store_filter *f, uint64_t id)
{
	struct store_message m = {0};
	struct sql_statement *q;
	int code;

	if (f->sender.len == 0 && f->account.len == 0 && f->client.len == 0)
		return 1;
	q = sql_use(s->db, QUERY_MESSAGE);
	sql_bind_u64(q, 1, id);
	code = sql_step(q);
	if (code != 1)
		return code;
	rows_read_message(q, NULL, &m);
	code = selects_sender(f->sender, m.envelope.sender) &&
	       selects_sender(f->account, m.envelope.account) && selects(f->client, m.envelope.client);
	sql_end(q);
	return code;
}

// The row that q stands on, when the filter selects it.
static int list_row(struct store *s, struct listing *l, struct sql_statement *q)
{
	struct store_recipient r = {0};
	struct found *f;
	int code;

	rows_read_recipient(q, NULL, &r);
	l->after = r.id;
	if (!recipient_matches(&l->filter, &r))
		return 0;
	code = message_matches(s, &l->filter, r.message);
	if (code != 1)
		return code;
	f = arena_alloc(&l->found.arena, sizeof(*f));
	rows_read_recipient(q, &l->found.arena, &f->recipient);
	code = find_message(s, &l->found.arena, l->found.last, f);
	if (code == 1)
		found_add(&l->found, f);
	return code < 0 ? code : 0;
}

// All rows of a statement, up to a number of rows looked at and one of rows found. 1: there may
// be more.
static int list_rows(struct store *s, struct listing *l, struct sql_statement *q)
{
	int code;

	for (unsigned scanned = 0; (code = sql_step(q)) == 1; scanned++) {
		if (scanned == LIST_SCAN || l->found.count == l->filter.limit)
			break;
		code = list_row(s, l, q);
		if (code < 0)
			break;
	}
	sql_end(q);
	return code;
}

// By id: of a message, or of one recipient.
static int list_by_id(struct store *s, struct listing *l)
{
	struct sql_statement *q = sql_use(s->db, QUERY_RECIPIENTS_OF_MESSAGE);
	int code;

	sql_bind_u64(q, 1, l->filter.message);
	sql_bind_u64(q, 2, l->filter.after);
	sql_bind_u64(q, 3, LIST_SCAN);
	code = list_rows(s, l, q);
	if (code < 0 || l->found.count || l->filter.message <= l->filter.after)
		return code;
	q = sql_use(s->db, QUERY_RECIPIENT);
	sql_bind_u64(q, 1, l->filter.message);
	return list_rows(s, l, q);
}

static int list_run(struct store *s, struct request *r)
{
	struct listing *l = (struct listing *)r;
	struct sql_statement *q;
	int code;

	if (l->filter.message) {
		code = list_by_id(s, l);
		return code < 0 ? code : 0;
	}
	q = sql_use(s->db, QUERY_RECIPIENTS_AFTER);
	sql_bind_u64(q, 1, l->after);
	code = list_rows(s, l, q);
	r->again = code == 1 && l->found.count < l->filter.limit;
	return code < 0 ? code : 0;
}

// From the beginning again: simpler than to know what was found before this run.
static void list_forget(struct request *r)
{
	struct listing *l = (struct listing *)r;

	found_clear(&l->found);
	l->after = l->filter.after;
}

static void list_complete(struct store *s, struct request *r)
{
	struct listing *l = (struct listing *)r;
	uint64_t last = l->found.last ? l->found.last->recipient.id : 0;

	if (r->err < 0)
		found_clear(&l->found);
	found_give(&l->found, l->each, l->arg);
	l->done(l->arg, r->err, l->found.count, r->err == 0 ? last : 0);
	found_clear(&l->found);
	arena_finish(&l->keys);
	mem_free(l);
}

static const struct request_class list_class = {
	.run = list_run,
	.forget = list_forget,
	.complete = list_complete,
};

void store_list(struct store *s, const struct store_filter *f, store_each_due each,
	store_list_done done, void *arg)
{
	struct listing *l = request_create(sizeof(*l), &list_class);
	struct str *keys[] = {
		&l->filter.sender, &l->filter.recipient, &l->filter.domain, &l->filter.account,
		&l->filter.client};

	l->filter = *f;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		*keys[i] = arena_str(&l->keys, *keys[i]);
	if (f->limit == 0 || f->limit > LIST_MAX)
		l->filter.limit = LIST_MAX;
	l->after = f->after;
	l->each = each;
	l->done = done;
	l->arg = arg;
	store_request(s, &l->request);
}

// ---------------------------------------------------------------- numbers

struct count {
	struct request request;
	struct store_totals totals;
	store_totals_done done;
	void *arg;
};

static int find_oldest(struct store *s, uint64_t *out)
{
	struct sql_statement *q = sql_use(s->db, QUERY_OLDEST);
	int code = sql_step(q);

	*out = 0;
	if (code == 1) {
		*out = sql_u64(q, 0);
		sql_end(q);
	}
	return code < 0 ? code : 0;
}

static int count_run(struct store *s, struct request *r)
{
	struct count *c = (struct count *)r;
	const struct totals *t = &s->effects.totals;
	int err = find_oldest(s, &c->totals.oldest_received_ms);

	c->totals.messages = t->messages;
	c->totals.octets = t->octets;
	c->totals.due = t->recipients[RECIPIENT_DUE];
	c->totals.claimed = t->recipients[RECIPIENT_CLAIMED];
	c->totals.held = t->recipients[RECIPIENT_HELD];
	return err < 0 ? err : find_next_due(s, &c->totals.next_due_ms);
}

static void count_complete(struct store *s, struct request *r)
{
	struct count *c = (struct count *)r;

	c->done(c->arg, r->err, &c->totals);
	mem_free(c);
}

static const struct request_class count_class = {.run = count_run, .complete = count_complete};

void store_count(struct store *s, store_totals_done done, void *arg)
{
	struct count *c = request_create(sizeof(*c), &count_class);

	c->done = done;
	c->arg = arg;
	store_request(s, &c->request);
}

// ---------------------------------------------------------------- counters

struct counters {
	struct request request;
	struct arena arena;
	struct counter {
		struct counter *next;
		struct str name;
		uint64_t window, value;
	} * first;
	store_each_counter each;
	store_done done;
	void *arg;
};

static int counters_run(struct store *s, struct request *r)
{
	struct counters *c = (struct counters *)r;
	struct sql_statement *q = sql_use(s->db, QUERY_COUNTERS);
	int code;

	while ((code = sql_step(q)) == 1) {
		struct counter *one = arena_alloc(&c->arena, sizeof(*one));

		one->name = arena_str(&c->arena, sql_str(q, 0));
		one->window = sql_u64(q, 1);
		one->value = sql_u64(q, 2);
		one->next = c->first;
		c->first = one;
	}
	return code;
}

static void counters_forget(struct request *r)
{
	struct counters *c = (struct counters *)r;

	arena_finish(&c->arena);
	c->first = NULL;
}

static void counters_complete(struct store *s, struct request *r)
{
	struct counters *c = (struct counters *)r;

	if (r->err == 0) {
		for (const struct counter *one = c->first; one; one = one->next)
			c->each(c->arg, one->name, one->window, one->value);
	}
	c->done(c->arg, r->err);
	arena_finish(&c->arena);
	mem_free(c);
}

static const struct request_class counters_class = {
	.run = counters_run,
	.forget = counters_forget,
	.complete = counters_complete,
};

void store_counter_list(struct store *s, store_each_counter each, store_done done, void *arg)
{
	struct counters *c = request_create(sizeof(*c), &counters_class);

	c->each = each;
	c->done = done;
	c->arg = arg;
	store_request(s, &c->request);
}
