// SPDX-License-Identifier: ISC
// Role local: local delivery. The role itself touches no mailbox: it forks a worker that becomes
// the owner of the mailboxes before it opens any path, gives its own rights up and hands it the jobs.
#include "role/roles.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "deliver/maildir.h"
#include "role/confine.h"
#include "smtp/address.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct local {
	struct role_context *context;
	struct ipc_channel *queue;
	struct ipc_channel *worker;
	pid_t worker_pid;
	struct confine_user mail_user;
	uv_signal_t child_signal;
	uint64_t open;       // jobs handed to the worker and not answered
	bool draining;
};

// ================================================================ the worker
struct worker {
	uv_loop_t loop;
	struct ipc_channel *parent;
	struct maildir_options maildir;
	char pattern[1100];
	char hostname[256];
};

struct task {
	uv_work_t work;
	struct worker *worker;
	struct deliver_job *job;
};

static void on_thread(uv_work_t *work)
{
	struct task *t = work->data;
	for (unsigned i = 0; i < t->job->recipient_count; i++)
		maildir_deliver(&t->worker->maildir, t->job, &t->job->recipients[i]);
}

static void on_thread_done(uv_work_t *work, int status)
{
	struct task *t = work->data;
	struct ipc_tried m = {0};
	struct buf outcomes = BUF_INIT;
	(void)status;
	if (deliver_job_result(t->job, &m, &outcomes) == 0)
		(void)ipc_send_tried(t->worker->parent, &m);
	buf_finish(&outcomes);
	deliver_job_destroy(t->job);
	mem_free(t);
}

static void worker_try(void *arg, struct str body, int fd)
{
	struct worker *w = arg;
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
	if (uv_queue_work(&w->loop, &t->work, on_thread, on_thread_done))
		fatal("no thread for a delivery");
}

// ---- how full a mailbox is
struct count {
	uv_work_t work;
	struct worker *worker;
	struct quota_limits limits;
	struct ipc_usage_answer answer;
	bool anew;
	char address[SMTP_ADDRESS_MAX];
};

static void count_on_thread(uv_work_t *work)
{
	struct count *c = work->data;
	struct quota_usage usage;
	int err = maildir_usage(&c->worker->maildir, c->address, &c->limits, c->anew, &usage);
	c->answer.err = (uint32_t)-err;
	c->answer.octets = usage.octets;
	c->answer.messages = usage.messages;
}

static void on_counted(uv_work_t *work, int status)
{
	struct count *c = work->data;
	(void)status;
	(void)ipc_send_usage_answer(c->worker->parent, &c->answer);
	mem_free(c);
}

static void worker_usage(void *arg, struct str body, int fd)
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
	c->limits = (struct quota_limits){.octets = m.quota, .octets_soft = m.quota_soft,
		.messages = m.quota_messages, .messages_soft = m.quota_messages_soft};
	if (uv_queue_work(&c->worker->loop, &c->work, count_on_thread, on_counted))
		fatal("no thread to count a mailbox");
}

// The pattern may change with the configuration; it is sent as the name of a folder.
static void worker_pattern(void *arg, struct str body, int fd)
{
	struct worker *w = arg;
	struct ipc_folder m;
	fd_close(&fd);
	if (!ipc_decode_folder(body, &m))
		str_copy(m.name, w->pattern, sizeof w->pattern);
}

static const ipc_handler from_parent[IPC_TYPES] = {
	[IPC_TYPE_try] = worker_try, [IPC_TYPE_folder] = worker_pattern,
	[IPC_TYPE_usage_query] = worker_usage};

static void on_parent_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_parent, arg, type, body, fd);
}

static void on_parent_gone(struct ipc_channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	exit(0); // a delivery in flight is finished or left in tmp; the queue tries it again
}

static _Noreturn void worker_main(const struct local *l, int socket)
{
	struct error err = {0};
	struct worker *w = mem_alloc(sizeof *w);
	w->maildir = (struct maildir_options){.pattern = w->pattern, .hostname = w->hostname,
		.known = maildir_known_create(), .quota = quota_create()};
	event_set_tap(NULL, NULL); // its channel is the parent's
	signal(SIGTERM, SIG_DFL);
	if (l->context->confined && confine_become(&l->mail_user, &err))
		fatal("%s", err.text);
	// Becoming another user switches this off.
	prctl(PR_SET_PDEATHSIG, SIGKILL); // also when it is stopped
	// The parent has not done it yet: it would still be root for us to become another.
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fatal("cannot forbid new privileges: %s", strerror(errno));
	str_copy(l->context->config->hostname, w->hostname, sizeof w->hostname);
	if (uv_loop_init(&w->loop))
		fatal("cannot make an event loop");
	w->parent = ipc_channel_open(&w->loop, socket, on_parent_frame, on_parent_gone, w);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	exit(0);
}

