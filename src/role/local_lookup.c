// SPDX-License-Identifier: ISC
#include "role/local_lookup.h"

#include "base/file.h"
#include "base/memory.h"
#include "role/local_worker.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define AT_ONCE    16
#define ANSWER_MS  9000 // the queue waits a little longer

enum { USER_NO, USER_YES, USER_UNKNOWN };

// Waits for its turn, then for its child. Gone when it is answered, reaped, and its handle is closed.
struct question {
	struct list link;      // in lookup.waiting or lookup.asked
	struct local_lookup *lookup;
	uint64_t request;
	pid_t pid;             // 0: not started, or reaped
	int fd;                // -1: answered
	bool watched;
	uv_poll_t poll;
	struct wheel_timer timer;
	char name[65];
};

struct local_lookup {
	struct local_lookup_options o;
	struct list waiting, asked;
	unsigned running;
};

struct local_lookup *local_lookup_create(const struct local_lookup_options *o)
{
	struct local_lookup *l = mem_alloc(sizeof *l);
	l->o = *o;
	list_init(&l->waiting);
	list_init(&l->asked);
	return l;
}

// ---- the child

static void look_up(void *arg, int socket)
{
	const struct question *q = arg;
	const struct config *config = q->lookup->o.context->config;
	errno = 0;
	const struct passwd *pw = getpwnam(q->name);
	bool sure = pw || errno == 0 || errno == ENOENT || errno == ESRCH;
	uint8_t exists = !sure ? USER_UNKNOWN : pw && local_user_counts(config, pw) ? USER_YES : USER_NO;
	_exit(write(socket, &exists, 1) == 1 ? 0 : 74);
}

// ---- the role

static void start_some(struct local_lookup *l);

static void release(struct question *q)
{
	if (q->pid || q->watched || q->fd >= 0)
		return;
	list_remove(&q->link);
	mem_free(q);
}

static void on_closed(uv_handle_t *handle)
{
	struct question *q = handle->data;
	q->watched = false;
	release(q);
}

static void answer(struct question *q, uint8_t exists)
{
	struct local_lookup *l = q->lookup;
	wheel_clear(l->o.wheel, &q->timer);
	if (q->watched) {
		uv_poll_stop(&q->poll);
		uv_close((uv_handle_t *)&q->poll, on_closed);
	}
	fd_close(&q->fd);
	l->o.answer(l->o.arg, q->request, exists);
	release(q);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct question *q = poll->data;
	uint8_t exists = USER_UNKNOWN;
	(void)status;
	(void)events;
	if (read(q->fd, &exists, 1) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	answer(q, exists);
}

static void on_timeout(struct wheel_timer *timer)
{
	struct question *q = LIST_ENTRY(timer, struct question, timer);
	if (q->pid)
		(void)kill(q->pid, SIGKILL);
	answer(q, USER_UNKNOWN);
}

static void start(struct question *q)
{
	struct local_lookup *l = q->lookup;
	list_remove(&q->link);
	list_add_last(&l->asked, &q->link);
	if (local_fork(look_up, q, &q->pid, &q->fd)) {
		q->pid = 0;
		wheel_set(l->o.wheel, &q->timer, 1);
		return;
	}
	l->running++;
	if (uv_poll_init(l->o.context->loop, &q->poll, q->fd))
		fatal("cannot watch a process");
	q->watched = true;
	q->poll.data = q;
	uv_poll_start(&q->poll, UV_READABLE, on_readable);
	wheel_set(l->o.wheel, &q->timer, ANSWER_MS);
}

static void start_some(struct local_lookup *l)
{
	while (l->running < AT_ONCE && !list_empty(&l->waiting))
		start(LIST_ENTRY(l->waiting.next, struct question, link));
}

void local_lookup_ask(struct local_lookup *l, uint64_t request, struct str name)
{
	struct question *q = mem_alloc(sizeof *q);
	q->lookup = l;
	q->request = request;
	q->fd = -1;
	wheel_timer_init(&q->timer, on_timeout);
	str_copy(name, q->name, sizeof q->name); // one that does not fit is "" : nobody
	list_add_last(&l->waiting, &q->link);
	start_some(l);
}

bool local_lookup_reaped(struct local_lookup *l, pid_t pid)
{
	LIST_EACH(link, &l->asked) {
		struct question *q = LIST_ENTRY(link, struct question, link);
		if (q->pid != pid)
			continue;
		q->pid = 0;
		l->running--;
		release(q);
		start_some(l);
		return true;
	}
	return false;
}
