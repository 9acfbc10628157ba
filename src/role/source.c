// SPDX-License-Identifier: ISC
// Role source: asks password sources that are reached over sockets and the network, each check on a
// thread within its source's share, so that a slow source takes no other's. Gives senders the tokens
// they log in with at smart hosts (tokens.h).
#include "role/roles.h"

#include "base/file.h"
#include "base/memory.h"
#include "net/tls.h"
#include "role/checks.h"
#include "role/tokens.h"

#include <unistd.h>

#define SENDERS_MAX 16

struct source {
	struct role_context *context;
	struct checks *checks;
	struct auth_pool *pool;
	struct ipc_channel *auth;
	struct tokens *tokens;
	struct ipc_channel *senders[SENDERS_MAX]; // by index; NULL: none
	bool draining;
};

// ---- one check
static void on_thread(struct auth_job *job)
{
	struct check_task *t = LIST_ENTRY(job, struct check_task, job);

	t->kind->check(t->source, t->state, &t->question, &t->answer);
}

// What hangs in a library must not be unwound under it.
static _Noreturn void finish(struct source *s)
{
	if (checks_running(s->checks) == 0 && tokens_running(s->tokens) == 0)
		role_exit(s->context);
	_exit(0);
}

static void exit_when_idle(struct source *s)
{
	if (s->draining && (checks_running(s->checks) == 0 || !s->auth) &&
		tokens_running(s->tokens) == 0)
		finish(s);
}

static void on_thread_done(struct auth_job *job)
{
	struct check_task *t = LIST_ENTRY(job, struct check_task, job);
	struct source *s = t->own;

	checks_done(t);
	exit_when_idle(s);
}

static void start_check(void *arg, struct check_task *t)
{
	struct source *s = arg;

	t->own = s;
	t->job.run = on_thread;
	t->job.done = on_thread_done;
	auth_pool_add(s->pool, &t->job);
}

// ---- who asks
static void on_check(void *arg, struct str body, int fd)
{
	struct source *s = arg;

	fd_close(&fd);
	if (s->checks)
		checks_ask(s->checks, s->auth, body);
}

static const ipc_handler from_auth[IPC_TYPES] = {[IPC_TYPE_check] = on_check};

static void on_auth_frame(
	struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_auth, arg, type, body, fd);
}

static void on_auth_gone(struct ipc_channel *ch, void *arg)
{
	struct source *s = arg;

	if (s->checks)
		checks_lost(s->checks, ch);
	if (s->auth == ch)
		s->auth = NULL;
	ipc_channel_close(ch);
	exit_when_idle(s);
}

static void on_token_wanted(void *arg, struct str body, int fd)
{
	struct ipc_channel **sender = arg;
	struct source *s = ipc_channel_arg(*sender);

	fd_close(&fd);
	if (s->tokens)
		tokens_ask(s->tokens, *sender, body);
}

static const ipc_handler from_sender[IPC_TYPES] = {[IPC_TYPE_token_wanted] = on_token_wanted};

static void on_sender_frame(
	struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)arg;
	(void)ipc_dispatch(from_sender, &ch, type, body, fd);
}

static void on_sender_gone(struct ipc_channel *ch, void *arg)
{
	struct source *s = arg;

	if (s->tokens)
		tokens_lost(s->tokens, ch);
	for (unsigned i = 0; i < SENDERS_MAX; i++)
		if (s->senders[i] == ch)
			s->senders[i] = NULL;
	ipc_channel_close(ch);
}

// ---- what master gives
static struct source *state_of(struct role_context *c)
{
	if (!c->state) {
		struct source *s = mem_alloc(sizeof *s);
		s->context = c;
		c->state = s;
	}
	return c->state;
}

static void on_tokens_idle(void *arg)
{
	exit_when_idle(arg);
}

// Libraries and their files are read now, as ourselves before we give anything up.
int role_source_prepare(struct role_context *c, struct error *err)
{
	struct source *s = state_of(c);
	struct checks_options o = {.context = c, .start = start_check, .arg = s};

	(void)err;
	tls_prepare();
	s->checks = checks_create(&o);
	s->tokens = tokens_create(c, on_tokens_idle, s);
	tokens_configure(s->tokens);
	return 0;
}

int role_source_start(struct role_context *c, struct error *err)
{
	struct source *s = c->state;

	(void)err;
	s->pool = auth_pool_create(c->loop, checks_at_once(s->checks), 0);
	return 0;
}

void role_source_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct source *s = state_of(c);

	if (!strcmp(peer, "sender")) {
		if (index >= SENDERS_MAX) {
			fd_close(&fd);
			return;
		}
		if (s->senders[index])
			on_sender_gone(s->senders[index], s);
		s->senders[index] = ipc_channel_open(c->loop, fd, on_sender_frame, on_sender_gone, s);
		return;
	}
	if (s->auth)
		on_auth_gone(s->auth, s);
	s->auth = ipc_channel_open(c->loop, fd, on_auth_frame, on_auth_gone, s);
}

void role_source_configured(struct role_context *c, const struct config *old)
{
	struct source *s = c->state;

	(void)old;
	checks_configure(s->checks);
	auth_pool_set_threads(s->pool, checks_at_once(s->checks));
	tokens_configure(s->tokens);
}

void role_source_drain(struct role_context *c, uint64_t within_ms)
{
	struct source *s = c->state;

	if (!s || !s->checks)
		role_exit(c);
	s->draining = true;
	if (within_ms == 0)
		finish(s);
	exit_when_idle(s);
}
