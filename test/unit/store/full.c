// SPDX-License-Identifier: ISC
// A disk that is full or cannot be written: 4xx errors, nothing committed is lost, and all is well
// again when the disk is, without opening the store anew.
#include "help.h"

#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char *folder;
static struct store *s;
static uint64_t next_number = 1000;

static struct str kilobytes(unsigned count)
{
	static char octets[60 * 1024];

	memset(octets, 'k', sizeof(octets));
	return str_make(octets, count * 1024);
}

// A message of that size; its recipient is its number + 1.
static int put_size(uint64_t number, unsigned size)
{
	struct store_batch *b = store_batch_create();
	struct str octets = kilobytes(size);

	add_message_with(b, number, &(struct store_body){.octets = octets}, octets,
		&(struct to){.id = number + 1}, 1);
	return apply(s, b);
}

static uint64_t fill_until_it_fails(int *out_err)
{
	uint64_t stored = 0;

	for (int i = 0; i < 5000; i++) {
		*out_err = put_size(next_number, 50);
		if (*out_err < 0)
			return stored;
		stored++;
		next_number += 2;
	}
	return stored;
}

static void all_are_whole(uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(read_body(s, first + 2 * i).err, 0);
	assert_int_equal(totals(s).messages, count);
}

static int finish(uint64_t number)
{
	struct store_batch *b = store_batch_create();

	store_batch_finish_recipient(b, number, number + 1);
	return apply(s, b);
}

// ---------------------------------------------------------------- in a small file system

