// SPDX-License-Identifier: ISC
// Role queue: owns the store and the history, and carries frames between the queue and the
// roles around it. What a queue does stands in queue/.
#include "role/roles.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/limits.h"
#include "queue/admin.h"
#include "queue/clients.h"
#include "queue/queue.h"

#include <stdio.h>
#include <time.h>

#define LOCK_WAIT_MS  5000  // for the lock of a predecessor that is dying
#define LOCK_STEP_MS  50
#define SPACE_BEAT_MS 1000

struct queue_role;

enum peer_kind { PEER_SMTPD, PEER_SENDER, PEER_LOCAL, PEER_AUTH, PEER_OTHER };
static const char *const role_names[] = {[PEER_SMTPD] = "smtpd", [PEER_SENDER] = "sender",
	[PEER_LOCAL] = "local", [PEER_AUTH] = "auth", [PEER_OTHER] = "another role"};

// A channel to another role. Freed when its last open question is answered.
struct peer {
	struct list link;          // in queue_role.peers
	struct queue_role *role;
	enum peer_kind kind;
	unsigned index;
	unsigned worker;           // unique: smtpd of several generations share an index
	struct ipc_channel *channel; // NULL: gone
	unsigned questions;
};

struct queue_role {
	struct role_context *context;
	struct store *store;
	struct history *history;
	struct queue *queue;
	struct clients *clients;
	struct queue_admin admin;
	struct control_server *control;
	int control_fd;
	struct list peers;
	unsigned last_worker;
	uv_timer_t space;
	bool full;
	bool draining;
};

static struct queue_role *state_of(struct role_context *c)
{
	if (!c->state) {
		struct queue_role *r = mem_alloc(sizeof *r);
		r->context = c;
		r->control_fd = -1;
		list_init(&r->peers);
		c->state = r;
	}
	return c->state;
}

// ---------------------------------------------------------------- questions and their answers

struct question {
	struct peer *peer;
	uint64_t request;
};

static struct question *ask(struct peer *p, uint64_t request)
{
	struct question *q = mem_alloc(sizeof *q);
	q->peer = p;
	q->request = request;
	p->questions++;
	return q;
}

static void release_peer(struct peer *p)
{
	if (!p->channel && !p->questions)
		mem_free(p);
}

static void answered(struct question *q)
{
	q->peer->questions--;
	release_peer(q->peer);
	mem_free(q);
}

static void on_recipient_known(void *arg, const struct queue_recipient *r)
{
	struct question *q = arg;
	struct ipc_recipient_answer m = {.request = q->request, .exists = r->exists,
		.account = r->account, .over = r->full ? QUOTA_OVER_HARD : QUOTA_FITS,
		.local_size = r->local_size, .local_size_where = str_from(r->local_size_where)};
	if (q->peer->channel)
		(void)ipc_send_recipient_answer(q->peer->channel, &m);
	answered(q);
}

static void take_recipient_query(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_recipient_query m;
	fd_close(&fd);
	if (!ipc_decode_recipient_query(body, &m))
		queue_recipient(p->role->queue, m.key, m.size, on_recipient_known, ask(p, m.request));
}

static void on_senders_known(void *arg, struct str owners)
{
	struct question *q = arg;
	struct ipc_sender_answer m = {.request = q->request, .owners = owners};
	if (q->peer->channel)
		(void)ipc_send_sender_answer(q->peer->channel, &m);
	answered(q);
}

static void take_sender_query(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_sender_query m;
	fd_close(&fd);
	if (!ipc_decode_sender_query(body, &m))
		queue_senders(p->role->queue, m.account, m.authors, on_senders_known, ask(p, m.request));
}

static void on_account_known(void *arg, const struct queue_account *a)
{
	struct question *q = arg;
	struct ipc_account_answer m = {.request = q->request, .state = a->state, .rights = a->rights,
		.name = a->name, .networks = a->networks, .servers = a->servers, .act_as = a->act_as,
		.reason = a->reason, .groups = a->groups};
	if (q->peer->channel)
		(void)ipc_send_account_answer(q->peer->channel, &m);
	answered(q);
}

static void take_account_query(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_account_query m;
	fd_close(&fd);
	if (!ipc_decode_account_query(body, &m))
		queue_account(p->role->queue, m.name, on_account_known, ask(p, m.request));
}

static void on_submitted(void *arg, int err, uint64_t message)
{
	struct question *q = arg;
	struct ipc_submitted m = {.request = q->request, .err = (uint32_t)-err, .message = message};
	if (q->peer->channel)
		(void)ipc_send_submitted(q->peer->channel, &m);
	answered(q);
}

