// SPDX-License-Identifier: ISC
#include "deliver/pipe.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "deliver/copy.h"
#include "deliver/result.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_NO_PROGRAM 127 // as a shell says it
#define OPEN_MAX_OF       256

struct run {
	pid_t pid;
	int input, output;         // ours; -1: closed
	int ended;                 // pidfd
	uint64_t until_ms;         // monotonic
	bool late;
	char text[PIPE_OUTPUT_MAX];
	size_t len;
};

// ---- statuses

struct meaning {
	int status;
	enum smtp_outcome outcome;
	const char *enhanced;
};

static const struct meaning sysexits[] = {
	{0, SMTP_DELIVERED, "2.1.5"},
	{64, SMTP_PERMANENT, "5.3.0"},  // EX_USAGE
	{65, SMTP_PERMANENT, "5.6.0"},  // EX_DATAERR
	{66, SMTP_PERMANENT, "5.3.0"},  // EX_NOINPUT
	{67, SMTP_PERMANENT, "5.1.1"},  // EX_NOUSER
	{68, SMTP_PERMANENT, "5.1.2"},  // EX_NOHOST
	{69, SMTP_PERMANENT, "5.3.0"},  // EX_UNAVAILABLE
	{70, SMTP_PERMANENT, "5.3.0"},  // EX_SOFTWARE
	{71, SMTP_TEMPORARY, "4.3.0"},  // EX_OSERR
	{72, SMTP_PERMANENT, "5.3.0"},  // EX_OSFILE
	{73, SMTP_PERMANENT, "5.2.0"},  // EX_CANTCREAT
	{74, SMTP_TEMPORARY, "4.3.0"},  // EX_IOERR
	{75, SMTP_TEMPORARY, "4.3.0"},  // EX_TEMPFAIL
	{76, SMTP_PERMANENT, "5.5.0"},  // EX_PROTOCOL
	{77, SMTP_PERMANENT, "5.7.0"},  // EX_NOPERM
	{78, SMTP_PERMANENT, "5.3.5"},  // EX_CONFIG
	{111, SMTP_TEMPORARY, "4.3.0"},
};

// qmail-command(8)
static const struct meaning qmail_statuses[] = {
	{0, SMTP_DELIVERED, "2.1.5"}, {99, SMTP_DELIVERED, "2.1.5"}, {100, SMTP_PERMANENT, "5.0.0"},
	{111, SMTP_TEMPORARY, "4.3.0"}, {64, SMTP_PERMANENT, "5.3.0"}, {65, SMTP_PERMANENT, "5.6.0"},
	{70, SMTP_PERMANENT, "5.3.0"}, {76, SMTP_PERMANENT, "5.5.0"}, {77, SMTP_PERMANENT, "5.7.0"},
	{78, SMTP_PERMANENT, "5.3.5"}, {112, SMTP_PERMANENT, "5.3.0"},
};

bool pipe_status(int status, bool qmail, enum smtp_outcome *out_outcome, const char **out_enhanced)
{
	const struct meaning *table = qmail ? qmail_statuses : sysexits;
	size_t count = qmail ? ARRAY_SIZE(qmail_statuses) : ARRAY_SIZE(sysexits);
	for (size_t i = 0; i < count; i++) {
		if (table[i].status != status)
			continue;
		*out_outcome = table[i].outcome;
		*out_enhanced = table[i].enhanced;
		return true;
	}
	*out_outcome = SMTP_TEMPORARY;
	*out_enhanced = "4.3.0";
	return false;
}

// ---- the child. Only what may be called after a fork of a process with threads.

static void limit(int what, rlim_t value)
{
	struct rlimit both = {value, value};
	(void)setrlimit(what, &both);
}