// Runs the test in a child with a mount namespace of its own: nobody else sees the mount.
static void in_small_file_system(const char *size, void (*test)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char options[40];

		snprintf(options, sizeof(options), "size=%s", size);
		if (unshare(CLONE_NEWNS) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("small", folder, "tmpfs", 0, options) < 0)
			_exit(77);
		s = open_store(folder);
		test();
		store_close(s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("cannot mount a file system here (not root): this is not tested\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

// cmocka cannot report from a child: a failed check ends it.
#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void fill_empty_and_go_on(void)
{
	uint64_t first = next_number, stored, more;
	int err;

	stored = fill_until_it_fails(&err);
	NEED(err == ERR_FULL);
	NEED(stored > 20);
	all_are_whole(first, stored);
	NEED(fill_until_it_fails(&err) == 0);
	NEED(err == ERR_FULL);
	// On the full disk what was delivered can still be taken out, and that makes room.
	for (uint64_t i = 0; i < stored; i++)
		NEED(finish(first + 2 * i) == 0);
	NEED(totals(s).messages == 0);
	first = next_number;
	more = fill_until_it_fails(&err);
	NEED(more >= stored / 2);
	all_are_whole(first, more);
	// And what is on the disk is what was promised.
	store_close(s);
	s = open_store(folder);
	all_are_whole(first, more);
}

static void other_files_fill_the_disk(void)
{
	static char block[64 * 1024];
	int fd = open(in_folder(folder, "ballast"), O_WRONLY | O_CREAT, 0600);
	int err;

	NEED(put_size(10, 50) == 0);
	NEED(put_size(12, 50) == 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	for (size_t size = 4096; size; size /= 2) {
		while (write(fd, block, size) > 0)
			;
	}
	fill_until_it_fails(&err);
	NEED(err == ERR_FULL);
	NEED(finish(12) == 0);
	NEED(read_body(s, 10).err == 0);
	close(fd);
	NEED(unlink(in_folder(folder, "ballast")) == 0);
	NEED(put_size(next_number, 50) == 0);
	NEED(read_body(s, next_number).err == 0);
	NEED(read_body(s, 10).err == 0);
}

// Of a group on a nearly full disk, what fits is taken.
static void small_ones_fit_where_large_ones_do_not(void)
{
	struct store_batch *b[4];
	int errs[4];
	static char block[4096];
	int fd = open(in_folder(folder, "ballast"), O_WRONLY | O_CREAT, 0600);

	NEED(put_size(10, 50) == 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	NEED(ftruncate(fd, lseek(fd, 0, SEEK_CUR) - 120 * 1024) == 0);
	for (unsigned i = 0; i < 4; i++) {
		struct str octets = kilobytes(i == 1 ? 60 : 1);

		b[i] = store_batch_create();
		for (unsigned n = 0; n < (i == 1 ? 40 : 1); n++)
			add_message_with(b[i], 100 + 1000 * i + n,
				&(struct store_body){.octets = octets}, octets,
				&(struct to){.id = 500000 + 1000 * i + n}, 1);
		store_apply(s, b[i], note_err, &errs[i]);
	}
	store_wait(s);
	NEED(errs[1] == ERR_FULL);
	NEED(errs[0] == 0 && errs[2] == 0 && errs[3] == 0);
	NEED(totals(s).messages == 4);
	close(fd);
}

static void a_full_disk(void **state)
{
	folder = make_folder();
	in_small_file_system("8m", fill_empty_and_go_on);
	in_small_file_system("8m", other_files_fill_the_disk);
	in_small_file_system("8m", small_ones_fit_where_large_ones_do_not);
	remove_folder(folder);
}

// ---------------------------------------------------------------- writes that fail otherwise

static unsigned failing_events, working_events;

static void count_events(const struct event *e, void *arg)
{
	if (e->level == EVENT_ERROR)
		failing_events++;
	else if (str_search(event_get(e, "reason"), STR("again")) >= 0)
		working_events++;
}

// No write may pass this size of a file; EFBIG is neither full nor gone.
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void writes_that_fail(void **state)
{
	uint64_t first = next_number, stored;
	int err;

	signal(SIGXFSZ, SIG_IGN);
	folder = make_folder();
	s = open_store(folder);
	event_set_tap(count_events, NULL);
	assert_int_equal(put_size(next_number, 50), 0);
	next_number += 2;
	limit_files(1024 * 1024);
	stored = 1 + fill_until_it_fails(&err);
	assert_int_equal(err, ERR_SYSTEM);
	for (int i = 0; i < 10; i++)
		assert_int_equal(put_size(next_number, 50), ERR_SYSTEM);
	all_are_whole(first, stored);
	limit_files(RLIM_INFINITY);
	assert_int_equal(put_size(next_number, 50), 0);
	next_number += 2;
	all_are_whole(first, stored + 1);
	assert_int_equal(failing_events, 1); // not one a request
	store_close(s);
	s = open_store(folder);
	all_are_whole(first, stored + 1);
	store_close(s);
	event_set_tap(NULL, NULL);
	remove_folder(folder);
}

// The folder of a spool file cannot be synced: its message is refused, others of the group are not.
static void a_spool_folder_that_is_gone(void **state)
{
	struct store_batch *b[3];
	int errs[3], fd;
	uint64_t spool;
	char command[300];

	folder = make_folder();
	s = open_store(folder);
	assert_int_equal(store_spool_create(s, &spool, &fd, NULL), 0);
	assert_int_equal(store_spool_link(s, spool, fd, NULL), 0);
	close(fd);
	snprintf(command, sizeof(command), "rm -rf %s/spool/*", folder);
	assert_int_equal(system(command), 0);
	for (unsigned i = 0; i < 3; i++) {
		b[i] = store_batch_create();
		if (i == 1)
			add_message_with(b[i], 10 + i, &(struct store_body){.spool = spool},
				STR("x"), &(struct to){.id = 20 + i}, 1);
		else
			add_message(b[i], 10 + i, &(struct to){.id = 20 + i}, 1);
		store_apply(s, b[i], note_err, &errs[i]);
	}
	store_wait(s);
	assert_int_equal(errs[0], 0);
	assert_int_equal(errs[1], ERR_SYSTEM);
	assert_int_equal(errs[2], 0);
	assert_int_equal(totals(s).messages, 2);
	store_close(s);
	remove_folder(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_that_fail),
		cmocka_unit_test(a_spool_folder_that_is_gone),
		cmocka_unit_test(a_full_disk),
	};
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	event_setup("test", fd, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
