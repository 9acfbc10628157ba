// SPDX-License-Identifier: ISC
// Programs with the interface of checkpassword: descriptor 3 has name, password and time, each
// ended by a NUL; the exit status is the answer. CRAM-MD5 is asked as qmail-smtpd asks cmd5checkpw
// and vchkpw: name, digest, challenge. A child each, ended with all it started.
#include "auth/source/kinds.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_MAX     512 // octets on descriptor 3, as the interface has it
#define ARGUMENTS_MAX 64
#define USUAL_PROGRAM "/bin/true" // what is started after a yes
#define FILES_MAX     256

struct job {
	char *arguments[ARGUMENTS_MAX + 2];
	char client[sizeof "TCPREMOTEIP=" + IPADDR_TEXT_MAX];
	char *environment[5];
	char input[INPUT_MAX];
	size_t input_len;
	bool become; // uid and gid
	uid_t uid;
	gid_t gid;
	char user[256];
	struct rlimit memory, time;
};

static unsigned gives(const struct config_source *s)
{
	return AUTH_GIVES_VERIFY | (s->cram ? AUTH_GIVES_CRAM : 0);
}

// ---- preparing
static int add_field(struct job *j, struct str field)
{
	if (str_find(field, '\0') >= 0 || field.len + 1 > INPUT_MAX - j->input_len)
		return ERR_LIMIT;
	memcpy(j->input + j->input_len, field.data, field.len);
	j->input_len += field.len;
	j->input[j->input_len++] = '\0';
	return 0;
}

static int make_input(const struct auth_question *q, struct str name, struct job *j)
{
	char now[24];
	struct str last = q->challenge;
	int err;

	mem_wipe(j->input, sizeof j->input);
	j->input_len = 0;
	err = add_field(j, name);
	if (q->ask == AUTH_ASK_PASSWORD) {
		snprintf(now, sizeof now, "%llu", (unsigned long long)clock_wall_ms() / 1000);
		last = str_from(now);
	}
	if (!err)
		err = add_field(j, q->secret);
	return err ? err : add_field(j, last);
}

static void make_environment(const struct auth_question *q, struct job *j)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", protocol[] = "PROTO=TCP";
	static char shell[] = "SHELL=/bin/sh";
	char text[IPADDR_TEXT_MAX];
	size_t n = 0;

	j->environment[n++] = path;
	j->environment[n++] = protocol;
	j->environment[n++] = shell;
	if (q->client.family) {
		snprintf(j->client, sizeof j->client, "TCPREMOTEIP=%s",
			ipaddr_format(&q->client, text));
		j->environment[n++] = j->client;
	}
}

static int make_arguments(const struct config_source *s, struct job *j)
{
	size_t n = s->command.count;

	if (n == 0 || n > ARGUMENTS_MAX)
		return ERR_LIMIT;
	for (size_t i = 0; i < n; i++)
		j->arguments[i] = str_dup(s->command.items[i]);
	if (n == 1)
		j->arguments[1] = str_dup(STR(USUAL_PROGRAM));
	return 0;
}

// Whom it runs as when this process is still root.
static int find_user(const struct config_source *s, struct job *j, struct error *err)
{
	struct passwd *pw;

	if (!s->user.len || geteuid() != 0)
		return 0;
	if (!str_copy(s->user, j->user, sizeof j->user))
		return error_set(err, ERR_LIMIT, TEXT("the user's name is too long"));
	pw = getpwnam(j->user);
	if (!pw)
		return error_set(err, ERR_NOT_FOUND, TEXT("there is no user %s"), j->user);
	j->become = pw->pw_uid != 0;
	j->uid = pw->pw_uid;
	j->gid = pw->pw_gid;
	return 0;
}

static void job_finish(struct job *j)
{
	for (size_t i = 0; i < ARRAY_SIZE(j->arguments); i++)
		free(j->arguments[i]);
	mem_wipe(j, sizeof *j);
}

// ---- the child
static bool limit(int what, rlim_t value)
{
	struct rlimit old, new = {value, value};

	if (getrlimit(what, &old) < 0)
		return false;
	if (old.rlim_max != RLIM_INFINITY && old.rlim_max < value)
		new = (struct rlimit){old.rlim_max, old.rlim_max};
	return setrlimit(what, &new) == 0;
}

_Noreturn static void run_program(const struct job *j, int input, pid_t parent)
{
	int null = open("/dev/null", O_RDWR);

	// Nobody reads what it prints; an open descriptor there keeps files of its own away from
	// 0-2.
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(111);
	if (input == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(input, 3) < 0)
		_exit(111);
	if (syscall(SYS_close_range, 4u, ~0u, 0u) < 0)
		for (int fd = 4; fd < 65536; fd++)
			close(fd);
	if (setsid() < 0 || chdir("/") < 0)
		_exit(111);
	umask(077);
	if (j->become &&
		(initgroups(j->user, j->gid) < 0 || setgid(j->gid) < 0 || setuid(j->uid) < 0))
		_exit(111);
	if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, FILES_MAX) ||
		!limit(RLIMIT_CPU, j->time.rlim_cur) || !limit(RLIMIT_AS, j->memory.rlim_cur))
		_exit(111);
	// Who waits for it may be ended, too. Becoming another user would have switched this off.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(111);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(j->arguments[0], j->arguments, j->environment);
	_exit(errno == ENOENT ? 127 : 126);
}

