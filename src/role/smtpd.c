// SPDX-License-Identifier: ISC
// Role smtpd: accepts connections and gives each its session; carries the session's questions to
// queue and auth and the answers back. What SMTP is stands in session/.
#include "role/roles.h"

#include "auth/protocol.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "net/listener.h"
#include "net/stream.h"
#include "role/spool_writer.h"
#include "session/session.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GOODBYE_MS 5000 // from the 421 to the end

struct smtpd;

// A listening socket and the server block behind it.
struct door {
	struct smtpd *smtpd;
	unsigned server, listen;
	int fd;
	struct listener *listener;
};

struct connection {
	struct list link;
	struct smtpd *smtpd;
	struct stream *stream;
	struct session *session;
	uint64_t id;
	uint64_t request;             // the question that is open at queue; 0: none
	struct policy_facts *facts;   // being filled, while questions of a need are open
	unsigned facts_need;          // still open
	struct auth_exchange *exchange;
	struct spool_writer *spool;
	uint64_t spool_id;
	struct wheel_timer silence, life, delay;
	uint16_t server;
	bool tls_wanted;              // as soon as the 220 has left
	bool closing;                 // session is destroyed when the call stack is back in our hands
	bool in_session;              // a call into the session is on the stack
	bool counted;                 // queue counts it
	bool begun;                   // the banner was asked for
};

struct smtpd {
	struct role_context *context;
	struct wheel *wheel;
	struct ipc_channel *queue;
	struct auth_client *auth;
	struct tls_tickets tickets;
	struct tls_server **tls;      // by server block; NULL: no usable certificate
	size_t tls_count;
	struct door *doors[128];
	size_t door_count;
	struct list connections;
	size_t connection_count;
	struct map requests;          // 8 octets of the request id -> struct connection
	struct map sessions;          // 8 octets of the session id -> struct connection
	uint64_t last_request;
	bool store_full;
	bool draining;
	bool said_goodbye;            // to every session
	struct wheel_timer drain_timer;
};

static struct str key_of(const uint64_t *id)
{
	return str_make(id, sizeof *id);
}

static const struct config_server *server_of(const struct connection *c)
{
	return &c->smtpd->context->config->servers[c->server];
}

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

static void enter(struct connection *c)
{
	c->in_session = true;
}

static void leave(struct connection *c)
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
	maybe_start_tls(c);
	if (c->tls_wanted)
		return; // nothing is read in the clear any more
	bool behind = c->spool && spool_writer_behind(c->spool);
	stream_pause(c->stream, behind || !session_wants_input(c->session));
}

// Every answer to the session goes through here; octets that waited for it are looked at again.
#define ANSWER(c, call) \
	do { \
		if ((c)->in_session) { \
			call; \
		} else { \
			enter(c); \
			call; \
			bool gone_ = (c)->closing; \
			struct stream *stream_ = (c)->stream; \
			leave(c); \
			if (!gone_) \
				stream_resume_input(stream_); \
		} \
	} while (0)

// ---- questions to queue
static uint64_t ask(struct connection *c)
{
	c->request = ++c->smtpd->last_request;
	map_set(&c->smtpd->requests, key_of(&c->request), c);
	return c->request;
}

static struct connection *answered(struct smtpd *s, uint64_t request)
{
	struct connection *c = map_remove(&s->requests, key_of(&request));
	if (c)
		c->request = 0;
	return c;
}

static void forget_request(struct connection *c)
{
	if (c->request)
		(void)map_remove(&c->smtpd->requests, key_of(&c->request));
	c->request = 0;
}

static void ask_next_fact(struct connection *c);

static void fact_known(struct connection *c, unsigned fact)
{
	c->facts_need &= ~fact;
	c->facts->known |= fact;
	ask_next_fact(c);
}

static void ask_connections(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	char text[IPADDR_TEXT_MAX];
	if (s->queue) {
		struct ipc_client_open m = {.session = c->id,
			.address = str_from(ipaddr_format(&c->facts->client, text))};
		map_set(&s->sessions, key_of(&c->id), c);
		c->counted = true;
		(void)ipc_send_client_open(s->queue, &m);
		return;
	}
	// Without the one who counts for all, our own number has to do.
	c->facts->connections_address = c->facts->connections_network = 1;
	c->facts->connections_all = (uint32_t)s->connection_count;
	fact_known(c, POLICY_FACT_CONNECTIONS);
}

