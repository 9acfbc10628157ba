// SPDX-License-Identifier: ISC
// The calls that change files, in place of those of libc: this program's are found first, also by
// the libraries. The real call and its record happen under one lock, so their order is the same.
// A real sync is not made: it says nothing about the disk that is played here, only time passes.
#undef _FILE_OFFSET_BITS // each call has one name here
#undef _FORTIFY_SOURCE

#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8 && sizeof(off_t) == 8, "one size of offsets");

#define SYNC_MICROSECONDS 300

struct known {
	dev_t dev;
	ino_t ino;
};

static struct {
	pthread_mutex_t lock;
	struct record_log *log; // NULL: nothing is recorded
	struct known *known;	// by node
	bool unnamed;		// O_TMPFILE works
} rec = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "record: %s\n", what);
	abort();
}

static void *resize(void *old, size_t size)
{
	void *new = realloc(old, size);

	if (!new)
		give_up("no memory");
	return new;
}

// ---------------------------------------------------------------- the log, under the lock

static uint32_t add_node(const struct stat *st)
{
	struct record_log *log = rec.log;
	uint32_t node = log->nodes++;

	rec.known = resize(rec.known, log->nodes * sizeof(rec.known[0]));
	log->is_folder = resize(log->is_folder, log->nodes * sizeof(log->is_folder[0]));
	rec.known[node] = (struct known){st->st_dev, st->st_ino};
	log->is_folder[node] = S_ISDIR(st->st_mode);
	return node;
}

// The newest first: a number may be used again for a new file, never for two at once.
static uint32_t find_node(const struct stat *st)
{
	for (uint32_t node = rec.log->nodes; node-- > 0;) {
		if (rec.known[node].ino == st->st_ino && rec.known[node].dev == st->st_dev)
			return node;
	}
	return RECORD_NOTHING;
}

static struct record *add(enum record_kind kind, uint32_t node)
{
	struct record_log *log = rec.log;
	struct record *r;

	if (log->count == log->room) {
		log->room = log->room ? log->room * 2 : 4096;
		log->records = resize(log->records, log->room * sizeof(log->records[0]));
	}
	r = &log->records[log->count++];
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->node = node;
	r->target = RECORD_NOTHING;
	return r;
}

static void add_write(uint32_t node, const void *data, size_t len, uint64_t offset)
{
	struct record *r = add(RECORD_WRITE, node);

	r->data = resize(NULL, len ? len : 1);
	memcpy(r->data, data, len);
	r->len = len;
	r->offset = offset;
}

static void add_size(enum record_kind kind, uint32_t node, uint64_t size)
{
	add(kind, node)->offset = size;
}

static void add_entry(uint32_t folder, const char *name, uint32_t target)
{
	struct record *r = add(RECORD_ENTRY, folder);

	if (strlen(name) >= sizeof(r->name))
		give_up("a name is too long");
	strcpy(r->name, name);
	r->target = target;
}

static uint32_t node_of(int fd)
{
	struct stat st;

	if (!rec.log || fstat(fd, &st) < 0)
		return RECORD_NOTHING;
	return find_node(&st);
}

// ---------------------------------------------------------------- names

struct place {
	uint32_t folder; // RECORD_NOTHING: not ours
	char name[RECORD_NAME_MAX];
	bool existed;
};

// Before the call.
static struct place find_place(int at, const char *path)
{
	struct place p = {.folder = RECORD_NOTHING};
	char whole[PATH_MAX], *slash;
	struct stat st;

	if (!rec.log || snprintf(whole, sizeof(whole), "%s", path) >= (int)sizeof(whole))
		return p;
	for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; n--)
		whole[n - 1] = '\0';
	slash = strrchr(whole, '/');
	snprintf(p.name, sizeof(p.name), "%s", slash ? slash + 1 : whole);
	if (slash)
		slash[1] = '\0';
	else
		strcpy(whole, ".");
	if (fstatat(at, whole, &st, 0) < 0)
		return p;
	p.folder = find_node(&st);
	p.existed = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return p;
}

static void note_made(int at, const char *path, const struct place *p)
{
	struct stat st;

	if (p->folder == RECORD_NOTHING || p->existed)
		return;
	if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		give_up("what was made is not there");
	add_entry(p->folder, p->name, add_node(&st));
}

static void enter(void)
{
	pthread_mutex_lock(&rec.lock);
}

static int leave(int result)
{
	int number = errno;

	pthread_mutex_unlock(&rec.lock);
	errno = number;
	return result;
}

// ---------------------------------------------------------------- calls: opening and names

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int openat(int at, const char *path, int flags, ...);
int openat64(int at, const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);

static bool is_unnamed(int flags)
{
	return (flags & O_TMPFILE) == O_TMPFILE;
}