static void take_submit(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_submit m;
	if (ipc_decode_submit(body, &m)) {
		fd_close(&fd);
		return;
	}
	queue_submit(p->role->queue, &m, fd, on_submitted, ask(p, m.request));
}

static void take_spool_open(void *arg, struct str body, int unexpected)
{
	struct peer *p = arg;
	struct ipc_spool_open m;
	struct ipc_spool_file answer = {0};
	struct error err = {0};
	int fd = -1;
	fd_close(&unexpected);
	if (ipc_decode_spool_open(body, &m))
		return;
	answer.request = m.request;
	int result = queue_spool_open(p->role->queue, &answer.spool, &fd, &err);
	if (result)
		event_report(EVENT_WARNING, "queue", "%s", err.text);
	answer.err = (uint32_t)-result;
	(void)ipc_send_spool_file_fd(p->channel, &answer, fd);
	fd_close(&fd);
}

// ---------------------------------------------------------------- counting clients

// 0 where no limit asks for it.
static uint32_t minute_now(const struct queue_role *r)
{
	const struct config *c = r->context->config;
	if (!config_limit_has_value(c, CONFIG_LIMIT_MINUTE_ADDRESS) &&
		!config_limit_has_value(c, CONFIG_LIMIT_MINUTE_NETWORK) &&
		!config_limit_has_value(c, CONFIG_LIMIT_MINUTE_ALL))
		return 0;
	return (uint32_t)(clock_monotonic_ms() / 60000) + 1;
}

static void take_client_open(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_client_open m;
	struct ipaddr address;
	struct clients_counts counts = {0};
	fd_close(&fd);
	if (ipc_decode_client_open(body, &m))
		return;
	bool good = ipaddr_parse(m.address, &address) == 0;
	if (good && m.peek)
		clients_peek(p->role->clients, &address, minute_now(p->role), &counts);
	else if (good)
		clients_open(p->role->clients, p->worker, m.session, &address,
			m.again ? 0 : minute_now(p->role), &counts);
	struct ipc_client_counts answer = {.session = m.session, .from_address = counts.address,
		.from_network = counts.network, .in_all = counts.all,
		.minute_address = counts.minute_address, .minute_network = counts.minute_network,
		.minute_all = counts.minute_all};
	(void)ipc_send_client_counts(p->channel, &answer);
}

static void take_client_close(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_client_close m;
	fd_close(&fd);
	if (ipc_decode_client_close(body, &m))
		return;
	clients_close(p->role->clients, p->worker, m.session);
	queue_rate_release(p->role->queue, m.session);
}

// ---------------------------------------------------------------- rates

static void take_rate_query(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_rate_query m;
	struct ipc_rate_answer answer;
	fd_close(&fd);
	if (ipc_decode_rate_query(body, &m))
		return;
	queue_rate_query(p->role->queue, p->worker, &m, &answer);
	(void)ipc_send_rate_answer(p->channel, &answer);
}

static void take_rate_release(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_rate_release m;
	fd_close(&fd);
	if (!ipc_decode_rate_release(body, &m))
		queue_rate_release(p->role->queue, m.session);
}

// ---------------------------------------------------------------- deliverers

static int hand_over(void *arg, enum queue_deliverer kind, unsigned index, const struct ipc_try *t, int fd)
{
	struct queue_role *r = arg;
	enum peer_kind wanted = kind == QUEUE_LOCAL ? PEER_LOCAL : PEER_SENDER;
	LIST_EACH(link, &r->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->kind != wanted || p->index != index || !p->channel)
			continue;
		int err = ipc_send_try_fd(p->channel, t, fd);
		if (err == ERR_CLOSED)
			return 0; // its end is about to be noticed, then the jobs come back
		if (err)
			event_report(EVENT_WARNING, "queue", "%s[%u] takes no more jobs: %s",
				role_names[p->kind], index, err_text(err));
		return err;
	}
	return ERR_UNAVAILABLE;
}

static void take_tried(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	fd_close(&fd);
	queue_tried(p->role->queue, p->kind == PEER_LOCAL ? QUEUE_LOCAL : QUEUE_SENDER, p->index, body);
}

// ---------------------------------------------------------------- users of the system

static int ask_user(void *arg, uint64_t request, struct str name)
{
	struct queue_role *r = arg;
	struct ipc_user_query m = {.request = request, .name = name};
	LIST_EACH(link, &r->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->kind == PEER_LOCAL && p->channel)
			return ipc_send_user_query(p->channel, &m);
	}
	return ERR_UNAVAILABLE;
}

