// SPDX-License-Identifier: ISC
// The commit thread: takes all waiting requests as one group, one transaction, one sync.
// doc/queue.md 5 is the contract.
#include "store/store_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>

#define GROUP_REQUESTS 1000
#define GROUP_OCTETS   (32UL * 1024 * 1024)
#define SHRINK_STEP    (1024UL * 1024)	    // of the database, at a time
#define SHRINK_FROM    (64UL * 1024 * 1024) // less unused room than this is kept

// ---- effects

void effects_move_recipient(struct effects *e, int from, int to)
{
	if (from >= 0)
		e->totals.recipients[from]--;
	if (to >= 0)
		e->totals.recipients[to]++;
	e->totals_changed = true;
}

void effects_remove_spool(struct effects *e, uint64_t spool)
{
	if (e->unused_count == e->unused_size) {
		e->unused_size = e->unused_size ? e->unused_size * 2 : 16;
		e->unused = mem_resize(e->unused, e->unused_size * sizeof(e->unused[0]));
	}
	e->unused[e->unused_count++] = spool;
}

void effects_need_folder(struct effects *e, uint64_t spool)
{
	e->folders[spool_folder_of(spool)] = true;
	e->has_folders = true;
}

static void effects_start(struct store *s)
{
	s->effects.totals = s->totals;
	s->effects.totals_changed = false;
	memset(s->effects.folders, 0, sizeof(s->effects.folders));
	s->effects.has_folders = false;
	s->effects.unused_count = 0;
}

// What may happen only after the commit.
static void effects_finish(struct store *s)
{
	s->totals = s->effects.totals;
	for (unsigned i = 0; i < s->effects.unused_count; i++)
		file_remove(s, s->effects.unused[i]);
}

int totals_write(struct store *s, const struct totals *t)
{
	struct sql_statement *q = sql_use(s->db, QUERY_TOTAL_SET);

	sql_bind_u64(q, 1, t->messages);
	sql_bind_u64(q, 2, t->octets);
	for (int state = 0; state < 3; state++)
		sql_bind_u64(q, 3 + state, t->recipients[state]);
	return sql_run(q);
}

// A folder whose sync failed once is not asked again in this group: the second answer may be a lie.
static int sync_folders(struct store *s)
{
	if (!s->effects.has_folders)
		return 0;
	for (unsigned folder = 0; folder < SPOOL_FOLDERS; folder++) {
		int err = 0;

		if (!s->effects.folders[folder])
			continue;
		err = s->bad_folders[folder] ? ERR_SYSTEM : spool_sync_folder(s, folder);
		if (err < 0) {
			s->bad_folders[folder] = true;
			snprintf(s->words, sizeof(s->words), "spool/%02x: %s", folder,
				strerror(errno));
			return err;
		}
	}
	return 0;
}

// ---- one transaction

static int run_requests(struct store *s, struct request *first)
{
	for (struct request *r = first; r; r = r->next) {
		int err = r->class->run(s, r);

		if (err < 0)
			return err;
	}
	return 0;
}

// All of the list or nothing.
static int run_transaction(struct store *s, struct request *first)
{
	int err = sql_begin(s->db);

	s->words[0] = '\0';
	effects_start(s);
	if (err == 0)
		err = run_requests(s, first);
	if (err == 0 && s->effects.totals_changed)
		err = totals_write(s, &s->effects.totals);
	if (err == 0)
		err = sync_folders(s);
	if (err == 0)
		err = sql_commit(s->db);
	if (err == 0)
		return 0;
	if (!s->words[0])
		snprintf(s->words, sizeof(s->words), "%s", sql_words(s->db));
	sql_rollback(s->db);
	for (struct request *r = first; r; r = r->next) {
		r->err = 0;
		r->again = false;
		if (r->class->forget)
			r->class->forget(r);
	}
	return err;
}

// A group that only read says nothing about the disk.
static void note_health(struct store *s, int err)
{
	bool bad = err == ERR_FULL || err == ERR_SYSTEM || err == ERR_CORRUPT;

	if (!bad && !sql_wrote(s->db))
		return;
	pthread_mutex_lock(&s->lock);
	s->failing = bad;
	if (bad)
		memcpy(s->trouble, s->words, sizeof(s->trouble));
	pthread_mutex_unlock(&s->lock);
}

