// SPDX-License-Identifier: ISC
// Role auth: alone opens the passwords, and answers on its private sockets (our smtpd) and on its
// public one (other programs). Whether an account is enabled it asks of queue.
#include "role/roles.h"

#include "auth/authenticator.h"
#include "auth/protocol.h"
#include "base/event.h"
#include "base/file.h"
#include "base/list.h"
#include "base/memory.h"
#include "net/listener.h"
#include "net/tls.h"
#include "role/auth_admin.h"
#include "role/auth_lacking.h"
#include "role/auth_offers.h"
#include "role/auth_sweep.h"
#include "store/store.h"

#include <stdio.h>
#include <unistd.h>

#define OPEN_TRIES    50 // of the store, while a predecessor dies
#define OPEN_PAUSE_US 100000
#define OFFERS_MS     10000
#define PUBLIC_MAX    256 // connections to the public socket

_Static_assert((int)AUTHENTICATOR_SUBMIT == (int)ACCOUNT_MAY_SUBMIT &&
		       (int)AUTHENTICATOR_RELAY == (int)ACCOUNT_MAY_RELAY,
	"rights are the directory's");

// A connected program. Before start there is only its socket.
struct peer {
	struct list link;
	struct auth *auth;
	struct auth_server *server;
	int fd;
	bool public;
};

struct auth {
	struct role_context *context;
	struct wheel *wheel;
	struct secrets *secrets;
	struct authenticator *authenticator;
	struct ipc_channel *queue;
	struct helper {
		struct auth *auth;
		struct ipc_channel *channel; // NULL: not there
		bool checker;
	} source, checker; // the roles that ask foreign sources
	struct list peers;
	unsigned public_count;
	int public_fd; // listens; -1: none
	struct listener *listener;
	int control_fd;
	struct control_server *control;
	struct auth_admin admin;
	struct auth_sweep *sweep;
	bool swept;
	struct auth_lacking *lacking;
	struct auth_offer_state offers;
	struct wheel_timer offers_timer; // keys are made with logins, and nobody tells
};

// ---- what is offered
static void set_offers(struct auth *a, bool scram_missing)
{
	if (!auth_offers_set(&a->offers, a->context->config, scram_missing))
		return;
	LIST_EACH(link, &a->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->server)
			auth_server_offers_changed(p->server);
	}
}

static void on_lacking_known(void *arg, bool any)
{
	set_offers(arg, any);
}

static void refresh_offers(struct auth *a)
{
	set_offers(a, a->offers.facts.scram_missing);
	auth_lacking_look(a->lacking, a->queue);
}

static void on_offers_timer(struct wheel_timer *t)
{
	struct auth *a = LIST_ENTRY(t, struct auth, offers_timer);

	refresh_offers(a);
	wheel_set(a->wheel, &a->offers_timer, OFFERS_MS);
}

// ---- accounts
static void ask_account(void *arg, uint64_t request, struct str name)
{
	struct auth *a = arg;
	struct ipc_account_query m = {.request = request, .name = name};

	if (!a->queue || ipc_send_account_query(a->queue, &m))
		authenticator_account(a->authenticator, request, 3, 0, STR_EMPTY);
}

static void end_sweep(struct auth *a)
{
	auth_sweep_stop(a->sweep);
	a->sweep = NULL;
}

static void on_account_answer(void *arg, struct str body, int fd)
{
	struct auth *a = arg;
	struct ipc_account_answer m;

	fd_close(&fd);
	if (ipc_decode_account_answer(body, &m) || !a->authenticator)
		return;
	if (m.request & AUTH_LACKING_REQUEST)
		auth_lacking_answer(a->lacking, &m);
	else if (!(m.request & AUTH_SWEEP_REQUEST))
		authenticator_account_found(a->authenticator, m.request,
			&(struct auth_account){m.state, m.rights, m.name, m.networks, m.servers,
				m.act_as, m.reason});
	else if (a->sweep && !auth_sweep_answer(a->sweep, &m))
		end_sweep(a);
}

static void on_account_changed(void *arg, struct str body, int fd)
{
	struct auth *a = arg;
	struct ipc_account_changed m;

	fd_close(&fd);
	if (ipc_decode_account_changed(body, &m) || !a->authenticator)
		return;
	authenticator_forget(a->authenticator, m.name);
	refresh_offers(a);
}

static const ipc_handler from_queue[IPC_TYPES] = {
	[IPC_TYPE_account_answer] = on_account_answer,
	[IPC_TYPE_account_changed] = on_account_changed,
};

static void on_queue_frame(
	struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_queue, arg, type, body, fd);
}

static void on_queue_gone(struct ipc_channel *ch, void *arg)
{
	struct auth *a = arg;

	if (a->queue != ch)
		return;
	a->queue = NULL;
	role_set_history(a->context, NULL);
	end_sweep(a);
	auth_lacking_lost(a->lacking);
	if (a->authenticator)
		authenticator_accounts_lost(a->authenticator);
	ipc_channel_close(ch);
}

