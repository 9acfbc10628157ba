// SPDX-License-Identifier: ISC
// A connection: its session, its stream, its timers.
#include "role/smtpd_internal.h"

#include "base/clock.h"
#include "base/memory.h"

#include <unistd.h>

#define UNSENT_MAX 65536

#define LAST_WORDS_MS 200

// ---- the session runs, then what it caused is done: send, close, go on reading
static void connection_destroy(struct connection *c);

// The 220 has to leave in the clear before the first octet of TLS.
static void maybe_start_tls(struct connection *c)
{
	if (!c->tls_wanted || c->closing || stream_unsent(c->stream))
		return;
	c->tls_wanted = false;
	stream_pause(c->stream, false);
	stream_start_tls(c->stream, tls_server_session(c->smtpd->tls[c->server]), true);
}

// How long it may last in all: from its beginning on, however often that changes.
static void set_life(struct connection *c)
{
	uint64_t age = uv_now(c->smtpd->context->loop) - c->opened_ms;

	c->age_limit_ms = session_age_limit(c->session);
	wheel_set(c->smtpd->wheel, &c->life, c->age_limit_ms > age ? c->age_limit_ms - age : 1);
}

void connection_enter(struct connection *c)
{
	c->in_session = true;
}

void connection_leave(struct connection *c)
{
	c->in_session = false;
	if (c->closing) {
		connection_destroy(c);
		return;
	}
	uint64_t limit = session_silence_limit(c->session);
	if (limit)
		wheel_set(c->smtpd->wheel, &c->silence, limit);
	else
		wheel_clear(c->smtpd->wheel, &c->silence);
	if (session_age_limit(c->session) != c->age_limit_ms)
		set_life(c);
	maybe_start_tls(c);
	if (c->tls_wanted)
		return; // nothing is read in the clear any more
	bool behind = c->spool && spool_writer_behind(c->spool);
	stream_pause(c->stream, behind || !session_wants_input(c->session));
}

// ---- the rest of what a session asks
static void host_delay(void *arg, uint32_t ms)
{
	struct connection *c = arg;
	wheel_set(c->smtpd->wheel, &c->delay, ms);
}

static void on_delay(struct wheel_timer *t)
{
	struct connection *c = LIST_ENTRY(t, struct connection, delay);
	ANSWER(c, session_delayed(c->session));
}

static void hand_over_output(struct connection *c)
{
	struct buf *from = session_output(c->session);
	if (!buf_add_str(stream_output(c->stream), buf_str(from)))
		buf_clear(from);
	stream_flush(c->stream);
}

// What the client does not read stays with the session, which then reads no more commands; the
// silence limit ends a client that never does.
static void host_output(void *arg)
{
	struct connection *c = arg;
	if (stream_unsent(c->stream) < UNSENT_MAX)
		hand_over_output(c);
}

static void host_close(void *arg)
{
	struct connection *c = arg;
	c->closing = true;
	if (!c->in_session)
		connection_destroy(c);
}

static uint64_t host_wall_ms(void *arg)
{
	(void)arg;
	return clock_wall_ms();
}

static void host_start_tls(void *arg)
{
	struct connection *c = arg;
	c->tls_wanted = true;
}

static const struct session_host session_host = {
	.facts = connection_ask_facts,
	.auth_start = connection_auth_start,
	.auth_continue = connection_auth_continue,
	.auth_cancel = connection_auth_cancel,
	.spool_open = connection_spool_open,
	.spool_write = connection_spool_write,
	.spool_sync = connection_spool_sync,
	.spool_abort = connection_spool_abort,
	.submit = connection_submit,
	.start_tls = host_start_tls,
	.rates_release = connection_release_rates,
	.delay = host_delay,
	.output = host_output,
	.close = host_close,
	.wall_ms = host_wall_ms,
	.mechanisms = connection_mechanisms,
};

static const struct session_host rehearsal_host = {
	.facts = connection_ask_facts,
	.auth_start = outside_auth_start,
	.auth_continue = connection_auth_continue,
	.auth_cancel = connection_auth_cancel,
	.spool_open = outside_spool_open,
	.spool_write = connection_spool_write,
	.spool_sync = outside_spool_sync,
	.spool_abort = connection_spool_abort,
	.submit = outside_submit,
	.start_tls = host_close,
	.delay = host_delay,
	.output = host_output,
	.close = host_close,
	.wall_ms = host_wall_ms,
	.mechanisms = connection_mechanisms,
};

