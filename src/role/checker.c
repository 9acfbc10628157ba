// SPDX-License-Identifier: ISC
// Role checker: for password sources that run programs or other people's libraries, or read other
// people's files. One short-lived child a check, which becomes the source's user; what it says is
// one record of fixed size. The role itself looks at nothing.
#include "role/roles.h"

#include "auth/record.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "net/tls.h"
#include "net/wheel.h"
#include "role/checks.h"
#include "role/confine.h"
#include "role/winbind.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORD_FD    3
#define OPEN_MAX_OF  256
#define WRITTEN_MAX  (16 * 1024 * 1024)
#define GRACE_MS     500 // for the kind to end by itself what it started

struct checker {
	struct role_context *context;
	struct checks *checks;
	struct ipc_channel *auth;
	struct wheel *wheel;
	struct winbind *winbind;
	struct list children; // struct child, until it was reaped
	uv_signal_t child_signal;
	bool draining;
};

// A check that runs. Gone when it is answered, reaped and its handle is closed.
struct child {
	struct list link;
	struct checker *checker;
	struct check_task *task; // NULL: answered
	pid_t pid;		 // 0: reaped
	int fd;
	uv_poll_t poll;
	struct wheel_timer timer;
	bool closed;
};

// ================================================================ the child
static void limit(int what, rlim_t value)
{
	struct rlimit both = {value, value};

	// Over the limit that is there already: that one holds.
	(void)setrlimit(what, &both);
}

static void set_limits(const struct config_source *s)
{
	limit(RLIMIT_CPU, (rlim_t)(s->timeout / 1000 + 1));
	limit(RLIMIT_NOFILE, OPEN_MAX_OF);
	limit(RLIMIT_FSIZE, WRITTEN_MAX);
	limit(RLIMIT_CORE, 0);
}

static bool become_user(const struct check_task *t, struct auth_answer *out)
{
	struct confine_user user;
	struct error err = {0};
	char name[64];

	if (t->source->user.len == 0 || geteuid() != 0)
		return true;
	if (str_copy(t->source->user, name, sizeof name) &&
		!confine_find_user(name, &user, &err) && !confine_find_groups(name, &user, &err) &&
		!confine_become(&user, &err))
		return true;
	auth_answer_set(out, AUTH_CANNOT, "%s", err.text);
	return false;
}

static void write_record(const struct auth_answer *answer)
{
	struct auth_record record;

	auth_record_make(&record, answer);
	// It fits a pipe whole.
	if (write(RECORD_FD, &record, sizeof record) != (ssize_t)sizeof record)
		_exit(74);
	mem_wipe(&record, sizeof record);
}

static _Noreturn void child_main(struct check_task *t, int out)
{
	struct auth_answer answer = {0};
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	setpgid(0, 0);
	event_set_tap(NULL, NULL);
	// Nothing of the role's may stay open but the log and the way back.
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0)
		_exit(71);
	if (out == RECORD_FD ? fd_set_cloexec(out, true) < 0 : dup3(out, RECORD_FD, O_CLOEXEC) < 0)
		_exit(71);
	if (close_range(RECORD_FD + 1, ~0U, 0) < 0)
		_exit(71);
	set_limits(t->source);
	if (become_user(t, &answer)) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); // becoming another user switches it off
		t->kind->check(t->source, t->state, &t->question, &answer);
	}
	write_record(&answer);
	_exit(0);
}

// ================================================================ the role
// Whatever it started goes with it.
static void child_kill(const struct child *c)
{
	if (c->pid == 0)
		return;
	kill(-c->pid, SIGKILL);
	kill(c->pid, SIGKILL);
}

static _Noreturn void finish(struct checker *k)
{
	LIST_EACH(link, &k->children)
		child_kill(LIST_ENTRY(link, struct child, link));
	winbind_destroy(k->winbind);
	role_exit(k->context);
	_exit(0);
}

static void exit_when_idle(struct checker *k)
{
	if (k->draining && (checks_running(k->checks) == 0 || !k->auth))
		finish(k);
}

static void child_free(struct child *c)
{
	if (c->pid || !c->closed)
		return;
	list_remove(&c->link);
	mem_free(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct child *c = handle->data;

	c->closed = true;
	child_free(c);
}

static void child_answered(struct child *c)
{
	struct check_task *t = c->task;

	c->task = NULL;
	wheel_clear(c->checker->wheel, &c->timer);
	child_kill(c);
	uv_poll_stop(&c->poll);
	fd_close(&c->fd);
	uv_close((uv_handle_t *)&c->poll, on_poll_closed);
	struct checker *k = c->checker;
	checks_done(t);
	exit_when_idle(k);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct child *c = poll->data;
	struct auth_record record = {0};
	ssize_t n = read(c->fd, &record, sizeof record);

	(void)status;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof record || auth_record_read(&record, &c->task->answer))
		auth_answer_set(&c->task->answer, AUTH_CANNOT, "its process ended without an answer");
	mem_wipe(&record, sizeof record);
	child_answered(c);
}

static void on_timeout(struct wheel_timer *timer)
{
	struct child *c = LIST_ENTRY(timer, struct child, timer);

	auth_answer_set(&c->task->answer, AUTH_CANNOT, "no answer within %llu ms",
		(unsigned long long)c->task->source->timeout);
	child_answered(c);
}

