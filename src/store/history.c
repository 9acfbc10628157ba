// SPDX-License-Identifier: ISC
// The history: its two sides and its thread. Events are collected on the loop and written in
// blocks of 256; a block also has a small set of the keys in it, so that a search reads only the
// blocks that may have what is asked, and writing costs no index. Searching is history_find.c.
#include "store/history_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/keys.h"
#include "store/schema.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define CACHE_KIB    4096
#define WAITING_MAX  (8UL * 1024 * 1024) // octets of events not yet written; more are dropped
#define EVENT_MAX    (16UL * 1024)	 // octets of one
#define BLOCK_EVENTS 256
#define KEYS_A_EVENT 7
#define PAUSE_MS     1000 // a block is written at the latest after
#define LOG_MOVE     (8UL * 1024 * 1024)
#define PRUNE_MORE   16		     // blocks removed beside as many as came
#define SHRINK_STEP  (1024UL * 1024) // of the file, at a time

static const char *const texts[HISTORY_QUERY_COUNT] = {
	[HISTORY_ADD] = "INSERT INTO event (number, wall_ms, id, session, name, sender, recipient, "
			"account, client, json) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	[HISTORY_ADD_BLOCK] =
		"INSERT INTO block (first, last, last_ms, keys) VALUES ($1, $2, $3, $4)",
	[HISTORY_OLDEST] = "SELECT first, last, last_ms FROM block ORDER BY first LIMIT 1",
	[HISTORY_REMOVE] = "DELETE FROM event WHERE number <= $1",
	[HISTORY_REMOVE_BLOCK] = "DELETE FROM block WHERE first = $1",
	[HISTORY_LAST] = "SELECT last FROM block ORDER BY first DESC LIMIT 1",
	[HISTORY_BLOCKS] = "SELECT first, last, last_ms, keys FROM block ORDER BY first DESC",
	[HISTORY_EVENTS] = "SELECT wall_ms, id, session, name, sender, recipient, account, client, "
			   "json FROM event WHERE number BETWEEN $1 AND $2 ORDER BY number DESC",
};

// An event in the buffer between loop and thread: this, then the strings.
struct record {
	uint64_t wall_ms, id, session;
	uint32_t lens[6]; // name, sender, recipient, account, client, json
};

// ---------------------------------------------------------------- loop: adding

static void collect_strings(const struct history_event *e, struct str out[6])
{
	out[0] = e->name;
	out[1] = e->sender;
	out[2] = e->recipient;
	out[3] = e->account;
	out[4] = e->client;
	out[5] = e->json;
}

void history_add(struct history *h, const struct history_event *e)
{
	struct record record = {.wall_ms = e->wall_ms, .id = e->id, .session = e->session};
	size_t size = sizeof(record);
	struct str strings[6];
	bool wake;

	collect_strings(e, strings);
	for (int i = 0; i < 6; i++) {
		record.lens[i] = (uint32_t)strings[i].len;
		size += strings[i].len;
	}
	pthread_mutex_lock(&h->lock);
	if (size > EVENT_MAX || buf_len(&h->waiting) + size > WAITING_MAX) {
		h->dropped++;
		pthread_mutex_unlock(&h->lock);
		return;
	}
	buf_add(&h->waiting, &record, sizeof(record));
	for (int i = 0; i < 6; i++)
		buf_add_str(&h->waiting, strings[i]);
	h->waiting_count++;
	wake = h->waiting_count == 1 || h->waiting_count == BLOCK_EVENTS;
	pthread_mutex_unlock(&h->lock);
	if (wake)
		pthread_cond_signal(&h->work);
}

uint64_t history_dropped(const struct history *h)
{
	struct history *own = (struct history *)h; // the lock changes nothing that is seen
	uint64_t dropped;

	pthread_mutex_lock(&own->lock);
	dropped = own->dropped;
	pthread_mutex_unlock(&own->lock);
	return dropped;
}