// Accounts may have changed while no queue could tell us.
static void queue_came(struct auth *a)
{
	if (!a->queue || !a->authenticator)
		return;
	authenticator_forget(a->authenticator, STR_EMPTY);
	if (!a->swept)
		a->sweep = auth_sweep_start(a->secrets, a->queue);
	a->swept = true;
	auth_lacking_look(a->lacking, a->queue);
}

static void take_queue(struct auth *a, int fd)
{
	if (a->queue)
		on_queue_gone(a->queue, a);
	a->queue = ipc_channel_open(a->context->loop, fd, on_queue_frame, on_queue_gone, a);
	role_set_history(a->context, a->queue);
	queue_came(a);
}

// ---- foreign password sources
static int send_check(void *arg, bool to_checker, const struct ipc_check *m)
{
	struct auth *a = arg;
	const struct helper *h = to_checker ? &a->checker : &a->source;

	return h->channel ? ipc_send_check(h->channel, m) : ERR_CLOSED;
}

static void on_checked(void *arg, struct str body, int fd)
{
	struct helper *h = arg;
	struct ipc_checked m;

	fd_close(&fd);
	if (!ipc_decode_checked(body, &m) && h->auth->authenticator)
		auth_chain_answer(authenticator_chain(h->auth->authenticator), &m);
}

static void on_negotiated(void *arg, struct str body, int fd)
{
	struct helper *h = arg;
	struct ipc_negotiated m;

	fd_close(&fd);
	if (!ipc_decode_negotiated(body, &m) && h->auth->authenticator)
		auth_winbind_answer(authenticator_winbind(h->auth->authenticator), &m);
}

static int send_negotiate(void *arg, const struct ipc_negotiate *m)
{
	struct auth *a = arg;

	return a->checker.channel ? ipc_send_negotiate(a->checker.channel, m) : ERR_CLOSED;
}

static void end_negotiate(void *arg, const struct ipc_negotiate_end *m)
{
	struct auth *a = arg;

	if (a->checker.channel)
		(void)ipc_send_negotiate_end(a->checker.channel, m);
}

static const ipc_handler from_helper[IPC_TYPES] = {
	[IPC_TYPE_checked] = on_checked,
	[IPC_TYPE_negotiated] = on_negotiated,
};

static void on_helper_frame(
	struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_helper, arg, type, body, fd);
}

static void on_helper_gone(struct ipc_channel *ch, void *arg)
{
	struct helper *h = arg;

	if (h->channel == ch) {
		h->channel = NULL;
		if (h->auth->authenticator)
			auth_chain_lost(authenticator_chain(h->auth->authenticator), h->checker);
		if (h->auth->authenticator && h->checker)
			auth_winbind_lost(authenticator_winbind(h->auth->authenticator));
	}
	ipc_channel_close(ch);
}

static void take_helper(struct auth *a, struct helper *h, int fd)
{
	if (h->channel)
		on_helper_gone(h->channel, h);
	h->auth = a;
	h->checker = h == &a->checker;
	h->channel = ipc_channel_open(a->context->loop, fd, on_helper_frame, on_helper_gone, h);
}

// ---- who asks us
static void peer_destroy(struct peer *p)
{
	list_remove(&p->link);
	p->auth->public_count -= p->public;
	auth_server_destroy(p->server);
	fd_close(&p->fd);
	mem_free(p);
}

static void on_peer_closed(struct auth_server *server, void *arg)
{
	(void)server;
	peer_destroy(arg);
}

static void serve(struct peer *p)
{
	struct auth_server_options o = {
		.loop = p->auth->context->loop,
		.wheel = p->auth->wheel,
		.authenticator = p->auth->authenticator,
		.offers = &p->auth->offers,
		.trusted = !p->public,
		.closed = on_peer_closed,
		.arg = p,
	};
	int fd = p->fd;

	p->fd = -1;
	p->server = auth_server_create(&o, fd);
}

static void add_peer(struct auth *a, int fd, bool public)
{
	struct peer *p = mem_alloc(sizeof *p);

	*p = (struct peer){.auth = a, .fd = fd, .public = public};
	list_add_last(&a->peers, &p->link);
	a->public_count += public;
	if (a->authenticator)
		serve(p);
}

static void on_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct auth *a = arg;

	(void)peer;
	(void)port;
	if (a->public_count < PUBLIC_MAX) {
		add_peer(a, fd, true);
		return;
	}
	event_report(EVENT_WARNING, "limit", "more than %d programs use the authentication socket",
		PUBLIC_MAX);
	close(fd);
}

// Whoever is connected has no right to be any more.
static void end_public(struct auth *a)
{
	listener_stop(a->listener);
	a->listener = NULL;
	fd_close(&a->public_fd);
	LIST_EACH(link, &a->peers) {
		struct peer *p = LIST_ENTRY(link, struct peer, link);
		if (p->public)
			peer_destroy(p);
	}
}

