// SPDX-License-Identifier: ISC
#include "deliver/connection.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/login_drive.h"
#include "smtp/body.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

// RFC 5321 4.5.3.2
#define COMMAND_MS     (5 * 60 * 1000)
#define HANDSHAKE_MS   (60 * 1000)
#define BLOCK_MS       (3 * 60 * 1000)
#define FINAL_MS       (10 * 60 * 1000)
#define CHUNK_SIZE     (64 * 1024)
#define AHEAD_SIZE     (128 * 1024)  // octets of a body that wait for the peer
#define TURN_SIZE      (1024 * 1024) // sent before other connections have their turn

struct connection {
	struct stream *stream;
	struct smtp_client *smtp;
	const struct connection_events *events;
	void *arg;
	struct tls_client *tls_client;
	enum connection_stage stage;
	uint64_t timeout_ms;
	bool verify, implicit, talked, sending, body_going;
	bool network_failed, answered, body_failed;
	char *host;
	struct login_drive login;
	char remote[300];
	char tls[100];
	// the mail under way
	const struct deliver_job *job;
	struct smtp_client_message *message;
	struct render render;
	struct smtp_stuff stuff;
	struct smtp_result failure; // of connecting, TLS or the body; code and enhanced empty: none
};

static void set_timeout(struct connection *c, uint64_t ms)
{
	if (c->timeout_ms == ms)
		return;
	c->timeout_ms = ms;
	stream_set_timeout(c->stream, ms);
}

static void set_failure(struct connection *c, unsigned code, const char *enhanced, const char *what,
	const char *why)
{
	c->failure.outcome = code / 100 == 5 ? SMTP_PERMANENT : SMTP_TEMPORARY;
	c->failure.code = code;
	snprintf(c->failure.enhanced, sizeof c->failure.enhanced, "%s", enhanced);
	snprintf(c->failure.text, sizeof c->failure.text, "%s%s%s", what, *why ? ": " : "", why);
}

static void flush_commands(struct connection *c)
{
	struct buf *out = smtp_client_output(c->smtp);
	if (buf_len(out) == 0)
		return;
	buf_add_str(stream_output(c->stream), buf_str(out));
	buf_consume(out, buf_len(out));
	stream_flush(c->stream);
}

// ---- the body
// The message cannot be sent to anybody as it is, or cannot be read: that is not the host's fault.
static void body_failed(struct connection *c, unsigned code, const char *enhanced, const char *what,
	const char *why)
{
	set_failure(c, code, enhanced, what, why);
	c->body_going = false;
	c->body_failed = true;
	smtp_client_broken(c->smtp, enhanced, c->failure.text);
	for (unsigned i = 0; i < c->message->recipient_count; i++)
		if (c->message->recipients[i].result.code == 0)
			c->message->recipients[i].result = c->failure;
}

static int stuff(struct connection *c, struct str octets)
{
	return smtp_stuff_write(&c->stuff, octets, stream_output(c->stream));
}

// Reads of the spool come from the page cache as a rule: it was written a moment ago.
static int stuff_from_file(struct connection *c, uint64_t offset, uint64_t len, uint64_t *out_taken)
{
	char space[CHUNK_SIZE];
	ssize_t n;
	do
		n = pread(c->job->body_fd, space, len < sizeof space ? len : sizeof space, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		errno = n < 0 ? errno : EIO; // shorter than it was when it was committed
		return ERR_SYSTEM;
	}
	*out_taken = (uint64_t)n;
	return stuff(c, str_make(space, (size_t)n));
}

static int stuff_body(struct connection *c, uint64_t offset, uint64_t len, uint64_t *out_taken)
{
	if (c->job->body_fd >= 0)
		return stuff_from_file(c, offset, len, out_taken);
	*out_taken = len < CHUNK_SIZE ? len : CHUNK_SIZE;
	return stuff(c, str_slice(c->job->body, offset, offset + *out_taken));
}

// Some octets of the message. ERR_NOT_FOUND at its end.
static int send_piece(struct connection *c, uint64_t *sent)
{
	struct str literal;
	uint64_t offset, len, taken = 0;
	if (!render_next(&c->render, &literal, &offset, &len))
		return ERR_NOT_FOUND;
	int err = stuff(c, literal);
	if (!err && len)
		err = stuff_body(c, offset, len, &taken);
	if (!err)
		render_advance(&c->render, taken);
	*sent += literal.len + taken;
	return err;
}

static void end_body(struct connection *c)
{
	if (smtp_stuff_end(&c->stuff, stream_output(c->stream))) {
		body_failed(c, 554, "5.6.0", TEXT("the message ends in a bare CR"), "");
		return;
	}
	stream_flush(c->stream);
	smtp_client_body_sent(c->smtp);
	c->body_going = false;
	set_timeout(c, FINAL_MS);
}