static int ask_usage(void *arg, const struct ipc_usage_query *m)
{
	struct queue_role *r = arg;
	LIST_EACH(link, &r->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->kind == PEER_LOCAL && p->channel)
			return ipc_send_usage_query(p->channel, m);
	}
	return ERR_UNAVAILABLE;
}

static void take_usage_answer(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_usage_answer m;
	fd_close(&fd);
	if (!ipc_decode_usage_answer(body, &m))
		queue_usage_answered(p->role->queue, &m);
}

static void take_user_answer(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct ipc_user_answer m;
	fd_close(&fd);
	if (!ipc_decode_user_answer(body, &m))
		queue_user_answered(p->role->queue, m.request, m.exists);
}

// ---------------------------------------------------------------- history

static struct str rule_of(struct str json)
{
	ptrdiff_t at = str_search(json, STR("\"rule\":\""));
	struct str rest = str_skip(json, at < 0 ? json.len : (size_t)at + 8), rule;
	return str_split(&rest, '"', &rule) ? rule : STR_EMPTY;
}

// Recipients that were refused tell the guard something, when they came to be judged at all.
static void note_refusal(struct queue *q, const struct ipc_event *m)
{
	struct str rule = rule_of(m->json);
	queue_note_refusal(q, rule);
	if (str_equal(rule, STR("unknown-recipient")) || str_equal(rule, STR("relay-denied")) ||
		str_equal(rule, STR("route-refused")))
		queue_note_refused_recipient(q, m->account, m->client);
}

static void take_event(void *arg, struct str body, int fd)
{
	struct peer *p = arg;
	struct queue_role *r = p->role;
	struct ipc_event m;
	fd_close(&fd);
	if (ipc_decode_event(body, &m))
		return;
	if (str_equal(m.name, STR("refuse")))
		note_refusal(r->queue, &m);
	if (!r->history)
		return;
	struct history_event e = {.wall_ms = m.wall_ms, .id = m.id, .session = m.session, .name = m.name,
		.sender = m.sender, .recipient = m.recipient, .account = m.account, .client = m.client,
		.json = m.json};
	history_add(r->history, &e);
}

static void keep_own_event(const struct event *e, void *arg)
{
	struct queue_role *r = arg;
	struct buf json = {.limit = 8192};
	if (r->history && event_render_json(e, &json) == 0) {
		struct history_event row = {
			.wall_ms = e->wall_ms,
			.id = e->id,
			.name = str_from(e->name),
			.sender = event_get(e, "from"),
			.recipient = event_get(e, "to"),
			.account = event_get(e, "account"),
			.client = event_get(e, "client"),
			.json = buf_str(&json),
		};
		(void)id_parse(event_get(e, "session"), &row.session);
		history_add(r->history, &row);
	}
	buf_finish(&json);
}

// ---------------------------------------------------------------- peers

// Who may say what.
static const ipc_handler from_smtpd[IPC_TYPES] = {
	[IPC_TYPE_client_open] = take_client_open,
	[IPC_TYPE_client_close] = take_client_close,
	[IPC_TYPE_recipient_query] = take_recipient_query,
	[IPC_TYPE_account_query] = take_account_query,
	[IPC_TYPE_rate_query] = take_rate_query,
	[IPC_TYPE_rate_release] = take_rate_release,
	[IPC_TYPE_sender_query] = take_sender_query,
	[IPC_TYPE_spool_open] = take_spool_open,
	[IPC_TYPE_submit] = take_submit,
	[IPC_TYPE_event] = take_event,
};
static const ipc_handler from_deliverer[IPC_TYPES] = {
	[IPC_TYPE_tried] = take_tried, [IPC_TYPE_event] = take_event};
static const ipc_handler from_local[IPC_TYPES] = {
	[IPC_TYPE_tried] = take_tried,
	[IPC_TYPE_user_answer] = take_user_answer,
	[IPC_TYPE_usage_answer] = take_usage_answer,
	[IPC_TYPE_event] = take_event,
};
static const ipc_handler from_auth[IPC_TYPES] = {
	[IPC_TYPE_account_query] = take_account_query, [IPC_TYPE_event] = take_event};
static const ipc_handler from_other[IPC_TYPES] = {[IPC_TYPE_event] = take_event};

static const ipc_handler *const handlers[] = {[PEER_SMTPD] = from_smtpd,
	[PEER_SENDER] = from_deliverer, [PEER_LOCAL] = from_local, [PEER_AUTH] = from_auth,
	[PEER_OTHER] = from_other};

