// SPDX-License-Identifier: ISC
// Spool files: made, linked, read, removed with their message, swept, checked.
#include "opened.h"

#include "base/clock.h"
#include "store/store_internal.h"

#include <fcntl.h>

#define LARGE 200000

static struct str large_body(char fill)
{
	static char octets[LARGE];

	memset(octets, fill, sizeof(octets));
	return str_make(octets, sizeof(octets));
}

static const char *path_of(uint64_t spool)
{
	char name[SPOOL_NAME_MAX], path[100];

	snprintf(path, sizeof(path), "spool/%s", spool_name(spool, false, name));
	return in_folder(folder, path);
}

// What smtpd and queue do: made, written, synced, linked.
static uint64_t spool_body(struct str octets)
{
	uint64_t spool = 0;
	int fd = -1;

	assert_int_equal(store_spool_create(s, &spool, &fd, NULL), 0);
	assert_true(write(fd, octets.data, octets.len) == (ssize_t)octets.len);
	assert_int_equal(fsync(fd), 0);
	assert_false(file_exists(path_of(spool)));
	assert_int_equal(store_spool_link(s, spool, fd, NULL), 0);
	close(fd);
	assert_true(file_exists(path_of(spool)));
	return spool;
}

static int put_large(uint64_t number, uint64_t spool, struct str octets)
{
	struct store_batch *b = store_batch_create();

	add_message_with(b, number, &(struct store_body){.spool = spool}, octets,
		&(struct to){.id = number + 1}, 1);
	return apply(s, b);
}

static void finish(uint64_t number)
{
	struct store_batch *b = store_batch_create();

	store_batch_finish_recipient(b, number, number + 1);
	assert_int_equal(apply(s, b), 0);
}

// The file thread does things in order: when it has answered this, it has done what came before.
static void let_files_settle(void)
{
	uint64_t spool = spool_body(large_body('w'));

	assert_int_equal(put_large(900, spool, large_body('w')), 0);
	close(read_body(s, 900).fd);
	finish(900);
}

static void a_large_body_lives_in_a_file(void **state)
{
	uint64_t spool = spool_body(large_body('a'));
	struct read_body body;
	struct stat st;
	char octet = 0;

	assert_int_equal(put_large(10, spool, large_body('a')), 0);
	store_close(s);
	s = open_store(folder);
	file_sweep_wait(s);
	body = read_body(s, 10);
	assert_int_equal(body.err, 0);
	assert_int_equal(body.len, 0);
	assert_true(body.fd >= 0);
	assert_int_equal(fstat(body.fd, &st), 0);
	assert_int_equal(st.st_size, LARGE);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(read(body.fd, &octet, 1), 1); // from the beginning
	assert_int_equal(octet, 'a');
	assert_true(write(body.fd, "x", 1) < 0); // for reading only
	finish(10);
	let_files_settle();
	assert_false(file_exists(path_of(spool)));
	// A reader that has it open goes on.
	assert_int_equal(lseek(body.fd, LARGE - 1, SEEK_SET), LARGE - 1);
	assert_int_equal(read(body.fd, &octet, 1), 1);
	close(body.fd);
}

static void a_body_given_up_leaves_nothing(void **state)
{
	uint64_t spool;
	int fd;

	assert_int_equal(store_spool_create(s, &spool, &fd, NULL), 0);
	assert_true(write(fd, "abc", 3) == 3);
	close(fd);
	store_spool_discard(s, spool);
	assert_false(file_exists(path_of(spool)));
}

