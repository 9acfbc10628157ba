// SPDX-License-Identifier: ISC
#include "deliver/quota_mbox.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES 1024
#define STEP   65536

// Messages 0 and device 0: an empty place.
struct place {
	uint64_t device, inode, size, changed_s, changed_ns, messages;
};

struct quota_mbox {
	pthread_mutex_t lock;
	struct place places[PLACES]; // by hash; a newer one takes the place of an older one
};

struct quota_mbox *quota_mbox_create(void)
{
	struct quota_mbox *m = mem_alloc(sizeof *m);
	if (pthread_mutex_init(&m->lock, NULL))
		fatal("cannot make a lock");
	return m;
}

void quota_mbox_destroy(struct quota_mbox *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	mem_free(m);
}

static struct place place_of(const struct stat *st)
{
	return (struct place){st->st_dev, st->st_ino, (uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec, 0};
}

static struct place *find(struct quota_mbox *m, const struct place *p)
{
	const uint64_t key[] = {p->device, p->inode};
	return &m->places[hash_octets(key, sizeof key) % PLACES];
}

static bool is_same_file(const struct place *a, const struct place *b)
{
	return a->device == b->device && a->inode == b->inode;
}

static bool is_unchanged(const struct place *a, const struct place *b)
{
	return is_same_file(a, b) && a->size == b->size && a->changed_s == b->changed_s &&
		a->changed_ns == b->changed_ns;
}

static void put(struct quota_mbox *m, const struct place *p)
{
	pthread_mutex_lock(&m->lock);
	*find(m, p) = *p;
	pthread_mutex_unlock(&m->lock);
}

// Lines that begin with "From ": the rest of what was read is matched across the pieces.
struct scan {
	uint64_t messages;
	unsigned matched;
	bool in_line; // this line is none
};

static void scan_piece(struct scan *s, const char *p, size_t len)
{
	static const char from[] = "From ";
	for (const char *end = p + len; p < end; p++) {
		if (s->in_line) {
			p = memchr(p, '\n', (size_t)(end - p));
			if (!p)
				return;
			s->in_line = false;
			s->matched = 0;
		} else if (*p == from[s->matched]) {
			if (++s->matched == sizeof from - 1) {
				s->messages++;
				s->in_line = true;
			}
		} else {
			s->in_line = *p != '\n';
			s->matched = 0;
		}
	}
}

static int count(int fd, uint64_t size, uint64_t *out)
{
	char space[STEP];
	struct scan s = {0};
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, space, sizeof space, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_SYSTEM;
		if (n == 0)
			break;
		scan_piece(&s, space, (size_t)n);
		at += (uint64_t)n;
	}
	*out = s.messages;
	return 0;
}

void quota_mbox_forget(struct quota_mbox *m, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return;
	struct place now = place_of(&st);
	pthread_mutex_lock(&m->lock);
	if (is_same_file(find(m, &now), &now))
		*find(m, &now) = (struct place){0};
	pthread_mutex_unlock(&m->lock);
}

int quota_mbox_usage(struct quota_mbox *m, int fd, const struct quota_limits *l,
	struct quota_usage *out)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return ERR_SYSTEM;
	struct place now = place_of(&st);
	*out = (struct quota_usage){.octets = now.size};
	if (!l->messages && !l->messages_soft) {
		quota_mbox_forget(m, fd); // what is appended now is not counted
		return 0;
	}
	pthread_mutex_lock(&m->lock);
	struct place *p = find(m, &now);
	bool known = is_unchanged(p, &now);
	if (known)
		out->messages = p->messages;
	pthread_mutex_unlock(&m->lock);
	if (known)
		return 0;
	if (count(fd, now.size, &now.messages))
		return ERR_SYSTEM;
	out->messages = now.messages;
	put(m, &now);
	return 0;
}

void quota_mbox_added(struct quota_mbox *m, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return;
	struct place now = place_of(&st);
	pthread_mutex_lock(&m->lock);
	struct place *p = find(m, &now);
	if (is_same_file(p, &now)) {
		now.messages = p->messages + 1;
		*p = now;
	}
	pthread_mutex_unlock(&m->lock);
}