// ---------------------------------------------------------------- thread: writing a block

static bool next_record(struct str *rest, struct record *out, struct str strings[6])
{
	if (rest->len < sizeof(*out))
		return false;
	memcpy(out, rest->data, sizeof(*out));
	*rest = str_skip(*rest, sizeof(*out));
	for (int i = 0; i < 6; i++) {
		strings[i] = str_slice(*rest, 0, out->lens[i]);
		*rest = str_skip(*rest, out->lens[i]);
	}
	return true;
}

static void add_keys(
	uint8_t *keys, size_t size, const struct record *r, const struct str strings[6])
{
	static const char kinds[5] = {KEY_NAME, KEY_ADDRESS, KEY_ADDRESS, KEY_ADDRESS, KEY_CLIENT};

	if (r->id)
		keys_add(keys, size, keys_hash_number(KEY_ID, r->id));
	if (r->session)
		keys_add(keys, size, keys_hash_number(KEY_ID, r->session));
	for (int i = 0; i < 5; i++) {
		if (strings[i].len)
			keys_add(keys, size, keys_hash(kinds[i], strings[i]));
	}
	struct str rest = strings[2], one; // several recipients: each can be asked for
	while (str_find(strings[2], ',') >= 0 && str_split(&rest, ',', &one))
		keys_add(keys, size, keys_hash(KEY_ADDRESS, one));
}

static int write_event(
	struct history *h, uint64_t number, const struct record *r, const struct str strings[6])
{
	struct sql_statement *q = sql_use(h->db, HISTORY_ADD);

	sql_bind_u64(q, 1, number);
	sql_bind_u64(q, 2, r->wall_ms);
	sql_bind_u64(q, 3, r->id);
	sql_bind_u64(q, 4, r->session);
	for (int i = 0; i < 6; i++)
		sql_bind_text(q, 5 + i, strings[i]);
	return sql_run(q);
}

static int write_block_row(
	struct history *h, uint64_t first, uint64_t last, uint64_t last_ms, struct str keys)
{
	struct sql_statement *q = sql_use(h->db, HISTORY_ADD_BLOCK);

	sql_bind_u64(q, 1, first);
	sql_bind_u64(q, 2, last);
	sql_bind_u64(q, 3, last_ms);
	sql_bind_octets(q, 4, keys);
	return sql_run(q);
}

// Up to BLOCK_EVENTS from *rest.
static int write_block(struct history *h, struct str *rest, unsigned count)
{
	uint8_t keys[KEYS_SIZE(BLOCK_EVENTS * KEYS_A_EVENT)] = {0};
	size_t size = KEYS_SIZE((size_t)count * KEYS_A_EVENT);
	uint64_t first = h->last_number + 1, last_ms = 0;
	struct str strings[6];
	struct record r;
	int err = 0;

	for (unsigned i = 0; i < count && err == 0 && next_record(rest, &r, strings); i++) {
		add_keys(keys, size, &r, strings);
		if (r.wall_ms > last_ms)
			last_ms = r.wall_ms;
		err = write_event(h, ++h->last_number, &r, strings);
	}
	if (err < 0)
		return err;
	return write_block_row(h, first, h->last_number, last_ms, str_make(keys, size));
}

// ---------------------------------------------------------------- thread: bounds

// 1: removed, 0: there is none, or it is younger than `before` and the size is all right.
static int remove_oldest(struct history *h, uint64_t before, bool too_large)
{
	struct sql_statement *q = sql_use(h->db, HISTORY_OLDEST);
	uint64_t first, last, last_ms;
	int code = sql_step(q);

	if (code != 1)
		return code;
	first = sql_u64(q, 0);
	last = sql_u64(q, 1);
	last_ms = sql_u64(q, 2);
	sql_end(q);
	if (last_ms >= before && !too_large)
		return 0;
	q = sql_use(h->db, HISTORY_REMOVE);
	sql_bind_u64(q, 1, last);
	code = sql_run(q);
	if (code < 0)
		return code;
	q = sql_use(h->db, HISTORY_REMOVE_BLOCK);
	sql_bind_u64(q, 1, first);
	code = sql_run(q);
	return code < 0 ? code : 1;
}