static bool is_deliverer(const struct peer *p)
{
	return p->kind == PEER_SENDER || p->kind == PEER_LOCAL;
}

static enum queue_deliverer deliverer_of(const struct peer *p)
{
	return p->kind == PEER_LOCAL ? QUEUE_LOCAL : QUEUE_SENDER;
}

static void forget(struct peer *p)
{
	struct queue_role *r = p->role;
	struct ipc_channel *channel = p->channel;
	p->channel = NULL;
	list_remove(&p->link);
	if (r->clients)
		clients_worker_gone(r->clients, p->worker);
	if (r->queue)
		queue_rate_worker_gone(r->queue, p->worker);
	if (r->queue && is_deliverer(p))
		queue_deliverer_gone(r->queue, deliverer_of(p), p->index);
	ipc_channel_close(channel);
	release_peer(p);
}

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct peer *p = arg;
	(void)ch;
	if (!ipc_dispatch(handlers[p->kind], p, type, body, fd))
		return;
	event_report(EVENT_ERROR, "queue", "%s[%u] sent a frame it must not send (%s)",
		role_names[p->kind], p->index, ipc_type_name(type));
	forget(p);
}

static void on_gone(struct ipc_channel *ch, void *arg)
{
	(void)ch;
	forget(arg);
}

static void tell_guard_changed(void *arg, struct str subject, uint8_t action, uint32_t slow_ms)
{
	struct queue_role *r = arg;
	struct ipc_guard_state m = {.subject = subject, .action = action, .slow_ms = slow_ms};
	LIST_EACH(link, &r->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->channel && p->kind == PEER_SMTPD)
			(void)ipc_send_guard_state(p->channel, &m);
	}
}

static void send_guard_state(void *arg, struct str subject, uint8_t action, uint32_t slow_ms)
{
	struct peer *p = arg;
	struct ipc_guard_state m = {.subject = subject, .action = action, .slow_ms = slow_ms};
	if (p->channel)
		(void)ipc_send_guard_state(p->channel, &m);
}

static void send_store_state(struct peer *p)
{
	struct ipc_store_state m = {.full = p->role->full};
	if (p->kind == PEER_SMTPD && p->channel)
		(void)ipc_send_store_state(p->channel, &m);
}

// The queue is there: this peer may be told and asked.
static void introduce(struct peer *p)
{
	if (is_deliverer(p))
		queue_deliverer_ready(p->role->queue, deliverer_of(p), p->index);
	send_store_state(p);
	if (p->kind == PEER_SMTPD)
		queue_guard_states(p->role->queue, send_guard_state, p);
}

static enum peer_kind kind_of(const char *role)
{
	for (size_t i = 0; i < PEER_OTHER; i++)
		if (!strcmp(role_names[i], role))
			return (enum peer_kind)i;
	return PEER_OTHER;
}

// A deliverer that was restarted comes under the same number, perhaps before the end of the old one
// was noticed.
static void forget_predecessor(struct queue_role *r, enum peer_kind kind, unsigned index)
{
	LIST_EACH(link, &r->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->kind == kind && p->index == index && is_deliverer(p))
			forget(p);
	}
}

void role_queue_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct queue_role *r = state_of(c);
	struct peer *p;
	if (r->draining || index >= QUEUE_SENDERS_MAX) {
		fd_close(&fd);
		return;
	}
	forget_predecessor(r, kind_of(peer), index);
	p = mem_alloc(sizeof *p);
	p->role = r;
	p->kind = kind_of(peer);
	p->index = index;
	p->worker = ++r->last_worker;
	p->channel = ipc_channel_open(c->loop, fd, on_frame, on_gone, p);
	list_add_last(&r->peers, &p->link);
	if (r->queue)
		introduce(p);
}

static void tell_account_changed(void *arg, struct str name)
{
	struct queue_role *r = arg;
	struct ipc_account_changed m = {.name = name};
	LIST_EACH(link, &r->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->channel && (p->kind == PEER_AUTH || p->kind == PEER_SMTPD))
			(void)ipc_send_account_changed(p->channel, &m);
	}
}

// ---------------------------------------------------------------- space