static _Noreturn void become_program(const struct pipe_program *p, int input, int output, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int n = 1; n < NSIG; n++)
		if (n != SIGKILL && n != SIGSTOP)
			(void)signal(n, SIG_DFL);
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(75);
	// Not where they are wanted already, where dup2 would leave them to be closed.
	input = fcntl(input, F_DUPFD, STDERR_FILENO + 1);
	output = fcntl(output, F_DUPFD, STDERR_FILENO + 1);
	if (input < 0 || output < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
		dup2(output, STDERR_FILENO) < 0 || close_range(3, ~0U, 0) < 0)
		_exit(71);
	// Whatever group was only for the mailbox's folder goes for good.
	if (setresgid(getgid(), getgid(), getgid()) < 0)
		_exit(71);
	if (!p->folder || chdir(p->folder) < 0)
		(void)!chdir("/");
	(void)umask(077);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, OPEN_MAX_OF);
	if (p->memory)
		limit(RLIMIT_AS, (rlim_t)p->memory);
	execve(p->argv[0], p->argv, p->envp);
	dprintf(STDERR_FILENO, "%s: %s\n", p->argv[0], strerror(errno));
	_exit(errno == ENOENT || errno == EACCES ? STATUS_NO_PROGRAM : 71);
}

// ---- talking with it

static void kill_all(struct run *r)
{
	(void)kill(-r->pid, SIGKILL);
	(void)kill(r->pid, SIGKILL);
}

static void take_output(struct run *r)
{
	char space[4096];
	ssize_t n = read(r->output, space, sizeof space);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fd_close(&r->output);
		return;
	}
	size_t room = sizeof r->text - r->len, taken = (size_t)n < room ? (size_t)n : room;
	memcpy(r->text + r->len, space, taken);
	r->len += taken;
}

// Waits until it takes more input, or with input closed until it has ended. False: it has ended, or its
// time is over.
static bool wait_for(struct run *r, bool wants_input)
{
	uint64_t now = clock_monotonic_ms();
	struct pollfd fds[] = {{r->ended, POLLIN, 0}, {r->output, POLLIN, 0},
		{wants_input ? r->input : -1, POLLOUT, 0}};
	if (now >= r->until_ms) {
		r->late = true;
		return false;
	}
	if (poll(fds, ARRAY_SIZE(fds), (int)(r->until_ms - now)) < 0)
		return true; // EINTR
	if (fds[1].revents)
		take_output(r);
	return !fds[0].revents;
}

// What it does not want to read is nothing it has to.
static int feed(void *arg, const void *data, size_t len)
{
	struct run *r = arg;
	const char *at = data;
	while (len && r->input >= 0) {
		ssize_t n = write(r->input, at, len); // SIGPIPE is ignored in every role
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			fd_close(&r->input);
		} else if (!wait_for(r, true)) {
			fd_close(&r->input);
		}
	}
	return 0;
}

