// SPDX-License-Identifier: ISC
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pabal-reader-XXXXXX";
static char path[128];

static const char *in_folder(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, unsigned mode)
{
	FILE *f = fopen(in_folder(name), "w");
	assert_non_null(f);
	fputs("content", f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int read_file(const char *name, bool secret, struct error *err)
{
	struct config_reader reader = config_reader_local();
	struct buf out = BUF_INIT;
	*err = (struct error){0};
	int result = reader.read(reader.arg, in_folder(name), secret, &out, err);
	if (result == 0)
		assert_str(buf_str(&out), "content");
	buf_finish(&out);
	return result;
}

static void test_rights(void **state)
{
	static const struct {
		unsigned mode;
		int secret;
	} cases[] = {{0600, 0}, {0640, 0}, {0400, 0}, {0440, 0}, {0644, ERR_DENIED},
		{0604, ERR_DENIED}, {0660, ERR_DENIED}, {0601, ERR_DENIED}, {0700, ERR_DENIED}};
	struct error err;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file("key", cases[i].mode);
		assert_int_equal(read_file("key", true, &err), cases[i].secret);
		if (cases[i].secret)
			assert_non_null(strstr(err.text, "a secret must be 0600 or 0640"));
		assert_int_equal(read_file("key", false, &err), 0);
		unlink(in_folder("key"));
	}
}

// Links are followed; the rights of the target count.
static void test_links(void **state)
{
	struct error err;
	write_file("target", 0600);
	assert_int_equal(symlink("target", in_folder("link")), 0);
	assert_int_equal(read_file("link", true, &err), 0);
	chmod(in_folder("target"), 0644);
	assert_int_equal(read_file("link", true, &err), ERR_DENIED);
	unlink(in_folder("link"));
	unlink(in_folder("target"));
}

static void test_no_files(void **state)
{
	struct error err;
	assert_int_equal(read_file("nothing", false, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "cannot open "));
	assert_int_equal(read_file(".", false, &err), ERR_UNSUPPORTED);
	assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
	assert_int_equal(read_file("pipe", true, &err), ERR_UNSUPPORTED);
	unlink(in_folder("pipe"));
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rights),
		cmocka_unit_test(test_links), cmocka_unit_test(test_no_files)};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
