// SPDX-License-Identifier: ISC
#include "role/local_worker.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/agent.h"
#include "smtp/address.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET       3
#define THREADS      "16" // of the worker for virtual mailboxes: some may wait for locks and programs
#define NOBODY       65534
#define NO_GROUP     ((gid_t)-1)

// ================================================================ beginning

int local_fork(void (*body)(void *arg, int socket), void *arg, pid_t *out_pid, int *out_socket)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR_SYSTEM;
	*out_pid = fork();
	if (*out_pid == 0) {
		event_set_tap(NULL, NULL); // its channel is the parent's
		signal(SIGTERM, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		// Nothing of the parent's may stay open in a process with fewer rights.
		int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0 ||
			dup2(pair[1], SOCKET) < 0 || close_range(SOCKET + 1, ~0U, 0) < 0 ||
			fd_set_cloexec(SOCKET, true) < 0)
			_exit(71);
		(void)umask(077);
		body(arg, SOCKET);
		_exit(0);
	}
	fd_close(&pair[1]);
	if (*out_pid < 0) {
		fd_close(&pair[0]);
		return ERR_SYSTEM;
	}
	*out_socket = pair[0];
	return 0;
}

static void stay_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); // also when it is stopped; becoming another switches it off
	if (!PABAL_SANITIZED) // becoming another does it as well
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void no_new_rights(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fatal("cannot forbid new privileges: %s", strerror(errno));
}

// What every agent has; never freed, the process ends with it.
static char *state_maildir(const struct config *config)
{
	size_t size = config->state_folder.len + 32;
	char *pattern = mem_alloc(size);
	snprintf(pattern, size, "%.*s/mail/%%d/%%u/Maildir", STR_ARG(config->state_folder));
	return pattern;
}

static void init_agent(struct agent *a, const struct config *config)
{
	*a = (struct agent){.config = config, .user = "", .home = "", .state_maildir = state_maildir(config),
		.owner = {.uid = geteuid(), .gid = getegid(), .mailbox_group = NO_GROUP},
		.known = maildir_known_create(), .quota = quota_create()};
}

static void send_result(struct deliver_job *job, struct ipc_channel *channel, int socket)
{
	struct ipc_tried m = {0};
	struct buf outcomes = BUF_INIT, body = BUF_INIT;
	if (deliver_job_result(job, &m, &outcomes) == 0) {
		if (channel)
			(void)ipc_send_tried(channel, &m);
		else if (!ipc_encode_tried(&body, &m))
			(void)ipc_send_blocking(socket, IPC_TYPE_tried, buf_str(&body), -1);
	}
	buf_finish(&outcomes);
	buf_finish(&body);
}

// ================================================================ virtual mailboxes
// A configuration, used by deliveries that began under it.
struct settings {
	struct agent agent;
	struct config *config;  // NULL: the role's own, of the start
	void *mapping;
	size_t size;
	unsigned users;
};

struct virtual {
	uv_loop_t loop;
	struct ipc_channel *parent;
	struct settings *settings; // the newest
};

struct task {
	uv_work_t work;
	struct virtual *worker;
	struct settings *settings;
	struct deliver_job *job;
};

static struct settings *use_settings(struct virtual *w)
{
	w->settings->users++;
	return w->settings;
}

static void leave_settings(struct settings *s)
{
	if (--s->users)
		return;
	config_destroy(s->config);
	if (s->mapping)
		munmap(s->mapping, s->size);
	mem_free((char *)s->agent.state_maildir);
	mem_free(s);
}

