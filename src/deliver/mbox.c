// SPDX-License-Identifier: ISC
#include "deliver/mbox.h"

#include "base/event.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "deliver/copy.h"
#include "deliver/mbox_lock.h"
#include "deliver/mbox_torn.h"
#include "deliver/result.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define FROM_MAX 600
#define TURNS    16
#define FOUR(x)  x, x, x, x

// The threads of a process share its fcntl locks, and the first that closes the file gives them up: of
// what may be one file only one thread works at a time.
static pthread_mutex_t turns[TURNS] = {FOUR(FOUR(PTHREAD_MUTEX_INITIALIZER))};

struct mbox {
	const struct mbox_options *options;
	const char *path, *name;
	struct deliver_recipient *recipient;
	int folder, fd;
	bool made;
	struct mbox_lock lock;
};

static void refuse(const struct mbox *m, const struct error *err)
{
	deliver_set_format(m->recipient, SMTP_TEMPORARY, 451, "4.2.0",
		TEXT("mailbox of %s: unsafe-mailbox: %s"), m->recipient->address, err->text);
}

// ---- opening

static int open_folder(struct mbox *m)
{
	char folder[PATH_MAX];
	size_t len = (size_t)(m->name - m->path);
	if (len == 0 || len >= sizeof folder) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(folder, m->path, len);
	folder[len] = '\0';
	m->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->folder < 0 && errno == ENOENT && m->options->makes_folders) {
		int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		folder[len - 1] = '\0';
		if (root >= 0 && file_make_folders(root, folder + 1, 0700) == 0)
			m->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_close(&root);
	}
	return m->folder < 0 ? -1 : 0;
}

static gid_t group_of(const struct mbox *m)
{
	return m->options->uses_group ? m->options->owner.mailbox_group : (gid_t)-1;
}

static int open_file(struct mbox *m)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	gid_t group = group_of(m);
	m->fd = openat(m->folder, m->name, flags);
	if (m->fd >= 0 || errno != ENOENT)
		return m->fd < 0 ? -1 : 0;
	mbox_enter_group(group);
	m->fd = openat(m->folder, m->name, flags | O_CREAT | O_EXCL, 0600);
	int why = errno;
	mbox_leave_group(group);
	errno = why;
	m->made = m->fd >= 0;
	return m->fd < 0 ? -1 : 0;
}

static void set_open_error(const struct mbox *m)
{
	struct error err = {0};
	if (errno == ELOOP)
		(void)error_set(&err, ERR_DENIED, TEXT("%s is a symbolic link"), m->path);
	else if (errno == ENXIO || errno == EISDIR)
		(void)error_set(&err, ERR_DENIED, TEXT("%s is no plain file"), m->path);
	else if (errno == EACCES)
		(void)error_set(&err, ERR_DENIED,
			TEXT("%s may not be made or written (mailbox-group in deliver?)"), m->path);
	if (err.code)
		refuse(m, &err);
	else
		deliver_set_errno(m->recipient, m->path);
}