static void ask_account(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	if (s->context->config->auth.socket.len) {
		// A foreign server keeps the accounts: what it said at AUTH is all there is.
		c->facts->account_state = POLICY_ACCOUNT_ENABLED;
		c->facts->account_may_submit = c->facts->account_may_relay = true;
		fact_known(c, POLICY_FACT_ACCOUNT);
	} else if (s->queue) {
		struct ipc_account_query m = {.request = ask(c), .name = c->facts->account};
		(void)ipc_send_account_query(s->queue, &m);
	} else {
		c->facts->account_state = POLICY_ACCOUNT_UNKNOWN;
		fact_known(c, POLICY_FACT_ACCOUNT);
	}
}

static void ask_recipient(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	char key[SMTP_ADDRESS_MAX];
	if (s->queue) {
		struct ipc_recipient_query m = {.request = ask(c),
			.key = str_from(smtp_address_key(c->facts->recipient, key))};
		(void)ipc_send_recipient_query(s->queue, &m);
	} else {
		c->facts->recipient_exists = POLICY_EXISTS_UNKNOWN;
		fact_known(c, POLICY_FACT_RECIPIENT);
	}
}

static void ask_next_fact(struct connection *c)
{
	if (c->facts_need & POLICY_FACT_CONNECTIONS) {
		ask_connections(c);
	} else if (c->facts_need & POLICY_FACT_ACCOUNT) {
		ask_account(c);
	} else if (c->facts_need & POLICY_FACT_RECIPIENT) {
		ask_recipient(c);
	} else {
		struct policy_facts filled = *c->facts;
		unsigned known = filled.known;
		mem_free(c->facts);
		c->facts = NULL;
		ANSWER(c, session_facts(c->session, known, &filled));
	}
}

static void host_facts(void *arg, unsigned need, const struct policy_facts *f)
{
	struct connection *c = arg;
	c->facts = mem_alloc(sizeof *c->facts);
	*c->facts = *f;
	c->facts_need = need & (POLICY_FACT_CONNECTIONS | POLICY_FACT_ACCOUNT | POLICY_FACT_RECIPIENT);
	if (need & POLICY_FACT_SPACE) {
		c->facts->store_full = c->smtpd->store_full;
		c->facts->known |= POLICY_FACT_SPACE;
	}
	ask_next_fact(c);
}

static void on_client_counts(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_client_counts m;
	fd_close(&fd);
	if (ipc_decode_client_counts(body, &m))
		return;
	struct connection *c = map_get(&s->sessions, key_of(&m.session));
	if (!c || !c->facts || !(c->facts_need & POLICY_FACT_CONNECTIONS))
		return;
	c->facts->connections_address = m.from_address;
	c->facts->connections_network = m.from_network;
	c->facts->connections_all = m.in_all;
	fact_known(c, POLICY_FACT_CONNECTIONS);
}

static void on_account_answer(void *arg, struct str body, int fd)
{
	struct ipc_account_answer m;
	fd_close(&fd);
	if (ipc_decode_account_answer(body, &m))
		return;
	struct connection *c = answered(arg, m.request);
	if (!c || !c->facts)
		return;
	static const enum policy_account states[] = {POLICY_ACCOUNT_NONE, POLICY_ACCOUNT_ENABLED,
		POLICY_ACCOUNT_DISABLED, POLICY_ACCOUNT_UNKNOWN};
	c->facts->account_state = m.state < ARRAY_SIZE(states) ? states[m.state] : POLICY_ACCOUNT_UNKNOWN;
	c->facts->account_may_submit = m.rights & ACCOUNT_MAY_SUBMIT;
	c->facts->account_may_relay = m.rights & ACCOUNT_MAY_RELAY;
	fact_known(c, POLICY_FACT_ACCOUNT);
}

static void on_recipient_answer(void *arg, struct str body, int fd)
{
	struct ipc_recipient_answer m;
	fd_close(&fd);
	if (ipc_decode_recipient_answer(body, &m))
		return;
	struct connection *c = answered(arg, m.request);
	if (!c || !c->facts)
		return;
	c->facts->recipient_exists = m.exists == 1 ? POLICY_EXISTS_YES :
		m.exists == 0 ? POLICY_EXISTS_NO : POLICY_EXISTS_UNKNOWN;
	fact_known(c, POLICY_FACT_RECIPIENT);
}

