// SPDX-License-Identifier: ISC
// Role smtpd: accepts connections and gives each its session; carries the session's questions to
// queue and auth and the answers back. What SMTP is stands in session/.
#include "role/smtpd_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "role/roles.h"

#define GOODBYE_MS 5000 // from the 421 to the end
#define AUTH_LOOK_MS 5
#define AUTH_WAIT_MS 3000

static void on_auth_connect(void *arg)
{
	struct smtpd *s = arg;
	// Our own auth hands over a socket when it is started; a foreign one has to be reached.
	if (s->context->config->auth.socket.len && s->context->master)
		role_connect(s->context, 1, "auth", 0);
}

void role_smtpd_connected(struct role_context *c, uint64_t request, int fd, const char *why)
{
	struct smtpd *s = c->state;
	(void)request;
	if (fd < 0)
		event_report(EVENT_WARNING, "auth", "no authentication service: %s", why);
	auth_client_connected(s->auth, fd);
}

// ---- what master gives
struct smtpd *smtpd_of(struct role_context *c)
{
	if (!c->state) {
		struct smtpd *s = mem_alloc(sizeof *s);
		s->context = c;
		s->dns = dns_client_create(c->loop);
		list_init(&s->connections);
		list_init(&s->proxied);
		c->state = s;
	}
	return c->state;
}

static void make_tls(struct smtpd *s)
{
	const struct config *config = s->context->config;
	s->tls = mem_array(config->server_count + 1, sizeof(struct tls_server *));
	s->tls_count = config->server_count;
	for (size_t i = 0; i < config->server_count; i++) {
		const struct config_server *server = &config->servers[i];
		const struct config_tls *tls = config_server_tls(config, server);
		struct error err = {0};
		if (tls->certificate_count &&
			tls_server_create(tls, server->name, &s->tickets, &s->tls[i], &err))
			event_report(EVENT_ERROR, "tls", "server \"%.*s\" serves without TLS: %s",
				STR_ARG(server->name), err.text);
	}
}

int role_smtpd_prepare(struct role_context *c, struct error *err)
{
	(void)err;
	tls_prepare();
	gateways_read(&smtpd_of(c)->gateways);
	// CA paths are read now, while there are folders.
	make_tls(smtpd_of(c));
	return 0;
}

void role_smtpd_tickets(struct role_context *c, const uint8_t current[32], const uint8_t previous[32])
{
	struct smtpd *s = smtpd_of(c);
	memcpy(s->tickets.current, current, 32);
	memcpy(s->tickets.previous, previous, 32);
	for (size_t i = 0; i < s->tls_count; i++)
		if (s->tls[i])
			tls_server_set_tickets(s->tls[i], &s->tickets);
}

void role_smtpd_listener(struct role_context *c, unsigned server, unsigned listen, int fd)
{
	struct smtpd *s = smtpd_of(c);
	if (s->door_count == ARRAY_SIZE(s->doors) || server >= c->config->server_count ||
		listen >= c->config->servers[server].listen_count) {
		fd_close(&fd);
		return;
	}
	struct door *d = mem_alloc(sizeof *d);
	*d = (struct door){.smtpd = s, .server = server, .listen = listen, .fd = fd};
	s->doors[s->door_count++] = d;
}

static void open_auth(struct smtpd *s)
{
	if (s->auth)
		return;
	struct auth_client_options o = {
		.loop = s->context->loop,
		.connect = on_auth_connect,
		.arg = s,
		.trusted = s->context->config->auth.socket.len == 0,
	};
	s->auth = auth_client_create(&o);
}

void role_smtpd_peer(struct role_context *c, const char *peer, unsigned index, int fd)
{
	struct smtpd *s = smtpd_of(c);
	(void)index;
	if (!strcmp(peer, "auth") && c->config->auth.socket.len == 0) {
		open_auth(s);
		auth_client_connected(s->auth, fd);
	} else if (!strcmp(peer, "queue")) {
		smtpd_queue_open(s, fd);
	} else if (!strcmp(peer, "resolver")) {
		smtpd_resolver_open(s, fd);
	} else {
		fd_close(&fd);
	}
}

static int open_doors(struct smtpd *s, struct error *err)
{
	if (outside_open(s))
		return error_set(err, ERR_SYSTEM, TEXT("cannot accept connections"));
	for (size_t i = 0; i < s->door_count; i++) {
		struct door *d = s->doors[i];
		d->listener = listener_start(s->context->loop, d->fd, connection_accepted, d);
		if (!d->listener)
			return error_set(err, ERR_SYSTEM, TEXT("cannot accept connections"));
	}
	return 0;
}

// ---- the first clients wait at the door until we know which mechanisms to offer them
static bool wants_auth(const struct config *config)
{
	for (size_t i = 0; i < config->server_count; i++)
		if (config->servers[i].require_auth || config->servers[i].offer_auth)
			return true;
	return false;
}

