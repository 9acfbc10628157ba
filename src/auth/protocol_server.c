// SPDX-License-Identifier: ISC
// The server's end: one connected peer, many exchanges at once. What a peer gets wrong ends its
// connection, never more.
#include "auth/protocol.h"

#include "auth/protocol_internal.h"
#include "base/event.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "net/stream.h"

#include <unistd.h>

#define EXCHANGES_PUBLIC  1000
#define EXCHANGES_TRUSTED 20000
#define UNSENT_MAX	  (1024 * 1024) // a peer that does not read its answers is dropped
#define HELLO_MS	  (60 * 1000)	// for VERSION and CPID

struct auth_server {
	struct auth_server_options options;
	struct wheel *wheel, *own_wheel;
	struct stream *stream;
	struct map by_id; // 4 octets -> struct exchange
	struct list exchanges;
	struct wheel_timer timer; // for the greeting, or until a broken connection is ended
	bool version_seen, pid_seen;
	bool ended;	    // the owner was told
	const char *broken; // why the connection ends
};

struct exchange {
	struct list link;
	struct auth_server *server;
	uint32_t id;
	struct ipaddr client;
	char session[32];
	struct authentication *authentication;
	bool answered; // the peer's turn
	struct auth_line_reply *proved; // OK, as soon as the peer has taken the last challenge
	struct wheel_timer timer;
};

static struct str id_key(const uint32_t *id)
{
	return str_make(id, sizeof *id);
}

// From anywhere; it ends with the next input or when the loop turns.
static void break_off(struct auth_server *s, const char *why)
{
	if (!s->broken)
		s->broken = why;
	wheel_set(s->wheel, &s->timer, 0);
}

static void exchange_destroy(struct exchange *x)
{
	(void)map_remove(&x->server->by_id, id_key(&x->id));
	list_remove(&x->link);
	wheel_clear(x->server->wheel, &x->timer);
	authentication_destroy(x->authentication);
	mem_free(x->proved);
	mem_free(x);
}

// ---- answers
static void send_reply(struct auth_server *s, const struct auth_line_reply *r, struct str challenge)
{
	struct buf *out = stream_output(s->stream);

	if (auth_line_reply_add(out, r, challenge) || stream_unsent(s->stream) > UNSENT_MAX)
		break_off(s, "it does not read its answers");
	stream_flush(s->stream);
}

static void fail_at_once(struct auth_server *s, uint32_t id, const char *reason, bool temporary)
{
	struct auth_line_reply r = {.outcome = AUTH_LINE_FAIL, .id = id, .temporary = temporary};

	str_copy(str_from(reason), r.reason, sizeof r.reason);
	send_reply(s, &r, STR_EMPTY);
}

// Our own smtpd reports what its sessions do; for the others it is done here.
static void report(const struct exchange *x, const struct authenticator_reply *r)
{
	struct event e;

	if (x->server->options.trusted || r->outcome == AUTHENTICATOR_CONTINUE ||
		r->outcome == AUTHENTICATOR_FAILED) // which has a line of its own, guard.h
		return;
	event_begin(&e, EVENT_INFO, "auth", 0);
	event_text(&e, "server", "auth-client");
	if (x->client.family)
		event_addr(&e, "client", &x->client);
	event_str(&e, "session", str_from(x->session));
	event_str(&e, "account", r->account);
	event_text(&e, "status", r->outcome == AUTHENTICATOR_OK ? "ok" : "unavailable");
	event_text(&e, "reason", r->reason);
	event_emit(&e);
}

static unsigned rights_of(uint32_t rights)
{
	return (rights & AUTHENTICATOR_SUBMIT ? AUTH_LINE_SUBMIT : 0) |
	       (rights & AUTHENTICATOR_RELAY ? AUTH_LINE_RELAY : 0);
}

// What strangers learn of a failure is that it failed: programs pass reasons on to their clients.
static void fill(
	const struct exchange *x, const struct authenticator_reply *from, struct auth_line_reply *r)
{
	bool trusted = x->server->options.trusted;

	str_copy(from->account, r->user, sizeof r->user);
	r->temporary = from->outcome == AUTHENTICATOR_UNAVAILABLE;
	if (from->outcome == AUTHENTICATOR_OK && trusted) {
		r->has_rights = true;
		r->rights = rights_of(from->rights) | (from->foreign ? AUTH_LINE_FOREIGN : 0);
	}
	if (from->outcome == AUTHENTICATOR_OK || !trusted)
		return;
	str_copy(str_from(from->reason), r->reason, sizeof r->reason);
	r->authz = !strcmp(from->reason, "authzid differs");
	r->disabled = !strcmp(from->reason, "disabled");
	r->blocked = from->outcome == AUTHENTICATOR_BLOCKED;
}

