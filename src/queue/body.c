// SPDX-License-Identifier: ISC
// Bodies of messages in memory: those that came in a moment ago are there, others are read when a
// job needs them. The store checks the digest.
#include "queue/queue_internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <unistd.h>

bool queue_body_ready(const struct mail *m)
{
	return m->spool ? m->fd >= 0 : m->body.data != NULL;
}

static void keep(struct mail *m, struct str octets, int fd)
{
	if (m->spool) {
		m->fd = fd;
		return;
	}
	fd_close(&fd);
	m->loaded = mem_alloc(octets.len + 1);
	if (octets.len)
		memcpy(m->loaded, octets.data, octets.len);
	m->body = str_make(m->loaded, octets.len);
}

static void on_body(void *arg, int err, struct str octets, int fd)
{
	struct mail *m = arg;
	struct queue *q = m->queue;
	m->reading = false;
	q->reading--;
	if (!err)
		keep(m, octets, fd);
	while (!list_empty(&m->readers)) {
		struct job *j = LIST_ENTRY(m->readers.next, struct job, link);
		list_remove(&j->link);
		if (j->state == JOB_READING)
			queue_job_send(q, j, err);
		else
			queue_settle_body(q, j);
	}
	if (!m->fd_users)
		fd_close(&m->fd);
	queue_mail_unref(m);
}

static void start(struct queue *q, struct mail *m)
{
	m->reading = true;
	m->references++;
	q->reading++;
	// Counted before it is there, so that the bound holds for all that are on their way.
	if (!m->spool && !m->counted) {
		m->counted = true;
		m->octets += m->envelope.size;
		q->octets += m->envelope.size;
	}
	store_read_body(q->store, m->envelope.id, on_body, m);
}

void queue_body_read(struct queue *q, struct job *j)
{
	list_add_last(&j->mail->readers, &j->link);
	if (!j->mail->reading)
		start(q, j->mail);
}

void queue_body_prefetch(struct queue *q, struct mail *m)
{
	if (!m->spool && !m->body.data && !m->reading &&
		q->octets < QUEUE_WINDOW_OCTETS / 2)
		start(q, m);
}

void queue_body_use_file(struct job *j)
{
	if (j->fd_used || !j->mail->spool)
		return;
	j->fd_used = true;
	j->mail->fd_users++;
}

void queue_body_leave_file(struct job *j)
{
	if (!j->fd_used)
		return;
	j->fd_used = false;
	if (!--j->mail->fd_users)
		fd_close(&j->mail->fd);
}

struct str queue_body_beginning(const struct mail *m, struct buf *scratch, bool *out_whole)
{
	*out_whole = !m->spool && m->body.data;
	if (!m->spool)
		return m->body.data ? m->body : STR_EMPTY;
	if (m->fd < 0)
		return STR_EMPTY;
	size_t most = STORE_INLINE_BODY_MAX;
	char *space = buf_reserve(scratch, most);
	size_t len = 0;
	// Of a file that was just read whole: from memory.
	while (space && len < most) {
		ssize_t n = pread(m->fd, space + len, most - len, (off_t)len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf_commit(scratch, len);
	return buf_str(scratch);
}