static int do_open(int at, const char *path, int flags, mode_t mode)
{
	struct place p = {.folder = RECORD_NOTHING};
	uint32_t folder = RECORD_NOTHING;
	struct stat st;
	int fd;

	enter();
	if (rec.log && is_unnamed(flags) && !rec.unnamed) {
		errno = EOPNOTSUPP;
		return leave(-1);
	}
	if (rec.log && is_unnamed(flags) && fstatat(at, path, &st, 0) == 0)
		folder = find_node(&st);
	else if (flags & O_CREAT)
		p = find_place(at, path);
	fd = (int)syscall(SYS_openat, at, path, flags, mode);
	if (fd >= 0 && folder != RECORD_NOTHING && fstat(fd, &st) == 0)
		add_node(&st);
	if (fd >= 0 && (flags & O_CREAT))
		note_made(at, path, &p);
	if (fd >= 0 && (flags & O_TRUNC) && node_of(fd) != RECORD_NOTHING)
		add_size(RECORD_TRUNCATE, node_of(fd), 0);
	return leave(fd);
}

static mode_t mode_argument(int flags, va_list list)
{
	return (flags & O_CREAT) || is_unnamed(flags) ? va_arg(list, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list list;                                                                      \
		mode_t mode;                                                                       \
		va_start(list, flags);                                                             \
		mode = mode_argument(flags, list);                                                 \
		va_end(list);                                                                      \
		return do_open(AT_FDCWD, path, flags, mode);                                       \
	}
#define OPENAT(name)                                                                               \
	int name(int at, const char *path, int flags, ...)                                         \
	{                                                                                          \
		va_list list;                                                                      \
		mode_t mode;                                                                       \
		va_start(list, flags);                                                             \
		mode = mode_argument(flags, list);                                                 \
		va_end(list);                                                                      \
		return do_open(at, path, flags, mode);                                             \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

// What the fortified headers call.
#define OPEN_2(name)                                                                               \
	int name(const char *path, int flags)                                                      \
	{                                                                                          \
		return do_open(AT_FDCWD, path, flags, 0);                                          \
	}
#define OPENAT_2(name)                                                                             \
	int name(int at, const char *path, int flags)                                              \
	{                                                                                          \
		return do_open(at, path, flags, 0);                                                \
	}
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

int mkdirat(int at, const char *path, mode_t mode)
{
	struct place p;
	int result;

	enter();
	p = find_place(at, path);
	result = (int)syscall(SYS_mkdirat, at, path, mode);
	if (result == 0)
		note_made(at, path, &p);
	return leave(result);
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int linkat(int from_at, const char *from, int at, const char *path, int flags)
{
	struct place p;
	struct stat st;
	int result;

	enter();
	p = find_place(at, path);
	result = (int)syscall(SYS_linkat, from_at, from, at, path, flags);
	if (result == 0 && p.folder != RECORD_NOTHING) {
		if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			find_node(&st) == RECORD_NOTHING)
			give_up("a file from elsewhere was linked");
		add_entry(p.folder, p.name, find_node(&st));
	}
	return leave(result);
}

int link(const char *from, const char *path)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
	struct place p;
	int result;

	enter();
	p = find_place(at, path);
	result = (int)syscall(SYS_unlinkat, at, path, flags);
	if (result == 0 && p.folder != RECORD_NOTHING)
		add_entry(p.folder, p.name, RECORD_NOTHING);
	return leave(result);
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	int result = unlink(path);

	return result < 0 && errno == EISDIR ? rmdir(path) : result;
}

// Two entries that change together are recorded one after the other: a disk that shows both names is
// looked at, too. For what may be lost (maildirsize); nothing that is promised is renamed.
int renameat(int from_at, const char *from, int at, const char *path)
{
	struct place old, p;
	struct stat st;
	int result;

	enter();
	old = find_place(from_at, from);
	p = find_place(at, path);
	result = (int)syscall(SYS_renameat2, from_at, from, at, path, 0);
	if (result == 0 && p.folder != RECORD_NOTHING) {
		if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			find_node(&st) == RECORD_NOTHING || old.folder == RECORD_NOTHING)
			give_up("a file from elsewhere was renamed");
		add_entry(p.folder, p.name, find_node(&st));
		add_entry(old.folder, old.name, RECORD_NOTHING);
	}
	return leave(result);
}

