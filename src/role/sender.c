// SPDX-License-Identifier: ISC
// Role sender: takes jobs from queue and carries them to other hosts; see deliver/remote.h.
#include "role/roles.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/remote.h"
#include "net/tls.h"

struct sender {
	struct role_context *context;
	struct wheel *wheel;
	struct dns_client *dns;
	struct ipc_channel *queue;
	struct ipc_channel *resolver;
	struct ipc_channel *source;
	struct remote *remote;
	uv_timer_t no_source; // a question for it waits for an answer
	bool draining;
	unsigned open;      // jobs not yet answered
};

// ---- jobs
static void exit_when_idle(struct sender *s)
{
	if (s->draining && s->open == 0)
		role_exit(s->context);
}

static void on_done(void *arg, struct deliver_job *job)
{
	struct sender *s = arg;
	struct ipc_tried m = {0};
	struct buf outcomes = BUF_INIT;
	s->open--;
	// A queue that was restarted in the meantime does not know the job: it has been given back.
	if (s->queue && job->owner == s->queue && deliver_job_result(job, &m, &outcomes) == 0)
		(void)ipc_send_tried(s->queue, &m);
	buf_finish(&outcomes);
	deliver_job_destroy(job);
	exit_when_idle(s);
}

static void on_try(void *arg, struct str body, int fd)
{
	struct sender *s = arg;
	struct deliver_job *job;
	if (deliver_job_create(body, fd, &job)) {
		struct ipc_tried m;
		event_report(EVENT_ERROR, "sender", "the queue sent a broken job");
		deliver_job_refuse(body, &m);
		(void)ipc_send_tried(s->queue, &m);
		return;
	}
	job->owner = s->queue;
	s->open++;
	remote_deliver(s->remote, job);
}

static const ipc_handler from_queue[IPC_TYPES] = {[IPC_TYPE_try] = on_try};

static void on_queue_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_queue, arg, type, body, fd);
}

static void on_queue_gone(struct ipc_channel *ch, void *arg)
{
	struct sender *s = arg;
	ipc_channel_close(ch);
	if (s->queue != ch)
		return;
	s->queue = NULL;
	role_set_history(s->context, NULL);
}

// ---- DNS
static void on_resolver_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct sender *s = arg;
	(void)ch;
	fd_close(&fd);
	if (type == IPC_TYPE_resolved)
		dns_client_resolved(s->dns, body);
}

static void on_resolver_gone(struct ipc_channel *ch, void *arg)
{
	struct sender *s = arg;
	ipc_channel_close(ch);
	if (s->resolver != ch)
		return;
	s->resolver = NULL;
	dns_client_set_channel(s->dns, NULL);
}

// ---- tokens, of role source
static void on_token_given(void *arg, struct str body, int fd)
{
	struct sender *s = arg;
	struct ipc_token_given m;
	char why[ERROR_TEXT_MAX];
	fd_close(&fd);
	if (ipc_decode_token_given(body, &m))
		return;
	(void)str_copy(str_slice(m.text, 0, sizeof why - 1), why, sizeof why);
	remote_token(s->remote, m.request, m.token, m.serial, why);
}

static const ipc_handler from_source[IPC_TYPES] = {[IPC_TYPE_token_given] = on_token_given};

static void on_source_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_source, arg, type, body, fd);
}

static void on_no_source(uv_timer_t *timer)
{
	struct sender *s = timer->data;
	remote_tokens_lost(s->remote, TEXT("the process that has the tokens does not run"));
}

static void on_source_gone(struct ipc_channel *ch, void *arg)
{
	struct sender *s = arg;
	ipc_channel_close(ch);
	if (s->source != ch)
		return;
	s->source = NULL;
	remote_tokens_lost(s->remote, TEXT("the process that has the tokens is gone"));
}

static void ask_source(void *arg, uint64_t request, const char *pattern, uint64_t refused)
{
	struct sender *s = arg;
	struct ipc_token_wanted m = {.request = request, .pattern = str_from(pattern), .refused = refused};
	// Later: the answer must not come from inside of the question.
	if (!s->source || ipc_send_token_wanted(s->source, &m))
		uv_timer_start(&s->no_source, on_no_source, 0, 0);
}

// ---- Unix sockets of routes: asked of master, which may open paths
static void ask_master(void *arg, uint64_t request, unsigned route_index)
{
	struct sender *s = arg;
	if (s->context->master)
		role_connect(s->context, request, "lmtp", route_index);
	else
		remote_connected(s->remote, request, -1, "master is gone");
}

void role_sender_connected(struct role_context *c, uint64_t request, int fd, const char *why)
{
	struct sender *s = c->state;
	remote_connected(s->remote, request, fd, why);
}

// ---- what master gives
static struct sender *state_of(struct role_context *c)
{
	if (!c->state) {
		struct sender *s = mem_alloc(sizeof *s);
		s->context = c;
		s->wheel = wheel_create(c->loop);
		s->dns = dns_client_create(c->loop);
		uv_timer_init(c->loop, &s->no_source);
		s->no_source.data = s;
		c->state = s;
	}
	return c->state;
}

int role_sender_prepare(struct role_context *c, struct error *err)
{
	(void)err;
	struct sender *s = state_of(c);
	struct remote_options o = {
		.loop = c->loop,
		.wheel = s->wheel,
		.dns = s->dns,
		.config = c->config,
		.connect = ask_master,
		.token = ask_source,
		.done = on_done,
		.arg = s,
	};
	tls_prepare();
	// Reads CA files and folders, so it is made while there are some.
	s->remote = remote_create(&o);
	return 0;
}

int role_sender_start(struct role_context *c, struct error *err)
{
	(void)c;
	(void)err;
	return 0;
}

void role_sender_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct sender *s = state_of(c);
	(void)index;
	if (!strcmp(peer, "queue")) {
		ipc_channel_close(s->queue);
		s->queue = ipc_channel_open(c->loop, fd, on_queue_frame, on_queue_gone, s);
		role_set_history(c, s->queue);
	} else if (!strcmp(peer, "resolver")) {
		ipc_channel_close(s->resolver);
		s->resolver = ipc_channel_open(c->loop, fd, on_resolver_frame, on_resolver_gone, s);
		dns_client_set_channel(s->dns, s->resolver);
	} else if (!strcmp(peer, "source")) {
		if (s->source)
			on_source_gone(s->source, s);
		s->source = ipc_channel_open(c->loop, fd, on_source_frame, on_source_gone, s);
	} else {
		fd_close(&fd);
	}
}

void role_sender_configured(struct role_context *c, const struct config *old)
{
	struct sender *s = c->state;
	(void)old;
	remote_set_config(s->remote, c->config);
}

// Open tries end or are cut off with us; the queue gives back what has no answer.
void role_sender_drain(struct role_context *c, uint64_t within_ms)
{
	struct sender *s = c->state;
	if (!s || within_ms == 0)
		role_exit(c);
	s->draining = true;
	exit_when_idle(s);
}