// ================================================================ the role
static void send_pattern(struct local *l)
{
	const struct config *config = l->context->config;
	struct ipc_folder m = {.name = config_delivery_for(config, STR(""), false).path};
	char path[1100];
	if (m.name.len == 0) {
		snprintf(path, sizeof path, "%.*s/mail/%%d/%%u/Maildir", STR_ARG(config->state_folder));
		m.name = str_from(path);
	}
	(void)ipc_send_folder(l->worker, &m);
}

static void worker_tried(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	fd_close(&fd);
	l->open--;
	if (l->queue)
		(void)ipc_channel_send(l->queue, IPC_TYPE_tried, body, -1);
	if (l->draining && l->open == 0)
		role_exit(l->context);
}

static void worker_counted(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	fd_close(&fd);
	if (l->queue)
		(void)ipc_channel_send(l->queue, IPC_TYPE_usage_answer, body, -1);
}

static const ipc_handler from_worker[IPC_TYPES] = {
	[IPC_TYPE_tried] = worker_tried, [IPC_TYPE_usage_answer] = worker_counted};

static void on_worker_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_worker, arg, type, body, fd);
}

// The jobs it had are unanswered; ending makes the queue give them back, and master starts us anew.
static void on_worker_gone(struct ipc_channel *ch, void *arg)
{
	struct local *l = arg;
	(void)ch;
	l->worker = NULL;
	if (l->draining)
		role_exit(l->context);
	fatal("the delivery worker ended");
}

static void start_worker(struct local *l)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		fatal("cannot make a socket pair: %s", strerror(errno));
	// Before the loop runs and before any thread: the child may start a loop of its own.
	l->worker_pid = fork();
	if (l->worker_pid < 0)
		fatal("cannot start the delivery worker: %s", strerror(errno));
	if (l->worker_pid == 0) {
		fd_close(&pair[0]);
		// Nothing of the parent's may stay open in a process with fewer rights.
		int socket = dup2(pair[1], 3);
		if (socket < 0 || close_range(4, ~0U, 0) < 0)
			_exit(71);
		worker_main(l, socket);
	}
	fd_close(&pair[1]);
	l->worker = ipc_channel_open(l->context->loop, pair[0], on_worker_frame, on_worker_gone, l);
	send_pattern(l);
}

// ---- jobs
static void on_try(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	l->open++;
	(void)ipc_channel_send(l->worker, IPC_TYPE_try, body, fd);
	fd_close(&fd);
}

static void on_usage_query(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	fd_close(&fd);
	(void)ipc_channel_send(l->worker, IPC_TYPE_usage_query, body, -1);
}

static const ipc_handler from_queue[IPC_TYPES] = {
	[IPC_TYPE_try] = on_try, [IPC_TYPE_usage_query] = on_usage_query};

static void on_queue_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_queue, arg, type, body, fd);
}

static void on_queue_gone(struct ipc_channel *ch, void *arg)
{
	struct local *l = arg;
	ipc_channel_close(ch);
	if (l->queue != ch)
		return;
	l->queue = NULL;
	role_set_history(l->context, NULL);
}

// ---- what master gives
static struct local *state_of(struct role_context *c)
{
	if (!c->state) {
		struct local *l = mem_alloc(sizeof *l);
		l->context = c;
		c->state = l;
	}
	return c->state;
}

int role_local_prepare(struct role_context *c, struct error *err)
{
	struct local *l = state_of(c);
	return c->confined ? confine_find_user(c->role->user, &l->mail_user, err) : 0;
}

static void on_child(uv_signal_t *signal, int number)
{
	struct local *l = signal->data;
	(void)number;
	(void)waitpid(l->worker_pid, NULL, WNOHANG);
}

int role_local_start(struct role_context *c, struct error *err)
{
	struct local *l = c->state;
	start_worker(l);
	if (c->confined && confine_renounce(err))
		return err->code;
	uv_signal_init(c->loop, &l->child_signal);
	l->child_signal.data = l;
	uv_signal_start(&l->child_signal, on_child, SIGCHLD);
	return 0;
}

void role_local_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct local *l = state_of(c);
	(void)peer;
	(void)index;
	ipc_channel_close(l->queue);
	l->queue = ipc_channel_open(c->loop, fd, on_queue_frame, on_queue_gone, l);
	role_set_history(c, l->queue);
}

void role_local_configured(struct role_context *c, const struct config *old)
{
	struct local *l = c->state;
	(void)old;
	if (l->worker)
		send_pattern(l);
}

void role_local_drain(struct role_context *c, uint64_t within_ms)
{
	struct local *l = c->state;
	if (!l || within_ms == 0 || l->open == 0)
		role_exit(c);
	l->draining = true;
}