static int prune(struct history *h, unsigned most)
{
	uint64_t now = clock_wall_ms();
	uint64_t before = h->age_ms && now > h->age_ms ? now - h->age_ms : 0;
	uint64_t size, unused;
	int code = 1;

	for (unsigned i = 0; i < most && code == 1; i++) {
		code = sql_size(h->db, &size, &unused);
		if (code == 0)
			code = remove_oldest(
				h, before, h->size && size - unused > h->size / 10 * 9);
	}
	return code < 0 ? code : 0;
}

// After the bound was made smaller, or a burst.
static void give_back(struct history *h)
{
	uint64_t size, unused;

	if (h->size && sql_size(h->db, &size, &unused) == 0 && size > h->size && unused)
		(void)sql_shrink(h->db, SHRINK_STEP);
}

// ---------------------------------------------------------------- thread

static int write_events(struct history *h, struct str events, unsigned count)
{
	unsigned blocks = 0;
	int err = sql_begin(h->db);

	while (count && err == 0) {
		unsigned part = count < BLOCK_EVENTS ? count : BLOCK_EVENTS;

		err = write_block(h, &events, part);
		count -= part;
		blocks++;
	}
	if (err == 0)
		err = prune(h, blocks + PRUNE_MORE);
	if (err == 0)
		err = sql_commit(h->db);
	if (err < 0)
		sql_rollback(h->db);
	return err;
}

static void write_all(struct history *h, struct buf *events, unsigned count)
{
	uint64_t last_number = h->last_number;
	int err;

	if (count == 0)
		return;
	err = write_events(h, buf_str(events), count);
	if (err < 0)
		h->last_number = last_number;
	if (err == 0)
		give_back(h);
	if (sql_log_size(h->db) > LOG_MOVE)
		(void)sql_checkpoint(h->db);
	pthread_mutex_lock(&h->lock);
	if (err < 0)
		h->dropped += count;
	pthread_mutex_unlock(&h->lock);
}

static bool has_work(const struct history *h)
{
	return h->stop || h->hurry || h->finds.first || h->waiting_count >= BLOCK_EVENTS;
}

