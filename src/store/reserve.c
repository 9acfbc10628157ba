// SPDX-License-Identifier: ISC
// Room that is kept for the end of mail: a file of zeros, given back when the disk is full, so
// that the log can be moved and deliveries can be committed. New messages are taken only while
// the reserve is whole. Commit thread, and store_open before that.
#include "store/store_internal.h"

#include "base/file.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_MAX  (64UL * 1024 * 1024)
#define PART_OF_DISK 32 // of a small disk, at most this part
#define LOG_MOST     8	// times log_move: then moving it has failed again and again

static uint64_t free_octets(struct store *s)
{
	struct statvfs disk;

	return fstatvfs(s->folder_fd, &disk) < 0 ? 0 : (uint64_t)disk.f_bavail * disk.f_frsize;
}

// False: nothing was gained, the disk stays full and the next commit tells.
static bool give(struct store *s)
{
	return ftruncate(s->reserve.fd, 0) == 0;
}

static bool take(struct store *s)
{
	if (posix_fallocate(s->reserve.fd, 0, (off_t)s->reserve.size) == 0)
		return true;
	give(s); // what was got of it
	return false;
}

bool reserve_give_up(struct store *s)
{
	int fd = openat(s->folder_fd, "queue.reserve", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	bool given = fd >= 0 && ftruncate(fd, 0) == 0;

	fd_close(&fd);
	return given;
}

int reserve_open(struct store *s, struct error *err)
{
	struct statvfs disk;
	uint64_t size = RESERVE_MAX;

	s->reserve.fd = openat(
		s->folder_fd, "queue.reserve", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->reserve.fd < 0 || fstatvfs(s->folder_fd, &disk) < 0)
		return error_system(err, TEXT("cannot make the file queue.reserve"));
	if ((uint64_t)disk.f_blocks * disk.f_frsize / PART_OF_DISK < size)
		size = (uint64_t)disk.f_blocks * disk.f_frsize / PART_OF_DISK;
	s->reserve.size = size;
	s->reserve.log_move = size / 4;
	s->reserve.whole = take(s);
	return 0;
}

void reserve_finish(struct store *s)
{
	fd_close(&s->reserve.fd);
}

int reserve_check(struct store *s)
{
	const char *why = NULL;

	if (!s->reserve.whole)
		why = TEXT("the disk is full");
	else if (sql_log_size(s->db) > s->reserve.log_move * LOG_MOST)
		why = TEXT("the log cannot be moved into queue.db");
	if (!why)
		return 0;
	snprintf(s->words, sizeof(s->words), "%s", why);
	return s->reserve.whole ? ERR_SYSTEM : ERR_FULL;
}

void reserve_use(struct store *s)
{
	give(s);
	s->reserve.whole = false;
	// Moving the log also gives back what a transaction that failed has taken of the disk.
	(void)sql_checkpoint_truncate(s->db);
	reserve_restore(s);
}

// A database that was full and is empty now has the room we need.
static void shrink_until_free(struct store *s, uint64_t wanted)
{
	uint64_t have, size, unused;

	while ((have = free_octets(s)) < wanted) {
		if (sql_size(s->db, &size, &unused) < 0 || have + unused < wanted || unused == 0)
			return;
		if (sql_shrink(s->db, s->reserve.size / 8) < 0 ||
			sql_checkpoint_truncate(s->db) < 0)
			return;
	}
}

// Not the last octet: the log has to grow, too.
void reserve_restore(struct store *s)
{
	uint64_t wanted = s->reserve.size + s->reserve.size / 2;

	if (s->reserve.whole)
		return;
	shrink_until_free(s, wanted);
	if (free_octets(s) >= wanted)
		s->reserve.whole = take(s);
}
