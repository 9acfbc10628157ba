// SPDX-License-Identifier: ISC
// Surroundings of a session without sockets: a stream that holds octets back, answers that come
// at once or later, one account, a store that remembers what it was given.
#ifndef PABAL_TEST_SESSION_HOST_H
#define PABAL_TEST_SESSION_HOST_H

#include "base/event.h"
#include "base/memory.h"
#include "message/digest.h"
#include "policy/limits.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>

#define LIT(literal) {"" literal, sizeof(literal) - 1}
#define MESSAGES_MAX 16

enum { SERVER_MX, SERVER_OFFERING, SERVER_SUBMISSION, SERVER_PLAIN, SERVERS };
enum host_ask { ASK_NONE, ASK_FACTS, ASK_AUTH, ASK_AUTH_MORE, ASK_SPOOL, ASK_SYNC, ASK_SUBMIT, ASK_TLS,
	ASK_DELAY };

struct host_message {
	struct buf sender, recipients, body, headers, account;
	bool held;
};

struct host {
	struct session *session;
	bool later;           // answers wait for host_answer
	size_t step;          // octets a read; 0: all at once
	enum host_ask ask;    // the one that is open
	unsigned asks, freeze_at; // from ask number freeze_at on nothing is answered; 0: never
	unsigned need;
	struct policy_facts facts;
	enum policy_existence exists;
	struct buf response;  // of SASL
	unsigned login;       // step of LOGIN: 1 the name, 2 the password is asked; 0: PLAIN
	bool exchange;        // SASL is under way
	struct buf input;     // what the client sent and the session did not use
	struct buf said;      // what the client got
	struct buf spool;
	bool spool_open;
	const struct session_submission *submission;
	struct host_message messages[MESSAGES_MAX];
	unsigned count;
	char separator;       // between recipients; 0: a comma
	bool closed;
	unsigned start_tls, spool_opens, spool_aborts, auth_cancels, dropped, rates_released;
	// what goes wrong
	int spool_error, sync_error, submit_error;
	bool no_facts, auth_down, no_mechanisms, store_full;
	enum policy_account account_state;
	bool may_relay;
	uint32_t connections;
	const char *client_name; // checked; NULL: none
	unsigned rate_room;   // reservations that are granted
	bool rates_uncertain;
	const char *groups;   // of the account; NULL: none
	uint64_t local_size;
	const struct session_rehearsal *rehearsal;
	struct buf seen;      // by its observer
	struct policy_rate rate_asked;
};

static struct str host_domains[] = {LIT("example.org")};
static struct config_listen host_listens[] = {{.port = 25}, {.port = 587},
	{.port = 26, .tls = CONFIG_LISTEN_NO_TLS}};
static struct config_server host_servers[SERVERS] = {
	[SERVER_MX] = {.name = LIT("mx"), .listens = &host_listens[0], .listen_count = 1},
	[SERVER_OFFERING] = {.name = LIT("offering"), .listens = &host_listens[0], .listen_count = 1,
		.offer_auth = true, .auth_without_tls = true},
	[SERVER_SUBMISSION] = {.name = LIT("submission"), .listens = &host_listens[1],
		.listen_count = 1, .require_auth = true, .require_tls = true},
	[SERVER_PLAIN] = {.name = LIT("plain"), .listens = &host_listens[2], .listen_count = 1},
};
static struct config host_config = {
	.hostname = LIT("mail.example.org"),
	.domains = {host_domains, 1},
	.servers = host_servers,
	.server_count = SERVERS,
	.limits = {.connections = 1000, .connections_address = 20, .connections_network = 100,
		.hops = 50, .header_size = 262144, .body_line = 65536},
};

