// SPDX-License-Identifier: ISC
// Opening and closing the store, and its loop side: requests in, completions out.
// The commit thread is commit.c, the file thread files.c.
#include "store/store_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CACHE_KIB	(32 * 1024)
#define SPOOL_SLOT	63    // our place among the sources of ids of this node
#define HEALTH_PAUSE_MS 10000 // between events about the health of the disk

// ---- requests

void request_queue_add(struct request_queue *q, struct request *r)
{
	r->next = NULL;
	if (q->last)
		q->last->next = r;
	else
		q->first = r;
	q->last = r;
}

struct request *request_queue_take(struct request_queue *q)
{
	struct request *r = q->first;

	if (r) {
		q->first = r->next;
		if (!q->first)
			q->last = NULL;
		r->next = NULL;
	}
	return r;
}

void *request_create(size_t size, const struct request_class *class)
{
	struct request *r = mem_alloc(size);

	r->class = class;
	return r;
}

// The loop has something to wait for only while requests are under way.
static void count_pending(struct store *s, int change)
{
	s->pending += (size_t)change;
	if (!s->async)
		return;
	if (s->pending)
		uv_ref((uv_handle_t *)s->async);
	else
		uv_unref((uv_handle_t *)s->async);
}

void store_request(struct store *s, struct request *r)
{
	count_pending(s, 1);
	commit_thread_add(s, r);
}

void store_refuse(struct store *s, struct request *r, int err)
{
	count_pending(s, 1);
	r->err = err;
	store_put_done(s, r);
	store_wake(s);
}

size_t store_pending(const struct store *s)
{
	return s->pending;
}

// ---- completions

void store_put_done(struct store *s, struct request *r)
{
	pthread_mutex_lock(&s->lock);
	request_queue_add(&s->done, r);
	pthread_mutex_unlock(&s->lock);
}

void store_wake(struct store *s)
{
	pthread_cond_signal(&s->completed);
	if (s->async)
		uv_async_send(s->async);
}

// One event when the disk begins to fail and one when it works again; not one a request.
static void report_health(struct store *s)
{
	uint64_t now = clock_monotonic_ms();
	char trouble[sizeof(s->trouble)];
	bool failing;

	pthread_mutex_lock(&s->lock);
	failing = s->failing;
	memcpy(trouble, s->trouble, sizeof(trouble));
	pthread_mutex_unlock(&s->lock);
	if (failing == s->health.told)
		return;
	if (s->health.told_ms && now - s->health.told_ms < HEALTH_PAUSE_MS)
		return;
	s->health.told = failing;
	s->health.told_ms = now;
	if (failing)
		event_report(EVENT_ERROR, "queue", TEXT("the store cannot write: %s"), trouble);
	else
		event_report(EVENT_INFO, "queue", "%s", TEXT("the store can write again"));
}

// Moves what is done to the loop's own list: one lock for all, and what is done meanwhile waits
// for its turn behind the other events of the loop.
static void collect_done(struct store *s, bool wait)
{
	pthread_mutex_lock(&s->lock);
	while (!s->done.first && wait)
		pthread_cond_wait(&s->completed, &s->lock);
	if (s->done.first) {
		if (s->ready.last)
			s->ready.last->next = s->done.first;
		else
			s->ready.first = s->done.first;
		s->ready.last = s->done.last;
		s->done = (struct request_queue){0};
	}
	pthread_mutex_unlock(&s->lock);
}

// Calls back, which may end in another request, or in store_wait.
static void complete_ready(struct store *s)
{
	struct request *r;

	while ((r = request_queue_take(&s->ready)) != NULL) {
		count_pending(s, -1);
		r->class->complete(s, r);
	}
}

static void on_wake(uv_async_t *async)
{
	struct store *s = async->data;

	report_health(s);
	collect_done(s, false);
	complete_ready(s);
}

void store_wait(struct store *s)
{
	complete_ready(s);
	while (s->pending) {
		collect_done(s, true);
		complete_ready(s);
	}
	report_health(s);
}

