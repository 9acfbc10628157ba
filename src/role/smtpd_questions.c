// SPDX-License-Identifier: ISC
// What a session wants to know: facts for policy, asked of queue, and who somebody is, asked of auth.
#include "role/smtpd_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "store/store.h"

#include <stdio.h>

void connection_fact_known(struct connection *c, unsigned fact)
{
	c->facts_need &= ~fact;
	c->facts->known |= fact;
	connection_ask_next_fact(c);
}

bool connection_count(struct connection *c, const struct ipaddr *peer)
{
	struct smtpd *s = c->smtpd;
	char text[IPADDR_TEXT_MAX];
	struct ipc_client_open m = {.session = c->id, .address = str_from(ipaddr_format(peer, text)),
		.peek = c->rehearsal};
	if (!s->queue)
		return false;
	map_set(&s->sessions, smtpd_key(&c->id), c);
	c->counted = true;
	(void)ipc_send_client_open(s->queue, &m);
	return true;
}

static void ask_connections(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	if (connection_count(c, &c->facts->client))
		return;
	// Without the one who counts for all, our own number has to do.
	c->facts->connections_address = c->facts->connections_network = 1;
	c->facts->connections_all = (uint32_t)s->connection_count;
	connection_fact_known(c, POLICY_FACT_CONNECTIONS);
}

static void ask_account(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	if (s->context->config->auth.socket.len) {
		// A foreign server keeps the accounts: what it said at AUTH is all there is.
		c->facts->account_state = POLICY_ACCOUNT_ENABLED;
		c->facts->account_may_submit = c->auth_may_submit;
		c->facts->account_may_relay = c->auth_may_relay;
		c->facts->login_untrusted = false;
		connection_fact_known(c, POLICY_FACT_ACCOUNT);
	} else if (s->queue) {
		struct ipc_account_query m = {.request = connection_ask(c), .name = c->facts->account};
		(void)ipc_send_account_query(s->queue, &m);
	} else {
		c->facts->account_state = POLICY_ACCOUNT_UNKNOWN;
		connection_fact_known(c, POLICY_FACT_ACCOUNT);
	}
}

static void ask_recipient(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	char key[SMTP_ADDRESS_MAX];
	if (s->queue) {
		struct ipc_recipient_query m = {.request = connection_ask(c),
			.key = str_from(smtp_address_key(c->facts->recipient, key)),
			.size = c->facts->mail ? c->facts->mail->size : 0};
		(void)ipc_send_recipient_query(s->queue, &m);
	} else {
		c->facts->recipient_exists = POLICY_EXISTS_UNKNOWN;
		connection_fact_known(c, POLICY_FACT_RECIPIENT);
	}
}

static void keep_owners(struct connection *c, struct str owners)
{
	mem_free(c->owners);
	c->owners = str_dup(owners);
	c->facts->owners = str_make(c->owners, owners.len);
}

static void ask_senders(struct connection *c)
{
	struct smtpd *s = c->smtpd;
	if (s->queue) {
		struct ipc_sender_query m = {.request = connection_ask(c), .account = c->facts->account,
			.authors = c->facts->authors};
		(void)ipc_send_sender_query(s->queue, &m);
	} else {
		keep_owners(c, STR_EMPTY); // policy takes what is missing for not to be told now
		connection_fact_known(c, POLICY_FACT_SENDER);
	}
}

void connection_ask_next_fact(struct connection *c)
{
	if (c->facts_need & POLICY_FACT_CONNECTIONS) {
		ask_connections(c);
	} else if (c->facts_need & POLICY_FACT_ACCOUNT) {
		ask_account(c);
	} else if (c->facts_need & POLICY_FACT_RECIPIENT) {
		ask_recipient(c);
	} else if (c->facts_need & POLICY_FACT_RATE) {
		connection_ask_rates(c);
	} else if (c->facts_need & POLICY_FACT_HOSTNAME) {
		connection_ask_name(c);
	} else if (c->facts_need & POLICY_FACT_SENDER) {
		ask_senders(c);
	} else {
		struct policy_facts filled = *c->facts;
		unsigned known = filled.known;
		char *limits = c->limits, *where = c->local_size_where, *owners = c->owners;
		mem_free(c->facts);
		c->facts = NULL;
		c->limits = c->local_size_where = c->owners = NULL;
		ANSWER(c, session_facts(c->session, known, &filled));
		mem_free(limits);
		mem_free(where);
		mem_free(owners);
	}
}

void connection_ask_facts(void *arg, unsigned need, const struct policy_facts *f)
{
	struct connection *c = arg;
	c->facts = mem_alloc(sizeof *c->facts);
	*c->facts = *f;
	c->facts_need = need & (POLICY_FACT_CONNECTIONS | POLICY_FACT_ACCOUNT | POLICY_FACT_RECIPIENT |
		POLICY_FACT_RATE | POLICY_FACT_HOSTNAME | POLICY_FACT_SENDER);
	if (need & POLICY_FACT_GUARD)
		connection_guard_fact(c);
	if (need & POLICY_FACT_SPACE) {
		c->facts->store_full = c->smtpd->store_full;
		c->facts->known |= POLICY_FACT_SPACE;
	}
	connection_ask_next_fact(c);
}