// ---- AUTH
static void on_auth_reply(void *arg, const struct auth_reply *r)
{
	struct connection *c = arg;
	static const enum session_auth_result results[] = {
		[AUTH_OK] = SESSION_AUTH_OK, [AUTH_CONTINUE] = SESSION_AUTH_CONTINUE,
		[AUTH_FAILED] = SESSION_AUTH_FAILED, [AUTH_UNAVAILABLE] = SESSION_AUTH_UNAVAILABLE};
	char reason[128];
	str_copy(str_slice(r->reason, 0, sizeof reason - 1), reason, sizeof reason);
	struct str data = r->outcome == AUTH_CONTINUE ? r->data : r->account;
	if (r->outcome != AUTH_CONTINUE)
		c->exchange = NULL;
	ANSWER(c, session_auth(c->session, results[r->outcome], data, reason));
}

static void host_auth_start(void *arg, const char *mechanism, struct str initial)
{
	struct connection *c = arg;
	struct auth_request r = {
		.mechanism = mechanism,
		.initial = initial,
		.secured = stream_is_tls(c->stream),
		.server = server_of(c)->name,
		.session = c->id,
	};
	stream_get_peer(c->stream, &r.client, &r.client_port);
	stream_get_local(c->stream, &r.local, &r.local_port);
	struct auth_exchange *x = auth_client_start(c->smtpd->auth, &r, on_auth_reply, c);
	c->exchange = x;
}

static void host_auth_continue(void *arg, struct str response)
{
	struct connection *c = arg;
	if (c->exchange)
		auth_client_continue(c->exchange, response);
	else
		ANSWER(c, session_auth(c->session, SESSION_AUTH_UNAVAILABLE, STR_EMPTY, "exchange lost"));
}

static void host_auth_cancel(void *arg)
{
	struct connection *c = arg;
	if (c->exchange)
		auth_client_cancel(c->exchange);
	c->exchange = NULL;
}

static const char *host_mechanisms(void *arg, bool tls)
{
	struct connection *c = arg;
	return auth_client_mechanisms(c->smtpd->auth, tls, server_of(c)->auth_without_tls);
}

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

// ---- bodies that do not fit in memory
static void on_spool_synced(void *arg, int err)
{
	struct connection *c = arg;
	ANSWER(c, session_spool_synced(c->session, err));
}

static void on_spool_relieved(void *arg)
{
	struct connection *c = arg;
	struct stream *stream = c->stream;
	leave(c);
	stream_resume_input(stream);
}

static void host_spool_open(void *arg)
{
	struct connection *c = arg;
	if (!c->smtpd->queue) {
		ANSWER(c, session_spool(c->session, ERR_UNAVAILABLE, 0));
		return;
	}
	struct ipc_spool_open m = {.request = ask(c)};
	(void)ipc_send_spool_open(c->smtpd->queue, &m);
}

static void on_spool_file(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_spool_file m;
	if (ipc_decode_spool_file(body, &m)) {
		fd_close(&fd);
		return;
	}
	struct connection *c = answered(s, m.request);
	if (!c) {
		fd_close(&fd);
		return;
	}
	int err = m.err ? -(int)m.err : fd < 0 ? ERR_SYSTEM : 0;
	if (!err) {
		c->spool = spool_writer_create(s->context->loop, fd, on_spool_synced,
			on_spool_relieved, c);
		c->spool_id = m.spool;
	}
	ANSWER(c, session_spool(c->session, err, m.spool));
}

static void host_spool_write(void *arg, struct str octets)
{
	struct connection *c = arg;
	if (c->spool)
		spool_writer_add(c->spool, octets);
}

static void host_spool_sync(void *arg)
{
	struct connection *c = arg;
	if (c->spool)
		spool_writer_sync(c->spool);
	else
		ANSWER(c, session_spool_synced(c->session, ERR_UNAVAILABLE));
}

static void host_spool_abort(void *arg)
{
	struct connection *c = arg;
	forget_request(c);
	spool_writer_destroy(c->spool);
	c->spool = NULL;
}

// ---- commit
static int add_recipients(struct buf *list, const struct session_submission *sub)
{
	for (unsigned i = 0; i < sub->recipient_count; i++) {
		const struct envelope_recipient *r = &sub->recipients[i];
		struct ipc_recipient one = {
			.address = r->address,
			.domain = r->domain,
			.orcpt = r->orcpt,
			.notify = r->notify,
			.hold = r->hold,
			.hold_reason = r->hold_reason,
		};
		int err = ipc_list_add_recipient(list, &one);
		if (err)
			return err;
	}
	return 0;
}