// ---- the stream
static size_t on_input(struct stream *stream, void *arg, struct str octets)
{
	struct connection *c = arg;
	(void)stream;
	if (!c->session || c->tls_wanted)
		return 0;
	connection_enter(c);
	size_t used = session_input(c->session, octets);
	connection_leave(c);
	return used;
}

static void on_sent(struct stream *stream, void *arg)
{
	struct connection *c = arg;
	if (!c->session || c->in_session)
		return;
	connection_enter(c);
	if (buf_len(session_output(c->session)))
		host_output(c);
	bool gone = c->closing;
	connection_leave(c);
	// Input was left alone while so much output waited.
	if (!gone)
		stream_resume_input(stream);
}

static void on_secured(struct stream *stream, void *arg)
{
	struct connection *c = arg;
	struct tls_facts facts;
	struct session_tls tls = {.active = true};
	tls_get_facts(stream_ssl(stream), &facts);
	memcpy(tls.version, facts.version, sizeof tls.version);
	memcpy(tls.cipher, facts.cipher, sizeof tls.cipher);
	memcpy(tls.peer_subject, facts.peer_subject, sizeof tls.peer_subject);
	tls.bits = facts.bits;
	tls.verified = facts.verified;
	bool begin = !c->begun;
	c->begun = true;
	ANSWER(c, (session_secured(c->session, &tls),
		begin ? session_begin(c->session, false) : (void)0));
}

static void on_ended(struct stream *stream, void *arg, int err, const char *why)
{
	struct connection *c = arg;
	(void)stream;
	(void)err;
	// A write that fails while the session runs: it must not lose its ground under its feet.
	if (c->in_session) {
		c->closing = true;
		return;
	}
	connection_enter(c);
	session_peer_gone(c->session, why);
	connection_destroy(c);
}

static const struct stream_events stream_events = {
	.input = on_input, .sent = on_sent, .secured = on_secured, .ended = on_ended};

// ---- time
static void on_silence(struct wheel_timer *t)
{
	struct connection *c = LIST_ENTRY(t, struct connection, silence);
	connection_enter(c);
	session_timed_out(c->session);
	connection_leave(c);
}

static void on_life(struct wheel_timer *t)
{
	struct connection *c = LIST_ENTRY(t, struct connection, life);
	connection_enter(c);
	session_expired(c->session);
	connection_leave(c);
}

// ---- connections begin and end
void smtpd_exit_when_drained(struct smtpd *s)
{
	if (!s->draining || s->connection_count)
		return;
	// The last words may still be on their way: the timer ends us.
	s->said_goodbye = true;
	wheel_set(s->wheel, &s->drain_timer, LAST_WORDS_MS);
}

static void connection_destroy(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	if (buf_len(session_output(c->session)))
		hand_over_output(c); // its last words
	// First: it may still give up its body and its exchange through us.
	session_destroy(c->session);
	connection_forget_request(c);
	connection_forget_rates(c);
	connection_auth_cancel(c);
	connection_names_cancel(c);
	connection_spool_abort(c);
	mem_free(c->facts);
	mem_free(c->limits);
	mem_free(c->local_size_where);
	mem_free(c->name);
	mem_free(c->owners);
	if (c->counted) {
		(void)map_remove(&s->sessions, smtpd_key(&c->id));
		struct ipc_client_close m = {.session = c->id};
		if (s->queue && !c->rehearsal)
			(void)ipc_send_client_close(s->queue, &m);
	}
	wheel_clear(s->wheel, &c->silence);
	wheel_clear(s->wheel, &c->life);
	wheel_clear(s->wheel, &c->delay);
	stream_close_after_send(c->stream);
	list_remove(&c->link);
	s->connection_count--;
	s->rehearsal_count -= c->rehearsal;
	mem_free(c);
	smtpd_exit_when_drained(s);
}

void connection_refuse(struct connection *c, const char *why)
{
	connection_enter(c);
	session_peer_gone(c->session, why);
	c->closing = true;
	connection_leave(c);
}

