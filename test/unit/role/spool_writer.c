// SPDX-License-Identifier: ISC
#include "role/spool_writer.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
	uv_loop_t loop;
	struct spool_writer *writer;
	unsigned synced, relieved;
	int err;
	bool destroys; // in the callback
};

static void on_synced(void *arg, int err)
{
	struct seen *s = arg;
	s->synced++;
	s->err = err;
	if (s->destroys) {
		spool_writer_destroy(s->writer);
		s->writer = NULL;
	}
}

static void on_relieved(void *arg)
{
	struct seen *s = arg;
	s->relieved++;
	assert_false(spool_writer_behind(s->writer));
	if (s->destroys) {
		spool_writer_destroy(s->writer);
		s->writer = NULL;
	}
}

static void seen_open(struct seen *s, int fd)
{
	memset(s, 0, sizeof *s);
	assert_true(fd >= 0);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	s->writer = spool_writer_create(&s->loop, fd, on_synced, on_relieved, s);
	assert_int_equal(spool_writer_fd(s->writer), fd);
}

static void seen_close(struct seen *s)
{
	spool_writer_destroy(s->writer);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
}

static void wait_synced(struct seen *s)
{
	spool_writer_sync(s->writer);
	while (!s->synced && uv_run(&s->loop, UV_RUN_ONCE))
		;
	assert_int_equal(s->synced, 1);
}

static int open_unnamed(void)
{
	char path[] = "/tmp/pabal-spool.XXXXXX";
	int fd = mkstemp(path);
	unlink(path);
	return fd;
}

static void fill(char *to, size_t len, size_t from)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (char)((from + i) * 31 % 251);
}

// ---- writing
static void octets_in_order(void **state)
{
	static char piece[100000], back[100000];
	struct seen s;
	size_t total = 0;
	int fd = open_unnamed(), copy = dup(fd);
	(void)state;
	seen_open(&s, fd);
	for (size_t i = 0; i < 200; i++) {
		size_t len = i * 7919 % 60000;
		fill(piece, len, total);
		spool_writer_add(s.writer, str_make(piece, len));
		memset(piece, 0, len); // copied
		total += len;
		if (i % 3 == 0)
			uv_run(&s.loop, UV_RUN_NOWAIT);
	}
	wait_synced(&s);
	assert_int_equal(s.err, 0);
	assert_int_equal(lseek(copy, 0, SEEK_END), total);
	for (size_t at = 0; at < total; at += sizeof back) {
		size_t len = total - at < sizeof back ? total - at : sizeof back;
		assert_int_equal(pread(copy, back, len, (off_t)at), len);
		fill(piece, len, at);
		assert_memory_equal(back, piece, len);
	}
	close(copy);
	seen_close(&s);
}

static void nothing_at_all(void **state)
{
	struct seen s;
	(void)state;
	seen_open(&s, open_unnamed());
	spool_writer_add(s.writer, STR_EMPTY);
	assert_false(spool_writer_behind(s.writer));
	wait_synced(&s);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.relieved, 0);
	seen_close(&s);
}

static void who_is_behind_is_relieved(void **state)
{
	static char piece[65536];
	struct seen s;
	int pipes[2];
	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0); // takes 64 KiB, then its writer waits
	seen_open(&s, pipes[1]);
	unsigned count = 0;
	while (!spool_writer_behind(s.writer)) {
		spool_writer_add(s.writer, str_make(piece, sizeof piece));
		assert_true(++count < 20);
	}
	uv_run(&s.loop, UV_RUN_NOWAIT);
	assert_int_equal(s.relieved, 0);
	// The loop starts the next write when the thread is done with one, so both have to go on.
	assert_int_equal(fd_set_nonblocking(pipes[0]), 0);
	while (!s.relieved) {
		uv_run(&s.loop, UV_RUN_NOWAIT);
		if (read(pipes[0], piece, sizeof piece) < 0)
			assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(s.relieved, 1);
	assert_false(spool_writer_behind(s.writer));
	seen_close(&s);
	assert_int_equal(s.relieved, 1);
	close(pipes[0]);
}

// ---- what goes wrong
static void a_full_device(void **state)
{
	struct seen s;
	(void)state;
	seen_open(&s, open("/dev/full", O_WRONLY | O_CLOEXEC));
	for (int i = 0; i < 50; i++) { // the first failure stays
		spool_writer_add(s.writer, STR("octets"));
		uv_run(&s.loop, UV_RUN_NOWAIT);
	}
	wait_synced(&s);
	assert_int_equal(s.err, ERR_FULL);
	seen_close(&s);
}