static int send_submission(struct connection *c, const struct session_submission *sub)
{
	const struct envelope *e = sub->envelope;
	struct buf recipients = BUF_INIT;
	int err = add_recipients(&recipients, sub);
	struct ipc_submit m = {
		.request = ask(c),
		.session = c->id,
		.sender = e->sender,
		.account = e->account,
		.client = e->client,
		.server = e->server,
		.helo = e->helo,
		.envid = e->envid,
		.ret = e->ret,
		.smtputf8 = e->smtputf8,
		.eightbit = e->eightbit,
		.received_ms = e->received_ms,
		.size = e->size,
		.digest = str_make(e->digest, sizeof e->digest),
		.headers = e->headers,
		.edits = e->edits,
		.labels = e->labels,
		.recipients = buf_str(&recipients),
		.spool = sub->spool,
		.body = sub->spool ? STR_EMPTY : sub->body,
	};
	if (!err)
		err = ipc_send_submit_fd(c->smtpd->queue, &m, sub->spool ? spool_writer_fd(c->spool) : -1);
	buf_finish(&recipients);
	return err;
}

static void host_submit(void *arg, const struct session_submission *sub)
{
	struct connection *c = arg;
	int err = ERR_UNAVAILABLE;
	if (c->smtpd->queue && (!sub->spool || c->spool))
		err = send_submission(c, sub);
	spool_writer_destroy(c->spool);
	c->spool = NULL;
	if (err) {
		forget_request(c);
		ANSWER(c, session_submitted(c->session, err, 0));
	}
}

static void on_submitted(void *arg, struct str body, int fd)
{
	struct ipc_submitted m;
	fd_close(&fd);
	if (ipc_decode_submitted(body, &m))
		return;
	struct connection *c = answered(arg, m.request);
	if (c)
		ANSWER(c, session_submitted(c->session, -(int)m.err, m.message));
}

static void on_store_state(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_store_state m;
	fd_close(&fd);
	if (!ipc_decode_store_state(body, &m))
		s->store_full = m.full;
}

static const ipc_handler from_queue[IPC_TYPES] = {
	[IPC_TYPE_client_counts] = on_client_counts,
	[IPC_TYPE_account_answer] = on_account_answer,
	[IPC_TYPE_recipient_answer] = on_recipient_answer,
	[IPC_TYPE_spool_file] = on_spool_file,
	[IPC_TYPE_submitted] = on_submitted,
	[IPC_TYPE_store_state] = on_store_state,
	[IPC_TYPE_account_changed] = NULL, // asked anew at every MAIL
};

static void on_queue_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	if (type == IPC_TYPE_account_changed)
		fd_close(&fd);
	else
		(void)ipc_dispatch(from_queue, arg, type, body, fd);
}

// The queue died: whatever was asked of it cannot be answered now. A message that was on its way may
// or may not be committed; the client is told to try again, which loses nothing.
static void answer_unavailable(struct connection *c)
{
	bool facts = c->facts != NULL;
	if (!facts && !c->request)
		return;
	forget_request(c);
	if (facts) {
		if (c->facts_need & POLICY_FACT_CONNECTIONS) {
			c->counted = false;
			(void)map_remove(&c->smtpd->sessions, key_of(&c->id));
		}
		ask_next_fact(c); // without a channel every one is answered at once
	} else if (c->spool || !session_wants_input(c->session)) {
		// Either a spool file or the commit was awaited: session ignores the wrong one.
		ANSWER(c, (session_spool(c->session, ERR_UNAVAILABLE, 0),
			session_submitted(c->session, ERR_UNAVAILABLE, 0)));
	}
}

static void on_queue_gone(struct ipc_channel *ch, void *arg)
{
	struct smtpd *s = arg;
	ipc_channel_close(ch);
	if (s->queue != ch)
		return;
	s->queue = NULL;
	role_set_history(s->context, NULL);
	LIST_EACH(link, &s->connections)
		answer_unavailable(LIST_ENTRY(link, struct connection, link));
}

