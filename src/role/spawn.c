// SPDX-License-Identifier: ISC
// Starting our own binary again as another process of the family: descriptor 3 is the channel,
// the environment is clean, nothing else is inherited but the log.
#include "role/spawn.h"

#include "base/file.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL_FD 3
#define ENVIRONMENT_MAX 512

// Time zone and language of the log are all a role may know of our environment; a build for tests
// also hears how its checks are set.
static const char *const kept_names[] = {
	"TZ",
#if PABAL_SANITIZED
	"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
#endif
};

static void keep_environment(char kept[][ENVIRONMENT_MAX], const char **out)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept_names); i++) {
		const char *value = getenv(kept_names[i]);
		int len = snprintf(kept[i], ENVIRONMENT_MAX, "%s=%s", kept_names[i], value ? value : "");
		if (value && len < ENVIRONMENT_MAX)
			*out++ = kept[i];
	}
	*out = NULL;
}

static _Noreturn void become(int binary, int socket, const char *const argv[])
{
	// dup2 onto itself would keep close-on-exec.
	if (socket == CHANNEL_FD ? fd_set_cloexec(CHANNEL_FD, false) < 0 : dup2(socket, CHANNEL_FD) < 0)
		_exit(71);
	if (binary == CHANNEL_FD)
		_exit(71); // spawn_process keeps it above
	if (close_range(CHANNEL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(71);
	char kept[ARRAY_SIZE(kept_names)][ENVIRONMENT_MAX];
	const char *environment[3 + ARRAY_SIZE(kept_names)] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
	keep_environment(kept, environment + 2);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execveat(binary, "", (char *const *)argv, (char *const *)environment, AT_EMPTY_PATH);
	_exit(71);
}

int spawn_open_binary(int *out_fd, struct error *err)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_system(err, TEXT("cannot open our own program"));
	*out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	int result = *out_fd < 0 ? error_system(err, TEXT("cannot keep our own program open")) : 0;
	fd_close(&fd);
	return result;
}

int spawn_process(int binary, const char *const argv[], pid_t *out_pid, int *out_socket, struct error *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_system(err, TEXT("cannot make a socket pair"));
	pid_t pid = fork();
	if (pid == 0)
		become(binary, pair[1], argv);
	fd_close(&pair[1]);
	if (pid < 0) {
		int result = error_system(err, TEXT("cannot start a process"));
		fd_close(&pair[0]);
		return result;
	}
	*out_pid = pid;
	*out_socket = pair[0];
	return 0;
}
