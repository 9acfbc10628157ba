// SPDX-License-Identifier: ISC
// Whole files, syncing, and paths that cannot leave their folder.
#include "base/file.h"

#include "base/text.h"

#include <uninorm.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_STEP      16384
#define FILE_NAME_MAX  255
#define OPEN_TRIES     32
#define NAME_INPUT_MAX 4096 // normalising shrinks a name, but never by that much

// ---- descriptors

void fd_close(int *fd)
{
	int number = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = number;
}

int fd_set_cloexec(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0)
		return ERR_SYSTEM;
	flags = on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
	return fcntl(fd, F_SETFD, flags) < 0 ? ERR_SYSTEM : 0;
}

int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return ERR_SYSTEM;
	return 0;
}

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE ? ERR_CLOSED : err_from_errno(errno);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_sync(int fd)
{
	int failed;

	do
		failed = fsync(fd);
	while (failed && errno == EINTR);
	return failed ? err_from_errno(errno) : 0;
}

// How many octets the next read may take: 0 when limit or the buffer is full.
static size_t read_step(const struct buf *out, size_t left)
{
	size_t room = out->limit == 0		  ? SIZE_MAX
		      : out->limit > buf_len(out) ? out->limit - buf_len(out)
						  : 0;

	if (left > room)
		left = room;
	return left < READ_STEP ? left : READ_STEP;
}

int fd_read_all(int fd, struct buf *out, size_t limit)
{
	size_t total = 0;

	for (;;) {
		size_t step = read_step(out, limit - total);
		char extra; // tells "exactly full" from "too much"
		char *to = step ? buf_reserve(out, step) : &extra;
		ssize_t n = read(fd, to, step ? step : 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		if (n == 0)
			return 0;
		if (step == 0)
			return ERR_LIMIT;
		buf_commit(out, (size_t)n);
		total += (size_t)n;
	}
}

// ---- whole files

int file_read_all(const char *path, struct buf *out, size_t limit, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int result;

	if (fd < 0)
		return error_system(err, TEXT("cannot open %s"), path);
	result = fd_read_all(fd, out, limit);
	if (result == ERR_LIMIT)
		error_set(err, result, TEXT("%s is larger than %zu octets"), path, limit);
	else if (result < 0)
		error_system(err, TEXT("cannot read %s"), path);
	fd_close(&fd);
	return result;
}

// The length of the folder part of path, with its slash; 0: the current one.
static size_t folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

int file_sync_folder_of(const char *path)
{
	char folder[PATH_MAX] = ".";
	size_t len = folder_length(path);
	int result;
	int fd;

	if (len && !str_copy(str_make(path, len), folder, sizeof(folder)))
		return ERR_LIMIT;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	result = fd_sync(fd);
	fd_close(&fd);
	return result;
}

static int write_and_sync(int fd, struct str content, unsigned mode)
{
	int result = fd_write_all(fd, content.data, content.len);

	// fchmod() and not the mode of open(): the umask has no say here.
	if (result == 0 && fchmod(fd, mode) < 0)
		result = err_from_errno(errno);
	return result ? result : fd_sync(fd);
}

int file_replace(const char *path, struct str content, unsigned mode, struct error *err)
{
	size_t folder = folder_length(path);
	char temporary[PATH_MAX];
	int result;
	int fd;
	// A leading dot keeps it from whoever lists the folder's files.
	int n = snprintf(
		temporary, sizeof(temporary), "%.*s.%s.XXXXXX", (int)folder, path, path + folder);

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return error_set(err, ERR_LIMIT, TEXT("the path %s is too long"), path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_system(err, TEXT("cannot write %s"), path);
	result = write_and_sync(fd, content, mode);
	fd_close(&fd);
	if (result < 0) {
		error_system(err, TEXT("cannot write %s"), path);
		goto undo;
	}
	if (rename(temporary, path) < 0) {
		result = error_system(err, TEXT("cannot rename to %s"), path);
		goto undo;
	}
	result = file_sync_folder_of(path);
	if (result < 0)
		error_system(err, TEXT("cannot sync the folder of %s"), path);
	return result;
undo:
	unlink(temporary);
	return result;
}

// ---- names and paths

static int add_encoded(struct buf *out, struct str name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789._+@=-";
	static const char digits[] = "0123456789ABCDEF";
	char text[FILE_NAME_MAX];
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = char_lower(name.data[i]);
		bool as_is = c && strchr(plain, c) && !(c == '.' && i == 0);

		if (len + (as_is ? 1 : 3) > sizeof(text))
			return ERR_LIMIT;
		if (as_is) {
			text[len++] = c;
			continue;
		}
		text[len++] = '%';
		text[len++] = digits[(unsigned char)c >> 4];
		text[len++] = digits[(unsigned char)c & 15];
	}
	return buf_add(out, text, len);
}

int file_name_encode(struct str name, struct buf *out)
{
	uint8_t *normal;
	size_t len;
	int result;

	if (name.len == 0)
		return ERR_SYNTAX;
	if (name.len > NAME_INPUT_MAX)
		return ERR_LIMIT;
	if (str_is_ascii(name))
		return add_encoded(out, name);
	if (!str_is_utf8(name))
		return ERR_SYNTAX;
	// NFC before lower case: U+212A (Kelvin) becomes the letter K.
	normal = u8_normalize(UNINORM_NFC, (const uint8_t *)name.data, name.len, NULL, &len);
	if (!normal)
		fatal("out of memory (a file name)");
	result = add_encoded(out, str_make(normal, len));
	free(normal);
	return result;
}

// A new folder is only sure to stay once the folder that holds it is synced.
static int make_folder(int at, const char *name, unsigned mode)
{
	int result;
	int fd;

	if (mkdirat(at, name, mode) < 0)
		return errno == EEXIST ? 0 : err_from_errno(errno);
	fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	result = fd_sync(fd);
	fd_close(&fd);
	return result;
}

int file_make_folders(int at, const char *path, unsigned mode)
{
	struct str rest = str_from(path);
	struct str part;
	int folder = -1;
	int result = path[0] == '/' ? ERR_DENIED : 0;

	while (result == 0 && str_split(&rest, '/', &part)) {
		int parent = folder >= 0 ? folder : at;
		char name[NAME_MAX + 1];
		int next;

		if (part.len == 0 || str_equal(part, STR(".")))
			continue;
		if (str_equal(part, STR("..")))
			result = ERR_DENIED;
		else if (!str_copy(part, name, sizeof(name)))
			result = ERR_LIMIT;
		else
			result = make_folder(parent, name, mode);
		if (result < 0)
			break;
		next = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0) // a link or a file stands there
			result = errno == ENOTDIR || errno == ELOOP ? ERR_DENIED
								    : err_from_errno(errno);
		fd_close(&folder);
		folder = next;
	}
	fd_close(&folder);
	return result;
}

int file_open_beneath(int at, const char *path, int flags, unsigned mode)
{
	bool creates = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = creates ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd = -1;

	// EAGAIN: something was renamed while the kernel looked. Not for ever:
	// whoever owns the folder could go on renaming.
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		fd = syscall(SYS_openat2, at, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EINTR && errno != EAGAIN))
			break;
	}
	if (fd >= 0)
		return (int)fd;
	if (errno == EXDEV || errno == ELOOP)
		return ERR_DENIED;
	return errno == EEXIST ? ERR_EXISTS : err_from_errno(errno);
}