// All of the input fits into an empty pipe: nothing waits here for a program that does not read.
static pid_t start(const struct job *j, struct error *err)
{
	int ends[2];
	pid_t pid, parent = getpid();

	_Static_assert(INPUT_MAX <= PIPE_BUF, "fits");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_system(err, TEXT("cannot make a pipe"));
	if (fd_write_all(ends[1], j->input, j->input_len)) {
		error_system(err, TEXT("cannot fill a pipe"));
		pid = -1;
	} else {
		pid = fork();
		if (pid == 0)
			run_program(j, ends[0], parent);
		if (pid < 0)
			error_system(err, TEXT("cannot start a process"));
	}
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	return pid;
}

// ---- waiting
// The status of waitpid, or an error. Its whole session ends in any case: a program that goes on
// in the background has nothing more to tell.
static int wait_for(pid_t pid, uint64_t timeout_ms, int *status, struct error *err)
{
	uint64_t deadline = clock_monotonic_ms() + timeout_ms, now;
	struct pollfd p = {(int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0};
	int n = p.fd < 0 ? -1 : 0;

	while (p.fd >= 0 && n == 0 && (now = clock_monotonic_ms()) < deadline) {
		uint64_t left = deadline - now;
		n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	if (n < 0)
		error_system(err, TEXT("cannot wait for the program"));
	fd_close(&p.fd);
	if (kill(-pid, SIGKILL) < 0 && n <= 0)
		kill(pid, SIGKILL); // not yet in a session of its own
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return error_system(err, TEXT("the program's end was lost"));
	if (n == 0)
		return error_set(err, ERR_TIMEOUT, TEXT("no answer within the time limit"));
	return n < 0 ? ERR_SYSTEM : 0;
}

// vchkpw says 3 for a name or password that is not so, 20 to 23 for those that cannot be.
static bool is_no(int code)
{
	return code == 1 || code == 3 || (code >= 20 && code <= 23);
}

static void answer(const char *program, int status, struct auth_answer *out)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == 0)
		auth_answer_set(out, AUTH_YES, "%s", "");
	else if (is_no(code))
		auth_answer_set(out, AUTH_NO, TEXT("the program says no (exit %d)"), code);
	else if (code == 126 || code == 127)
		auth_answer_set(out, AUTH_CANNOT, TEXT("%s cannot be started"), program);
	else if (code == 111)
		auth_answer_set(
			out, AUTH_CANNOT, TEXT("the program has a temporary problem (exit 111)"));
	else if (code >= 0)
		auth_answer_set(out, AUTH_CANNOT,
			TEXT("the program is used wrongly or failed (exit %d)"), code);
	else
		auth_answer_set(
			out, AUTH_CANNOT, TEXT("the program ended by signal %d"), WTERMSIG(status));
}

static void ask(const struct job *j, uint64_t timeout_ms, struct auth_answer *out)
{
	struct error err;
	int status = 0;
	pid_t pid = start(j, &err);

	if (pid < 0 || wait_for(pid, timeout_ms, &status, &err))
		auth_answer_set(out, AUTH_CANNOT, "%s", err.text);
	else
		answer(j->arguments[0], status, out);
}

// vchkpw wants the whole name, a program for the users of the machine the bare one: a no for the
// one is asked again with the other.
static void ask_for_both(const struct config_source *s, const struct auth_question *q,
	struct job *j, struct auth_answer *out)
{
	uint64_t end = clock_monotonic_ms() + s->timeout, now;
	struct str bare = auth_question_bare(q);

	if (make_input(q, q->name, j)) {
		auth_answer_set(out, AUTH_NO, TEXT("name and password take more than %d octets"),
			INPUT_MAX);
		return;
	}
	ask(j, s->timeout, out);
	now = clock_monotonic_ms();
	if (out->verdict == AUTH_NO && bare.len < q->name.len && bare.len && now < end &&
		make_input(q, bare, j) == 0)
		ask(j, end - now, out);
}

static void prepare_and_ask(const struct config_source *s, const struct auth_question *q,
	struct job *j, struct auth_answer *out)
{
	struct error err;

	j->memory.rlim_cur = s->memory ? s->memory : RLIM_INFINITY;
	j->time.rlim_cur = s->timeout / 1000 + 1;
	make_environment(q, j);
	if (make_arguments(s, j))
		auth_answer_set(
			out, AUTH_CANNOT, TEXT("a command has 1 to %d words"), ARGUMENTS_MAX);
	else if (find_user(s, j, &err))
		auth_answer_set(out, AUTH_CANNOT, "%s", err.text);
	else
		ask_for_both(s, q, j, out);
}

static void check(const struct config_source *s, void *state, const struct auth_question *q,
	struct auth_answer *out)
{
	struct job job = {.input_len = 0};

	(void)state;
	if (q->ask != AUTH_ASK_PASSWORD && !(q->ask == AUTH_ASK_CRAM && s->cram))
		auth_answer_set(
			out, AUTH_CANNOT, TEXT("the program has nothing for this mechanism"));
	else if (!auth_question_sound(q))
		auth_answer_set(out, AUTH_NO, TEXT("no name or password, or one with a NUL"));
	else
		prepare_and_ask(s, q, &job, out);
	job_finish(&job);
}

static void advise(const struct config_source *s, struct config_findings *findings)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < s->command.count && i < 2; i++) {
		if (!str_starts(s->command.items[i], STR("/")) ||
			!str_copy(s->command.items[i], path, sizeof path) ||
			access(path, X_OK) == 0)
			continue;
		int number = errno;
		config_findings_add(findings, 'W', s->where.file, s->where.line, s->where.column,
			TEXT("%s cannot be started: %s"), path, strerror(number));
	}
}

const struct auth_source_kind auth_source_checkpassword = {
	.name = "checkpassword",
	.where = AUTH_IN_CHECKER,
	.gives = gives,
	.check = check,
	.advise = advise,
};