static void send_challenge(struct exchange *x, struct str challenge)
{
	struct auth_line_reply r = {.outcome = AUTH_LINE_CONT, .id = x->id};

	x->answered = true;
	wheel_set(x->server->wheel, &x->timer, AUTH_EXCHANGE_MS);
	send_reply(x->server, &r, challenge);
}

static void on_step(void *arg, const struct authenticator_reply *from)
{
	struct exchange *x = arg;
	struct auth_server *s = x->server;
	struct auth_line_reply r = {.id = x->id};

	report(x, from);
	if (from->outcome == AUTHENTICATOR_CONTINUE) {
		send_challenge(x, from->challenge);
		return;
	}
	r.outcome = from->outcome == AUTHENTICATOR_OK ? AUTH_LINE_OK : AUTH_LINE_FAIL;
	fill(x, from, &r);
	if (r.outcome == AUTH_LINE_OK && from->challenge.len) {
		// SMTP has no room for data with success: the client takes it and says nothing.
		x->proved = mem_alloc(sizeof *x->proved);
		*x->proved = r;
		send_challenge(x, from->challenge);
		return;
	}
	send_reply(s, &r, STR_EMPTY);
	exchange_destroy(x);
}

static void finish_proved(struct exchange *x, struct str response)
{
	struct auth_server *s = x->server;
	struct auth_line_reply r = *x->proved;

	exchange_destroy(x);
	if (response.len)
		fail_at_once(s, r.id, "malformed response", false);
	else
		send_reply(s, &r, STR_EMPTY);
}

static void on_silence(struct wheel_timer *t)
{
	struct exchange *x = LIST_ENTRY(t, struct exchange, timer);
	struct auth_server *s = x->server;
	uint32_t id = x->id;

	exchange_destroy(x);
	fail_at_once(s, id, "no response in time", false);
}

// x may be gone after this.
static void step(struct exchange *x, struct str response)
{
	struct buf decoded = BUF_INIT;

	x->answered = false;
	wheel_clear(x->server->wheel, &x->timer);
	if (!response.data) {
		authentication_step(x->authentication, response, on_step, x);
	} else if (response.len && buf_add_base64_decoded(&decoded, response)) {
		struct auth_server *s = x->server;
		uint32_t id = x->id;
		exchange_destroy(x);
		fail_at_once(s, id, "response is not base64", false);
	} else {
		authentication_step(x->authentication, buf_str(&decoded), on_step, x);
	}
	buf_finish_wipe(&decoded);
}

// ---- commands
static void on_version(struct auth_server *s, struct str fields)
{
	struct str field;
	uint32_t major;

	if (s->version_seen || !auth_field_take(&fields, &field) ||
		auth_number_read(field, &major) || major != AUTH_VERSION_MAJOR)
		break_off(s, "it speaks another version of the protocol");
	s->version_seen = true;
}

static void on_pid(struct auth_server *s, struct str fields)
{
	struct str field;
	uint32_t pid;

	wheel_clear(s->wheel, &s->timer);
	if (s->pid_seen || !auth_field_take(&fields, &field) || auth_number_read(field, &pid))
		break_off(s, "its CPID is none");
	s->pid_seen = true;
}

static struct str octets_of(const struct auth_line_octets *o)
{
	return str_make(o->data, o->len);
}

static struct authentication_facts facts_of(
	const struct auth_server *s, const struct auth_line_request *r)
{
	struct authentication_facts facts = {.server = str_from(r->server),
		.session = str_from(r->session),
		.client = r->client,
		.secured = r->secured,
		.trusted = s->options.trusted};

	if (!s->options.trusted || !r->secured)
		return facts;
	facts.binding_exporter = octets_of(&r->exporter);
	facts.binding_end_point = octets_of(&r->end_point);
	facts.binding_unique = octets_of(&r->unique);
	facts.certificate_verified = r->verified;
	facts.certificate_subject = str_from(r->subject);
	facts.certificate_names = str_from(r->mailboxes);
	facts.certificate_fingerprint = str_from(r->fingerprint);
	return facts;
}

