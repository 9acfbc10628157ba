// SPDX-License-Identifier: ISC
#include "role/master_internal.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// What check_rights says of an open file with these rights.
static int rights_of(unsigned mode, unsigned owner, bool secret, struct error *err)
{
	char path[] = "/tmp/pabal-rights.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	if (owner)
		assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
	int result = snapshot_check_rights(fd, "/tls/key.pem", secret, err);
	close(fd);
	unlink(path);
	return result;
}

static void who_may_read_and_write(void **state)
{
	static const struct {
		unsigned mode;
		bool file, secret; // good as a file of the configuration, as a secret
		const char *words; // of what is refused
	} rows[] = {
		{0600, true, true, ""},
		{0400, true, true, ""},
		{0640, true, true, ""},
		{0700, true, true, ""},
		{0644, true, false, "chmod 0600 /tls/key.pem"},
		{0604, true, false, "chmod 0600 /tls/key.pem"},
		{0601, true, false, "chmod 0600 /tls/key.pem"},
		{0660, true, false, "chmod 0600 /tls/key.pem"},
		{0664, true, false, "chmod 0600 /tls/key.pem"},
		{0666, false, false, "chmod o-w /tls/key.pem"},
		{0602, false, false, "chmod o-w /tls/key.pem"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int secret = 0; secret < 2; secret++) {
			struct error err = {0};
			bool good = secret ? rows[i].secret : rows[i].file;
			int result = rights_of(rows[i].mode, 0, secret, &err);
			if ((result == 0) != good || (result && !strstr(err.text, rows[i].words)))
				fail_msg("%04o %d: %d %s", rows[i].mode, secret, result, err.text);
		}
}

static void whose_it_is(void **state)
{
	struct error err = {0};
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(rights_of(0600, 65534, false, &err), ERR_DENIED);
	assert_non_null(strstr(err.text, "belongs to user 65534"));
	assert_int_equal(rights_of(0600, 65534, true, &err), ERR_DENIED);
}

static void what_is_no_file(void **state)
{
	char folder[] = "/tmp/pabal-rights.XXXXXX", fifo[64];
	struct error err = {0};
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(fifo, sizeof fifo, "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	const char *const rows[] = {folder, fifo};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = open(rows[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		assert_int_equal(snapshot_check_rights(fd, rows[i], false, &err), ERR_DENIED);
		assert_non_null(strstr(err.text, "is not a file"));
		close(fd);
	}
	assert_true(snapshot_check_rights(-1, "gone", false, &err) < 0);
	unlink(fifo);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_read_and_write),
		cmocka_unit_test(whose_it_is),
		cmocka_unit_test(what_is_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
