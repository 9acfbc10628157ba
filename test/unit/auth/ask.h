// SPDX-License-Identifier: ISC
// What the tests of password sources share: a folder, a question, an answer.
#ifndef PABAL_TEST_AUTH_ASK_H
#define PABAL_TEST_AUTH_ASK_H

#include "auth/source/kinds.h"
#include "base/clock.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64]; // a new one for each test, which is also the current one

static int enter(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/pabal-source-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	return chdir("/") < 0 || system(command) != 0;
}

static inline void put(const char *path, const char *text, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

// A path in the folder, for good.
static inline struct str in_folder(const char *name)
{
	static char paths[8][128];
	static unsigned last;
	char *path = paths[++last % 8];

	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return str_from(path);
}

static inline struct auth_question question(const char *name, const char *secret)
{
	struct auth_question q = {.ask = AUTH_ASK_PASSWORD,
		.name = str_from(name),
		.secret = str_from(secret),
		.server = STR("submission"),
		.default_domain = STR("example.kr")};

	assert_int_equal(ipaddr_parse(STR("192.0.2.7"), &q.client), 0);
	return q;
}

// Fresh at each call.
static inline const struct auth_answer *asked(const struct auth_source_kind *kind,
	const struct config_source *s, const struct auth_question *q)
{
	static struct auth_answer answer;

	memset(&answer, 0, sizeof answer);
	answer.verdict = (enum auth_verdict)99;
	kind->check(s, NULL, q, &answer);
	return &answer;
}

static inline int verdict_of(const struct auth_source_kind *kind, const struct config_source *s,
	const char *name, const char *secret)
{
	struct auth_question q = question(name, secret);

	return (int)asked(kind, s, &q)->verdict;
}

static inline void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

#endif
