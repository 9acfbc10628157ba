// SPDX-License-Identifier: ISC
#include "role/spool_writer.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#define BEHIND (256u * 1024)

struct spool_writer {
	uv_loop_t *loop;
	uv_work_t work;
	int fd;
	int err;             // the first thing that went wrong; the loop's
	int round;           // the same, the thread's while busy
	struct buf waiting;  // gathered on the loop
	struct buf writing;  // the thread's while busy
	bool busy, syncing, sync_wanted, gone, was_behind;
	spool_writer_synced synced;
	spool_writer_relieved relieved;
	void *arg;
};

struct spool_writer *spool_writer_create(uv_loop_t *loop, int fd, spool_writer_synced synced,
	spool_writer_relieved relieved, void *arg)
{
	struct spool_writer *w = mem_alloc(sizeof *w);
	w->loop = loop;
	w->work.data = w;
	w->fd = fd;
	w->synced = synced;
	w->relieved = relieved;
	w->arg = arg;
	return w;
}

static void release(struct spool_writer *w)
{
	fd_close(&w->fd);
	buf_finish(&w->waiting);
	buf_finish(&w->writing);
	mem_free(w);
}

static void on_thread(uv_work_t *work)
{
	struct spool_writer *w = work->data;
	struct str octets = buf_str(&w->writing);
	if (!w->round)
		w->round = fd_write_all(w->fd, octets.data, octets.len);
	if (!w->round && w->syncing)
		w->round = fd_sync(w->fd);
}

static void go_on(struct spool_writer *w);

static void on_done(uv_work_t *work, int status)
{
	struct spool_writer *w = work->data;
	bool synced = w->syncing;
	(void)status;
	w->busy = false;
	w->syncing = false;
	if (!w->err)
		w->err = w->round;
	buf_clear(&w->writing);
	if (w->gone) {
		release(w);
		return;
	}
	if (synced) {
		w->sync_wanted = false;
		w->synced(w->arg, w->err);
		return; // the callee may have destroyed us
	}
	bool relieved = w->was_behind && !spool_writer_behind(w);
	go_on(w);
	if (relieved) {
		w->was_behind = false;
		w->relieved(w->arg);
	}
}

static void go_on(struct spool_writer *w)
{
	if (w->busy || (!buf_len(&w->waiting) && !w->sync_wanted))
		return;
	struct buf swap = w->writing;
	w->writing = w->waiting;
	w->waiting = swap;
	w->busy = true;
	// Everything added before the sync is in this round: the session adds nothing after it.
	w->syncing = w->sync_wanted;
	w->round = w->err;
	if (uv_queue_work(w->loop, &w->work, on_thread, on_done))
		fatal("no thread to write the spool");
}

void spool_writer_add(struct spool_writer *w, struct str octets)
{
	if (buf_add_str(&w->waiting, octets) && !w->err)
		w->err = ERR_LIMIT;
	if (spool_writer_behind(w))
		w->was_behind = true;
	go_on(w);
}

bool spool_writer_behind(const struct spool_writer *w)
{
	return buf_len(&w->waiting) >= BEHIND;
}

void spool_writer_sync(struct spool_writer *w)
{
	w->sync_wanted = true;
	go_on(w);
}

int spool_writer_fd(const struct spool_writer *w)
{
	return w->fd;
}

void spool_writer_destroy(struct spool_writer *w)
{
	if (!w)
		return;
	if (w->busy)
		w->gone = true;
	else
		release(w);
}
