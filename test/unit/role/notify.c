// SPDX-License-Identifier: ISC
#include "role/master_internal.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(path);
	memcpy(at.sun_path, path, len);
	if (path[0] == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	return fd;
}

static void states_arrive(void **state)
{
	char path[100], got[64];
	(void)state;
	for (int abstract = 0; abstract < 2; abstract++) {
		snprintf(path, sizeof path, "%s%s/notify", abstract ? "@" : "", folder);
		int fd = listen_at(path);
		setenv("NOTIFY_SOCKET", path, 1);
		notify_system("READY=1");
		ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
		assert_int_equal(n, 7);
		assert_memory_equal(got, "READY=1", 7);
		close(fd);
		notify_system("STOPPING=1"); // nobody is there any more
	}
}

static void places_that_are_none(void **state)
{
	char longest[200];
	(void)state;
	memset(longest, 'a', sizeof longest);
	longest[0] = '/';
	longest[sizeof longest - 1] = '\0';
	const char *const rows[] = {"", "relative", "vsock:1:2", "/nowhere/notify", longest};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setenv("NOTIFY_SOCKET", rows[i], 1);
		notify_system("READY=1");
	}
	unsetenv("NOTIFY_SOCKET");
	notify_system("READY=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_arrive),
		cmocka_unit_test(places_that_are_none),
	};
	strcpy(folder, "/tmp/pabal-notify.XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	char path[100];
	snprintf(path, sizeof path, "%s/notify", folder);
	unlink(path);
	rmdir(folder);
	return failed;
}
