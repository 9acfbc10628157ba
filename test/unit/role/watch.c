// SPDX-License-Identifier: ISC
#include "role/master_internal.h"

#include "base/file.h"
#include "base/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *in_folder(const char *name)
{
	static char paths[4][100];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const char *text)
{
	int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

// The clock of file systems goes in steps: two changes within one look the same.
static void wait_for_tick(void)
{
	struct timespec first, now;
	clock_gettime(CLOCK_REALTIME_COARSE, &first);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == first.tv_sec && now.tv_nsec == first.tv_nsec);
}

// ---- what may happen to a watched file
static void rewrite(void)
{
	put("file", "BBBB"); // as long as before
}

static void grow(void)
{
	put("file", "aaaa more");
}

static void rename_over(void)
{
	put("new", "aaaa");
	assert_int_equal(rename(in_folder("new"), in_folder("file")), 0);
}

static void take_away(void)
{
	assert_int_equal(unlink(in_folder("file")), 0);
}

static void make(void)
{
	put("missing", "there");
}

static void link_elsewhere(void)
{
	assert_int_equal(symlink("second", in_folder("new")), 0);
	assert_int_equal(rename(in_folder("new"), in_folder("link")), 0);
}

static void rewrite_target(void)
{
	put("first", "other");
}

static void change_rights(void)
{
	assert_int_equal(chmod(in_folder("file"), 0640), 0);
}

static void nothing(void)
{
}

static void touch_another(void)
{
	put("unwatched", "x");
	assert_int_equal(unlink(in_folder("unwatched")), 0);
}

static void changes_are_seen(void **state)
{
	static const struct {
		const char *name;
		void (*change)(void);
		bool seen;
	} rows[] = {{"rewrite", rewrite, true}, {"grow", grow, true}, {"rename", rename_over, true},
		{"take away", take_away, true}, {"make", make, true}, {"link", link_elsewhere, true},
		{"target", rewrite_target, true}, {"rights", change_rights, true},
		{"nothing", nothing, false}, {"another", touch_another, false}};
	static const char *const names[] = {"file", "missing", "link"};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct master *m = mem_alloc(sizeof *m);
		struct sources sources = {0};
		uv_loop_init(&m->loop);
		put("file", "aaaa");
		put("first", "1");
		put("second", "2");
		unlink(in_folder("missing"));
		unlink(in_folder("link"));
		assert_int_equal(symlink("first", in_folder("link")), 0);
		for (size_t n = 0; n < ARRAY_SIZE(names); n++)
			watch_source_add(&sources, in_folder(names[n]));
		watch_sources(m, &sources);
		assert_int_equal(sources.count, 0); // taken
		watch_start(m);
		wait_for_tick();
		rows[i].change();
		m->watch_timer.timer_cb(&m->watch_timer);
		if (m->change_seen != rows[i].seen)
			fail_msg("%s: %d", rows[i].name, m->change_seen);
		// One quiet look later it is acted on (this master serves nobody: nothing happens).
		m->watch_timer.timer_cb(&m->watch_timer);
		assert_false(m->change_seen);
		uv_close((uv_handle_t *)&m->watch_timer, NULL);
		uv_run(&m->loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&m->loop), 0);
		watch_sources_finish(&m->watched);
		mem_free(m);
	}
}

static void what_was_there_before_it_was_read_counts(void **state)
{
	struct master *m = mem_alloc(sizeof *m);
	struct sources sources = {0};
	(void)state;
	uv_loop_init(&m->loop);
	put("file", "aaaa");
	watch_source_add(&sources, in_folder("file"));
	wait_for_tick();
	put("file", "bbbb"); // while it was being read
	watch_sources(m, &sources);
	watch_start(m);
	m->watch_timer.timer_cb(&m->watch_timer);
	assert_true(m->change_seen);
	m->stopping = true; // too late to matter
	m->watch_timer.timer_cb(&m->watch_timer);
	assert_true(m->change_seen);
	uv_close((uv_handle_t *)&m->watch_timer, NULL);
	uv_run(&m->loop, UV_RUN_DEFAULT);
	uv_loop_close(&m->loop);
	watch_sources_finish(&m->watched);
	mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_seen),
		cmocka_unit_test(what_was_there_before_it_was_read_counts),
	};
	strcpy(folder, "/tmp/pabal-watch.XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	static const char *const made[] = {"file", "first", "second", "link", "missing", "new"};
	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		unlink(in_folder(made[i]));
	rmdir(folder);
	return failed;
}