// A new queue counts from zero: it is told of every connection that is open.
static void recount(struct smtpd *s)
{
	char text[IPADDR_TEXT_MAX];
	LIST_EACH(link, &s->connections) {
		struct connection *c = LIST_ENTRY(link, struct connection, link);
		struct ipaddr peer;
		uint16_t port;
		stream_get_peer(c->stream, &peer, &port);
		struct ipc_client_open m = {.session = c->id, .address = str_from(ipaddr_format(&peer, text))};
		map_set(&s->sessions, key_of(&c->id), c);
		c->counted = true;
		(void)ipc_send_client_open(s->queue, &m);
	}
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

static void host_output(void *arg)
{
	struct connection *c = arg;
	struct buf *from = session_output(c->session);
	// A reply that does not fit means a client that never reads: the silence limit ends it.
	if (!buf_add_str(stream_output(c->stream), buf_str(from)))
		buf_clear(from);
	stream_flush(c->stream);
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
	.facts = host_facts,
	.auth_start = host_auth_start,
	.auth_continue = host_auth_continue,
	.auth_cancel = host_auth_cancel,
	.spool_open = host_spool_open,
	.spool_write = host_spool_write,
	.spool_sync = host_spool_sync,
	.spool_abort = host_spool_abort,
	.submit = host_submit,
	.start_tls = host_start_tls,
	.delay = host_delay,
	.output = host_output,
	.close = host_close,
	.wall_ms = host_wall_ms,
	.mechanisms = host_mechanisms,
};

// ---- the stream
static size_t on_input(struct stream *stream, void *arg, struct str octets)
{
	struct connection *c = arg;
	(void)stream;
	if (!c->session || c->tls_wanted)
		return 0;
	enter(c);
	size_t used = session_input(c->session, octets);
	leave(c);
	return used;
}

static void on_sent(struct stream *stream, void *arg)
{
	struct connection *c = arg;
	if (!c->session || c->in_session)
		return;
	enter(c);
	if (buf_len(session_output(c->session)))
		host_output(c);
	bool gone = c->closing;
	leave(c);
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
	enter(c);
	session_peer_gone(c->session, why);
	connection_destroy(c);
}

static const struct stream_events stream_events = {
	.input = on_input, .sent = on_sent, .secured = on_secured, .ended = on_ended};

// ---- time
static void on_silence(struct wheel_timer *t)
{
	struct connection *c = LIST_ENTRY(t, struct connection, silence);
	enter(c);
	session_timed_out(c->session);
	leave(c);
}

static void on_life(struct wheel_timer *t)
{
	struct connection *c = LIST_ENTRY(t, struct connection, life);
	enter(c);
	session_timed_out(c->session);
	leave(c);
}

// ---- connections begin and end
static void exit_when_drained(struct smtpd *s)
{
	if (s->draining && s->connection_count == 0)
		role_exit(s->context);
}

static void connection_destroy(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	// First: it may still give up its body and its exchange through us.
	session_destroy(c->session);
	forget_request(c);
	host_auth_cancel(c);
	host_spool_abort(c);
	mem_free(c->facts);
	if (c->counted) {
		(void)map_remove(&s->sessions, key_of(&c->id));
		struct ipc_client_close m = {.session = c->id};
		if (s->queue)
			(void)ipc_send_client_close(s->queue, &m);
	}
	wheel_clear(s->wheel, &c->silence);
	wheel_clear(s->wheel, &c->life);
	wheel_clear(s->wheel, &c->delay);
	stream_close_after_send(c->stream);
	list_remove(&c->link);
	s->connection_count--;
	mem_free(c);
	exit_when_drained(s);
}

static void refuse_at_the_door(int fd)
{
	static const char words[] = "421 4.3.2 Too many connections, try again later\r\n";
	(void)!write(fd, words, sizeof words - 1);
	close(fd);
}

static struct session *make_session(struct connection *c, const struct door *d,
	const struct ipaddr *peer, uint16_t port)
{
	struct smtpd *s = c->smtpd;
	struct session_options o = {
		.config = s->context->config,
		.server = server_of(c),
		.host = &session_host,
		.arg = c,
		.client = *peer,
		.client_port = port,
		.id = c->id,
		.implicit_tls = server_of(c)->listens[d->listen].tls == CONFIG_LISTEN_IMPLICIT,
		.no_tls = !s->tls[c->server] || server_of(c)->listens[d->listen].tls == CONFIG_LISTEN_NO_TLS,
	};
	stream_get_local(c->stream, &o.local, &o.local_port);
	return session_create(&o);
}

static void on_accepted(void *arg, int fd, const struct ipaddr *peer, uint16_t port)
{
	struct door *d = arg;
	struct smtpd *s = d->smtpd;
	const struct config_server *server = &s->context->config->servers[d->server];
	bool implicit = server->listens[d->listen].tls == CONFIG_LISTEN_IMPLICIT;
	if (s->connection_count >= s->context->config->limits.connections ||
		(implicit && !s->tls[d->server])) {
		refuse_at_the_door(fd);
		return;
	}
	struct connection *c = mem_alloc(sizeof *c);
	c->smtpd = s;
	c->server = (uint16_t)d->server;
	c->id = id_next(&s->context->ids);
	wheel_timer_init(&c->silence, on_silence);
	wheel_timer_init(&c->life, on_life);
	wheel_timer_init(&c->delay, on_delay);
	list_add_last(&s->connections, &c->link);
	s->connection_count++;
	c->stream = stream_open(s->context->loop, s->wheel, fd, &stream_events, c);
	c->session = make_session(c, d, peer, port);
	wheel_set(s->wheel, &c->life, server->session_timeout);
	if (implicit) {
		wheel_set(s->wheel, &c->silence, server->command_timeout);
		stream_start_tls(c->stream, tls_server_session(s->tls[c->server]), true);
		return;
	}
	c->begun = true;
	enter(c);
	session_begin(c->session, stream_has_input(c->stream));
	leave(c);
}

// ---- what master gives
static struct smtpd *state_of(struct role_context *c)
{
	if (!c->state) {
		struct smtpd *s = mem_alloc(sizeof *s);
		s->context = c;
		list_init(&s->connections);
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
	// CA paths are read now, while there are folders.
	make_tls(state_of(c));
	return 0;
}

void role_smtpd_tickets(struct role_context *c, const uint8_t current[32], const uint8_t previous[32])
{
	struct smtpd *s = state_of(c);
	memcpy(s->tickets.current, current, 32);
	memcpy(s->tickets.previous, previous, 32);
	for (size_t i = 0; i < s->tls_count; i++)
		if (s->tls[i])
			tls_server_set_tickets(s->tls[i], &s->tickets);
}

void role_smtpd_listener(struct role_context *c, unsigned server, unsigned listen, int fd)
{
	struct smtpd *s = state_of(c);
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
	struct smtpd *s = state_of(c);
	(void)index;
	if (!strcmp(peer, "auth") && c->config->auth.socket.len == 0) {
		open_auth(s);
		auth_client_connected(s->auth, fd);
	} else if (!strcmp(peer, "queue")) {
		if (s->queue) {
			on_queue_gone(s->queue, s);
		}
		s->queue = ipc_channel_open(c->loop, fd, on_queue_frame, on_queue_gone, s);
		role_set_history(c, s->queue);
		recount(s);
	} else {
		fd_close(&fd);
	}
}

int role_smtpd_start(struct role_context *c, struct error *err)
{
	struct smtpd *s = state_of(c);
	s->wheel = wheel_create(c->loop);
	open_auth(s);
	for (size_t i = 0; i < s->door_count; i++) {
		s->doors[i]->listener = listener_start(c->loop, s->doors[i]->fd, on_accepted, s->doors[i]);
		if (!s->doors[i]->listener)
			return error_set(err, ERR_SYSTEM, "cannot accept connections");
	}
	return 0;
}

// Only a generation that is about to drain sees another configuration: rights that were taken away
// hold from the next MAIL on. Sessions of a server block that is gone end.
static long find_server(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->server_count; i++)
		if (str_equal(config->servers[i].name, name))
			return (long)i;
	return -1;
}

void role_smtpd_configured(struct role_context *c, const struct config *old)
{
	struct smtpd *s = c->state;
	struct tls_server **tls = mem_array(c->config->server_count + 1, sizeof(struct tls_server *));
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
		long now = find_server(c->config, old->servers[one->server].name);
		one->server = now >= 0 ? (uint16_t)now : 0;
		session_reconfigure(one->session, c->config, server_of(one));
		if (now < 0)
			ANSWER(one, session_shut_down(one->session));
	}
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
	if (!s->draining)
		wheel_timer_init(&s->drain_timer, on_drain_time);
	s->draining = true;
	if (within_ms > GOODBYE_MS)
		wheel_set(s->wheel, &s->drain_timer, within_ms - GOODBYE_MS);
	else
		say_goodbye(s, within_ms);
	exit_when_drained(s);
}