static void listen_public(struct auth *a)
{
	if (a->public_fd < 0 || !a->authenticator)
		return;
	a->listener = listener_start(a->context->loop, a->public_fd, on_accepted, a);
	if (!a->listener)
		event_report(
			EVENT_ERROR, "auth", "the public authentication socket cannot be served");
}

// ---- what master gives
static struct auth *state_of(struct role_context *c)
{
	if (!c->state) {
		struct auth *a = mem_alloc(sizeof *a);
		a->context = c;
		a->public_fd = a->control_fd = -1;
		list_init(&a->peers);
		c->state = a;
	}
	return c->state;
}

int role_auth_prepare(struct role_context *c, struct error *err)
{
	(void)err;
	(void)state_of(c);
	tls_prepare(); // OpenSSL reads its files now
	auth_offers_prepare(c->config);
	return 0;
}

void role_auth_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct auth *a = state_of(c);

	(void)index;
	if (!strcmp(peer, "queue"))
		take_queue(a, fd);
	else if (!strcmp(peer, "source"))
		take_helper(a, &a->source, fd);
	else if (!strcmp(peer, "checker"))
		take_helper(a, &a->checker, fd);
	else
		add_peer(a, fd, false);
}

void role_auth_folder(struct role_context *c, const char *name, int fd)
{
	struct auth *a = state_of(c);

	if (strcmp(name, "auth-client") != 0) {
		fd_close(&fd);
		return;
	}
	listener_stop(a->listener);
	a->listener = NULL;
	fd_close(&a->public_fd);
	a->public_fd = fd;
	listen_public(a);
}

static void serve_control(struct auth *a)
{
	if (a->control_fd < 0 || !a->authenticator)
		return;
	a->control = control_server_create(a->context->loop, a->control_fd, auth_admin_handlers,
		auth_admin_handler_count, &a->admin);
	control_server_admit(a->control, a->context->control_group);
}

void role_auth_control(struct role_context *c, int fd)
{
	struct auth *a = state_of(c);

	control_server_destroy(a->control);
	a->control = NULL;
	fd_close(&a->control_fd);
	a->control_fd = fd;
	serve_control(a);
}

// A predecessor that is being killed still holds the lock for a moment.
static int open_secrets(struct auth *a, struct error *err)
{
	char path[1200];
	int result = ERR_DENIED;

	snprintf(path, sizeof path, "%.*s/auth/secrets.db",
		STR_ARG(a->context->config->state_folder));
	for (unsigned i = 0; i < OPEN_TRIES && result == ERR_DENIED; i++) {
		if (i)
			usleep(OPEN_PAUSE_US);
		result = secrets_open(path, true, &a->secrets, err);
	}
	return result;
}

int role_auth_start(struct role_context *c, struct error *err)
{
	struct auth *a = state_of(c);
	struct authenticator_host host = {
		.account = ask_account, .arg = a, .send = send_check,
		.winbind = {send_negotiate, end_negotiate, a}};
	int result = open_secrets(a, err);

	if (result)
		return result;
	result = auth_offers_start(&a->offers, c->loop, c->config, a->secrets, err);
	if (result)
		return result;
	a->wheel = wheel_create(c->loop);
	wheel_timer_init(&a->offers_timer, on_offers_timer);
	wheel_set(a->wheel, &a->offers_timer, OFFERS_MS);
	a->authenticator = authenticator_create(c->loop, c->config, a->secrets, &host);
	a->admin = (struct auth_admin){a->secrets, a->authenticator, c->loop};
	a->lacking = auth_lacking_create(a->secrets, on_lacking_known, a);
	LIST_EACH(link, &a->peers)
		serve(LIST_ENTRY(link, struct peer, link));
	listen_public(a);
	serve_control(a);
	queue_came(a);
	return 0;
}

void role_auth_configured(struct role_context *c, const struct config *old)
{
	struct auth *a = c->state;

	(void)old;
	authenticator_set_config(a->authenticator, c->config);
	refresh_offers(a);
	if (c->config->auth.public_socket.len == 0)
		end_public(a);
}

// What is asked now is lost with the connections; smtpd answers its clients "try again later".
void role_auth_drain(struct role_context *c, uint64_t within_ms)
{
	struct auth *a = c->state;

	(void)within_ms;
	if (!a)
		role_exit(c);
	listener_stop(a->listener);
	control_server_destroy(a->control);
	LIST_EACH(link, &a->peers)
		peer_destroy(LIST_ENTRY(link, struct peer, link));
	end_sweep(a);
	auth_lacking_destroy(a->lacking);
	wheel_clear(a->wheel, &a->offers_timer);
	authenticator_destroy(a->authenticator);
	auth_offers_stop();
	secrets_close(a->secrets);
	role_exit(c);
}
