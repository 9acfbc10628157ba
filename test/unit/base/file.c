// SPDX-License-Identifier: ISC
#include "base/file.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64]; // a new one for each test, which is also the current one
static int folder_fd = -1;

static int enter(void **state)
{
	strcpy(folder, "/tmp/pabal-file-XXXXXX");
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	folder_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd < 0;
}

static void remove_all(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fdopendir(fd);
	struct dirent *entry;

	assert_non_null(list);
	while ((entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(at, entry->d_name, 0) < 0) {
			int below = openat(at, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
			assert_true(below >= 0);
			remove_all(below);
			close(below);
			unlinkat(at, entry->d_name, AT_REMOVEDIR);
		}
	}
	closedir(list);
}

static int leave(void **state)
{
	remove_all(folder_fd);
	fd_close(&folder_fd);
	return chdir("/") < 0 || rmdir(folder) < 0;
}

static unsigned count_files(void)
{
	DIR *list = opendir(".");
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(list);
	while ((entry = readdir(list)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(list);
	return count;
}

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(&fd);
}

static void test_descriptors(void **state)
{
	int fd = open(".", O_RDONLY);
	int copy = fd;

	assert_int_equal(fd_set_cloexec(fd, true), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_set_cloexec(fd, false), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(fd_set_nonblocking(fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_sync(fd), 0);
	errno = EDOM;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	fd_close(&fd);
	assert_int_equal(errno, EDOM);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	assert_int_equal(fd_set_cloexec(-1, true), ERR_SYSTEM);
	assert_int_equal(fd_set_nonblocking(-1), ERR_SYSTEM);
	assert_int_equal(fd_sync(-1), ERR_SYSTEM);
}

static void test_write_all(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int ends[2];

	assert_true(full >= 0);
	assert_int_equal(fd_write_all(full, "x", 1), ERR_FULL);
	assert_int_equal(fd_write_all(full, NULL, 0), 0);
	fd_close(&full);
	assert_int_equal(fd_write_all(-1, "x", 1), ERR_SYSTEM);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(fd_write_all(ends[1], "x", 1), ERR_CLOSED);
	close(ends[1]);
}

static void test_read_all(void **state)
{
	static const struct {
		size_t size, limit, bound;
		int err;
	} rows[] = {
		{0, 0, 0, 0},
		{1, 0, 0, ERR_LIMIT},
		{0, 100, 0, 0},
		{100, 100, 0, 0},
		{101, 100, 0, ERR_LIMIT},
		{100000, 100000, 0, 0},
		{100001, 100000, 0, ERR_LIMIT},
		{100000, SIZE_MAX, 0, 0},
		{100, 1000, 100, 0}, // the buffer's own bound
		{101, 1000, 100, ERR_LIMIT},
		{50000, 100000, 40000, ERR_LIMIT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf in = BUF_INIT;
		struct buf out = {.limit = rows[i].bound};
		struct error err = {0};

		for (size_t k = 0; k < rows[i].size; k++)
			buf_add_char(&in, (char)(k % 253));
		assert_int_equal(file_replace("f", buf_str(&in), 0600, NULL), 0);
		assert_int_equal(file_read_all("f", &out, rows[i].limit, &err), rows[i].err);
		assert_int_equal(err.code, rows[i].err);
		if (rows[i].err == 0)
			assert_true(str_equal(buf_str(&in), buf_str(&out)));
		buf_finish(&in);
		buf_finish(&out);
	}
}

static void test_read_errors(void **state)
{
	struct buf out = BUF_INIT;
	struct error err;

	assert_int_equal(file_read_all("none", &out, 10, &err), ERR_NOT_FOUND);
	assert_string_equal(err.text, "cannot open none: No such file or directory");
	assert_int_equal(file_read_all("none", &out, 10, NULL), ERR_NOT_FOUND);
	assert_int_equal(file_read_all(".", &out, 10, &err), ERR_SYSTEM);
	assert_string_equal(err.text, "cannot read .: Is a directory");
	put_file("f", "12345678901");
	assert_int_equal(file_read_all("f", &out, 10, &err), ERR_LIMIT);
	assert_string_equal(err.text, "f is larger than 10 octets");
	buf_finish(&out);
	buf_add_text(&out, "before ");
	assert_int_equal(file_read_all("f", &out, 11, &err), 0);
	assert_string_equal(buf_cstr(&out), "before 12345678901");
	buf_finish(&out);
}

static void test_replace(void **state)
{
	struct buf out = BUF_INIT;
	struct error err;
	struct stat st;
	char absolute[100];
	char name[300];

	umask(077);
	assert_int_equal(file_replace("f", STR("one"), 0640, &err), 0);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640); // whatever the umask
	assert_int_equal(file_replace("f", STR("two"), 0600, &err), 0);
	assert_int_equal(file_read_all("f", &out, 100, &err), 0);
	assert_string_equal(buf_cstr(&out), "two");
	snprintf(absolute, sizeof(absolute), "%s/g", folder);
	assert_int_equal(file_replace(absolute, STR_EMPTY, 0600, &err), 0);
	assert_int_equal(count_files(), 2);

	// What fails leaves the old file and nothing beside it.
	assert_int_equal(file_replace("none/f", STR("x"), 0600, &err), ERR_NOT_FOUND);
	assert_string_equal(err.text, "cannot write none/f: No such file or directory");
	assert_int_equal(mkdir("d", 0700), 0);
	put_file("d/keep", "");
	assert_int_equal(file_replace("d", STR("x"), 0600, &err), ERR_SYSTEM);
	assert_string_equal(err.text, "cannot rename to d: Is a directory");
	memset(name, 'a', 255);
	name[255] = '\0';
	assert_int_equal(file_replace(name, STR("x"), 0600, &err), ERR_SYSTEM);
	assert_int_equal(count_files(), 3);
	// A link is replaced, what it points to is not.
	assert_int_equal(symlink("f", "link"), 0);
	assert_int_equal(file_replace("link", STR("three"), 0600, &err), 0);
	buf_clear(&out);
	assert_int_equal(file_read_all("f", &out, 100, &err), 0);
	assert_string_equal(buf_cstr(&out), "two");
	buf_finish(&out);
}

static void test_sync_folder(void **state)
{
	char path[5000];

	assert_int_equal(file_sync_folder_of("anything"), 0);
	assert_int_equal(file_sync_folder_of("./anything"), 0);
	assert_int_equal(file_sync_folder_of("none/anything"), ERR_NOT_FOUND);
	memset(path, 'a', sizeof(path));
	path[4900] = '/';
	path[4999] = '\0';
	assert_int_equal(file_sync_folder_of(path), ERR_LIMIT);
}

static void test_name_encode(void **state)
{
	static const struct {
		struct str name;
		const char *encoded; // NULL: ERR_SYNTAX
	} rows[] = {
		{{"user", 4}, "user"},
		{{"User.Name+Tag@Example.KR", 24}, "user.name+tag@example.kr"},
		{{"a_b=c-d", 7}, "a_b=c-d"}, {{".", 1}, "%2E"}, {{"..", 2}, "%2E."},
		{{".hidden", 7}, "%2Ehidden"}, {{"a..b", 4}, "a..b"},
		{{"../../etc/passwd", 16}, "%2E.%2F..%2Fetc%2Fpasswd"}, {{"a b", 3}, "a%20b"},
		{{"100%", 4}, "100%25"}, {{"%2e", 3}, "%252e"}, {{"a\0b", 3}, "a%00b"},
		{{"a\nb", 3}, "a%0Ab"}, {{"~user", 5}, "%7Euser"},
		{{"\"quoted\"", 8}, "%22quoted%22"}, {{"\xc3\xa4", 2}, "%C3%A4"},
		{{"a\xcc\x88", 3}, "%C3%A4"}, // composed
		{{"\xe2\x84\xaa", 3}, "k"},   // U+212A is the letter
		{{"\xed\x95\x9c", 3}, "%ED%95%9C"},
		{{"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", 9}, "%ED%95%9C"}, // its letters
		{{"", 0}, NULL}, {{NULL, 0}, NULL}, {{"\xff", 1}, NULL},
		{{"\xc0\xae", 2}, NULL}, // overlong '.'
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		int err = file_name_encode(rows[i].name, &out);

		assert_int_equal(err, rows[i].encoded ? 0 : ERR_SYNTAX);
		assert_string_equal(buf_cstr(&out), rows[i].encoded ? rows[i].encoded : "");
		buf_finish(&out);
	}
}

static void test_name_limit(void **state)
{
	char name[6000];
	struct buf out = BUF_INIT;

	buf_add_text(&out, "before/");
	memset(name, 'a', sizeof(name));
	assert_int_equal(file_name_encode(str_make(name, 256), &out), ERR_LIMIT);
	assert_int_equal(file_name_encode(str_make(name, sizeof(name)), &out), ERR_LIMIT);
	name[0] = '/'; // three octets
	assert_int_equal(file_name_encode(str_make(name, 254), &out), ERR_LIMIT);
	assert_string_equal(buf_cstr(&out), "before/");
	assert_int_equal(file_name_encode(str_make(name, 253), &out), 0);
	assert_int_equal(buf_len(&out), 7 + 255);
	buf_finish(&out);
	out.limit = 3;
	assert_int_equal(file_name_encode(STR("abcd"), &out), ERR_LIMIT);
	assert_int_equal(buf_len(&out), 0);
}

static void test_make_folders(void **state)
{
	char name[300];
	struct stat st;

	umask(0);
	assert_int_equal(file_make_folders(folder_fd, "a/b/c", 0750), 0);
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(file_make_folders(folder_fd, "a/b/c", 0700), 0);
	assert_int_equal(file_make_folders(folder_fd, "./a//b/d/", 0700), 0);
	assert_int_equal(stat("a/b/d", &st), 0);
	assert_int_equal(file_make_folders(folder_fd, "", 0700), 0);
	assert_int_equal(file_make_folders(AT_FDCWD, "e/f", 0700), 0);
	assert_int_equal(stat("e/f", &st), 0);

	assert_int_equal(file_make_folders(folder_fd, "/tmp/x", 0700), ERR_DENIED);
	assert_int_equal(file_make_folders(folder_fd, "a/../x", 0700), ERR_DENIED);
	assert_int_equal(file_make_folders(folder_fd, "..", 0700), ERR_DENIED);
	assert_int_equal(symlink("a", "link"), 0);
	assert_int_equal(file_make_folders(folder_fd, "link/x", 0700), ERR_DENIED);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(file_make_folders(folder_fd, "dangling", 0700), ERR_DENIED);
	put_file("file", "");
	assert_int_equal(file_make_folders(folder_fd, "file/x", 0700), ERR_DENIED);
	assert_int_equal(access("x", F_OK) + access("a/x", F_OK), -2);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(file_make_folders(folder_fd, name, 0700), ERR_LIMIT);
}

static void test_open_beneath(void **state)
{
	int fd;
	struct stat st;

	umask(0);
	assert_int_equal(file_make_folders(folder_fd, "a/b", 0700), 0);
	fd = file_open_beneath(folder_fd, "a/b/f", O_WRONLY | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	fd_close(&fd);
	assert_int_equal(file_open_beneath(folder_fd, "a/b/f", O_WRONLY | O_CREAT | O_EXCL, 0640),
		ERR_EXISTS);
	fd = file_open_beneath(folder_fd, "a/../a/b/f", O_RDONLY, 0777); // stays below
	assert_true(fd >= 0);
	fd_close(&fd);
	fd = file_open_beneath(folder_fd, "a", O_RDONLY | O_DIRECTORY, 0);
	assert_true(fd >= 0);
	fd_close(&fd);

	assert_int_equal(file_open_beneath(folder_fd, "none", O_RDONLY, 0), ERR_NOT_FOUND);
	assert_int_equal(file_open_beneath(folder_fd, "/etc/passwd", O_RDONLY, 0), ERR_DENIED);
	assert_int_equal(
		file_open_beneath(folder_fd, "../x", O_RDONLY | O_CREAT, 0600), ERR_DENIED);
	assert_int_equal(file_open_beneath(folder_fd, "a/../../x", O_RDONLY, 0), ERR_DENIED);
	assert_int_equal(symlink("a/b/f", "link"), 0);
	assert_int_equal(symlink("a", "folder-link"), 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(file_open_beneath(folder_fd, "link", O_RDONLY, 0), ERR_DENIED);
	assert_int_equal(file_open_beneath(folder_fd, "folder-link/b/f", O_RDONLY, 0), ERR_DENIED);
	assert_int_equal(
		file_open_beneath(folder_fd, "dangling", O_WRONLY | O_CREAT, 0600), ERR_DENIED);
	assert_int_equal(access("nowhere", F_OK), -1);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_descriptors),
		IN_FOLDER(test_write_all),
		IN_FOLDER(test_read_all),
		IN_FOLDER(test_read_errors),
		IN_FOLDER(test_replace),
		IN_FOLDER(test_sync_folder),
		IN_FOLDER(test_name_encode),
		IN_FOLDER(test_name_limit),
		IN_FOLDER(test_make_folders),
		IN_FOLDER(test_open_beneath),
	};

	text_set_language("en");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