// The file that is locked is the one that has the name, and a fit one.
static int check_file(const struct mbox *m, struct stat *st, struct error *err)
{
	struct stat named;
	if (fstat(m->fd, st) < 0)
		return error_system(err, "%s", m->path);
	int result = safe_file(&m->options->owner, st, false, m->path, err);
	if (result)
		return result;
	if (fstatat(m->folder, m->name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
		named.st_ino != st->st_ino || named.st_dev != st->st_dev)
		return error_set(err, ERR_UNAVAILABLE, TEXT("%s was replaced just now"), m->path);
	return 0;
}

// ---- writing

struct place {
	int fd;
	uint64_t offset;
};

static int write_at(void *arg, const void *data, size_t len)
{
	struct place *p = arg;
	const char *at = data;
	while (len) {
		ssize_t n = pwrite(p->fd, at, len, (off_t)p->offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		at += n;
		len -= (size_t)n;
		p->offset += (uint64_t)n;
	}
	return 0;
}

// The line ends that are missing before a new message.
static int padding(int fd, uint64_t size, const char **out)
{
	char last[2] = {'\n', '\n'};
	size_t n = size < 2 ? (size_t)size : 2;
	if (n && pread(fd, last + 2 - n, n, (off_t)(size - n)) != (ssize_t)n)
		return ERR_SYSTEM;
	*out = size == 0 ? "" : last[1] != '\n' ? "\n\n" : last[0] != '\n' ? "\n" : "";
	return 0;
}

static int write_sign(struct place *p, size_t from_len)
{
	char text[FROM_MAX + 2];
	const char *pad;
	int err = padding(p->fd, p->offset, &pad);
	if (err)
		return err;
	size_t len = strlen(pad);
	memcpy(text, pad, len);
	mbox_torn_sign(p->offset + len, text + len, from_len);
	err = write_at(p, text, len + from_len);
	return err ? err : fd_sync(p->fd);
}

// The steps of mbox_torn.h. *out_end: behind the last octet that is ours.
static int append(struct mbox *m, uint64_t size, const struct deliver_job *job, uint64_t *out_end)
{
	char from[FROM_MAX];
	struct place place = {.fd = m->fd, .offset = size};
	struct deliver_copy copy = {.write = write_at, .arg = &place,
		.address = deliver_shown_address(m->recipient), .quote = true};
	deliver_from_line(job->sender, from, sizeof from);
	int err = write_sign(&place, strlen(from));
	struct place start = {.fd = m->fd, .offset = place.offset - strlen(from)};
	if (!err)
		err = deliver_copy(&copy, job);
	*out_end = place.offset;
	if (!err)
		err = fd_sync(m->fd);
	if (!err)
		err = write_at(&start, from, strlen(from));
	return err ? err : fd_sync(m->fd);
}

static int sync_name(const struct mbox *m)
{
	if (!m->made)
		return 0;
	int fd = openat(m->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 ? syncfs(m->fd) : fd_sync(fd);
	fd_close(&fd);
	return err;
}

// What stands behind our octets is of somebody who keeps no lock: then it is cut as after a death.
static int cut_off(const struct mbox *m, uint64_t size, uint64_t end)
{
	struct stat st;
	if (fstat(m->fd, &st) < 0)
		return -1;
	if ((uint64_t)st.st_size > end && mbox_torn_find(m->fd, (uint64_t)st.st_size, &size))
		return -1;
	return ftruncate(m->fd, (off_t)size);
}

static void write_message(struct mbox *m, uint64_t size, const struct deliver_job *job)
{
	uint64_t end;
	int err = append(m, size, job, &end);
	if (!err)
		err = sync_name(m);
	if (!err) {
		deliver_set_delivered(m->recipient);
		return;
	}
	deliver_set_errno(m->recipient, TEXT("cannot write the message"));
	if (cut_off(m, size, end) < 0)
		event_report(EVENT_WARNING, "local",
			TEXT("%s: a torn message could not be cut off at once; the next delivery does it"),
			m->path);
	else
		(void)fd_sync(m->fd);
}

// ---- one delivery

static bool has_room(struct mbox *m, uint64_t octets)
{
	struct deliver_recipient *r = m->recipient;
	struct quota *quota = m->options->quota;
	if (!quota)
		return true;
	int over = quota_admit(quota, &r->quota, QUOTA_MBOX, m->fd, octets, &r->usage);
	r->counted = over >= 0 && quota_is_limited(&r->quota);
	if (over < 0)
		deliver_set_errno(r, TEXT("cannot count the mailbox"));
	else if (over == QUOTA_OVER_HARD)
		deliver_set_full(r);
	return over >= 0 && over != QUOTA_OVER_HARD;
}

static void deliver_locked(struct mbox *m, struct deliver_job *job)
{
	struct stat st;
	struct error err = {0};
	struct render render;
	uint64_t size, octets = job->size;
	if (check_file(m, &st, &err)) {
		refuse(m, &err);
		return;
	}
	if (mbox_torn_find(m->fd, (uint64_t)st.st_size, &size) ||
		(size < (uint64_t)st.st_size && ftruncate(m->fd, (off_t)size) < 0)) {
		deliver_set_errno(m->recipient, TEXT("cannot look for a torn message"));
		return;
	}
	if (size < (uint64_t)st.st_size)
		event_report(EVENT_WARNING, "local", TEXT("%s: %llu octets of a torn message were cut off"),
			m->path, (unsigned long long)st.st_size - size);
	if (!render_init(&render, job->headers, job->edits, job->size))
		octets = render_size(&render);
	if (!has_room(m, octets))
		return;
	write_message(m, size, job);
	bool delivered = m->recipient->result.outcome == SMTP_DELIVERED;
	if (m->options->quota)
		quota_ended(m->options->quota, QUOTA_MBOX, m->fd, octets, delivered);
	if (!delivered)
		m->recipient->counted = false;
	else if (m->recipient->counted && fstat(m->fd, &st) == 0)
		m->recipient->usage.octets = (uint64_t)st.st_size; // with the lines that were added
}

static void deliver(struct mbox *m, struct deliver_job *job)
{
	int err = mbox_lock_take(&m->lock, m->folder, m->name, m->fd,
		group_of(m), m->options->lock_wait_ms);
	if (err == ERR_TIMEOUT)
		deliver_set_format(m->recipient, SMTP_TEMPORARY, 451, "4.2.0",
			TEXT("mailbox of %s: mailbox-locked: %s is locked by another program"),
			m->recipient->address, m->path);
	else if (err)
		deliver_set_errno(m->recipient, TEXT("cannot lock the mailbox"));
	if (err)
		return;
	deliver_locked(m, job);
	mbox_lock_give(&m->lock);
}

void mbox_deliver(const struct mbox_options *o, const char *path, struct deliver_job *job,
	struct deliver_recipient *r)
{
	const char *slash = strrchr(path, '/');
	struct mbox m = {.options = o, .path = path, .name = slash ? slash + 1 : "", .recipient = r,
		.folder = -1, .fd = -1};
	struct error err = {0};
	pthread_mutex_t *turn = &turns[hash_octets(path, strlen(path)) % TURNS];
	if (!strcmp(path, "/dev/null")) {
		deliver_set_result(r, SMTP_DELIVERED, 250, "2.1.5", TEXT("thrown away: /dev/null"));
		return;
	}
	pthread_mutex_lock(turn);
	if (open_folder(&m) < 0)
		deliver_set_errno(r, path);
	else if (safe_folders(&o->owner, path, &err))
		refuse(&m, &err);
	else if (open_file(&m) < 0)
		set_open_error(&m);
	else
		deliver(&m, job);
	fd_close(&m.fd);
	fd_close(&m.folder);
	pthread_mutex_unlock(turn);
}