// As much as the peer takes; goes on when that has left.
static void send_body(struct connection *c)
{
	uint64_t sent = 0;
	int err = 0;
	while (!err && sent < TURN_SIZE && stream_unsent(c->stream) < AHEAD_SIZE) {
		err = send_piece(c, &sent);
		stream_flush(c->stream);
	}
	if (err == ERR_NOT_FOUND)
		end_body(c);
	else if (err == ERR_SYNTAX)
		body_failed(c, 554, "5.6.0", TEXT("the message holds a bare CR or LF"), "");
	else if (err)
		body_failed(c, 451, "4.3.0", TEXT("the stored message cannot be read"), strerror(errno));
	else
		set_timeout(c, BLOCK_MS);
}

// ---- what the dialogue wants
static void close_now(struct connection *c)
{
	login_drive_finish(&c->login);
	if (c->stream) {
		if (c->failure.enhanced[0] || c->body_going) // in the middle of a body: no word more
			stream_close(c->stream);
		else
			stream_close_after_send(c->stream);
		c->stream = NULL;
	}
	c->sending = false;
	c->events->closed(c, c->arg);
}

static void want_reply(struct connection *c)
{
	flush_commands(c);
}

static void shake_hands(struct connection *c)
{
	c->stage = CONNECTION_SHAKING_HANDS;
	set_timeout(c, HANDSHAKE_MS);
	(void)stream_start_tls(c->stream, tls_client_session(c->tls_client, c->host, c->verify), false);
}

static void want_tls(struct connection *c)
{
	flush_commands(c);
	shake_hands(c);
}

static void want_auth(struct connection *c)
{
	bool token = login_drive_step(&c->login, c->smtp);

	flush_commands(c);
	if (token)
		c->events->token(c, c->arg, c->login.serial);
}

static void want_ready(struct connection *c)
{
	login_drive_finish(&c->login);
	flush_commands(c);
	c->sending = false;
	set_timeout(c, COMMAND_MS);
	c->events->ready(c, c->arg);
}

static void want_body(struct connection *c)
{
	if (c->body_going)
		return;
	c->body_going = true;
	send_body(c);
}

static void want_close(struct connection *c)
{
	flush_commands(c);
	close_now(c);
}

static void (*const wants[])(struct connection *c) = {
	[SMTP_WANT_REPLY] = want_reply,
	[SMTP_WANT_TLS] = want_tls,
	[SMTP_WANT_AUTH] = want_auth,
	[SMTP_WANT_READY] = want_ready,
	[SMTP_WANT_BODY] = want_body,
	[SMTP_WANT_CLOSE] = want_close,
};

// c may be gone after it.
static void follow(struct connection *c)
{
	enum smtp_client_want want;
	do { // a handler that changes what is wanted is followed by another one
		want = smtp_client_want(c->smtp);
		if (want == SMTP_WANT_READY || want == SMTP_WANT_CLOSE) {
			wants[want](c);
			return;
		}
		wants[want](c);
	} while (smtp_client_want(c->smtp) != want);
}

// ---- events of the stream
static size_t on_input(struct stream *s, void *arg, struct str octets)
{
	struct connection *c = arg;
	(void)s;
	c->answered = true;
	size_t used = smtp_client_input(c->smtp, octets);
	follow(c);
	return used;
}

static void on_sent(struct stream *s, void *arg)
{
	struct connection *c = arg;
	(void)s;
	if (!c->body_going)
		return;
	send_body(c);
	follow(c);
}

static void start_talking(struct connection *c)
{
	c->stage = CONNECTION_TALKING;
	set_timeout(c, COMMAND_MS);
}

static void bind_login(struct login *l, SSL *ssl)
{
	struct tls_bindings b;
	tls_client_get_bindings(ssl, &b);
	if (SSL_version(ssl) >= TLS1_3_VERSION)
		login_set_secured(l, "tls-exporter", str_make(b.exporter.octets, b.exporter.len));
	else
		login_set_secured(l, "tls-server-end-point",
			str_make(b.end_point.octets, b.end_point.len));
}

static void on_secured(struct stream *s, void *arg)
{
	struct connection *c = arg;
	struct tls_facts facts;
	bool first = !c->talked;
	tls_get_facts(stream_ssl(s), &facts);
	snprintf(c->tls, sizeof c->tls, "%s %s", facts.version, facts.cipher);
	if (c->login.login)
		bind_login(c->login.login, stream_ssl(s));
	start_talking(c);
	c->talked = true;
	if (first) // TLS came first; the banner is still to come
		return;
	smtp_client_tls_done(c->smtp, facts.verified);
	follow(c);
}

static void on_connected(struct stream *s, void *arg)
{
	struct connection *c = arg;
	(void)s;
	if (c->implicit) {
		shake_hands(c);
		return;
	}
	c->talked = true;
	start_talking(c);
}

static bool is_network(int err, const char *why)
{
	return err == ERR_TIMEOUT || !strcmp(why, strerror(ENETUNREACH)) ||
		!strcmp(why, strerror(ENETDOWN)) || !strcmp(why, strerror(EADDRNOTAVAIL));
}

