// SPDX-License-Identifier: ISC
// Role local: local delivery. The role itself touches no mailbox: what opens paths is a process that
// became the owner of the mailboxes before (local_worker.h). Here jobs are handed to these and their
// answers to the queue.
#include "role/roles.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "deliver/deliver.h"
#include "role/local_crew.h"
#include "role/local_lookup.h"
#include "role/local_worker.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct local {
	struct role_context *context;
	struct ipc_channel *queue;
	struct ipc_channel *virtual; // worker for virtual mailboxes
	struct confine_user mail_user;
	struct wheel *wheel;
	struct local_crew *crew;     // NULL: nothing is delivered in others' rights
	struct local_lookup *lookup;
	uv_signal_t child_signal;
	uint64_t open;       // jobs not answered
	bool draining;
};

// ---- answers

static void answer_tried(void *arg, struct str body)
{
	struct local *l = arg;
	l->open--;
	if (l->queue)
		(void)ipc_channel_send(l->queue, IPC_TYPE_tried, body, -1);
	if (l->draining && l->open == 0)
		role_exit(l->context);
}

static void answer_user(void *arg, uint64_t request, uint8_t exists)
{
	struct local *l = arg;
	struct ipc_user_answer m = {.request = request, .exists = exists};
	if (l->queue)
		(void)ipc_send_user_answer(l->queue, &m);
}

// ---- virtual mailboxes

static void virtual_tried(void *arg, struct str body, int fd)
{
	fd_close(&fd);
	answer_tried(arg, body);
}

static void virtual_counted(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	fd_close(&fd);
	if (l->queue)
		(void)ipc_channel_send(l->queue, IPC_TYPE_usage_answer, body, -1);
}

static const ipc_handler from_virtual[IPC_TYPES] = {
	[IPC_TYPE_tried] = virtual_tried, [IPC_TYPE_usage_answer] = virtual_counted};

static void on_virtual_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_virtual, arg, type, body, fd);
}

// The jobs it had are unanswered; ending makes the queue give them back, and master starts us anew.
static void on_virtual_gone(struct ipc_channel *ch, void *arg)
{
	struct local *l = arg;
	(void)ch;
	if (l->draining)
		role_exit(l->context);
	fatal("the delivery worker ended");
}

static void start_virtual(struct local *l)
{
	struct local_worker worker = {.context = l->context, .mail_user = &l->mail_user};
	pid_t pid;
	int socket;
	if (local_fork(local_worker_virtual, &worker, &pid, &socket))
		fatal("cannot start the delivery worker: %s", strerror(errno));
	l->virtual = ipc_channel_open(l->context->loop, socket, on_virtual_frame, on_virtual_gone, l);
}

// It lives through reloads, so what it needs of the configuration is sent.
static void send_config(struct local *l)
{
	struct buf snapshot = BUF_INIT;
	struct ipc_config m = {.generation = l->context->config->generation};
	int fd = memfd_create("pabal-deliver", MFD_CLOEXEC);
	if (fd < 0 || config_encode(l->context->config, CONFIG_FOR_LOCAL, &snapshot) ||
		fd_write_all(fd, buf_str(&snapshot).data, buf_len(&snapshot)))
		fatal("cannot hand the configuration on");
	m.size = buf_len(&snapshot);
	(void)ipc_send_config_fd(l->virtual, &m, fd);
	buf_finish(&snapshot);
	fd_close(&fd);
}

// ---- jobs

// Whose rights it needs: recipients of one job are of one kind, and of one user.
static bool is_for_user(struct str body, struct str *out_user)
{
	struct ipc_try t;
	struct ipc_recipient r;
	int err = 0;
	*out_user = STR_EMPTY;
	if (ipc_decode_try(body, &t) || !ipc_next_recipient(&t.recipients, &r, &err))
		return false; // the worker refuses it
	ptrdiff_t at = str_find_last(r.address, '@');
	if (r.kind == IPC_TARGET_USER)
		*out_user = str_slice(r.address, 0, at < 0 ? 0 : (size_t)at);
	return r.kind != IPC_TARGET_MAILBOX;
}

// The setting is gone; where the mail goes is looked up afresh at the next try.
static void refuse_user(struct local *l, struct str body)
{
	struct ipc_tried m;
	struct buf frame = BUF_INIT;
	deliver_job_refuse(body, &m);
	if (!ipc_encode_tried(&frame, &m))
		answer_tried(l, buf_str(&frame));
	buf_finish(&frame);
}

static void on_try(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	struct str user;
	l->open++;
	bool for_user = is_for_user(body, &user);
	if (for_user && l->crew)
		local_crew_give(l->crew, user, body, fd);
	else if (for_user)
		refuse_user(l, body);
	else
		(void)ipc_channel_send(l->virtual, IPC_TYPE_try, body, fd);
	if (!for_user || !l->crew)
		fd_close(&fd);
}

static void on_usage_query(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	fd_close(&fd);
	(void)ipc_channel_send(l->virtual, IPC_TYPE_usage_query, body, -1);
}

static void on_user_query(void *arg, struct str body, int fd)
{
	struct local *l = arg;
	struct ipc_user_query m;
	fd_close(&fd);
	if (ipc_decode_user_query(body, &m))
		return;
	if (l->lookup)
		local_lookup_ask(l->lookup, m.request, m.name);
	else
		answer_user(l, m.request, 0);
}

static const ipc_handler from_queue[IPC_TYPES] = {[IPC_TYPE_try] = on_try,
	[IPC_TYPE_usage_query] = on_usage_query, [IPC_TYPE_user_query] = on_user_query};

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
	pid_t pid;
	(void)number;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) // of the virtual worker its channel tells
		if (l->crew && !local_crew_reaped(l->crew, pid))
			(void)local_lookup_reaped(l->lookup, pid);
}

static void start_users(struct local *l)
{
	struct local_crew_options crew = {.context = l->context, .wheel = l->wheel,
		.tried = answer_tried, .arg = l};
	struct local_lookup_options lookup = {.context = l->context, .wheel = l->wheel,
		.answer = answer_user, .arg = l};
	l->crew = local_crew_create(&crew);
	l->lookup = local_lookup_create(&lookup);
}

// Who needs no more than pabal-mail's rights gives root's up for good.
int role_local_start(struct role_context *c, struct error *err)
{
	struct local *l = c->state;
	bool users = config_delivers_as_users(c->config);
	start_virtual(l);
	if (c->confined && (users ? confine_to_deliveries(err) : confine_renounce(err)))
		return err->code;
	l->wheel = wheel_create(c->loop);
	if (users)
		start_users(l);
	uv_signal_init(c->loop, &l->child_signal);
	l->child_signal.data = l;
	uv_signal_start(&l->child_signal, on_child, SIGCHLD);
	return 0;
}

bool role_local_anew(const struct config *old, const struct config *now)
{
	return config_delivers_as_users(old) != config_delivers_as_users(now);
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
	if (l->virtual)
		send_config(l);
	if (l->crew)
		local_crew_renew(l->crew);
}

void role_local_drain(struct role_context *c, uint64_t within_ms)
{
	struct local *l = c->state;
	if (!l || within_ms == 0 || l->open == 0)
		role_exit(c);
	l->draining = true;
}