static void refuse_at_the_door(int fd)
{
	static const char words[] = "421 4.3.2 Too many connections, try again later\r\n";
	(void)!write(fd, words, sizeof words - 1);
	close(fd);
}

static struct session *make_session(struct connection *c, const struct arrival *a)
{
	const struct config_server *server = connection_server(c);
	enum config_listen_tls tls = server->listens[a->listen].tls;
	struct session_options o = {
		.config = c->smtpd->context->config,
		.server = server,
		.host = a->rehearsal ? &rehearsal_host : &session_host,
		.arg = c,
		.client = a->client,
		.client_port = a->client_port,
		.local = a->local,
		.local_port = a->local_port,
		.proxy = a->proxy,
		.id = c->id,
		.implicit_tls = tls == CONFIG_LISTEN_IMPLICIT && !a->rehearsal,
		.no_tls = !c->smtpd->tls[c->server] || tls == CONFIG_LISTEN_NO_TLS,
		.rehearsal = a->rehearsal,
	};
	return session_create(&o);
}

static struct connection *make_connection(const struct arrival *a)
{
	struct smtpd *s = a->smtpd;
	struct connection *c = mem_alloc(sizeof *c);
	c->smtpd = s;
	c->server = (uint16_t)a->server;
	c->port = a->local_port;
	c->id = id_next(&s->context->ids);
	c->client = a->client;
	c->client_port = a->client_port;
	c->local = a->local;
	c->local_port = a->local_port;
	c->rehearsal = a->rehearsal != NULL;
	c->auth_may_submit = c->auth_may_relay = c->rehearsal; // as if AUTH had been answered so
	c->auth_foreign = a->vouched;
	wheel_timer_init(&c->silence, on_silence);
	wheel_timer_init(&c->life, on_life);
	wheel_timer_init(&c->delay, on_delay);
	list_add_last(&s->connections, &c->link);
	s->connection_count++;
	s->rehearsal_count += c->rehearsal;
	c->stream = a->stream;
	stream_set_events(c->stream, &stream_events, c);
	c->session = make_session(c, a);
	return c;
}

void connection_begin(const struct arrival *a)
{
	struct smtpd *s = a->smtpd;
	struct connection *c = make_connection(a);
	const struct config_server *server = connection_server(c);
	if (!c->rehearsal)
		smtpd_look_for_gateway(s, &a->client);
	c->opened_ms = uv_now(s->context->loop);
	set_life(c);
	if (server->listens[a->listen].tls == CONFIG_LISTEN_IMPLICIT && !c->rehearsal) {
		wheel_set(s->wheel, &c->silence, server->command_timeout);
		stream_start_tls(c->stream, tls_server_session(s->tls[a->server]), true);
		(void)connection_count(c, &a->client); // counts while it shakes hands, too
		return;
	}
	c->begun = true;
	connection_enter(c);
	session_begin(c->session, !c->rehearsal && stream_has_input(c->stream));
	connection_leave(c);
}

void connection_arrive(struct arrival *a, int fd)
{
	struct smtpd *s = a->smtpd;
	a->stream = stream_open(s->context->loop, s->wheel, fd, &stream_events, NULL);
	if (!a->local.family)
		stream_get_local(a->stream, &a->local, &a->local_port);
	connection_begin(a);
}

// Of this process: more than anybody may have. Who may have fewer is told so by policy.
static uint64_t most_connections(const struct config *c)
{
	uint64_t of_some = config_limit_most(c, CONFIG_LIMIT_CONNECTIONS);

	return of_some > c->limits.connections ? of_some : c->limits.connections;
}

void connection_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct door *d = arg;
	struct smtpd *s = d->smtpd;
	const struct config_server *server = &s->context->config->servers[d->server];
	struct arrival a = {.smtpd = s, .server = d->server, .listen = d->listen, .client = *peer,
		.client_port = port};
	if (s->connection_count - s->rehearsal_count >= most_connections(s->context->config) ||
		(server->listens[d->listen].tls == CONFIG_LISTEN_IMPLICIT && !s->tls[d->server])) {
		refuse_at_the_door(fd);
		return;
	}
	if (smtpd_is_proxy(server, peer))
		smtpd_proxied(&a, fd);
	else
		connection_arrive(&a, fd);
}