// ---- a group

// Whether what r asked was done or not is known now.
static void settle(struct store *s, struct request *r)
{
	if (r->err < 0 && r->class->failed)
		r->class->failed(s, r);
	if (r->again && r->err == 0) {
		r->again = false;
		commit_thread_add(s, r);
	} else if (r->class->after && (r->err == 0 || !r->class->complete)) {
		file_thread_add(s, r);
	} else {
		store_put_done(s, r);
	}
}

static void settle_all(struct store *s, struct request *first)
{
	while (first) {
		struct request *next = first->next;
		settle(s, first);
		first = next;
	}
}

// The group failed: each by itself, so that only those fail that are at fault.
static void run_apart(struct store *s, struct request *first)
{
	while (first) {
		struct request *next = first->next;
		int err;

		first->next = NULL;
		err = run_transaction(s, first);
		if (err == ERR_FULL)
			reserve_use(s);
		if (err < 0)
			first->err = err;
		note_health(s, err);
		settle(s, first);
		if (err == 0)
			effects_finish(s);
		first = next;
	}
}

static void run_group(struct store *s, struct request *first)
{
	int err;

	reserve_restore(s);
	err = run_transaction(s, first);
	if (err == 0) {
		note_health(s, 0);
		settle_all(s, first);
		effects_finish(s);
	} else if (!first->next && err != ERR_FULL) {
		first->err = err;
		note_health(s, err);
		settle(s, first);
	} else {
		if (err == ERR_FULL)
			reserve_use(s);
		run_apart(s, first);
	}
	memset(s->bad_folders, 0, sizeof(s->bad_folders));
	store_wake(s);
}

void commit_thread_add(struct store *s, struct request *r)
{
	bool was_empty;

	pthread_mutex_lock(&s->lock);
	was_empty = s->waiting.first == NULL;
	request_queue_add(&s->waiting, r);
	pthread_mutex_unlock(&s->lock);
	if (was_empty)
		pthread_cond_signal(&s->work);
}

// After a burst more than half of the file may be unused: gives a little back to the disk. False:
// there is nothing to do.
static bool shrink(struct store *s)
{
	uint64_t size, unused;

	if (sql_size(s->db, &size, &unused) < 0 || unused < SHRINK_FROM || unused < size / 2)
		return false;
	return sql_shrink(s->db, SHRINK_STEP) == 0;
}

// Under the lock. What can be done while nobody waits.
static void idle(struct store *s)
{
	bool done;

	pthread_mutex_unlock(&s->lock);
	done = shrink(s);
	pthread_mutex_lock(&s->lock);
	if (!done && !s->waiting.first && !s->stop)
		pthread_cond_wait(&s->work, &s->lock);
}

static void move_log(struct store *s)
{
	// A failure here shows at the next commit, if it is there to stay.
	(void)sql_checkpoint(s->db);
	shrink(s);
}

// NULL: the end.
static struct request *take_group(struct store *s)
{
	struct request_queue group = {0};
	unsigned count = 0;
	size_t octets = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->waiting.first && !s->stop)
		idle(s);
	while (s->waiting.first && count < GROUP_REQUESTS && octets < GROUP_OCTETS) {
		struct request *r = request_queue_take(&s->waiting);
		count++;
		octets += r->octets;
		request_queue_add(&group, r);
	}
	pthread_mutex_unlock(&s->lock);
	return group.first;
}

void *commit_thread(void *store)
{
	struct store *s = store;
	struct request *group;

	pthread_setname_np(pthread_self(), "store-commit");
	while ((group = take_group(s)) != NULL) {
		run_group(s, group);
		if (sql_log_size(s->db) > s->reserve.log_move)
			move_log(s);
	}
	return NULL;
}

int commit_spool_used(struct store *s, uint64_t spool, bool *out_used)
{
	struct sql_statement *q = sql_use(s->db, QUERY_SPOOL_USED);
	int code;

	sql_bind_u64(q, 1, spool);
	code = sql_step(q);
	sql_end(q);
	*out_used = code == 1;
	return code < 0 ? code : 0;
}
