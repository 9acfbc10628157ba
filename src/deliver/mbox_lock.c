// SPDX-License-Identifier: ISC
#include "deliver/mbox_lock.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRY_MS      50
#define DEAD_MS     2000 // a lock of a process that is gone: as soon as it cannot just have been made

void mbox_enter_group(gid_t group)
{
	if (group != (gid_t)-1)
		(void)setfsgid(group); // whether it counts is seen when the file is opened
}

void mbox_leave_group(gid_t group)
{
	int signal = 0;
	if (group == (gid_t)-1)
		return;
	(void)prctl(PR_GET_PDEATHSIG, &signal);
	(void)setfsgid(getegid());
	// The kernel forgets it when rights change.
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

// ---- the file

// Made by a process of this machine that is no more ("PID:HOST", as Dovecot writes it, too).
static bool maker_is_gone(int folder, const char *name)
{
	char text[300], host[256] = "";
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	char *end;
	fd_close(&fd);
	if (n <= 0 || gethostname(host, sizeof host - 1) < 0)
		return false;
	text[n] = '\0';
	long pid = strtol(text, &end, 10);
	if (pid <= 1 || *end != ':')
		return false;
	end[strcspn(end, "\n")] = '\0';
	return !strcmp(end + 1, host) && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

static bool is_stale(const struct mbox_lock *l, struct stat *st)
{
	if (fstatat(l->folder, l->name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	uint64_t now = clock_wall_ms(), changed = (uint64_t)st->st_mtim.tv_sec * 1000;
	uint64_t age = now > changed ? now - changed : 0;
	return age > MBOX_LOCK_STALE_MS || (age > DEAD_MS && maker_is_gone(l->folder, l->name));
}

// Two may find it stale: what is taken away must be what was looked at.
static void remove_stale(const struct mbox_lock *l, const struct stat *seen)
{
	char aside[330];
	struct stat st;
	snprintf(aside, sizeof aside, "%s.%d", l->name, (int)getpid());
	if (renameat(l->folder, l->name, l->folder, aside) < 0)
		return;
	bool is_new = !fstatat(l->folder, aside, &st, AT_SYMLINK_NOFOLLOW) &&
		(st.st_ino != seen->st_ino || st.st_mtim.tv_sec != seen->st_mtim.tv_sec);
	// Back with a new one. Where that fails a newer one stands there, and fcntl keeps us apart.
	if (!is_new || linkat(l->folder, aside, l->folder, l->name, 0) == 0 || errno == EEXIST)
		(void)unlinkat(l->folder, aside, 0);
}

static int make_file(const struct mbox_lock *l)
{
	char text[300], host[256] = "";
	int fd = openat(l->folder, l->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0)
		return -1;
	(void)gethostname(host, sizeof host - 1);
	int n = snprintf(text, sizeof text, "%d:%s\n", (int)getpid(), host);
	if (fd_write_all(fd, text, (size_t)n)) {
		int why = errno;
		(void)unlinkat(l->folder, l->name, 0);
		fd_close(&fd);
		errno = why;
		return -1;
	}
	fd_close(&fd);
	return 0;
}

// 0: we have it, or the folder allows none. ERR_EXISTS: somebody else has it.
static int take_file(struct mbox_lock *l)
{
	struct stat st;
	mbox_enter_group(l->group);
	int result = make_file(l), why = errno;
	if (result < 0 && why == EEXIST && is_stale(l, &st)) {
		remove_stale(l, &st);
		result = make_file(l);
		why = errno;
	}
	mbox_leave_group(l->group);
	errno = why;
	l->has_file = result == 0;
	if (result == 0 || why == EACCES || why == EPERM || why == EROFS)
		return 0;
	return why == EEXIST ? ERR_EXISTS : err_from_errno(why);
}

static void give_file(struct mbox_lock *l)
{
	if (!l->has_file)
		return;
	mbox_enter_group(l->group);
	(void)unlinkat(l->folder, l->name, 0);
	mbox_leave_group(l->group);
	l->has_file = false;
}

// ---- both

static int take_range(int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_SETLK, &whole) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN || errno == EINTR ? ERR_EXISTS : ERR_SYSTEM;
}

static int try_both(struct mbox_lock *l)
{
	int result = take_file(l);
	if (result)
		return result;
	result = take_range(l->fd);
	if (result) {
		int why = errno;
		give_file(l);
		errno = why;
	}
	return result;
}

int mbox_lock_take(struct mbox_lock *l, int folder, const char *name, int fd, gid_t group,
	uint64_t wait_ms)
{
	const struct timespec pause = {.tv_nsec = TRY_MS * 1000000L};
	uint64_t until = clock_monotonic_ms() + wait_ms;
	*l = (struct mbox_lock){.folder = folder, .fd = fd, .group = group};
	if ((size_t)snprintf(l->name, sizeof l->name, "%s.lock", name) >= sizeof l->name) {
		errno = ENAMETOOLONG;
		return ERR_SYSTEM;
	}
	int result;
	while ((result = try_both(l)) == ERR_EXISTS) {
		if (clock_monotonic_ms() >= until)
			return ERR_TIMEOUT;
		(void)nanosleep(&pause, NULL);
	}
	return result;
}

void mbox_lock_give(struct mbox_lock *l)
{
	struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	(void)fcntl(l->fd, F_SETLK, &none);
	give_file(l);
}