static bool may_use(const struct auth_server *s, const struct auth_line_request *r)
{
	const struct auth_mechanism *m = auth_mechanism_find(r->mechanism);
	char list[AUTH_OFFER_MAX];

	if (!m || (m->private_only && !s->options.trusted))
		return false;
	if (!s->options.offers)
		return true;
	auth_offers_for(s->options.offers, s->options.trusted ? str_from(r->server) : STR_EMPTY,
		r->secured, list);
	return auth_offers_have(list, r->mechanism);
}

static void on_auth(struct auth_server *s, struct str fields)
{
	bool trusted = s->options.trusted;
	struct auth_line_request r;
	struct authentication_facts facts;
	struct authentication *a;

	if (auth_line_request_read(fields, &r) || map_get(&s->by_id, id_key(&r.id))) {
		break_off(s, "its AUTH is malformed or uses an id twice");
	} else if (s->by_id.count >= (trusted ? EXCHANGES_TRUSTED : EXCHANGES_PUBLIC)) {
		fail_at_once(s, r.id, "too many exchanges at once", true);
	} else if (!trusted && !r.secured && authenticator_mechanism_plaintext(r.mechanism)) {
		fail_at_once(s, r.id, "plaintext passwords need a secured connection", false);
	} else if (!may_use(s, &r)) {
		fail_at_once(s, r.id, "no such mechanism", false);
	} else if (facts = facts_of(s, &r),
		!(a = authentication_create(s->options.authenticator, r.mechanism, &facts))) {
		fail_at_once(s, r.id, "no such mechanism", false);
	} else {
		struct exchange *x = mem_alloc(sizeof *x);
		*x = (struct exchange){
			.server = s, .id = r.id, .client = r.client, .authentication = a};
		memcpy(x->session, r.session, sizeof x->session);
		wheel_timer_init(&x->timer, on_silence);
		map_set(&s->by_id, id_key(&x->id), x);
		list_add_last(&s->exchanges, &x->link);
		step(x, r.has_response ? r.response : (struct str){NULL, 0});
	}
}

static void on_cont(struct auth_server *s, struct str fields)
{
	struct str field, response = STR_EMPTY;
	struct exchange *x;
	uint32_t id;

	if (!auth_field_take(&fields, &field) || auth_number_read(field, &id)) {
		break_off(s, "its CONT has no id");
		return;
	}
	(void)auth_field_take(&fields, &response);
	x = map_get(&s->by_id, id_key(&id));
	if (!x)
		fail_at_once(s, id, "no such exchange", false); // it was too slow
	else if (!x->answered)
		break_off(s, "it continues before it was asked to");
	else if (x->proved)
		finish_proved(x, response);
	else
		step(x, response);
}

static void on_cancel(struct auth_server *s, struct str fields)
{
	struct str field;
	uint32_t id;

	if (auth_field_take(&fields, &field) && auth_number_read(field, &id) == 0) {
		struct exchange *x = map_get(&s->by_id, id_key(&id));
		if (x)
			exchange_destroy(x);
	}
}

static const struct {
	const char *word;
	bool greeting; // allowed before VERSION and CPID
	void (*run)(struct auth_server *s, struct str fields);
} commands[] = {
	{"VERSION", true, on_version},
	{"CPID", true, on_pid},
	{"AUTH", false, on_auth},
	{"CONT", false, on_cont},
	{"CANCEL", false, on_cancel},
};

static void run_line(struct auth_server *s, struct str line)
{
	struct str word = STR_EMPTY, fields = line;

	(void)auth_field_take(&fields, &word);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!str_equal(word, str_from(commands[i].word)))
			continue;
		if (!commands[i].greeting && !(s->version_seen && s->pid_seen))
			break_off(s, "it did not introduce itself");
		else
			commands[i].run(s, fields);
		return;
	}
	// Words of a later minor version are skipped, as the protocol says.
}

// ---- the stream
static void end(struct auth_server *s)
{
	if (s->ended)
		return;
	s->ended = true;
	wheel_clear(s->wheel, &s->timer);
	if (s->broken)
		event_report(EVENT_WARNING, "auth",
			"a client of the authentication service was dropped: %s", s->broken);
	s->options.closed(s, s->options.arg);
}