static void host_answer_facts(struct host *h)
{
	struct policy_facts f = h->facts;

	f.connections_address = f.connections_network = f.connections_all = h->connections;
	f.store_full = h->store_full;
	f.account_state = h->account_state;
	f.account_may_submit = true;
	f.account_may_relay = h->may_relay;
	f.recipient_exists = h->exists;
	f.client_name = str_from(h->client_name);
	f.account_groups = str_from(h->groups);
	f.local_size = h->local_size;
	f.local_size_where = STR("limit everywhere pabal.conf:1");
	f.rate_uncertain = h->rates_uncertain;
	f.rate_full = (struct policy_rate){NULL, NULL};
	if (h->need & POLICY_FACT_RATE && !h->rates_uncertain && !h->rate_room--) {
		f.rate_full = h->rate_asked;
		h->rate_room = 0;
	}
	session_facts(h->session, h->no_facts ? 0 : h->need, &f);
}

static void host_finish_auth(struct host *h, bool good, const char *name)
{
	h->exchange = false;
	session_auth(h->session, good ? SESSION_AUTH_OK : SESSION_AUTH_FAILED, str_from(name),
		good ? NULL : "password mismatch");
}

// PLAIN of kim with the password "secret"; LOGIN asks for both.
static void host_answer_auth(struct host *h)
{
	static const char plain[] = "\0kim@example.org\0secret";
	struct str response = buf_str(&h->response);

	if (h->auth_down) {
		h->exchange = false;
		session_auth(h->session, SESSION_AUTH_UNAVAILABLE, STR_EMPTY, "no answer");
	} else if (h->login && h->login < 3) {
		session_auth(h->session, SESSION_AUTH_CONTINUE,
			h->login++ == 1 ? STR("User Name") : STR("Password:"), NULL);
	} else if (h->login) {
		host_finish_auth(h, str_equal(response, STR("secret")), "kim@example.org");
	} else if (!response.len) {
		session_auth(h->session, SESSION_AUTH_CONTINUE, STR_EMPTY, NULL);
	} else {
		host_finish_auth(h, str_equal(response, str_make(plain, sizeof(plain) - 1)),
			"kim@example.org");
	}
}

static void host_keep_message(struct host *h)
{
	const struct session_submission *s = h->submission;
	struct str body = s->spool ? buf_str(&h->spool) : s->body;
	struct host_message *m = &h->messages[h->count % MESSAGES_MAX];
	uint8_t digest[MESSAGE_DIGEST_SIZE];

	digest_of(body, digest);
	if (memcmp(digest, s->envelope->digest, sizeof(digest)) || body.len != s->envelope->size)
		abort();
	h->count++;
	buf_add_str(&m->sender, s->envelope->sender);
	buf_add_str(&m->account, s->envelope->account);
	buf_add_str(&m->headers, s->envelope->headers);
	buf_add_str(&m->body, body);
	for (unsigned i = 0; i < s->recipient_count; i++) {
		if (i)
			buf_add_char(&m->recipients, h->separator ? h->separator : ',');
		buf_add_str(&m->recipients, s->recipients[i].address);
		m->held |= s->recipients[i].hold;
	}
}

static inline void host_forget_submission(struct host *h)
{
	h->submission = NULL;
	h->spool_open = false;
	buf_finish(&h->spool);
	if (h->ask == ASK_SUBMIT)
		h->ask = ASK_NONE;
}

static void host_answer_submit(struct host *h)
{
	if (h->submission->spool && !h->spool_open)
		abort();
	if (!h->submit_error)
		host_keep_message(h);
	host_forget_submission(h);
	session_submitted(h->session, h->submit_error, h->submit_error ? 0 : 4711);
}

static void host_answer_tls(struct host *h)
{
	static const struct session_tls tls = {.active = true, .version = "TLSv1.3",
		.cipher = "TLS_AES_256_GCM_SHA384", .bits = 256};

	session_secured(h->session, &tls);
}

static void host_answer_spool(struct host *h)
{
	h->spool_open = !h->spool_error;
	session_spool(h->session, h->spool_error, h->spool_error ? 0 : 99);
}