static void take_config(void *arg, struct str body, int fd)
{
	struct virtual *w = arg;
	struct settings *s = mem_alloc(sizeof *s);
	struct ipc_config m;
	if (ipc_decode_config(body, &m) || fd < 0)
		fatal("broken snapshot message");
	s->size = m.size;
	s->mapping = mmap(NULL, m.size, PROT_READ, MAP_PRIVATE, fd, 0);
	fd_close(&fd);
	if (s->mapping == MAP_FAILED || config_decode(str_make(s->mapping, s->size), &s->config))
		fatal("cannot read the configuration snapshot");
	s->agent = w->settings->agent;
	s->agent.config = s->config;
	s->agent.state_maildir = state_maildir(s->config);
	s->users = 1;
	leave_settings(w->settings);
	w->settings = s;
}

static void on_thread(uv_work_t *work)
{
	struct task *t = work->data;
	for (unsigned i = 0; i < t->job->recipient_count; i++)
		agent_deliver(&t->settings->agent, t->job, &t->job->recipients[i]);
}

static void on_thread_done(uv_work_t *work, int status)
{
	struct task *t = work->data;
	(void)status;
	send_result(t->job, t->worker->parent, -1);
	deliver_job_destroy(t->job);
	leave_settings(t->settings);
	mem_free(t);
}

static void take_try(void *arg, struct str body, int fd)
{
	struct virtual *w = arg;
	struct task *t = mem_alloc(sizeof *t);
	t->work.data = t;
	t->worker = w;
	if (deliver_job_create(body, fd, &t->job)) {
		struct ipc_tried m;
		event_report(EVENT_ERROR, "local", "the queue sent a broken job");
		deliver_job_refuse(body, &m);
		(void)ipc_send_tried(w->parent, &m);
		mem_free(t);
		return;
	}
	t->job->started_ms = clock_monotonic_ms();
	t->settings = use_settings(w);
	if (uv_queue_work(&w->loop, &t->work, on_thread, on_thread_done))
		fatal("no thread for a delivery");
}

// ---- how full a mailbox is
struct count {
	uv_work_t work;
	struct virtual *worker;
	struct settings *settings;
	struct quota_limits limits;
	struct ipc_usage_answer answer;
	bool anew;
	char address[SMTP_ADDRESS_MAX];
};

static void count_on_thread(uv_work_t *work)
{
	struct count *c = work->data;
	struct quota_usage usage;
	int err = agent_usage(&c->settings->agent, c->address, &c->limits, c->anew, &usage);
	c->answer.err = (uint32_t)-err;
	c->answer.octets = usage.octets;
	c->answer.messages = usage.messages;
}

static void on_counted(uv_work_t *work, int status)
{
	struct count *c = work->data;
	(void)status;
	(void)ipc_send_usage_answer(c->worker->parent, &c->answer);
	leave_settings(c->settings);
	mem_free(c);
}

static void take_usage(void *arg, struct str body, int fd)
{
	struct count *c = mem_alloc(sizeof *c);
	struct ipc_usage_query m;
	fd_close(&fd);
	c->work.data = c;
	c->worker = arg;
	if (ipc_decode_usage_query(body, &m) || !str_copy(m.address, c->address, sizeof c->address)) {
		mem_free(c);
		return;
	}
	c->answer.request = m.request;
	c->anew = m.anew;
	c->settings = use_settings(c->worker);
	c->limits = (struct quota_limits){.octets = m.quota, .octets_soft = m.quota_soft,
		.messages = m.quota_messages, .messages_soft = m.quota_messages_soft};
	if (uv_queue_work(&c->worker->loop, &c->work, count_on_thread, on_counted))
		fatal("no thread to count a mailbox");
}

static const ipc_handler from_parent[IPC_TYPES] = {
	[IPC_TYPE_try] = take_try, [IPC_TYPE_usage_query] = take_usage,
	[IPC_TYPE_config] = take_config};

static void on_parent_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_parent, arg, type, body, fd);
}

static void on_parent_gone(struct ipc_channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	exit(0); // a delivery in flight is finished or torn; the queue tries it again
}