// Until there is a block, or its first event has waited for long enough.
static void wait_for_work(struct history *h)
{
	struct timespec until;

	while (!has_work(h) && h->waiting_count == 0)
		pthread_cond_wait(&h->work, &h->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PAUSE_MS / 1000;
	while (!has_work(h)) {
		if (pthread_cond_timedwait(&h->work, &h->lock, &until) == ETIMEDOUT)
			break;
	}
}

// One round: writes what waits, answers one search. False: the end.
static bool work(struct history *h)
{
	struct history_find_request *find;
	struct buf events;
	unsigned count;
	bool more;

	pthread_mutex_lock(&h->lock);
	wait_for_work(h);
	events = h->waiting;
	count = h->waiting_count;
	h->waiting = h->spare;
	h->waiting_count = 0;
	h->hurry = false;
	h->busy = true;
	find = history_take_find(h);
	more = !h->stop || count || find;
	pthread_mutex_unlock(&h->lock);

	write_all(h, &events, count);
	if (find)
		history_run_find(h, find);
	buf_clear(&events);

	pthread_mutex_lock(&h->lock);
	h->spare = events;
	h->busy = false;
	if (find)
		history_put_found(h, find);
	pthread_mutex_unlock(&h->lock);
	pthread_cond_signal(&h->completed);
	if (find && h->async)
		uv_async_send(h->async);
	return more;
}

static void *history_thread(void *arg)
{
	struct history *h = arg;

	pthread_setname_np(pthread_self(), "store-history");
	while (work(h))
		;
	return NULL;
}

// ---------------------------------------------------------------- loop: open, wait, close

static void on_wake(uv_async_t *async)
{
	history_complete_found(async->data);
}

// Until nothing is left to do, or something is there to be completed. True: nothing is left.
static bool wait_for_thread(struct history *h)
{
	bool idle;

	pthread_mutex_lock(&h->lock);
	h->hurry = true;
	pthread_cond_signal(&h->work);
	while (!h->found.first && (h->hurry || h->busy || h->waiting_count || h->finds.first))
		pthread_cond_wait(&h->completed, &h->lock);
	idle = !h->found.first;
	pthread_mutex_unlock(&h->lock);
	return idle;
}

void history_wait(struct history *h)
{
	while (!wait_for_thread(h))
		history_complete_found(h);
}

static int start_thread(struct history *h, struct error *err)
{
	sigset_t all, old;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	code = pthread_create(&h->thread, NULL, history_thread, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = code;
	return code ? error_system(err, TEXT("cannot start a thread")) : 0;
}

static int open_database(struct history *h, const struct history_options *o, struct error *err)
{
	struct sql_options options = {
		.path = o->path,
		.words = schema_history.words,
		.texts = texts,
		.text_count = HISTORY_QUERY_COUNT,
		.cache_kib = CACHE_KIB,
		.create = o->create,
		.shrink = true,
	};
	struct sql_statement *q;
	int code = sql_open(&options, &h->db, err);

	if (code == 0)
		code = schema_prepare(h->db, &schema_history, o->path, err);
	if (code < 0)
		return code;
	q = sql_use(h->db, HISTORY_LAST);
	code = sql_step(q);
	if (code == 1) {
		h->last_number = sql_u64(q, 0);
		sql_end(q);
	}
	return code < 0 ? error_set(err, code, TEXT("cannot read %s (%s): %s"),
				  schema_history.words, o->path, sql_words(h->db))
			: 0;
}

static int start_wakeups(struct history *h, uv_loop_t *loop, struct error *err)
{
	if (!loop)
		return 0;
	h->async = mem_alloc(sizeof(*h->async));
	if (uv_async_init(loop, h->async, on_wake) < 0) {
		mem_free(h->async);
		h->async = NULL;
		return error_set(err, ERR_SYSTEM, TEXT("cannot watch the history's thread"));
	}
	h->async->data = h;
	uv_unref((uv_handle_t *)h->async);
	return 0;
}

static void free_async(uv_handle_t *handle)
{
	mem_free(handle);
}

static void release(struct history *h)
{
	if (h->async)
		uv_close((uv_handle_t *)h->async, free_async);
	sql_close(h->db);
	buf_finish(&h->waiting);
	buf_finish(&h->spare);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->work);
	pthread_cond_destroy(&h->completed);
	mem_free(h);
}

int history_open(
	uv_loop_t *loop, const struct history_options *o, struct history **out, struct error *err)
{
	struct history *h = mem_alloc(sizeof(*h));
	pthread_condattr_t monotonic;
	int code;

	h->age_ms = o->age_ms;
	h->size = o->size;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->work, &monotonic);
	pthread_cond_init(&h->completed, NULL);
	pthread_condattr_destroy(&monotonic);
	code = open_database(h, o, err);
	if (code == 0)
		code = start_wakeups(h, loop, err);
	if (code == 0)
		code = start_thread(h, err);
	if (code < 0) {
		release(h);
		return code;
	}
	*out = h;
	return 0;
}

void history_close(struct history *h)
{
	if (!h)
		return;
	history_wait(h);
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_mutex_unlock(&h->lock);
	pthread_cond_signal(&h->work);
	pthread_join(h->thread, NULL);
	history_complete_found(h);
	(void)sql_checkpoint_truncate(h->db);
	release(h);
}