static void a_disk_that_gets_full(void **state)
{
	static char piece[40000];
	char folder[] = "/tmp/pabal-full.XXXXXX", path[64];
	struct seen s;
	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mount("tmpfs", folder, "tmpfs", 0, "size=256k"), 0);
	snprintf(path, sizeof path, "%s/body", folder);
	seen_open(&s, open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	for (int i = 0; i < 20; i++)
		spool_writer_add(s.writer, str_make(piece, sizeof piece));
	wait_synced(&s);
	assert_int_equal(s.err, ERR_FULL);
	seen_close(&s);
	// The file is closed: the file system is free.
	assert_int_equal(umount(folder), 0);
	rmdir(folder);
}

static void a_file_that_cannot_be_written(void **state)
{
	struct seen s;
	(void)state;
	seen_open(&s, open("/dev/null", O_RDONLY | O_CLOEXEC));
	spool_writer_add(s.writer, STR("octets"));
	wait_synced(&s);
	assert_int_equal(s.err, ERR_SYSTEM);
	seen_close(&s);
}

static void a_file_that_cannot_be_synced(void **state)
{
	struct seen s;
	int pipes[2];
	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	seen_open(&s, pipes[1]);
	spool_writer_add(s.writer, STR("octets"));
	wait_synced(&s);
	assert_int_equal(s.err, ERR_SYSTEM);
	seen_close(&s);
	close(pipes[0]);
}

// ---- the end
static void destroyed_while_a_thread_writes(void **state)
{
	static char piece[300000], back[65536];
	struct seen s;
	int pipes[2];
	size_t total = 0;
	ssize_t n;
	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	seen_open(&s, pipes[1]);
	spool_writer_add(s.writer, str_make(piece, sizeof piece));
	spool_writer_add(s.writer, str_make(piece, sizeof piece)); // waits, and is forgotten
	spool_writer_sync(s.writer);
	uv_run(&s.loop, UV_RUN_NOWAIT);
	spool_writer_destroy(s.writer);
	s.writer = NULL;
	while (total < sizeof piece && (n = read(pipes[0], back, sizeof back)) > 0)
		total += (size_t)n;
	uv_run(&s.loop, UV_RUN_DEFAULT);
	assert_int_equal(s.synced + s.relieved, 0);
	assert_int_equal(read(pipes[0], back, 1), 0); // its end is closed
	assert_int_equal(total, sizeof piece);
	close(pipes[0]);
	seen_close(&s);
}

static void destroyed_before_anything(void **state)
{
	struct seen s;
	int pipes[2];
	char octet;
	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	seen_open(&s, pipes[1]);
	spool_writer_destroy(s.writer);
	spool_writer_destroy(NULL);
	s.writer = NULL;
	assert_int_equal(read(pipes[0], &octet, 1), 0);
	close(pipes[0]);
	seen_close(&s);
}

static void destroyed_in_its_own_callbacks(void **state)
{
	static char piece[400000];
	struct seen s;
	(void)state;
	seen_open(&s, open_unnamed());
	s.destroys = true;
	wait_synced(&s);
	assert_null(s.writer);
	seen_close(&s);

	seen_open(&s, open_unnamed());
	s.destroys = true;
	spool_writer_add(s.writer, str_make(piece, sizeof piece)); // goes to the thread at once
	spool_writer_add(s.writer, str_make(piece, sizeof piece));
	assert_true(spool_writer_behind(s.writer));
	uv_run(&s.loop, UV_RUN_DEFAULT);
	assert_int_equal(s.relieved, 1);
	assert_null(s.writer);
	seen_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(octets_in_order),
		cmocka_unit_test(nothing_at_all),
		cmocka_unit_test(who_is_behind_is_relieved),
		cmocka_unit_test(a_full_device),
		cmocka_unit_test(a_disk_that_gets_full),
		cmocka_unit_test(a_file_that_cannot_be_written),
		cmocka_unit_test(a_file_that_cannot_be_synced),
		cmocka_unit_test(destroyed_while_a_thread_writes),
		cmocka_unit_test(destroyed_before_anything),
		cmocka_unit_test(destroyed_in_its_own_callbacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
