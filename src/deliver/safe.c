// SPDX-License-Identifier: ISC
#include "deliver/safe.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static bool is_owner(const struct safe_owner *o, uid_t uid)
{
	return uid == 0 || uid == o->uid;
}

static int check_folder(const struct safe_owner *o, const char *path, struct error *err)
{
	struct stat link, st;
	if (lstat(path, &link) < 0 || stat(path, &st) < 0)
		return error_system(err, TEXT("%s"), path);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ERR_DENIED, TEXT("%s is no folder"), path);
	if (!is_owner(o, link.st_uid) || !is_owner(o, st.st_uid))
		return error_set(err, ERR_DENIED,
			TEXT("%s belongs neither to root nor to the recipient"), path);
	if (st.st_mode & S_ISVTX)
		return 0;
	if (st.st_mode & S_IWOTH)
		return error_set(err, ERR_DENIED, TEXT("%s is writable by everybody"), path);
	if ((st.st_mode & S_IWGRP) && st.st_gid != 0 && st.st_gid != o->gid &&
		st.st_gid != o->mailbox_group)
		return error_set(err, ERR_DENIED, TEXT("%s is writable by a group"), path);
	return 0;
}

int safe_folders(const struct safe_owner *o, const char *path, struct error *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	if (path[0] != '/' || len >= sizeof part)
		return error_set(err, ERR_DENIED, TEXT("%.200s is no absolute path"), path);
	for (size_t n = 0; n < len; n++) {
		if (path[n] != '/' || (n && path[n - 1] == '/'))
			continue;
		memcpy(part, path, n ? n : 1);
		part[n ? n : 1] = '\0';
		int result = check_folder(o, part, err);
		if (result)
			return result;
	}
	return 0;
}

int safe_file(const struct safe_owner *o, const struct stat *st, bool readable, const char *path,
	struct error *err)
{
	if (!S_ISREG(st->st_mode))
		return error_set(err, ERR_DENIED, TEXT("%s is no plain file"), path);
	if (st->st_nlink != 1)
		return error_set(err, ERR_DENIED, TEXT("%s has more than one name (hard links)"), path);
	if (st->st_uid != o->uid && !(readable && st->st_uid == 0))
		return error_set(err, ERR_DENIED, TEXT("%s does not belong to the recipient"), path);
	if (readable && (st->st_mode & (S_IWGRP | S_IWOTH)))
		return error_set(err, ERR_DENIED, TEXT("%s is writable by others"), path);
	return 0;
}

int safe_read(const struct safe_owner *o, const char *path, size_t limit, struct buf *out,
	mode_t *out_mode, struct error *err)
{
	struct stat st;
	// Not blocking: a fifo is refused, not waited for.
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return ERR_NOT_FOUND;
	if (fd < 0 && errno == ELOOP)
		return error_set(err, ERR_DENIED, TEXT("%s is a symbolic link"), path);
	if (fd < 0)
		return error_system(err, TEXT("cannot open %s"), path);
	int result = fstat(fd, &st) < 0 ? error_system(err, TEXT("cannot look at %s"), path) :
		safe_file(o, &st, true, path, err);
	if (!result)
		result = safe_folders(o, path, err);
	if (!result && fd_read_all(fd, out, limit))
		result = error_set(err, ERR_LIMIT, TEXT("%s cannot be read, or is too large"), path);
	if (!result && out_mode)
		*out_mode = st.st_mode;
	fd_close(&fd);
	return result;
}
