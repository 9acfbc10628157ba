// SPDX-License-Identifier: ISC
// A Maildir for tests of quotas.
#ifndef PABAL_TEST_DELIVER_QUOTA_PLACE_H
#define PABAL_TEST_DELIVER_QUOTA_PLACE_H

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "deliver/quota_maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
	char folder[64];
	int fd; // O_PATH, as a deliverer has it
};

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void make_folder(struct place *p, const char *name)
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s", p->folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static inline int make_place(void **state)
{
	struct place *p = mem_alloc(sizeof *p);
	strcpy(p->folder, "/tmp/pabal-quota-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	make_folder(p, "cur");
	make_folder(p, "new");
	make_folder(p, "tmp");
	p->fd = open(p->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->fd < 0;
}

static inline int drop_place(void **state)
{
	struct place *p = *state;
	fd_close(&p->fd);
	nftw(p->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	mem_free(p);
	return 0;
}

static inline void put(struct place *p, const char *name, const char *text)
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s", p->folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

// "" : there is no such file.
static inline const char *get(struct place *p, const char *name, char out[20000])
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s", p->folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, 19999);
	assert_true(n >= 0);
	out[n] = '\0';
	fd_close(&fd);
	return out;
}

// As if it was changed so many seconds ago.
static inline void age(struct place *p, const char *name, long seconds)
{
	char path[300];
	struct timespec times[2];
	snprintf(path, sizeof path, "%s/%s", p->folder, name);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

#endif
