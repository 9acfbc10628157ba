// SPDX-License-Identifier: ISC
// Spool files: names, making, linking, syncing their folders. Reading and removing is files.c.
#include "store/store_internal.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Milliseconds of an id begin at bit 21; bits 31 to 38 change each 1.024 s (doc/queue.md 2).
unsigned spool_folder_of(uint64_t spool)
{
	return (unsigned)(spool >> 31) & (SPOOL_FOLDERS - 1);
}

const char *spool_name(uint64_t spool, bool temporary, char out[SPOOL_NAME_MAX])
{
	char id[ID_TEXT_MAX];

	snprintf(out, SPOOL_NAME_MAX, "%02x/%s%s", spool_folder_of(spool), id_format(spool, id),
		temporary ? ".new" : "");
	return out;
}

// ---- folders

static int make_folders(struct store *s)
{
	char name[8];

	for (unsigned i = 0; i < SPOOL_FOLDERS; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		if (mkdirat(s->spool_fd, name, 0700) < 0 && errno != EEXIST)
			return ERR_SYSTEM;
	}
	// The folders themselves must outlive a crash before a file in them can.
	return fd_sync(s->spool_fd);
}

int spool_open_folders(struct store *s, bool create, struct error *err)
{
	if (create && mkdirat(s->folder_fd, "spool", 0700) < 0 && errno != EEXIST)
		return error_system(err, TEXT("cannot make the folder spool"));
	s->spool_fd = file_open_beneath(s->folder_fd, "spool", O_RDONLY | O_DIRECTORY, 0);
	if (s->spool_fd < 0)
		return error_system(err, TEXT("cannot open the folder spool"));
	if (create && make_folders(s) < 0)
		return error_system(err, TEXT("cannot make the folders in spool"));
	return 0;
}

int spool_sync_folder(struct store *s, unsigned folder)
{
	char name[8];
	int fd, err;

	snprintf(name, sizeof(name), "%02x", folder);
	fd = openat(s->spool_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ERR_SYSTEM;
	err = fd_sync(fd);
	fd_close(&fd);
	return err;
}

// ---- files

static bool name_is_free(struct store *s, uint64_t spool)
{
	char name[SPOOL_NAME_MAX];
	struct stat st;

	return fstatat(s->spool_fd, spool_name(spool, false, name), &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	       errno == ENOENT;
}

// After the clock was set back an id may be that of an old file.
static uint64_t free_id(struct store *s)
{
	uint64_t id = id_next(&s->spool_ids);

	for (int tries = 0; tries < 100 && !name_is_free(s, id); tries++)
		id = id_next(&s->spool_ids);
	return id;
}

static bool cannot_be_unnamed(int number)
{
	return number == EOPNOTSUPP || number == EISDIR || number == EINVAL || number == ENOENT;
}

int store_spool_create(struct store *s, uint64_t *out_spool, int *out_fd, struct error *err)
{
	uint64_t id = free_id(s);
	char name[SPOOL_NAME_MAX], folder[8];
	int fd;

	snprintf(folder, sizeof(folder), "%02x", spool_folder_of(id));
	fd = openat(s->spool_fd, folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && cannot_be_unnamed(errno))
		fd = openat(s->spool_fd, spool_name(id, true, name),
			O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_system(err, TEXT("cannot make a spool file"));
	*out_spool = id;
	*out_fd = fd;
	return 0;
}

static int link_unnamed(struct store *s, const char *name, int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, s->spool_fd, name, AT_SYMLINK_FOLLOW);
}

// link and not rename: a name that exists is never replaced.
static int link_named(struct store *s, uint64_t spool, const char *name)
{
	char temporary[SPOOL_NAME_MAX];

	spool_name(spool, true, temporary);
	if (linkat(s->spool_fd, temporary, s->spool_fd, name, 0) < 0)
		return -1;
	(void)unlinkat(s->spool_fd, temporary, 0); // else the sweep does
	return 0;
}

// The sweep takes a file of an earlier process that has no row for one nobody wants. Until it has
// ended no such name may appear: its row would come too late.
static bool is_swept(struct store *s, uint64_t spool)
{
	bool ended;

	pthread_mutex_lock(&s->file_lock);
	ended = s->swept_all;
	pthread_mutex_unlock(&s->file_lock);
	return !ended && spool < s->sweep.before;
}

int store_spool_link(struct store *s, uint64_t spool, int fd, struct error *err)
{
	char name[SPOOL_NAME_MAX];
	struct stat st;
	int code;

	spool_name(spool, false, name);
	if (is_swept(s, spool))
		return error_set(err, ERR_UNAVAILABLE,
			TEXT("the spool file %s is of the process before this one"), name);
	if (fstat(fd, &st) < 0)
		return error_system(err, TEXT("cannot look at a spool file"));
	code = st.st_nlink == 0 ? link_unnamed(s, name, fd) : link_named(s, spool, name);
	return code < 0 ? error_system(err, TEXT("cannot link the spool file %s"), name) : 0;
}

void store_spool_discard(struct store *s, uint64_t spool)
{
	char name[SPOOL_NAME_MAX];

	(void)unlinkat(s->spool_fd, spool_name(spool, true, name), 0);
}