static void on_look_for_auth(uv_timer_t *timer)
{
	struct smtpd *s = timer->data;
	struct error err = {0};
	(void)smtpd_mechanisms(s, false); // to be remembered
	bool known = smtpd_mechanisms(s, true)[0];
	if (!known && uv_now(s->context->loop) - s->started_ms < AUTH_WAIT_MS)
		return;
	uv_timer_stop(timer);
	if (!known)
		event_report(EVENT_WARNING, "auth", "serving without an authentication service");
	if (!s->draining && open_doors(s, &err))
		fatal("%s", err.text);
}

int role_smtpd_start(struct role_context *c, struct error *err)
{
	struct smtpd *s = smtpd_of(c);
	s->wheel = wheel_create(c->loop);
	open_auth(s);
	if (!wants_auth(c->config))
		return open_doors(s, err);
	s->started_ms = uv_now(c->loop);
	uv_timer_init(c->loop, &s->auth_timer);
	s->auth_timer.data = s;
	uv_timer_start(&s->auth_timer, on_look_for_auth, 0, AUTH_LOOK_MS);
	return 0;
}

static long find_server(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->server_count; i++)
		if (str_equal(config->servers[i].name, name))
			return (long)i;
	return -1;
}

// Its block is gone: a body or a chunk under way ends under the limits it began with, everything else
// gets 421 at once. No other block takes its place, whose limits or certificate would be a
// stranger's.
static void retire(struct connection *c, const struct config *now, const struct config_server *block)
{
	c->retired = block;
	session_reconfigure(c->session, now, block);
	if (c->tls_wanted)
		connection_refuse(c, "its server is no longer configured"); // no words before TLS
	else
		ANSWER(c, session_shut_down(c->session));
}

// Only a generation that is about to drain sees another configuration: rights that were taken away
// hold from the next MAIL on. Sessions of a server block that is gone end.
void role_smtpd_configured(struct role_context *c, const struct config *old)
{
	struct smtpd *s = c->state;
	struct tls_server **tls = mem_array(c->config->server_count + 1, sizeof(struct tls_server *));
	outside_close(s);
	for (size_t i = 0; i < s->door_count; i++) {
		listener_stop(s->doors[i]->listener);
		fd_close(&s->doors[i]->fd);
	}
	s->door_count = 0;
	for (size_t i = 0; i < s->tls_count; i++) {
		long now = find_server(c->config, old->servers[i].name);
		if (now >= 0)
			tls[now] = s->tls[i];
		else
			tls_server_destroy(s->tls[i]);
	}
	LIST_EACH(link, &s->connections) {
		struct connection *one = LIST_ENTRY(link, struct connection, link);
		const struct config_server *was = one->retired ? one->retired : &old->servers[one->server];
		long now = one->retired ? -1 : find_server(c->config, was->name);
		if (now < 0) {
			retire(one, c->config, was);
		} else {
			one->server = (uint16_t)now;
			session_reconfigure(one->session, c->config, connection_server(one));
		}
	}
	smtpd_proxied_configured(s, old);
	mem_free(s->tls);
	s->tls = tls;
	s->tls_count = c->config->server_count;
}

// ---- the end
static void on_drain_time(struct wheel_timer *t);

// Every session hears 421 as soon as it is between two commands.
static void say_goodbye(struct smtpd *s, uint64_t within_ms)
{
	s->said_goodbye = true;
	wheel_set(s->wheel, &s->drain_timer, within_ms);
	smtpd_proxied_end(s);
	LIST_EACH(link, &s->connections) {
		struct connection *one = LIST_ENTRY(link, struct connection, link);
		ANSWER(one, session_shut_down(one->session));
	}
}

static void on_drain_time(struct wheel_timer *t)
{
	struct smtpd *s = LIST_ENTRY(t, struct smtpd, drain_timer);
	if (s->said_goodbye)
		role_exit(s->context);
	say_goodbye(s, GOODBYE_MS);
}

// With time, sessions are left alone until most of it is over: a new generation disturbs nobody.
void role_smtpd_drain(struct role_context *c, uint64_t within_ms)
{
	struct smtpd *s = c->state;
	if (!s || !s->wheel || within_ms == 0)
		role_exit(c);
	for (size_t i = 0; i < s->door_count; i++) {
		listener_stop(s->doors[i]->listener);
		fd_close(&s->doors[i]->fd);
	}
	s->door_count = 0;
	outside_close(s);
	if (!s->draining)
		wheel_timer_init(&s->drain_timer, on_drain_time);
	s->draining = true;
	if (within_ms > GOODBYE_MS)
		wheel_set(s->wheel, &s->drain_timer, within_ms - GOODBYE_MS);
	else
		say_goodbye(s, within_ms);
	smtpd_exit_when_drained(s);
}