void local_worker_virtual(void *worker, int socket)
{
	const struct local_worker *plan = worker;
	struct virtual *w = mem_alloc(sizeof *w);
	struct error err = {0};
	if (plan->context->confined && confine_become(plan->mail_user, &err))
		fatal("%s", err.text);
	stay_with_parent();
	no_new_rights();
	(void)setenv("UV_THREADPOOL_SIZE", THREADS, 1);
	w->settings = mem_alloc(sizeof *w->settings);
	w->settings->users = 1;
	init_agent(&w->settings->agent, plan->context->config);
	w->settings->agent.user = plan->context->role->user;
	if (uv_loop_init(&w->loop))
		fatal("cannot make an event loop");
	w->parent = ipc_channel_open(&w->loop, socket, on_parent_frame, on_parent_gone, w);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	exit(0);
}

// ================================================================ one system user
struct user {
	const struct local_worker *plan;
	struct agent agent;
	enum smtp_outcome outcome; // of everything, when failed
	const char *enhanced;
	bool failed;
	struct error err;
};

bool local_user_counts(const struct config *c, const struct passwd *pw)
{
	return pw->pw_uid != 0 && pw->pw_uid != NOBODY && pw->pw_uid >= c->deliver.system_users_from &&
		pw->pw_dir[0] == '/' && pw->pw_dir[1] && strcmp(pw->pw_dir, "/nonexistent") != 0;
}

static void fail(struct user *u, enum smtp_outcome outcome, const char *enhanced)
{
	u->failed = true;
	u->outcome = outcome;
	u->enhanced = enhanced;
}

static bool is_shell(const char *shell)
{
	const char *one;
	bool found = false;
	setusershell();
	while (!found && (one = getusershell()))
		found = !strcmp(one, shell);
	endusershell();
	return found;
}

static gid_t mailbox_group(const struct config *c)
{
	char name[64];
	const struct group *group = NULL;
	if (c->deliver.mailbox_group.len && str_copy(c->deliver.mailbox_group, name, sizeof name))
		group = getgrnam(name);
	return group ? group->gr_gid : NO_GROUP;
}

// The group of the mailboxes' folder is kept aside as the saved one: it counts only between
// mbox_enter_group and mbox_leave_group, and never for a program.
static int become(const struct passwd *pw, gid_t mailboxes, struct error *err)
{
	struct confine_user user = {.uid = pw->pw_uid, .gid = pw->pw_gid};
	gid_t aside = mailboxes == NO_GROUP ? pw->pw_gid : mailboxes;
	int result = confine_find_groups(pw->pw_name, &user, err);
	if (result)
		return result;
	if (setgroups((size_t)user.group_count, user.groups) < 0 ||
		setresgid(user.gid, user.gid, aside) < 0 || setresuid(user.uid, user.uid, user.uid) < 0)
		return error_system(err, TEXT("cannot become user %s"), pw->pw_name);
	if (setuid(0) == 0 || geteuid() != user.uid || getegid() != user.gid)
		return error_set(err, ERR_DENIED, TEXT("could still become root again"));
	return 0;
}

// Whether programs are ever run for a user: they may be set-id (procmail is, on Debian), as they may
// when he starts them himself.
static bool runs_programs(const struct config *c)
{
	bool any = c->deliver.forward_commands || c->deliver.way.program.count;
	for (size_t i = 0; i < c->mailboxes_count; i++)
		any = any || c->mailboxes[i].way.program.count;
	return any;
}