int rename(const char *from, const char *to)
{
	enter();
	if (find_place(AT_FDCWD, to).folder != RECORD_NOTHING)
		give_up("rename is not recorded");
	return leave((int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

// ---------------------------------------------------------------- calls: octets

static ssize_t do_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	uint32_t node;
	ssize_t n;

	enter();
	node = node_of(fd);
	n = syscall(SYS_pwrite64, fd, data, len, offset);
	if (n > 0 && node != RECORD_NOTHING)
		add_write(node, data, (size_t)n, (uint64_t)offset);
	leave(0);
	return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return do_pwrite(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return do_pwrite(fd, data, len, offset);
}

// Not under the lock for what is not ours: a pipe may block.
ssize_t write(int fd, const void *data, size_t len)
{
	uint32_t node;
	off_t offset;
	ssize_t n;

	enter();
	node = node_of(fd);
	if (node == RECORD_NOTHING) {
		leave(0);
		return syscall(SYS_write, fd, data, len);
	}
	if (fcntl(fd, F_GETFL) & O_APPEND)
		offset = lseek(fd, 0, SEEK_END);
	else
		offset = lseek(fd, 0, SEEK_CUR);
	n = syscall(SYS_write, fd, data, len);
	if (n > 0)
		add_write(node, data, (size_t)n, (uint64_t)offset);
	leave(0);
	return n;
}

#define NOT_RECORDED(result, name, parameters, number, ...)                                        \
	result name parameters                                                                     \
	{                                                                                          \
		enter();                                                                           \
		if (node_of(fd) != RECORD_NOTHING)                                                 \
			give_up(#name " is not recorded");                                         \
		leave(0);                                                                          \
		return (result)syscall(number, __VA_ARGS__);                                       \
	}
NOT_RECORDED(ssize_t, writev, (int fd, const struct iovec *v, int n), SYS_writev, fd, v, n)
NOT_RECORDED(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), SYS_pwritev, fd, v,
	n, at)
NOT_RECORDED(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t at), SYS_pwritev,
	fd, v, n, at)

static int change_size(enum record_kind kind, int fd, off_t size, int result)
{
	uint32_t node = node_of(fd);

	if (result == 0 && node != RECORD_NOTHING)
		add_size(kind, node, (uint64_t)size);
	return leave(result);
}

int ftruncate(int fd, off_t size)
{
	enter();
	return change_size(RECORD_TRUNCATE, fd, size, (int)syscall(SYS_ftruncate, fd, size));
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	enter();
	if (mode != 0 && node_of(fd) != RECORD_NOTHING)
		give_up("fallocate with a mode is not recorded");
	return change_size(
		RECORD_GROW, fd, offset + len, (int)syscall(SYS_fallocate, fd, mode, offset, len));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return fallocate(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	int number = errno, result = fallocate(fd, 0, offset, len) < 0 ? errno : 0;

	errno = number;
	return result;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return posix_fallocate(fd, offset, len);
}

// ---------------------------------------------------------------- calls: syncs

// What others do while the disk works is not covered.
static int do_sync(enum record_kind kind, int fd)
{
	size_t covers;
	uint32_t node;

	enter();
	node = node_of(fd);
	covers = rec.log ? rec.log->count : 0;
	leave(0);
	if (node == RECORD_NOTHING)
		return 0;
	usleep(SYNC_MICROSECONDS);
	enter();
	if (rec.log)
		add(kind, node)->covers = covers;
	return leave(0);
}

int fsync(int fd)
{
	return do_sync(RECORD_SYNC, fd);
}

int fdatasync(int fd)
{
	return do_sync(RECORD_SYNC, fd);
}

int syncfs(int fd)
{
	return do_sync(RECORD_SYNC_ALL, fd);
}

// It promises nothing.
int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
	return 0;
}

// ---------------------------------------------------------------- start and end

static void scan_file(int at, const char *name, uint32_t node)
{
	unsigned char space[65536];
	uint64_t offset = 0;
	ssize_t n;
	int fd = (int)syscall(SYS_openat, at, name, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		give_up("a file cannot be read");
	while ((n = read(fd, space, sizeof(space))) > 0) {
		add_write(node, space, (size_t)n, offset);
		offset += (uint64_t)n;
	}
	close(fd);
}

static void scan(int at, const char *name, uint32_t folder)
{
	int fd = (int)syscall(SYS_openat, at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir)
		give_up("a folder cannot be read");
	while ((entry = readdir(dir)) != NULL) {
		uint32_t node;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			give_up("an entry cannot be looked at");
		node = find_node(&st);
		if (node == RECORD_NOTHING) {
			node = add_node(&st);
			if (S_ISDIR(st.st_mode))
				scan(fd, entry->d_name, node);
			else
				scan_file(fd, entry->d_name, node);
		}
		add_entry(folder, entry->d_name, node);
	}
	closedir(dir);
}

void record_start(const char *path, bool unnamed)
{
	struct stat st;

	enter();
	rec.log = resize(NULL, sizeof(*rec.log));
	memset(rec.log, 0, sizeof(*rec.log));
	if (stat(path, &st) < 0)
		give_up("the folder is not there");
	rec.unnamed = unnamed;
	add_node(&st);
	scan(AT_FDCWD, path, 0);
	add(RECORD_SYNC_ALL, 0)->covers = SIZE_MAX;
	rec.log->first = rec.log->count;
	leave(0);
}

size_t record_moment(void)
{
	size_t count;

	enter();
	count = rec.log ? rec.log->count : 0;
	leave(0);
	return count;
}

struct record_log *record_stop(void)
{
	struct record_log *log;

	enter();
	log = rec.log;
	rec.log = NULL;
	free(rec.known);
	rec.known = NULL;
	leave(0);
	return log;
}

void record_log_destroy(struct record_log *log)
{
	if (!log)
		return;
	for (size_t i = 0; i < log->count; i++)
		free(log->records[i].data);
	free(log->records);
	free(log->is_folder);
	free(log);
}