static void on_ended(struct stream *s, void *arg, int err, const char *why)
{
	struct connection *c = arg;
	(void)s;
	if (c->stage == CONNECTION_CONNECTING) {
		c->network_failed = is_network(err, why);
		set_failure(c, 0, "4.4.1", TEXT("cannot connect"), why);
	} else if (c->stage == CONNECTION_SHAKING_HANDS) {
		set_failure(c, 0, "4.7.5", TEXT("TLS handshake failed"), why);
	} else {
		smtp_client_broken(c->smtp, "4.4.2", why);
		c->failure = *smtp_client_failure(c->smtp);
	}
	close_now(c);
}

static const struct stream_events stream_events = {
	.input = on_input,
	.sent = on_sent,
	.secured = on_secured,
	.connected = on_connected,
	.ended = on_ended,
};

// ---- the owner's side
struct connection *connection_open(const struct connection_options *o,
	const struct connection_events *events, void *arg)
{
	struct connection *c = mem_alloc(sizeof *c);
	struct smtp_client_options smtp = o->smtp;
	char text[IPADDR_TEXT_MAX];
	BUG_ON(!o->tls_client && smtp.tls != SMTP_TLS_NEVER);
	smtp.authenticate = o->login != NULL;
	c->events = events;
	c->arg = arg;
	c->tls_client = o->tls_client;
	c->verify = o->verify;
	c->implicit = smtp.tls == SMTP_TLS_IMPLICIT;
	c->host = str_dup(str_from(o->host));
	if (o->login)
		login_drive_init(&c->login, o->login, o->route);
	c->smtp = smtp_client_create(&smtp);
	if (o->fd >= 0) {
		snprintf(c->remote, sizeof c->remote, "%s", o->host);
		c->stream = stream_open(o->loop, o->wheel, o->fd, &stream_events, c);
		c->talked = true;
		start_talking(c);
	} else {
		snprintf(c->remote, sizeof c->remote, "%s [%s]", o->host, ipaddr_format(&o->address, text));
		c->stream = stream_connect(o->loop, o->wheel, &o->address, o->port, &o->source, o->connect_ms,
			&stream_events, c);
	}
	return c;
}

void connection_destroy(struct connection *c)
{
	if (!c)
		return;
	if (c->stream)
		stream_close(c->stream);
	smtp_client_destroy(c->smtp);
	login_drive_finish(&c->login);
	mem_free(c->host);
	mem_free(c);
}

void connection_quit(struct connection *c)
{
	if (c->stream && c->stage == CONNECTION_TALKING && smtp_client_want(c->smtp) == SMTP_WANT_READY) {
		smtp_client_quit(c->smtp);
		flush_commands(c);
		stream_close_after_send(c->stream);
		c->stream = NULL;
	}
	connection_destroy(c);
}

void connection_break(struct connection *c, const char *why)
{
	on_ended(c->stream, c, ERR_TIMEOUT, why);
}

bool connection_send(struct connection *c, const struct deliver_job *job,
	struct smtp_client_message *message)
{
	BUG_ON(c->sending);
	c->job = job;
	c->message = message;
	c->body_going = false;
	c->answered = false;
	// The owner has looked whether the edits are good.
	BUG_ON(render_init(&c->render, job->headers, job->edits, job->size));
	smtp_stuff_init(&c->stuff);
	message->sender = job->sender;
	message->size = render_size(&c->render);
	message->eightbit = job->eightbit;
	message->smtputf8 = job->smtputf8;
	message->ret = job->ret <= SMTP_RET_HDRS ? (enum smtp_ret)job->ret : SMTP_RET_NONE;
	message->envid = job->envid;
	smtp_client_message(c->smtp, message);
	c->sending = smtp_client_want(c->smtp) == SMTP_WANT_REPLY;
	flush_commands(c);
	return c->sending;
}

void connection_token(struct connection *c, struct str token, uint64_t serial, const char *why)
{
	if (smtp_client_want(c->smtp) != SMTP_WANT_AUTH)
		return;
	login_drive_token(&c->login, c->smtp, token, serial, why);
	follow(c);
}

enum connection_stage connection_stage(const struct connection *c)
{
	return c->stage;
}

const struct smtp_result *connection_failure(const struct connection *c)
{
	return c->failure.enhanced[0] ? &c->failure : smtp_client_failure(c->smtp);
}

bool connection_try_next_host(const struct connection *c)
{
	return !c->body_failed &&
		(c->stage != CONNECTION_TALKING || smtp_client_try_next_host(c->smtp));
}

bool connection_network_failed(const struct connection *c)
{
	return c->network_failed;
}

bool connection_answered(const struct connection *c)
{
	return c->answered;
}

unsigned connection_has(const struct connection *c)
{
	return smtp_client_has(c->smtp);
}

const char *connection_remote(const struct connection *c)
{
	return c->remote;
}

const char *connection_tls(const struct connection *c)
{
	return c->tls;
}
