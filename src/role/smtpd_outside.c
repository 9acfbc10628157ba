// SPDX-License-Identifier: ISC
// The private socket of smtpd: an administrator says who he is taken for, then a rehearsal begins. What
// is said on it stands in session/outside.h.
#include "role/smtpd_internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "control/control.h"
#include "role/outside_wish.h"
#include "role/roles.h"

#include <unistd.h>

#define HEADER_TIME_MS 10000
#define REHEARSALS_MAX 64 // of one process, those that have not said yet who they are included

struct outside {
	struct smtpd *smtpd;
	struct listener *listener; // NULL: not accepting
	int fd;
	struct list visitors;
	size_t visitor_count;
};

// A connection of which the header has not come yet.
struct visitor {
	struct list link;
	struct outside *outside;
	struct stream *stream;
};

static void visitor_destroy(struct visitor *v)
{
	list_remove(&v->link);
	v->outside->visitor_count--;
	mem_free(v);
}

static void turn_away(struct visitor *v, const char *why)
{
	(void)buf_add_format(stream_output(v->stream), "501 5.5.4 %s\r\n", why);
	stream_close_after_send(v->stream);
	visitor_destroy(v);
}

// Where mail from outside comes in: no login is asked for. With an account: where one is.
static const struct config_server *usual_server(const struct config *c, bool account)
{
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].listen_count && c->servers[i].require_auth == account)
			return &c->servers[i];
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].listen_count && c->servers[i].offer_auth && account)
			return &c->servers[i];
	return c->server_count && c->servers[0].listen_count ? &c->servers[0] : NULL;
}

static const struct config_server *find_server(const struct config *c, const struct outside_wish *w)
{
	if (!w->named)
		return usual_server(c, w->logged_in);
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].listen_count && str_equal(c->servers[i].name, w->server))
			return &c->servers[i];
	return NULL;
}

static unsigned find_listen(const struct config_server *server, uint16_t port)
{
	for (unsigned i = 0; i < server->listen_count; i++)
		if (server->listens[i].port == port)
			return i;
	return 0;
}

static bool is_unspecified(const struct ipaddr *a)
{
	static const uint8_t zero[16];
	return !memcmp(a->octets, zero, sizeof zero);
}

static void begin(struct visitor *v, const struct outside_wish *w, const struct config_server *server)
{
	struct smtpd *s = v->outside->smtpd;
	struct session_rehearsal r = {.tls = w->tls, .account = w->account,
		.seen = !w->explain ? NULL : w->brief ? connection_explain_briefly : connection_explain};
	struct arrival a = {.smtpd = s, .stream = v->stream, .client = w->header.client,
		.client_port = w->header.client_port, .rehearsal = &r, .vouched = w->vouched};
	a.server = (unsigned)(server - s->context->config->servers);
	a.listen = find_listen(server, w->header.server_port);
	a.local_port = server->listens[a.listen].port;
	a.local = is_unspecified(&w->header.server) ? server->listens[a.listen].address :
		w->header.server;
	r.tls |= server->listens[a.listen].tls == CONFIG_LISTEN_IMPLICIT;
	stream_set_timeout(v->stream, 0);
	visitor_destroy(v);
	connection_begin(&a);
}

static size_t on_input(struct stream *stream, void *arg, struct str octets)
{
	struct visitor *v = arg;
	struct outside_wish w;
	const struct config_server *server;
	const char *why = NULL;
	size_t used = 0;
	int result = outside_wish_read(octets, &w, &used, &why);
	if (result == ERR_NOT_FOUND)
		return 0;
	if (result) {
		turn_away(v, why);
		return octets.len;
	}
	server = find_server(v->outside->smtpd->context->config, &w);
	if (!server) {
		turn_away(v, TEXT("there is no such server block"));
		return octets.len;
	}
	begin(v, &w, server);
	return used;
}

static void on_ended(struct stream *stream, void *arg, int err, const char *why)
{
	(void)err;
	(void)why;
	stream_close(stream);
	visitor_destroy(arg);
}

static const struct stream_events events = {.input = on_input, .ended = on_ended};

// ---- the socket
static void on_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct outside *o = arg;
	struct smtpd *s = o->smtpd;
	(void)peer;
	(void)port;
	if (!control_peer_is_admin(fd, s->context->control_group) ||
		o->visitor_count + s->rehearsal_count >= REHEARSALS_MAX) {
		close(fd);
		return;
	}
	struct visitor *v = mem_alloc(sizeof *v);
	v->outside = o;
	list_add_last(&o->visitors, &v->link);
	o->visitor_count++;
	v->stream = stream_open(s->context->loop, s->wheel, fd, &events, v);
	stream_set_timeout(v->stream, HEADER_TIME_MS);
}

void role_smtpd_control(struct role_context *c, int fd)
{
	struct smtpd *s = smtpd_of(c);
	if (s->outside) { // master opens it once
		fd_close(&fd);
		return;
	}
	s->outside = mem_alloc(sizeof *s->outside);
	s->outside->smtpd = s;
	s->outside->fd = fd;
	list_init(&s->outside->visitors);
}

int outside_open(struct smtpd *s)
{
	struct outside *o = s->outside;
	if (!o || o->fd < 0 || o->listener)
		return 0;
	o->listener = listener_start(s->context->loop, o->fd, on_accepted, o);
	return o->listener ? 0 : ERR_SYSTEM;
}

void outside_close(struct smtpd *s)
{
	struct outside *o = s->outside;
	if (!o)
		return;
	if (o->listener)
		listener_stop(o->listener);
	o->listener = NULL;
	fd_close(&o->fd);
	LIST_EACH(link, &o->visitors)
		turn_away(LIST_ENTRY(link, struct visitor, link), TEXT("the server is shutting down"));
}

// ---- what a rehearsal never does. The session refuses the commands that would lead here; that it
// cannot happen is said a second time where it would.
void outside_submit(void *arg, const struct session_submission *sub)
{
	struct connection *c = arg;
	(void)sub;
	ANSWER(c, session_submitted(c->session, ERR_DENIED, 0));
}

void outside_spool_open(void *arg)
{
	struct connection *c = arg;
	ANSWER(c, session_spool(c->session, ERR_DENIED, 0));
}

void outside_spool_sync(void *arg)
{
	struct connection *c = arg;
	ANSWER(c, session_spool_synced(c->session, ERR_DENIED));
}

void outside_auth_start(void *arg, const char *mechanism, struct str initial)
{
	struct connection *c = arg;
	(void)mechanism;
	(void)initial;
	ANSWER(c, session_auth(c->session, SESSION_AUTH_UNAVAILABLE, STR_EMPTY, "rehearsal"));
}
