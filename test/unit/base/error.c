// SPDX-License-Identifier: ISC
#include "base/error.h"

#include "base/str.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_text(void **state)
{
	for (int err = 0; err >= ERR_TLS; err--) {
		assert_string_not_equal(err_text(err), "unknown error");
		assert_true(strlen(err_text(err)) > 0);
	}
	assert_string_equal(err_text(ERR_NOT_FOUND), "not found");
	assert_string_equal(err_text(ERR_TLS - 1), "unknown error");
	assert_string_equal(err_text(1), "unknown error");
	assert_string_equal(err_text(INT_MIN), "unknown error");
	assert_string_equal(err_text(INT_MAX), "unknown error");
}

static void test_set(void **state)
{
	struct error err = {0};

	assert_int_equal(error_set(&err, ERR_LIMIT, "more than %d", 7), ERR_LIMIT);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.text, "more than 7");
	assert_int_equal(error_set(NULL, ERR_LIMIT, "more than %d", 7), ERR_LIMIT);
	// Wrapping what is already there.
	error_set(&err, ERR_SYNTAX, "line 3: %s", err.text);
	assert_string_equal(err.text, "line 3: more than 7");
	error_set(&err, ERR_SYNTAX, "one\r\ntwo\n");
	assert_string_equal(err.text, "one  two ");
}

static void test_cut(void **state)
{
	static const char *const characters[] = {
		"a", "\xc3\xa4", "\xed\x95\x9c", "\xf0\x9f\x93\xa7"};
	char shift[5] = "";
	char text[2000];
	struct error err;

	// Whatever the width of characters and where they start: whole ones only.
	for (size_t width = 1; width <= 4; width++) {
		for (size_t before = 0; before < 4; before++) {
			memset(shift, 'x', before);
			shift[before] = '\0';
			text[0] = '\0';
			while (strlen(text) < 1500)
				strcat(text, characters[width - 1]);
			error_set(&err, ERR_LIMIT, "%s%s", shift, text);
			assert_true(strlen(err.text) < ERROR_TEXT_MAX);
			assert_true(strlen(err.text) >= ERROR_TEXT_MAX - 4);
			assert_true(str_is_utf8(str_from(err.text)));
		}
	}
	// Octets that are no UTF-8 are cut somewhere, but cut.
	memset(text, 0x80, sizeof(text));
	text[1999] = '\0';
	error_set(&err, ERR_LIMIT, "%s", text);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void test_system(void **state)
{
	static const struct {
		int number;
		int code;
		const char *text;
	} rows[] = {
		{ENOENT, ERR_NOT_FOUND, "cannot open x: No such file or directory"},
		{ENOSPC, ERR_FULL, "cannot open x: No space left on device"},
		{EDQUOT, ERR_FULL, "cannot open x: Disk quota exceeded"},
		{EACCES, ERR_DENIED, "cannot open x: Permission denied"},
		{EPERM, ERR_DENIED, "cannot open x: Operation not permitted"},
		{EIO, ERR_SYSTEM, "cannot open x: Input/output error"},
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		errno = rows[i].number;
		assert_int_equal(error_system(&err, "cannot open %s", "x"), rows[i].code);
		assert_int_equal(errno, rows[i].number);
		assert_int_equal(err.code, rows[i].code);
		assert_string_equal(err.text, rows[i].text);
		assert_int_equal(error_system(NULL, "cannot"), rows[i].code);
		assert_int_equal(err_from_errno(rows[i].number), rows[i].code);
	}
	errno = EIO;
	error_system(&err, "%600s", "long");
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void make_bug(void)
{
	BUG_ON(1 + 1 == 2);
}

static void make_fatal(void)
{
	fatal("no %s", "master");
}

// Runs what in a child; returns its status and the first of what it printed.
static int run(void (*what)(void), char *printed, size_t size)
{
	int ends[2];
	ssize_t n;
	pid_t child;
	int status;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		what();
		_exit(0);
	}
	close(ends[1]);
	n = read(ends[0], printed, size - 1);
	printed[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_ends(void **state)
{
	char printed[256];
	int status = run(make_bug, printed, sizeof(printed));

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(printed, "error.c"));
	assert_non_null(strstr(printed, "1 + 1 == 2"));
	status = run(make_fatal, printed, sizeof(printed));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 70);
	assert_string_equal(printed, "pabal: no master\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_ends),
	};

	text_set_language("en");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