// Answers what is open. False when nothing is.
static bool host_answer(struct host *h)
{
	enum host_ask ask = h->ask;

	if (h->freeze_at && h->asks >= h->freeze_at)
		return false;
	h->ask = ASK_NONE;
	switch (ask) {
	case ASK_NONE:
		return false;
	case ASK_FACTS:
		host_answer_facts(h);
		break;
	case ASK_AUTH:
	case ASK_AUTH_MORE:
		host_answer_auth(h);
		break;
	case ASK_SPOOL:
		host_answer_spool(h);
		break;
	case ASK_SYNC:
		session_spool_synced(h->session, h->sync_error);
		break;
	case ASK_SUBMIT:
		host_answer_submit(h);
		break;
	case ASK_TLS:
		host_answer_tls(h);
		break;
	case ASK_DELAY:
		session_delayed(h->session);
		break;
	}
	return true;
}

// At most one ask is open at a time.
static void host_open(struct host *h, enum host_ask ask)
{
	if (h->ask != ASK_NONE || h->closed)
		abort();
	h->ask = ask;
	h->asks++;
	if (!h->later)
		host_answer(h);
}

static void host_facts(void *arg, unsigned need, const struct policy_facts *f)
{
	struct host *h = arg;

	h->need = need;
	h->facts = *f; // what it points to may be gone when the answer comes
	if (need & POLICY_FACT_RATE)
		h->rate_asked = f->limits->rates[0];
	if (need & POLICY_FACT_RECIPIENT)
		h->exists = !strncmp(f->recipient->local, "kim", 3) ? POLICY_EXISTS_YES :
			!strcmp(f->recipient->local, "maybe") ? POLICY_EXISTS_UNKNOWN : POLICY_EXISTS_NO;
	host_open(h, ASK_FACTS);
}

static void host_auth_start(void *arg, const char *mechanism, struct str initial)
{
	struct host *h = arg;

	if (h->exchange)
		abort();
	h->exchange = true;
	buf_clear(&h->response);
	h->login = !strcmp(mechanism, "LOGIN") ? initial.len ? 2 : 1 : 0;
	buf_add_str(&h->response, initial.data ? initial : STR_EMPTY);
	host_open(h, ASK_AUTH);
}

static void host_auth_continue(void *arg, struct str response)
{
	struct host *h = arg;

	if (!h->exchange)
		abort();
	buf_clear(&h->response);
	buf_add_str(&h->response, response);
	host_open(h, ASK_AUTH_MORE);
}

static void host_auth_cancel(void *arg)
{
	struct host *h = arg;

	if (!h->exchange)
		abort();
	h->exchange = false;
	h->auth_cancels++;
	if (h->ask == ASK_AUTH || h->ask == ASK_AUTH_MORE)
		h->ask = ASK_NONE;
}

static void host_spool_open(void *arg)
{
	struct host *h = arg;

	if (h->spool_open)
		abort();
	h->spool_opens++;
	host_open(h, ASK_SPOOL);
}

static void host_spool_write(void *arg, struct str octets)
{
	struct host *h = arg;

	if (!h->spool_open)
		abort();
	buf_add_str(&h->spool, octets);
}

static void host_spool_sync(void *arg)
{
	host_open(arg, ASK_SYNC);
}

static void host_spool_abort(void *arg)
{
	struct host *h = arg;

	if (!h->spool_open && h->ask != ASK_SPOOL)
		abort();
	h->spool_aborts++;
	h->spool_open = false;
	if (h->ask == ASK_SPOOL || h->ask == ASK_SYNC)
		h->ask = ASK_NONE;
	buf_finish(&h->spool);
}

static void host_submit(void *arg, const struct session_submission *submission)
{
	struct host *h = arg;

	h->submission = submission;
	host_open(h, ASK_SUBMIT);
}

static void host_start_tls(void *arg)
{
	struct host *h = arg;

	h->start_tls++;
	host_open(h, ASK_TLS);
}

static void host_delay(void *arg, uint32_t ms)
{
	host_open(arg, ASK_DELAY);
}

static void host_output(void *arg)
{
	struct host *h = arg;
	struct buf *out = session_output(h->session);

	buf_add_str(&h->said, buf_str(out));
	buf_consume(out, buf_len(out));
}

static void host_close(void *arg)
{
	struct host *h = arg;

	if (h->closed)
		abort();
	host_output(h);
	h->closed = true;
	if (h->ask == ASK_FACTS || h->ask == ASK_DELAY || h->ask == ASK_TLS)
		h->ask = ASK_NONE;
}