static void watch(struct checker *k, struct check_task *t, pid_t pid, int fd)
{
	struct child *c = mem_alloc(sizeof *c);

	setpgid(pid, pid); // it does so too; whoever is first
	c->checker = k;
	c->task = t;
	c->pid = pid;
	c->fd = fd;
	list_add_last(&k->children, &c->link);
	wheel_timer_init(&c->timer, on_timeout);
	wheel_set(k->wheel, &c->timer, t->source->timeout + GRACE_MS);
	if (uv_poll_init(k->context->loop, &c->poll, fd))
		fatal("cannot watch a check");
	c->poll.data = c;
	uv_poll_start(&c->poll, UV_READABLE, on_readable);
}

// Not from inside: the answer to what cannot even begin comes with the next turn.
static void on_failed_start(struct wheel_timer *timer)
{
	struct child *c = LIST_ENTRY(timer, struct child, timer);
	struct check_task *t = c->task;
	struct checker *k = c->checker;

	list_remove(&c->link);
	mem_free(c);
	checks_done(t);
	exit_when_idle(k);
}

static void fail_start(struct checker *k, struct check_task *t, const char *what)
{
	struct child *c = mem_alloc(sizeof *c);

	auth_answer_set(&t->answer, AUTH_CANNOT, "%s: %s", what, strerror(errno));
	c->checker = k;
	c->task = t;
	list_add_last(&k->children, &c->link);
	wheel_timer_init(&c->timer, on_failed_start);
	wheel_set(k->wheel, &c->timer, 1);
}

static void start_check(void *arg, struct check_task *t)
{
	struct checker *k = arg;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		fail_start(k, t, "cannot make a pipe");
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		child_main(t, ends[1]);
	fd_close(&ends[1]);
	if (pid < 0) {
		fd_close(&ends[0]);
		fail_start(k, t, "cannot start a process");
		return;
	}
	watch(k, t, pid, ends[0]);
}

static void on_child_signal(uv_signal_t *signal, int number)
{
	struct checker *k = signal->data;

	(void)number;
	LIST_EACH(link, &k->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		if (c->pid == 0 || waitpid(c->pid, NULL, WNOHANG) != c->pid)
			continue;
		kill(-c->pid, SIGKILL); // what it left behind in its group
		c->pid = 0;
		child_free(c);
	}
}

// ---- who asks
static void on_check(void *arg, struct str body, int fd)
{
	struct checker *k = arg;

	fd_close(&fd);
	checks_ask(k->checks, k->auth, body);
}

static void on_negotiate(void *arg, struct str body, int fd)
{
	struct checker *k = arg;

	fd_close(&fd);
	if (k->winbind)
		winbind_ask(k->winbind, k->auth, body);
}

static void on_negotiate_end(void *arg, struct str body, int fd)
{
	struct checker *k = arg;

	fd_close(&fd);
	if (k->winbind)
		winbind_end(k->winbind, body);
}

static const ipc_handler from_auth[IPC_TYPES] = {
	[IPC_TYPE_check] = on_check,
	[IPC_TYPE_negotiate] = on_negotiate,
	[IPC_TYPE_negotiate_end] = on_negotiate_end,
};

static void on_auth_frame(
	struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_auth, arg, type, body, fd);
}

static void on_auth_gone(struct ipc_channel *ch, void *arg)
{
	struct checker *k = arg;

	if (k->checks)
		checks_lost(k->checks, ch);
	if (k->winbind)
		winbind_lost(k->winbind);
	if (k->auth == ch)
		k->auth = NULL;
	ipc_channel_close(ch);
	// Nobody waits for these any more.
	LIST_EACH(link, &k->children)
		child_kill(LIST_ENTRY(link, struct child, link));
	exit_when_idle(k);
}

// ---- what master gives
static struct checker *state_of(struct role_context *c)
{
	if (!c->state) {
		struct checker *k = mem_alloc(sizeof *k);
		k->context = c;
		list_init(&k->children);
		c->state = k;
	}
	return c->state;
}

int role_checker_prepare(struct role_context *c, struct error *err)
{
	struct checker *k = state_of(c);
	struct checks_options o = {
		.context = c, .in_checker = true, .start = start_check, .arg = k};

	(void)err;
	tls_prepare();
	k->checks = checks_create(&o);
	return 0;
}

int role_checker_start(struct role_context *c, struct error *err)
{
	struct checker *k = c->state;

	// Children, and what they start, live without a network as well.
	if (c->confined && unshare(CLONE_NEWNET) < 0)
		event_report(EVENT_WARNING, "auth",
			"role checker cannot give up the network: %s", strerror(errno));
	if (c->confined && confine_to_checks(err))
		return err->code;
	k->wheel = wheel_create(c->loop);
	k->winbind = winbind_create(c, k->wheel);
	uv_signal_init(c->loop, &k->child_signal);
	k->child_signal.data = k;
	uv_signal_start(&k->child_signal, on_child_signal, SIGCHLD);
	return 0;
}

void role_checker_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct checker *k = state_of(c);

	(void)peer;
	(void)index;
	if (k->auth)
		on_auth_gone(k->auth, k);
	k->auth = ipc_channel_open(c->loop, fd, on_auth_frame, on_auth_gone, k);
}

void role_checker_configured(struct role_context *c, const struct config *old)
{
	struct checker *k = c->state;

	(void)old;
	checks_configure(k->checks);
}

void role_checker_drain(struct role_context *c, uint64_t within_ms)
{
	struct checker *k = c->state;

	if (!k || !k->checks)
		role_exit(c);
	k->draining = true;
	if (within_ms == 0)
		finish(k);
	exit_when_idle(k);
}