// ---- opening

static int open_folder(struct store *s, const struct store_options *o, struct error *err)
{
	if (o->folder && o->create && mkdir(o->folder, 0700) < 0 && errno != EEXIST)
		return error_system(err, TEXT("cannot make the folder %s"), o->folder);
	if (o->folder)
		s->folder_fd = open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else
		s->folder_fd = fcntl(o->folder_fd, F_DUPFD_CLOEXEC, 3);
	if (s->folder_fd < 0)
		return error_system(err, TEXT("cannot open the folder %s"),
			o->folder ? o->folder : TEXT("of the store"));
	return 0;
}

static int open_database(struct store *s, bool create, struct error *err)
{
	char link[40], folder[PATH_MAX - 16], path[PATH_MAX];
	struct sql_options options = {
		.path = path,
		.words = schema_queue.words,
		.texts = query_texts,
		.text_count = QUERY_COUNT,
		.cache_kib = CACHE_KIB,
		.create = create,
		.durable = true,
		.shrink = true,
	};
	ssize_t len;
	int code;

	// The path as it is now, from the folder that is open: both ways of naming it become one.
	snprintf(link, sizeof(link), "/proc/self/fd/%d", s->folder_fd);
	len = readlink(link, folder, sizeof(folder));
	if (len <= 0 || (size_t)len >= sizeof(folder))
		return error_system(err, TEXT("cannot find the path of the store's folder"));
	snprintf(path, sizeof(path), "%.*s/queue.db", (int)len, folder);
	code = sql_open(&options, &s->db, err);
	if (code == 0)
		code = schema_prepare(s->db, &schema_queue, path, err);
	return code;
}

static int read_totals(struct store *s)
{
	struct sql_statement *q = sql_use(s->db, QUERY_TOTAL);
	int code = sql_step(q);

	if (code != 1)
		return code < 0 ? code : ERR_CORRUPT;
	s->totals.messages = sql_u64(q, 0);
	s->totals.octets = sql_u64(q, 1);
	for (int state = 0; state < 3; state++)
		s->totals.recipients[state] = sql_u64(q, 2 + state);
	sql_end(q);
	return 0;
}

static int reset_claims_to(struct store *s, enum recipient_state state, bool hold)
{
	struct sql_statement *q = sql_use(s->db, QUERY_CLAIMS_RESET);
	int code;

	sql_bind_u64(q, 1, state);
	sql_bind_u64(q, 2, clock_wall_ms());
	sql_bind_u64(q, 3, hold);
	code = sql_run(q);
	if (code == 0) {
		s->totals.recipients[RECIPIENT_CLAIMED] -= sql_changed(s->db);
		s->totals.recipients[state] += sql_changed(s->db);
	}
	return code;
}

// The restart step of doc/queue.md: we have the lock, so whoever claimed is dead.
static int reset_claims(struct store *s, struct error *err)
{
	int code = read_totals(s);

	if (code == 0 && s->totals.recipients[RECIPIENT_CLAIMED] == 0)
		return 0;
	if (code == 0)
		code = sql_begin(s->db);
	if (code == 0)
		code = reset_claims_to(s, RECIPIENT_DUE, false);
	if (code == 0)
		code = reset_claims_to(s, RECIPIENT_HELD, true);
	if (code == 0)
		code = totals_write(s, &s->totals);
	if (code == 0)
		code = sql_commit(s->db);
	if (code < 0) {
		sql_rollback(s->db);
		return error_set(err, code, TEXT("cannot read %s: %s"), schema_queue.words,
			sql_words(s->db));
	}
	return 0;
}

static int start_wakeups(struct store *s, uv_loop_t *loop, struct error *err)
{
	if (!loop)
		return 0;
	s->loop = loop;
	s->async = mem_alloc(sizeof(*s->async));
	if (uv_async_init(loop, s->async, on_wake) < 0) {
		mem_free(s->async);
		s->async = NULL;
		return error_set(err, ERR_SYSTEM, TEXT("cannot watch the store's thread"));
	}
	s->async->data = s;
	uv_unref((uv_handle_t *)s->async);
	return 0;
}