static uint64_t host_wall_ms(void *arg)
{
	return 1795000000000u;
}

static const char *host_mechanisms(void *arg, bool tls)
{
	struct host *h = arg;

	return h->no_mechanisms ? "" : "PLAIN LOGIN";
}

static void host_rates_release(void *arg)
{
	struct host *h = arg;

	h->rates_released++;
}

static const struct session_host host_table = {
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
	.rates_release = host_rates_release,
	.delay = host_delay,
	.output = host_output,
	.close = host_close,
	.wall_ms = host_wall_ms,
	.mechanisms = host_mechanisms,
};

static void host_init_limits(void)
{
	for (int i = 0; i < SERVERS; i++) {
		host_servers[i].max_message_size = 1000000;
		host_servers[i].max_recipients = 10;
		host_servers[i].max_messages = 10;
		host_servers[i].max_errors = 20;
		host_servers[i].command_timeout = 300000;
		host_servers[i].data_timeout = 180000;
	}
}

// A connected client; h may be filled with what goes wrong before.
static void host_connect(struct host *h, int server)
{
	struct session_options o = {
		.config = &host_config,
		.server = &host_servers[server],
		.host = &host_table,
		.arg = h,
		.client = {4, {203, 0, 113, 7}},
		.local = {4, {192, 0, 2, 1}},
		.client_port = 50000,
		.local_port = host_servers[server].listens[0].port,
		.id = 0x123456789abcu,
		.rehearsal = h->rehearsal,
	};

	h->session = session_create(&o);
}

// The client sends octets; with a step they come in pieces of that size.
static void host_send(struct host *h, struct str octets)
{
	size_t step = h->step ? h->step : octets.len;
	bool once = !octets.len; // then only what is left over is tried again

	while ((octets.len || once) && !h->closed) {
		struct str piece = str_slice(octets, 0, step);

		once = false;
		buf_add_str(&h->input, piece);
		octets = str_skip(octets, piece.len);
		while (host_answer(h))
			;
		while (buf_len(&h->input) && !h->closed && session_wants_input(h->session)) {
			unsigned secured = h->start_tls;
			size_t used = session_input(h->session, buf_str(&h->input));

			if (used > buf_len(&h->input))
				abort();
			buf_consume(&h->input, used);
			if (h->start_tls != secured && buf_len(&h->input)) { // as net/stream.c does
				h->dropped += (unsigned)buf_len(&h->input);
				buf_clear(&h->input);
			}
			while (host_answer(h))
				;
			if (!used)
				break;
		}
	}
}

static void host_finish(struct host *h)
{
	session_destroy(h->session);
	if (h->spool_open && !h->submission)
		abort(); // nobody closes it
	if (h->exchange)
		abort();
	for (unsigned i = 0; i < MESSAGES_MAX; i++) {
		buf_finish(&h->messages[i].sender);
		buf_finish(&h->messages[i].recipients);
		buf_finish(&h->messages[i].body);
		buf_finish(&h->messages[i].headers);
		buf_finish(&h->messages[i].account);
	}
	buf_finish(&h->spool);
	buf_finish(&h->response);
	buf_finish(&h->input);
	buf_finish(&h->said);
	buf_finish(&h->seen);
	*h = (struct host){0};
}

// The replies in short: "220 250/2.1.0 …", one for each reply, several lines counted as one.
static void host_replies(const struct host *h, struct buf *out)
{
	struct str rest = buf_str(&h->said), line;

	while (str_split(&rest, '\n', &line)) {
		const char *p = line.data;

		if (line.len < 4 || p[3] == '-')
			continue;
		buf_add_format(out, "%s%.3s", buf_len(out) ? " " : "", p);
		if (line.len > 9 && p[5] == '.' && p[4] == p[0]) {
			size_t len = 0;
			while (4 + len < line.len && p[4 + len] != ' ')
				len++;
			buf_add_format(out, "/%.*s", (int)len, p + 4);
		}
	}
}

#endif