// Before TLS at once a refusal cannot be read, so who is a little over the limit is told after the
// handshake. Who has twice as many is not worth one: else one address could fill all places.
static bool is_flood(const struct session *s, const struct ipc_client_counts *m)
{
	return m->from_address / 2 > session_limit(s, CONFIG_LIMIT_CONNECTIONS_ADDRESS) ||
		m->from_network / 2 > session_limit(s, CONFIG_LIMIT_CONNECTIONS_NETWORK);
}

void smtpd_client_counts(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_client_counts m;
	fd_close(&fd);
	if (ipc_decode_client_counts(body, &m))
		return;
	struct connection *c = map_get(&s->sessions, smtpd_key(&m.session));
	if (c && !c->begun && is_flood(c->session, &m)) {
		connection_refuse(c, "max-connections");
		return;
	}
	if (!c || !c->facts || !(c->facts_need & POLICY_FACT_CONNECTIONS))
		return;
	c->facts->connections_address = m.from_address;
	c->facts->connections_network = m.from_network;
	c->facts->connections_all = m.in_all;
	c->facts->minute_address = m.minute_address;
	c->facts->minute_network = m.minute_network;
	c->facts->minute_all = m.minute_all;
	connection_fact_known(c, POLICY_FACT_CONNECTIONS);
}

// The frame is gone before the session hears of it.
static void keep_limits(struct connection *c, const struct ipc_account_answer *m)
{
	const struct str *from[] = {&m->networks, &m->servers, &m->reason, &m->groups};
	struct str *to[] = {&c->facts->account_networks, &c->facts->account_servers,
		&c->facts->account_reason, &c->facts->account_groups};
	size_t at = 0;
	mem_free(c->limits);
	c->limits = mem_alloc(m->networks.len + m->servers.len + m->reason.len + m->groups.len + 1);
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		if (from[i]->len)
			memcpy(c->limits + at, from[i]->data, from[i]->len);
		*to[i] = str_make(c->limits + at, from[i]->len);
		at += from[i]->len;
	}
}

void smtpd_account_answer(void *arg, struct str body, int fd)
{
	struct ipc_account_answer m;
	fd_close(&fd);
	if (ipc_decode_account_answer(body, &m))
		return;
	struct connection *c = smtpd_answered(arg, m.request);
	if (!c || !c->facts)
		return;
	static const enum policy_account states[] = {POLICY_ACCOUNT_NONE, POLICY_ACCOUNT_ENABLED,
		POLICY_ACCOUNT_DISABLED, POLICY_ACCOUNT_UNKNOWN, POLICY_ACCOUNT_LOCKED,
		POLICY_ACCOUNT_EXPIRED};
	c->facts->account_state = m.state < ARRAY_SIZE(states) ? states[m.state] : POLICY_ACCOUNT_UNKNOWN;
	c->facts->account_may_submit = m.rights & ACCOUNT_MAY_SUBMIT;
	// The mechanism may have proved too little for it (trust-mechanisms).
	c->facts->account_may_relay = m.rights & ACCOUNT_MAY_RELAY && c->auth_may_relay;
	c->facts->login_untrusted = m.rights & ACCOUNT_MAY_RELAY && !c->auth_may_relay;
	// What the directory never knew it cannot have lost.
	if (c->auth_foreign && c->facts->account_state == POLICY_ACCOUNT_NONE) {
		c->facts->account_state = POLICY_ACCOUNT_ENABLED;
		c->facts->account_may_submit = c->auth_may_submit;
		c->facts->account_may_relay = c->auth_may_relay;
	}
	keep_limits(c, &m);
	connection_fact_known(c, POLICY_FACT_ACCOUNT);
}

// Until the session has heard it.
static struct str keep_where(struct connection *c, struct str text)
{
	mem_free(c->local_size_where);
	c->local_size_where = text.len ? str_dup(text) : NULL;
	return str_make(c->local_size_where, text.len);
}

void smtpd_recipient_answer(void *arg, struct str body, int fd)
{
	struct ipc_recipient_answer m;
	fd_close(&fd);
	if (ipc_decode_recipient_answer(body, &m))
		return;
	struct connection *c = smtpd_answered(arg, m.request);
	if (!c || !c->facts)
		return;
	static const enum policy_existence exists[] = {POLICY_EXISTS_NO, POLICY_EXISTS_YES,
		POLICY_EXISTS_UNKNOWN, POLICY_EXISTS_NOWHERE};
	c->facts->recipient_exists = m.exists < ARRAY_SIZE(exists) ? exists[m.exists] : POLICY_EXISTS_UNKNOWN;
	c->facts->recipient_full = m.over == QUOTA_OVER_HARD;
	c->facts->local_size = m.local_size;
	c->facts->local_size_where = keep_where(c, m.local_size_where);
	connection_fact_known(c, POLICY_FACT_RECIPIENT);
}