static void on_space_beat(uv_timer_t *timer)
{
	struct queue_role *r = timer->data;
	bool full = queue_has_space(r->queue) != 0;
	if (full == r->full)
		return;
	r->full = full;
	if (full)
		event_report(EVENT_ERROR, "queue", "%s",
			TEXT("too little space on the store's disk: no new mail is taken"));
	else
		event_report(EVENT_INFO, "queue", "%s", TEXT("there is space again: new mail is taken"));
	LIST_EACH(link, &r->peers)
		send_store_state(LIST_ENTRY(link, struct peer, link));
}

// ---------------------------------------------------------------- begin

int role_queue_prepare(struct role_context *c, struct error *err)
{
	(void)err;
	(void)state_of(c);
	return 0;
}

static void folder_of(const struct role_context *c, char *out, size_t size)
{
	snprintf(out, size, "%.*s/queue", STR_ARG(c->config->state_folder));
}

// A predecessor that was killed lets go of the lock when the kernel has ended it.
static int open_store(struct queue_role *r, struct error *err)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
	char folder[1100];
	folder_of(r->context, folder, sizeof folder);
	struct store_options o = {.folder = folder, .node = r->context->node, .create = true};
	uint64_t until = clock_monotonic_ms() + LOCK_WAIT_MS;
	int result;
	while ((result = store_open(r->context->loop, &o, &r->store, err)) == ERR_DENIED &&
		clock_monotonic_ms() < until)
		nanosleep(&step, NULL);
	return result;
}

// Mail goes on without a history.
static void open_history(struct queue_role *r)
{
	const struct config *config = r->context->config;
	char folder[1100], path[1200];
	struct error err = {0};
	folder_of(r->context, folder, sizeof folder);
	snprintf(path, sizeof path, "%s/history.db", folder);
	struct history_options o = {.path = path, .age_ms = config->log.history_age,
		.size = config->log.history_size, .create = true};
	if (history_open(r->context->loop, &o, &r->history, &err)) {
		r->history = NULL;
		event_report(EVENT_ERROR, "queue", "there is no history: %s", err.text);
		return;
	}
	event_set_tap(keep_own_event, r);
}

static void open_control(struct queue_role *r)
{
	if (r->control_fd < 0 || !r->queue)
		return;
	control_server_destroy(r->control);
	r->control = control_server_create(r->context->loop, r->control_fd, queue_admin_handlers,
		queue_admin_handler_count, &r->admin);
	if (!r->control)
		event_report(EVENT_ERROR, "queue", "cannot serve the control socket");
	else
		control_server_admit(r->control, r->context->control_group);
}

int role_queue_start(struct role_context *c, struct error *err)
{
	struct queue_role *r = c->state;
	int result = open_store(r, err);
	if (result)
		return result;
	open_history(r);
	struct queue_options o = {
		.loop = c->loop,
		.store = r->store,
		.history = r->history,
		.config = c->config,
		.ids = &c->ids,
		.try = hand_over,
		.ask_user = ask_user,
		.ask_usage = ask_usage,
		.account_changed = tell_account_changed,
		.guard_changed = tell_guard_changed,
		.arg = r,
	};
	r->clients = clients_create();
	r->queue = queue_create(&o);
	r->admin = (struct queue_admin){.store = r->store, .history = r->history, .queue = r->queue,
		.config = c->config};
	r->full = queue_has_space(r->queue) != 0;
	LIST_EACH(link, &r->peers)
		introduce(LIST_ENTRY(link, struct peer, link));
	open_control(r);
	uv_timer_init(c->loop, &r->space);
	r->space.data = r;
	uv_timer_start(&r->space, on_space_beat, SPACE_BEAT_MS, SPACE_BEAT_MS);
	return 0;
}

void role_queue_control(struct role_context *c, int fd)
{
	struct queue_role *r = state_of(c);
	fd_close(&r->control_fd);
	r->control_fd = fd;
	open_control(r);
}

void role_queue_configured(struct role_context *c, const struct config *old)
{
	struct queue_role *r = c->state;
	(void)old;
	r->admin.config = c->config;
	if (r->queue)
		queue_set_config(r->queue, c->config);
}

// ---------------------------------------------------------------- end

static void on_stopped(void *arg)
{
	struct queue_role *r = arg;
	event_set_tap(NULL, NULL);
	store_close(r->store);
	history_close(r->history);
	role_exit(r->context);
}

void role_queue_drain(struct role_context *c, uint64_t within_ms)
{
	struct queue_role *r = c->state;
	(void)within_ms;
	if (!r || !r->queue)
		role_exit(c);
	if (r->draining)
		return;
	r->draining = true;
	uv_timer_stop(&r->space);
	control_server_destroy(r->control);
	r->control = NULL;
	queue_stop(r->queue, on_stopped, r);
}
