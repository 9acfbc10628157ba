// SPDX-License-Identifier: ISC
// What the files of role smtpd share: a connection, and the process around it.
#ifndef PABAL_ROLE_SMTPD_INTERNAL_H
#define PABAL_ROLE_SMTPD_INTERNAL_H

#include "auth/protocol.h"
#include "base/list.h"
#include "base/map.h"
#include "config/gateways.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/stream.h"
#include "role/role.h"
#include "role/spool_writer.h"
#include "policy/limits.h"
#include "session/session.h"

struct smtpd;

// A listening socket and the server block behind it.
struct door {
	struct smtpd *smtpd;
	unsigned server, listen;
	int fd;
	struct listener *listener;
};

// Who begins a connection: from the socket, or as somebody says who may.
struct arrival {
	struct smtpd *smtpd;
	unsigned server, listen;
	struct stream *stream;        // taken over
	struct ipaddr client, local;
	uint16_t client_port, local_port;
	struct ipaddr proxy;          // who said the addresses; family 0: the socket
	const struct session_rehearsal *rehearsal; // NULL: in earnest
	bool vouched;                 // its account is good where our directory does not know it
};

struct connection {
	struct list link;
	struct smtpd *smtpd;
	struct stream *stream;
	struct session *session;
	uint64_t id;
	struct ipaddr client, local;  // as the proxy says, where there is one
	uint16_t client_port, local_port;
	uint64_t request;             // the question that is open at queue; 0: none
	struct policy_facts *facts;   // being filled, while questions of a need are open
	unsigned facts_need;          // still open
	bool auth_may_submit, auth_may_relay, auth_foreign; // as AUTH was answered
	struct names *names;          // the client's name is being asked for, in smtpd_names.c
	char *name;                   // that was found, for facts->client_name
	char *limits;                 // octets of facts->account_networks and the like
	char *local_size_where;       // octets of facts->local_size_where
	char *owners;                 // octets of facts->owners
	struct auth_exchange *exchange;
	char offered[256];            // of a foreign server's mechanisms, those that the block wants
	struct spool_writer *spool;
	uint64_t spool_id;
	struct wheel_timer silence, life, delay;
	uint64_t opened_ms, age_limit_ms; // of the loop; what life is set to
	struct policy_rate *rates;    // that queue was asked for, in order
	unsigned rate_count;
	uint16_t server;              // in the configuration, when retired is NULL
	uint16_t port;                // of ours, that it came to
	// The block it came to, when the configuration has it no more. Owned by the old configuration.
	const struct config_server *retired;
	bool tls_wanted;              // as soon as the 220 has left
	bool closing;                 // session is destroyed when the call stack is back in our hands
	bool in_session;              // a call into the session is on the stack
	bool counted;                 // queue counts it
	bool begun;                   // the banner was asked for
	bool rehearsal;               // of the private socket: counted nowhere
};

struct smtpd {
	struct role_context *context;
	struct wheel *wheel;
	struct ipc_channel *queue;
	struct ipc_channel *resolver; // NULL: it is not there now
	struct dns_client *dns;
	struct auth_client *auth;
	char mechanisms[2][256];      // last offered; [1]: with plaintext ones
	struct tls_tickets tickets;
	struct tls_server **tls;      // by server block; NULL: no usable certificate
	size_t tls_count;
	struct door *doors[128];
	size_t door_count;
	struct list connections;
	struct list proxied;          // that wait for a PROXY header, in smtpd_proxy.c
	size_t connection_count;
	size_t rehearsal_count;       // of them
	struct outside *outside;      // the private socket; NULL: not given
	struct map requests;          // 8 octets of the request id -> struct connection
	struct map sessions;          // 8 octets of the session id -> struct connection
	struct gateways gateways;     // as they were when the process began
	uint64_t gateway_told_ms;     // monotonic: that clients hide behind one; 0: never
	uint64_t last_request;
	struct map guarded;           // subject -> struct guarded: what the guard does to whom
	bool store_full;
	bool draining;
	bool said_goodbye;            // to every session
	struct wheel_timer drain_timer;
	uv_timer_t auth_timer;        // until the first list of mechanisms
	uint64_t started_ms;          // of the loop
};

static inline const struct config_server *connection_server(const struct connection *c)
{
	return c->retired ? c->retired : &c->smtpd->context->config->servers[c->server];
}

// ---- smtpd_connection.c: a connection's life, and what its session asks of the stream
void connection_accepted(void *door, int fd, const struct ipaddr *peer, uint16_t port);
void connection_begin(const struct arrival *a);
void connection_arrive(struct arrival *a, int fd); // the same, with a stream made of fd
// Ends one that has not begun yet, without a word.
void connection_refuse(struct connection *c, const char *why);
// Around every call into the session: leave does what the call caused (send, close, go on reading)
// and may destroy the connection.
void connection_enter(struct connection *c);
void connection_leave(struct connection *c);