static void enter(struct user *u, const struct passwd *pw)
{
	const struct role_context *c = u->plan->context;
	gid_t mailboxes = mailbox_group(c->config);
	char *home = str_dup(str_from(pw->pw_dir)), *name = str_dup(str_from(pw->pw_name));
	bool shell = is_shell(pw->pw_shell);
	if (c->confined && become(pw, mailboxes, &u->err)) {
		fail(u, SMTP_TEMPORARY, "4.3.0");
		return;
	}
	if (!c->confined && pw->pw_uid != geteuid()) {
		(void)error_set(&u->err, ERR_DENIED, TEXT("only root can deliver to the user %s"), name);
		fail(u, SMTP_TEMPORARY, "4.3.5");
		return;
	}
	(void)setsid();
	stay_with_parent();
	if (!runs_programs(c->config))
		no_new_rights();
	init_agent(&u->agent, c->config);
	u->agent.user = name;
	u->agent.home = u->plan->name[0] ? home : "";
	u->agent.does_aliases = !u->plan->name[0];
	u->agent.has_shell = shell;
	u->agent.owner.gid = pw->pw_gid;
	u->agent.owner.mailbox_group = c->confined ? mailboxes : NO_GROUP;
}

static void begin(struct user *u)
{
	const struct config *config = u->plan->context->config;
	char name[64];
	bool alias = u->plan->name[0] == '\0';
	if (alias && !str_copy(config->deliver.alias_user, name, sizeof name))
		name[0] = '\0';
	if (!alias)
		snprintf(name, sizeof name, "%s", u->plan->name);
	errno = 0;
	const struct passwd *pw = getpwnam(name);
	if (pw && pw->pw_uid && (alias || local_user_counts(config, pw))) {
		enter(u, pw);
		return;
	}
	bool sure = pw || errno == 0 || errno == ENOENT || errno == ESRCH;
	if (!sure || alias) {
		(void)error_set(&u->err, ERR_NOT_FOUND, TEXT("cannot look up the user %s"), name);
		fail(u, SMTP_TEMPORARY, "4.3.0");
	} else {
		(void)error_set(&u->err, ERR_NOT_FOUND, TEXT("there is no mailbox of %s here"), name);
		fail(u, SMTP_PERMANENT, "5.1.1");
	}
}

// A job is for one user; nobody else's rights are ever used for it.
static bool is_ours(const struct user *u, const struct deliver_recipient *r)
{
	struct str address = str_from(r->address);
	ptrdiff_t at = str_find_last(address, '@');
	bool alias = r->kind == IPC_TARGET_PROGRAM || r->kind == IPC_TARGET_FILE;
	if (alias || !u->plan->name[0])
		return alias && !u->plan->name[0];
	return r->kind == IPC_TARGET_USER && at > 0 &&
		str_equal(str_slice(address, 0, (size_t)at), str_from(u->plan->name));
}

static void serve(struct user *u, struct str body, int fd)
{
	struct deliver_job *job;
	struct ipc_tried refused;
	struct buf frame = BUF_INIT;
	if (deliver_job_create(body, fd, &job)) {
		deliver_job_refuse(body, &refused);
		if (!ipc_encode_tried(&frame, &refused))
			(void)ipc_send_blocking(SOCKET, IPC_TYPE_tried, buf_str(&frame), -1);
		buf_finish(&frame);
		return;
	}
	for (unsigned i = 0; !u->failed && i < job->recipient_count; i++)
		if (is_ours(u, &job->recipients[i]))
			agent_deliver(&u->agent, job, &job->recipients[i]);
	deliver_job_fail(job, u->failed ? u->outcome : SMTP_TEMPORARY,
		u->failed && u->outcome == SMTP_PERMANENT ? 550 : 451, u->failed ? u->enhanced : "4.3.0",
		"%s", u->failed ? u->err.text : TEXT("the queue gave a job for somebody else"));
	send_result(job, NULL, SOCKET);
	deliver_job_destroy(job);
}

void local_worker_user(void *worker, int socket)
{
	struct user *u = mem_alloc(sizeof *u);
	struct buf body = {.limit = IPC_FRAME_MAX};
	unsigned type;
	int fd = -1;
	u->plan = worker;
	begin(u);
	while (ipc_receive_blocking(socket, &type, &body, &fd) == 0) {
		if (type == IPC_TYPE_try)
			serve(u, buf_str(&body), fd);
		else
			fd_close(&fd);
		buf_clear(&body);
	}
	_exit(0);
}