static size_t on_input(struct stream *stream, void *arg, struct str octets)
{
	struct auth_server *s = arg;
	struct str rest = octets, line;
	int got = 0;

	(void)stream;
	while (!s->broken && (got = auth_line_take(&rest, &line)) == 1)
		run_line(s, line);
	if (got < 0)
		break_off(s, "its line is too long");
	size_t used = octets.len - rest.len;
	if (s->broken)
		end(s);
	return used;
}

static void on_ended(struct stream *stream, void *arg, int err, const char *why)
{
	(void)stream;
	(void)err;
	(void)why;
	end(arg);
}

static const struct stream_events events = {.input = on_input, .ended = on_ended};

static void on_timer(struct wheel_timer *t)
{
	struct auth_server *s = LIST_ENTRY(t, struct auth_server, timer);

	if (!s->broken)
		s->broken = "it did not introduce itself";
	end(s);
}

// A word of our own, for our own smtpd: OFFER, server, without TLS, with TLS.
static void add_offers(struct auth_server *s, struct buf *out)
{
	const struct auth_offer_state *o = s->options.offers;
	char before[AUTH_OFFER_MAX], after[AUTH_OFFER_MAX];

	for (size_t i = 0; o && s->options.trusted && i < o->config->server_count; i++) {
		const struct config_server *server = &o->config->servers[i];
		auth_offers(o->config, server, &o->facts, false, before);
		auth_offers(o->config, server, &o->facts, true, after);
		buf_add_text(out, "OFFER\t");
		auth_value_add(out, server->name);
		buf_add_format(out, "\t%s\t%s\n", before, after);
	}
}

void auth_server_offers_changed(struct auth_server *s)
{
	add_offers(s, stream_output(s->stream));
	stream_flush(s->stream);
}

static void greet(struct auth_server *s)
{
	struct buf *out = stream_output(s->stream);
	char public[AUTH_OFFER_MAX];
	struct str name, names = str_from(authenticator_mechanisms(s->options.authenticator));
	static uint32_t connections;
	unsigned char
		cookie[16]; // of the master protocol, which we do not speak; programs expect one
	char mechanism[AUTH_MECHANISM_MAX + 1];

	mem_random(cookie, sizeof cookie);
	if (s->options.offers) {
		auth_offers_public(s->options.offers->config, &s->options.offers->facts, public);
		names = str_from(public);
	}
	buf_add_format(out, "VERSION\t%d\t%d\n", AUTH_VERSION_MAJOR, AUTH_VERSION_MINOR);
	while (str_split(&names, ' ', &name))
		if (name.len && str_copy(name, mechanism, sizeof mechanism))
			buf_add_format(out, "MECH\t%s%s\n", mechanism,
				authenticator_mechanism_plaintext(mechanism) ? "\tplaintext" : "");
	add_offers(s, out);
	buf_add_format(out, "SPID\t%ld\nCUID\t%u\nCOOKIE\t", (long)getpid(), ++connections);
	buf_add_hex(out, str_make(cookie, sizeof cookie));
	buf_add_text(out, "\nDONE\n");
	stream_flush(s->stream);
}

struct auth_server *auth_server_create(const struct auth_server_options *o, int fd)
{
	struct auth_server *s = mem_alloc(sizeof *s);

	s->options = *o;
	s->own_wheel = o->wheel ? NULL : wheel_create(o->loop);
	s->wheel = o->wheel ? o->wheel : s->own_wheel;
	list_init(&s->exchanges);
	wheel_timer_init(&s->timer, on_timer);
	s->stream = stream_open(o->loop, s->wheel, fd, &events, s);
	stream_set_secret(s->stream);
	if (!o->trusted) // our own may be paused for long, and has nowhere else to go
		wheel_set(s->wheel, &s->timer, HELLO_MS);
	greet(s);
	return s;
}

void auth_server_destroy(struct auth_server *s)
{
	if (!s)
		return;
	LIST_EACH(link, &s->exchanges)
		exchange_destroy(LIST_ENTRY(link, struct exchange, link));
	map_finish(&s->by_id);
	wheel_clear(s->wheel, &s->timer);
	stream_close(s->stream);
	wheel_destroy(s->own_wheel);
	mem_free(s);
}