// Signals are for the loop.
static int start_threads(struct store *s, struct error *err)
{
	sigset_t all, old;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	code = pthread_create(&s->file_thread, NULL, file_thread, s);
	if (code == 0) {
		code = pthread_create(&s->commit_thread, NULL, commit_thread, s);
		if (code) {
			s->file_stop = true;
			pthread_join(s->file_thread, NULL);
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = code;
	return code ? error_system(err, TEXT("cannot start a thread")) : 0;
}

static void free_async(uv_handle_t *handle)
{
	mem_free(handle);
}

// Of a store without threads.
static void release(struct store *s)
{
	if (s->async)
		uv_close((uv_handle_t *)s->async, free_async);
	sql_close(s->db);
	reserve_finish(s);
	fd_close(&s->spool_fd);
	fd_close(&s->folder_fd);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->file_lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->completed);
	pthread_cond_destroy(&s->file_work);
	pthread_cond_destroy(&s->sweep_ended);
	known_finish(&s->known);
	mem_free(s->effects.unused);
	mem_free(s->sweep.files);
	mem_free(s);
}

static struct store *create_store(const struct store_options *o)
{
	struct store *s = mem_alloc(sizeof(*s));

	s->folder_fd = s->spool_fd = s->reserve.fd = -1;
	s->node = o->node;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->file_lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->completed, NULL);
	pthread_cond_init(&s->file_work, NULL);
	pthread_cond_init(&s->sweep_ended, NULL);
	id_source_init(&s->spool_ids, o->node, SPOOL_SLOT);
	s->sweep.request.class = &sweep_class;
	s->sweep.before = id_next(&s->spool_ids);
	return s;
}

int store_open(
	uv_loop_t *loop, const struct store_options *options, struct store **out, struct error *err)
{
	struct store *s = create_store(options);
	int code = open_folder(s, options, err);

	if (code == 0)
		code = open_database(s, options->create, err);
	// What a killed process left in the log needs room before the log can be read.
	if (code == ERR_FULL && reserve_give_up(s)) {
		sql_close(s->db);
		s->db = NULL;
		code = open_database(s, options->create, err);
	}
	if (code == 0)
		code = spool_open_folders(s, options->create, err);
	if (code == 0)
		code = reserve_open(s, err);
	if (code == 0 && fd_sync(s->folder_fd) < 0) // whatever was made in it
		code = error_system(err, TEXT("cannot sync the folder of the store"));
	if (code == 0)
		code = reset_claims(s, err);
	if (code == 0)
		code = start_wakeups(s, loop, err);
	if (code == 0)
		code = start_threads(s, err);
	if (code < 0) {
		release(s);
		return code;
	}
	file_thread_add(s, &s->sweep.request);
	*out = s;
	return 0;
}

static void stop_threads(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	pthread_cond_signal(&s->work);
	pthread_join(s->commit_thread, NULL);
	pthread_mutex_lock(&s->file_lock);
	s->file_stop = true;
	pthread_mutex_unlock(&s->file_lock);
	pthread_cond_signal(&s->file_work);
	pthread_join(s->file_thread, NULL);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	s->closing = true;
	store_wait(s);
	stop_threads(s);
	(void)sql_checkpoint_truncate(s->db); // what stays in the log is read at the next start
	release(s);
}

int store_disk_free(struct store *s, uint64_t *out_octets, unsigned *out_percent)
{
	struct statvfs disk;
	uint64_t usable;

	if (fstatvfs(s->folder_fd, &disk) < 0)
		return ERR_SYSTEM;
	usable = disk.f_blocks - disk.f_bfree + disk.f_bavail;
	*out_octets = (uint64_t)disk.f_bavail * disk.f_frsize;
	*out_percent = usable ? (unsigned)(disk.f_bavail * 100 / usable) : 0;
	return 0;
}