// Where O_TMPFILE is missing the file has a name from the beginning; made by hand here.
static void a_named_temporary_file_works_too(void **state)
{
	uint64_t spool = id_next(&s->spool_ids);
	char temporary[SPOOL_NAME_MAX];
	int fd = openat(
		s->spool_fd, spool_name(spool, true, temporary), O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_true(write(fd, "abc", 3) == 3);
	assert_int_equal(store_spool_link(s, spool, fd, NULL), 0);
	close(fd);
	assert_true(file_exists(path_of(spool)));
	assert_int_equal(faccessat(s->spool_fd, temporary, F_OK, 0), -1);
	assert_int_equal(put_large(10, spool, STR("abc")), 0);
	close(read_body(s, 10).fd);
	assert_int_equal(read_body(s, 10).err, 0);

	spool = id_next(&s->spool_ids);
	fd = openat(
		s->spool_fd, spool_name(spool, true, temporary), O_RDWR | O_CREAT | O_EXCL, 0600);
	close(fd);
	store_spool_discard(s, spool);
	assert_int_equal(faccessat(s->spool_fd, temporary, F_OK, 0), -1);
}

static void a_name_is_never_taken_twice(void **state)
{
	uint64_t spool = spool_body(STR("first")), other;
	int fd;

	assert_int_equal(store_spool_create(s, &other, &fd, NULL), 0);
	assert_int_not_equal(other, spool);
	assert_int_not_equal(store_spool_link(s, spool, fd, NULL), 0);
	close(fd);
}

static void the_file_of_a_failed_batch_goes(void **state)
{
	uint64_t used = spool_body(large_body('a')), lost;

	assert_int_equal(put_large(10, used, large_body('a')), 0);
	lost = spool_body(large_body('b'));
	assert_int_equal(put_large(10, lost, large_body('b')), ERR_EXISTS);
	let_files_settle();
	assert_false(file_exists(path_of(lost)));
	// The same batch twice: the file belongs to the one that is stored.
	assert_int_equal(put_large(10, used, large_body('a')), ERR_EXISTS);
	let_files_settle();
	assert_true(file_exists(path_of(used)));
	close(read_body(s, 10).fd);
}

static void the_sweep_takes_only_what_is_left_over(void **state)
{
	uint64_t used = spool_body(large_body('a')), left[40], young;
	char name[SPOOL_NAME_MAX], foreign[100];
	int fd;

	assert_int_equal(put_large(10, used, large_body('a')), 0);
	for (unsigned i = 0; i < 40; i++)
		left[i] = spool_body(STR("linked, never committed"));
	fd = openat(s->spool_fd, spool_name(left[0], true, name), O_RDWR | O_CREAT, 0600);
	close(fd);
	snprintf(foreign, sizeof(foreign), "spool/%02x/README", spool_folder_of(left[0]));
	fclose(fopen(in_folder(folder, foreign), "w"));
	store_close(s);
	// What bears the time at which the store is opened could be arriving.
	for (uint64_t now = clock_wall_ms(); clock_wall_ms() == now;)
		;

	s = open_store(folder);
	young = spool_body(STR("arriving while the sweep is on"));
	file_sweep_wait(s);
	assert_int_equal(store_spool_swept(s), 41);
	for (unsigned i = 0; i < 40; i++)
		assert_false(file_exists(path_of(left[i])));
	assert_true(file_exists(path_of(used)));
	assert_true(file_exists(path_of(young)));
	assert_true(file_exists(in_folder(folder, foreign)));
	assert_int_equal(faccessat(s->spool_fd, spool_name(left[0], true, name), F_OK, 0), -1);
	assert_int_equal(put_large(20, young, STR("arriving while the sweep is on")), 0);
	close(read_body(s, 20).fd);
	assert_int_equal(read_body(s, 10).err, 0);
}

// smtpd may bring a body that it began before the queue was restarted.
static void an_old_file_is_not_linked_into_the_sweep(void **state)
{
	uint64_t spool = 0;
	int fd = -1;

	assert_int_equal(store_spool_create(s, &spool, &fd, NULL), 0);
	store_close(s);
	s = open_store(folder);
	file_sweep_wait(s);
	s->swept_all = false; // as if it still went on
	assert_int_equal(store_spool_link(s, spool, fd, NULL), ERR_UNAVAILABLE);
	assert_false(file_exists(path_of(spool)));
	s->swept_all = true;
	assert_int_equal(store_spool_link(s, spool, fd, NULL), 0);
	assert_true(file_exists(path_of(spool)));
	close(fd);
}

// ---- damage

enum damage { CHANGE, CUT, LENGTHEN, REMOVE, LINK };

static void damage(const char *path, enum damage how)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	if (how == CHANGE)
		assert_int_equal(pwrite(fd, "z", 1, LARGE / 2), 1);
	if (how == CUT)
		assert_int_equal(ftruncate(fd, LARGE - 1), 0);
	if (how == LENGTHEN)
		assert_int_equal(ftruncate(fd, LARGE + 1), 0);
	close(fd);
	if (how == REMOVE || how == LINK)
		assert_int_equal(unlink(path), 0);
	if (how == LINK)
		assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void a_damaged_file_is_not_given_out(void **state)
{
	for (unsigned how = CHANGE; how <= LINK; how++) {
		uint64_t spool = spool_body(large_body('a'));
		struct read_body body;

		assert_int_equal(put_large(10 + 10 * how, spool, large_body('a')), 0);
		damage(path_of(spool), how);
		body = read_body(s, 10 + 10 * how);
		assert_int_equal(body.err, ERR_CORRUPT);
		assert_int_equal(body.fd, -1);
	}
}

static void folders_change_with_time(void **state)
{
	struct id_source source = {.last_ms = UINT64_C(1) << 41};
	uint64_t first = source.last_ms << 21;

	assert_int_equal(spool_folder_of(first), 0);
	assert_int_equal(spool_folder_of(first + ((UINT64_C(1) << 31) - 1)), 0);
	assert_int_equal(spool_folder_of(first + (UINT64_C(1) << 31)), 1);
	assert_int_equal(spool_folder_of(first + (UINT64_C(255) << 31)), 255);
	assert_int_equal(spool_folder_of(first + (UINT64_C(256) << 31)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_large_body_lives_in_a_file),
		TEST(a_body_given_up_leaves_nothing),
		TEST(a_named_temporary_file_works_too),
		TEST(a_name_is_never_taken_twice),
		TEST(the_file_of_a_failed_batch_goes),
		TEST(the_sweep_takes_only_what_is_left_over),
		TEST(an_old_file_is_not_linked_into_the_sweep),
		TEST(a_damaged_file_is_not_given_out),
		TEST(folders_change_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