static int reap(struct run *r)
{
	int status;
	while (!r->late && wait_for(r, false))
		;
	if (r->late)
		kill_all(r);
	while (waitpid(r->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (r->output >= 0)
		take_output(r); // what was written last
	return status;
}

// ---- words

static size_t clean_text(const struct run *r, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < r->len && n + 1 < size; i++) {
		unsigned char c = (unsigned char)r->text[i];
		bool blank = c <= ' ' || c == 0x7f;
		if (blank && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n++] = blank ? ' ' : c < 0x7f ? (char)c : '?';
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return n;
}

static const char *name_of(const struct pipe_program *p)
{
	bool shell = !strcmp(p->argv[0], "/bin/sh") && p->argv[1] && p->argv[2];
	return shell ? p->argv[2] : p->argv[0];
}

static void set_status(const struct pipe_program *p, const struct run *run, int status,
	struct deliver_recipient *r)
{
	enum smtp_outcome outcome = SMTP_TEMPORARY;
	const char *enhanced = "4.3.0";
	char words[SMTP_REPLY_TEXT_MAX], said[300];
	size_t len = clean_text(run, said, sizeof said);
	if (run->late)
		snprintf(words, sizeof words, TEXT("program-timeout: %.100s did not end within %llu s"),
			name_of(p), (unsigned long long)p->timeout_ms / 1000);
	else if (status < 0 || WIFSIGNALED(status))
		snprintf(words, sizeof words, TEXT("%.100s was ended by signal %d"), name_of(p),
			status < 0 ? 0 : WTERMSIG(status));
	else if (pipe_status(WEXITSTATUS(status), p->qmail, &outcome, &enhanced) &&
		outcome == SMTP_DELIVERED)
		snprintf(words, sizeof words, TEXT("delivered by %.100s"), name_of(p));
	else
		snprintf(words, sizeof words, TEXT("%.100s ended with status %d"), name_of(p),
			WEXITSTATUS(status));
	deliver_set_format(r, outcome, outcome == SMTP_DELIVERED ? 250 :
		outcome == SMTP_PERMANENT ? 554 : 451, enhanced, "%s%s%s", words, len ? ": " : "", said);
}

// ---- one run

static int make_input(const struct pipe_program *p, int ends[2])
{
	if (!p->seekable)
		return pipe2(ends, O_CLOEXEC) < 0 ? -1 : fd_set_nonblocking(ends[1]);
	ends[0] = memfd_create("message", MFD_CLOEXEC);
	ends[1] = -1;
	return ends[0] < 0 ? -1 : 0;
}

static struct deliver_copy copy_for(const struct pipe_program *p, struct run *run, int *file, char *from,
	size_t size, const struct deliver_job *job)
{
	struct deliver_copy copy = {.write = feed, .arg = run, .address = p->address};
	if (p->seekable) {
		copy.write = deliver_copy_to_fd;
		copy.arg = file;
	}
	if (p->from_line) {
		deliver_from_line(job->sender, from, size);
		copy.from_line = from;
	}
	return copy;
}

static int start(const struct pipe_program *p, struct run *run, int input)
{
	int output[2];
	pid_t parent = getpid();
	if (pipe2(output, O_CLOEXEC) < 0)
		return ERR_SYSTEM;
	// Without what libraries have registered for a fork: libuv would close descriptors by numbers that
	// are ours here, as this process was forked from one that had a loop.
	run->pid = _Fork();
	if (run->pid == 0)
		become_program(p, input, output[1], parent);
	fd_close(&output[1]);
	run->output = output[0];
	if (run->pid < 0)
		return ERR_SYSTEM;
	(void)fd_set_nonblocking(run->output);
	run->ended = (int)syscall(SYS_pidfd_open, run->pid, 0);
	if (run->ended >= 0)
		return 0;
	kill_all(run);
	(void)waitpid(run->pid, NULL, 0);
	return ERR_SYSTEM;
}

// False: errno says why it was not done to the end, and nothing was delivered.
static bool run_program(const struct pipe_program *p, struct deliver_job *job, struct run *run,
	int *out_status)
{
	int ends[2] = {-1, -1};
	char from[600];
	if (make_input(p, ends) < 0)
		return false;
	struct deliver_copy copy = copy_for(p, run, &ends[0], from, sizeof from, job);
	int err = p->seekable ? deliver_copy(&copy, job) : 0;
	if (!err && p->seekable)
		err = lseek(ends[0], 0, SEEK_SET) < 0 ? ERR_SYSTEM : 0;
	if (!err)
		err = start(p, run, ends[0]);
	fd_close(&ends[0]);
	run->input = ends[1];
	if (!err && !p->seekable)
		err = deliver_copy(&copy, job);
	int why = errno;
	if (err && run->ended >= 0) { // it has only a part of the message, and must not take it for all
		kill_all(run);
		(void)reap(run);
	}
	fd_close(&run->input);
	if (!err)
		*out_status = reap(run);
	fd_close(&run->output);
	fd_close(&run->ended);
	errno = why;
	return !err;
}

void pipe_deliver(const struct pipe_program *p, struct deliver_job *job,
	struct deliver_recipient *r, bool *out_stop)
{
	struct run run = {.input = -1, .output = -1, .ended = -1,
		.until_ms = clock_monotonic_ms() + p->timeout_ms};
	int status = 0;
	if (!run_program(p, job, &run, &status)) {
		deliver_set_errno(r, TEXT("cannot run a program"));
		return;
	}
	set_status(p, &run, status, r);
	if (out_stop)
		*out_stop = p->qmail && WIFEXITED(status) && WEXITSTATUS(status) == 99;
}