void smtpd_sender_answer(void *arg, struct str body, int fd)
{
	struct ipc_sender_answer m;
	fd_close(&fd);
	if (ipc_decode_sender_answer(body, &m))
		return;
	struct connection *c = smtpd_answered(arg, m.request);
	if (!c || !c->facts)
		return;
	keep_owners(c, m.owners);
	connection_fact_known(c, POLICY_FACT_SENDER);
}

// ---- AUTH
static void on_auth_reply(void *arg, const struct auth_reply *r)
{
	struct connection *c = arg;
	static const enum session_auth_result results[] = {
		[AUTH_OK] = SESSION_AUTH_OK, [AUTH_CONTINUE] = SESSION_AUTH_CONTINUE,
		[AUTH_FAILED] = SESSION_AUTH_FAILED, [AUTH_UNAVAILABLE] = SESSION_AUTH_UNAVAILABLE,
		[AUTH_BLOCKED] = SESSION_AUTH_BLOCKED};
	char reason[128];
	str_copy(str_slice(r->reason, 0, sizeof reason - 1), reason, sizeof reason);
	struct str data = r->outcome == AUTH_CONTINUE ? r->data : r->account;
	if (r->outcome != AUTH_CONTINUE)
		c->exchange = NULL;
	c->auth_may_submit = r->may_submit;
	c->auth_may_relay = r->may_relay;
	c->auth_foreign = r->foreign;
	ANSWER(c, session_auth(c->session, results[r->outcome], data, reason));
}

static struct str binding_str(const struct tls_binding *b)
{
	return str_make(b->octets, b->len);
}

void connection_auth_start(void *arg, const char *mechanism, struct str initial)
{
	struct connection *c = arg;
	struct tls_bindings bindings;
	struct tls_facts facts;
	struct auth_tls tls;
	struct auth_request r = {
		.mechanism = mechanism,
		.initial = initial,
		.secured = stream_is_tls(c->stream),
		.server = connection_server(c)->name,
		.session = c->id,
		.client = c->client,
		.client_port = c->client_port,
		.local = c->local,
		.local_port = c->local_port,
	};
	if (r.secured) {
		tls_server_get_bindings(stream_ssl(c->stream), &bindings);
		tls_get_facts(stream_ssl(c->stream), &facts);
		tls = (struct auth_tls){binding_str(&bindings.exporter), binding_str(&bindings.end_point),
			binding_str(&bindings.unique), facts.verified, str_from(facts.peer_subject),
			str_from(facts.peer_mailboxes), str_from(facts.peer_fingerprint)};
		r.tls = &tls;
	}
	struct auth_exchange *x = auth_client_start(c->smtpd->auth, &r, on_auth_reply, c);
	c->exchange = x;
}

void connection_auth_continue(void *arg, struct str response)
{
	struct connection *c = arg;
	if (c->exchange)
		auth_client_continue(c->exchange, response);
	else
		ANSWER(c, session_auth(c->session, SESSION_AUTH_UNAVAILABLE, STR_EMPTY, "exchange lost"));
}

void connection_auth_cancel(void *arg)
{
	struct connection *c = arg;
	if (c->exchange)
		auth_client_cancel(c->exchange);
	c->exchange = NULL;
}

const char *smtpd_mechanisms(struct smtpd *s, bool plain)
{
	// While auth is being restarted the last list stands, and AUTH is answered "try again later":
	// a client that is offered nothing would give up for good.
	const char *now = auth_client_mechanisms(s->auth, plain, plain);
	if (now[0])
		str_copy(str_from(now), s->mechanisms[plain], sizeof s->mechanisms[plain]);
	return s->mechanisms[plain];
}

// Of a foreign server's, those that the block wants.
static const char *wanted_of(
	struct connection *c, const struct config_list *wanted, const char *offered)
{
	struct str rest = str_from(offered), one;
	size_t used = 0;
	if (wanted->count == 0)
		return offered;
	c->offered[0] = '\0';
	while (str_split(&rest, ' ', &one))
		for (size_t i = 0; i < wanted->count; i++)
			if (one.len && str_equal_nocase(one, wanted->items[i]) &&
				used + one.len + 2 <= sizeof c->offered)
				used += (size_t)snprintf(c->offered + used, sizeof c->offered - used,
					"%s%.*s", used ? " " : "", STR_ARG(one));
	return c->offered;
}

const char *connection_mechanisms(void *arg, bool tls)
{
	struct connection *c = arg;
	struct smtpd *s = c->smtpd;
	const struct config_server *server = connection_server(c);
	// Asked all the same: the names that are known to the connection may change with it.
	const char *known = smtpd_mechanisms(s, tls || server->auth_without_tls);
	const char *offer = auth_client_offers(s->auth, server->name, tls);
	return offer ? offer : wanted_of(c, &server->mechanisms, known);
}