// Every answer to the session goes through here; octets that waited for it are looked at again.
#define ANSWER(c, call) \
	do { \
		if ((c)->in_session) { \
			call; \
		} else { \
			connection_enter(c); \
			call; \
			bool gone_ = (c)->closing; \
			struct stream *stream_ = (c)->stream; \
			connection_leave(c); \
			if (!gone_) \
				stream_resume_input(stream_); \
		} \
	} while (0)

// ---- smtpd_questions.c: facts and logins
void connection_ask_facts(void *arg, unsigned need, const struct policy_facts *f);
// Tells queue of the connection; the answer is smtpd_client_counts. False: there is no queue.
bool connection_count(struct connection *c, const struct ipaddr *peer);
void connection_auth_start(void *arg, const char *mechanism, struct str initial);
void connection_auth_continue(void *arg, struct str response);
void connection_auth_cancel(void *arg);
const char *connection_mechanisms(void *arg, bool tls);
const char *smtpd_mechanisms(struct smtpd *s, bool plain); // plain: those that show the password, too
// The fact is known now, or never will be: asks for the next one or answers the session.
void connection_ask_next_fact(struct connection *c);

// ---- smtpd_guard.c: what the guard does to whom, as queue told
void smtpd_guard_state(void *arg, struct str body, int fd);
void smtpd_guard_forget(struct smtpd *s);       // queue is gone: a new one tells all of it again
void connection_guard_fact(struct connection *c); // POLICY_FACT_GUARD of c->facts

// ---- smtpd_rates.c: rates in force
void connection_ask_rates(struct connection *c);
void connection_release_rates(void *arg);
void connection_forget_rates(struct connection *c);
void smtpd_rate_answer(void *arg, struct str body, int fd);
// Every rate in force as records of ipc rate, with what this message counts in it. ERR_LIMIT.
int smtpd_add_rates(struct buf *list, const struct policy_facts *f);
void connection_fact_known(struct connection *c, unsigned fact); // in c->facts

// ---- smtpd_names.c: the name of the client's address, checked both ways
void connection_ask_name(struct connection *c); // ends in connection_fact_known
void connection_names_cancel(struct connection *c);
void smtpd_resolver_open(struct smtpd *s, int fd);

// ---- smtpd_body.c: large bodies and the commit
void connection_spool_open(void *arg);
void connection_spool_write(void *arg, struct str octets);
void connection_spool_sync(void *arg);
void connection_spool_abort(void *arg);
void connection_submit(void *arg, const struct session_submission *sub);

// ---- smtpd_outside.c: the private socket, on which administrators rehearse (session/outside.h)
int outside_open(struct smtpd *s);              // begins to accept
void outside_close(struct smtpd *s);           // no new ones; those under way go on
// What a session that rehearses asks of its host in place of what would carry something out.
void outside_submit(void *arg, const struct session_submission *sub);
void outside_spool_open(void *arg);
void outside_spool_sync(void *arg);
void outside_auth_start(void *arg, const char *mechanism, struct str initial);
// ---- smtpd_explain.c: the line of JSON behind a reply
void connection_explain(void *arg, const struct session_seen *seen);
void connection_explain_briefly(void *arg, const struct session_seen *seen);

// ---- smtpd_proxy.c: connections that begin with a PROXY header
bool smtpd_is_proxy(const struct config_server *server, const struct ipaddr *peer);
// Takes fd, of a proxy; goes on with connection_arrive or closes it with an event. Of a: smtpd, server,
// listen, client (the proxy).
void smtpd_proxied(const struct arrival *a, int fd);
void smtpd_proxied_configured(struct smtpd *s, const struct config *old);
void smtpd_proxied_end(struct smtpd *s);
// Warns, once an hour, when everybody behind our default gateway is trusted as one client.
void smtpd_look_for_gateway(struct smtpd *s, const struct ipaddr *client);

// ---- smtpd_queue.c: the channel to queue
// Opens it in place of an older one; every open connection is counted anew.
void smtpd_queue_open(struct smtpd *s, int fd);
// A new request id under which the answer finds the connection.
uint64_t connection_ask(struct connection *c);
struct connection *smtpd_answered(struct smtpd *s, uint64_t request); // NULL: it is gone
void connection_forget_request(struct connection *c);
static inline struct str smtpd_key(const uint64_t *id)
{
	return str_make(id, sizeof *id);
}
// Handlers of the frames of queue, by the file that asked.
void smtpd_client_counts(void *arg, struct str body, int fd);
void smtpd_account_answer(void *arg, struct str body, int fd);
void smtpd_recipient_answer(void *arg, struct str body, int fd);
void smtpd_sender_answer(void *arg, struct str body, int fd);
void smtpd_spool_file(void *arg, struct str body, int fd);
void smtpd_submitted(void *arg, struct str body, int fd);

// ---- smtpd.c
struct smtpd *smtpd_of(struct role_context *c);
void smtpd_exit_when_drained(struct smtpd *s);

#endif
