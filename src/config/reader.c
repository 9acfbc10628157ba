// SPDX-License-Identifier: ISC
// The reader that opens files in this process. Symbolic links are followed (as
// certificate tools make them); the rights that count are the target's.
#include "config/config.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX   ((size_t)64 << 20)
#define TABLE_MAX  ((size_t)256 << 20)
#define READ_AHEAD ((size_t)128 << 10)

static int check_rights(const char *path, const struct stat *st, struct error *err)
{
	if (st->st_mode & 0137)
		return error_set(err, ERR_DENIED,
			TEXT("%s has mode %04o: a secret must be 0600 or 0640, see chmod"), path,
			(unsigned)st->st_mode & 07777);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return error_set(err, ERR_DENIED,
			TEXT("%s belongs to user %u: a secret must belong to root or to the "
			     "server's user"),
			path, (unsigned)st->st_uid);
	return 0;
}

static int read_open(int fd, const char *path, bool secret, struct buf *out, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_system(err, TEXT("cannot look at %s"), path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_UNSUPPORTED, TEXT("%s is not a regular file"), path);
	int result = secret ? check_rights(path, &st, err) : 0;
	if (result < 0)
		return result;
	// Room for all of it at once: a buffer that grows leaves copies of secrets behind.
	// More than its size, as the end is found by reading on.
	if (secret && st.st_size < (off_t)READ_MAX)
		(void)buf_reserve(out, (size_t)st.st_size + READ_AHEAD);
	result = fd_read_all(fd, out, READ_MAX);
	if (result == ERR_LIMIT)
		return error_set(err, result, TEXT("%s is larger than 64M"), path);
	return result < 0 ? error_system(err, TEXT("cannot read %s"), path) : 0;
}

// O_NONBLOCK: a named pipe in its place must not stop us.
static int open_local(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? error_system(err, TEXT("cannot open %s"), path) : fd;
}

int config_read_table_fd(int fd, const char *path, uid_t server, struct buf *out,
	struct config_look *look, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_system(err, TEXT("cannot look at %s"), path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_UNSUPPORTED, TEXT("%s is not a regular file"), path);
	look->modified_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	bool group = (st.st_mode & S_IWGRP) && st.st_gid != 0 && st.st_gid != getegid();
	look->foreign = (st.st_uid != 0 && st.st_uid != server) || group || (st.st_mode & S_IWOTH);
	if (!out)
		return 0;
	if (st.st_size < (off_t)TABLE_MAX)
		(void)buf_reserve(out, (size_t)st.st_size + READ_AHEAD);
	int result = fd_read_all(fd, out, TABLE_MAX);
	if (result == ERR_LIMIT)
		return error_set(err, result, TEXT("%s is larger than 256M"), path);
	return result < 0 ? error_system(err, TEXT("cannot read %s"), path) : 0;
}

static int read_local(void *arg, const char *path, bool secret, struct buf *out, struct error *err)
{
	int fd = open_local(path, err);
	if (fd < 0)
		return fd;
	int result = read_open(fd, path, secret, out, err);
	fd_close(&fd);
	return result;
}

static int read_table_local(void *arg, const char *path, enum config_table kind, struct buf *out,
	struct config_look *look, struct error *err)
{
	int fd = open_local(path, err);
	if (fd < 0)
		return fd;
	int result = config_read_table_fd(fd, path, geteuid(), out, look, err);
	fd_close(&fd);
	return result;
}

struct config_reader config_reader_local(void)
{
	return (struct config_reader){read_local, NULL, read_table_local};
}
