// SPDX-License-Identifier: ISC
// One connection of the client's end: the greeting, the lines of its exchanges.
#include "auth/protocol_client.h"

#include "auth/protocol_internal.h"
#include "base/event.h"
#include "base/id.h"
#include "base/memory.h"

#include <stdio.h>

#define GREETING_MS (10 * 1000)
#define ANSWER_MS   (60 * 1000)
#define CPID_BEGIN  0x40000000u // above every process id

static struct str id_key(const uint32_t *id)
{
	return str_make(id, sizeof *id);
}

// ---- exchanges
void auth_connection_remove(struct auth_exchange *x)
{
	if (x->connection)
		(void)map_remove(&x->connection->by_id, id_key(&x->id));
	x->connection = NULL;
	wheel_clear(x->client->wheel, &x->timer);
}

void auth_connection_cancel(struct auth_exchange *x)
{
	struct auth_connection *k = x->connection;

	if (k && k->up) {
		(void)buf_add_format(stream_output(k->stream), "CANCEL\t%u\n", x->id);
		stream_flush(k->stream);
	}
}

static void put_octets(struct str octets, struct auth_line_octets *out)
{
	if (octets.len <= sizeof out->data) {
		out->len = octets.len;
		if (octets.len)
			memcpy(out->data, octets.data, octets.len);
	}
}

// A text that does not fit is left out whole: half a name is another one.
static void put_tls(const struct auth_tls *tls, struct auth_line_request *out)
{
	put_octets(tls->exporter, &out->exporter);
	put_octets(tls->end_point, &out->end_point);
	put_octets(tls->unique, &out->unique);
	out->verified = tls->verified;
	(void)str_copy(tls->subject, out->subject, sizeof out->subject);
	(void)str_copy(tls->mailboxes, out->mailboxes, sizeof out->mailboxes);
	(void)str_copy(tls->fingerprint, out->fingerprint, sizeof out->fingerprint);
}

static int add_request(struct auth_connection *k, uint32_t id, const struct auth_request *r)
{
	struct auth_line_request line = {
		.id = id,
		.secured = r->secured,
		.client = r->client,
		.client_port = r->client_port,
		.local = r->local,
		.local_port = r->local_port,
		.has_response = r->initial.data != NULL,
	};
	char session[ID_TEXT_MAX];

	if (!str_copy(str_from(r->mechanism), line.mechanism, sizeof line.mechanism))
		return ERR_LIMIT;
	(void)str_copy(r->server, line.server, sizeof line.server);
	if (r->tls)
		put_tls(r->tls, &line);
	if (r->session)
		(void)str_copy(str_from(id_format(r->session, session)), line.session,
			sizeof line.session);
	return auth_line_request_add(
		stream_output(k->stream), &line, r->initial, k->client->options.trusted);
}

static uint32_t next_id(struct auth_connection *k)
{
	do
		k->last_id++;
	while (k->last_id == 0 || map_get(&k->by_id, id_key(&k->last_id)));
	return k->last_id;
}

int auth_connection_start(
	struct auth_connection *k, struct auth_exchange *x, const struct auth_request *r)
{
	uint32_t id = next_id(k);
	int err = add_request(k, id, r);

	if (err)
		return err;
	x->connection = k;
	x->id = id;
	map_set(&k->by_id, id_key(&x->id), x);
	stream_flush(k->stream);
	wheel_set(k->client->wheel, &x->timer, ANSWER_MS);
	return 0;
}

int auth_connection_continue(struct auth_exchange *x, struct str response)
{
	struct auth_connection *k = x->connection;
	struct buf line = {.limit = AUTH_LINE_MAX};
	int err = buf_add_format(&line, "CONT\t%u\t", x->id);

	if (!err)
		err = buf_add_base64(&line, response);
	if (!err)
		err = buf_add_char(&line, '\n');
	if (!err)
		err = buf_add_str(stream_output(k->stream), buf_str(&line));
	buf_finish_wipe(&line);
	if (err)
		return err;
	stream_flush(k->stream);
	wheel_set(k->client->wheel, &x->timer, ANSWER_MS);
	return 0;
}

// ---- the greeting
static void add_mechanism(char list[AUTH_MECHANISMS_MAX], const char *name)
{
	size_t used = strlen(list);

	if (used + 1 + strlen(name) < AUTH_MECHANISMS_MAX)
		snprintf(list + used, AUTH_MECHANISMS_MAX - used, "%s%s", used ? " " : "", name);
}

// What needs facts that we do not send, or lets anybody in, is not offered.
static bool is_usable(const struct auth_line_mechanism *m)
{
	return !m->anonymous && !m->private_ && strcmp(m->name, "EXTERNAL") != 0 &&
	       !str_ends_nocase(str_from(m->name), STR("-PLUS"));
}

static void on_mechanism(struct auth_connection *k, struct str fields)
{
	struct auth_line_mechanism m;

	if (k->up || auth_line_mechanism_read(fields, &m) || !is_usable(&m))
		return;
	add_mechanism(k->mechanisms, m.name);
	if (!m.plaintext && strcmp(m.name, "PLAIN") != 0 && strcmp(m.name, "LOGIN") != 0)
		add_mechanism(k->not_plaintext, m.name);
}

static bool read_names(struct str *fields, char out[AUTH_OFFER_MAX])
{
	struct str field;

	return auth_field_take(fields, &field) &&
	       str_only(field, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ ") &&
	       str_copy(field, out, AUTH_OFFER_MAX);
}

static void on_offer(struct auth_connection *k, struct str fields)
{
	struct auth_offer o = {0};
	struct str name;

	if (k->client->options.trusted && auth_field_take(&fields, &name) &&
		auth_value_read(name, o.server, sizeof o.server) == 0 &&
		read_names(&fields, o.before) && read_names(&fields, o.after))
		auth_client_take_offer(k->client, &o);
}

static void on_version(struct auth_connection *k, struct str fields)
{
	struct str field;
	uint32_t major;

	if (!auth_field_take(&fields, &field) || auth_number_read(field, &major) ||
		major != AUTH_VERSION_MAJOR)
		k->broken = true;
	k->version_seen = true;
}

static void on_greeted(struct auth_connection *k, struct str fields)
{
	(void)fields;
	if (!k->version_seen || k->up) {
		k->broken = true;
		return;
	}
	k->up = true;
	wheel_clear(k->client->wheel, &k->greeting);
	auth_client_greeted(k);
}

static const struct {
	const char *word;
	void (*run)(struct auth_connection *k, struct str fields);
} words[] = {
	{"VERSION", on_version},
	{"MECH", on_mechanism},
	{"OFFER", on_offer},
	{"DONE", on_greeted},
};

// ---- answers
static const char *reason_of(const struct auth_line_reply *r)
{
	return r->reason[0]   ? r->reason
	       : r->disabled  ? "disabled"
	       : r->expired   ? "password expired"
	       : r->authz     ? "authzid differs"
	       : r->temporary ? "the authentication service cannot tell now"
			      : "";
}

static void on_result(struct auth_exchange *x, const struct auth_line_reply *r)
{
	bool ok = r->outcome == AUTH_LINE_OK, all = !r->has_rights;

	// It may be the rest of a service that was restarted.
	if (r->temporary)
		auth_client_renew(x->client);
	auth_exchange_finish(x, &(struct auth_reply){
					.outcome = ok		  ? AUTH_OK
						   : r->temporary ? AUTH_UNAVAILABLE
						   : r->blocked && x->client->options.trusted
							   ? AUTH_BLOCKED
							   : AUTH_FAILED,
					.data = STR_EMPTY,
					.account = str_from(r->user),
					.may_submit = ok && (all || r->rights & AUTH_LINE_SUBMIT),
					.may_relay = ok && (all || r->rights & AUTH_LINE_RELAY),
					.foreign = ok && (all || r->rights & AUTH_LINE_FOREIGN),
					.reason = ok ? STR_EMPTY : str_from(reason_of(r)),
				});
}

static void on_challenge(struct auth_exchange *x, struct str base64)
{
	struct buf decoded = BUF_INIT;

	wheel_clear(x->client->wheel, &x->timer); // the client's turn; its own limits apply
	if (base64.len && buf_add_base64_decoded(&decoded, base64)) {
		auth_connection_cancel(x);
		auth_exchange_fail_later(
			x, AUTH_UNAVAILABLE, "the authentication service sent a broken challenge");
	} else {
		x->done(x->arg, &(struct auth_reply){.outcome = AUTH_CONTINUE,
					.data = buf_str(&decoded),
					.account = STR_EMPTY,
					.reason = STR_EMPTY});
	}
	buf_finish_wipe(&decoded);
}

static void run_line(struct auth_connection *k, struct str line)
{
	struct str word = STR_EMPTY, fields = line;
	struct auth_line_reply r;

	(void)auth_field_take(&fields, &word);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_equal(word, str_from(words[i].word))) {
			words[i].run(k, fields);
			return;
		}
	int err = auth_line_reply_read(line, &r);
	if (err == ERR_UNSUPPORTED)
		return; // SPID, CUID, COOKIE and words of later versions
	if (err || !k->up) {
		k->broken = true;
		return;
	}
	struct auth_exchange *x = map_get(&k->by_id, id_key(&r.id));
	if (!x)
		return; // cancelled
	if (r.outcome == AUTH_LINE_CONT)
		on_challenge(x, r.data);
	else
		on_result(x, &r);
}

// ---- the stream
static bool is_open(const struct auth_client *c, const struct auth_connection *k)
{
	LIST_EACH(link, &c->connections)
		if (LIST_ENTRY(link, struct auth_connection, link) == k)
			return true;
	return false;
}

static size_t on_input(struct stream *stream, void *arg, struct str octets)
{
	struct auth_connection *k = arg;
	struct auth_client *c = k->client;
	struct str rest = octets, line;
	int got = 0;

	(void)stream;
	// An answer may make the owner replace the connection: then it is gone.
	while (is_open(c, k) && !k->broken && (got = auth_line_take(&rest, &line)) == 1)
		run_line(k, line);
	size_t used = octets.len - rest.len;
	if (!is_open(c, k))
		return used;
	if (k->broken || got < 0)
		auth_client_lost(
			k, "it does not speak version 1 of the Dovecot authentication protocol");
	else if (k->by_id.count == 0)
		auth_client_idle(k);
	return used;
}

static void on_ended(struct stream *stream, void *arg, int err, const char *why)
{
	(void)stream;
	auth_client_lost(arg, why ? why : err_text(err));
}

static const struct stream_events events = {.input = on_input, .ended = on_ended};

static void on_no_greeting(struct wheel_timer *t)
{
	auth_client_lost(LIST_ENTRY(t, struct auth_connection, greeting), "it does not greet");
}

// Servers want every connection to have a number of its own, and others use their process ids.
static uint32_t make_cpid(void)
{
	uint32_t number;

	mem_random(&number, sizeof number);
	return CPID_BEGIN | (number & (CPID_BEGIN - 1));
}

struct auth_connection *auth_connection_open(struct auth_client *c, int fd)
{
	struct auth_connection *k = mem_alloc(sizeof *k);

	k->client = c;
	wheel_timer_init(&k->greeting, on_no_greeting);
	list_add_last(&c->connections, &k->link);
	k->stream = stream_open(c->options.loop, c->wheel, fd, &events, k);
	stream_set_secret(k->stream);
	(void)buf_add_format(stream_output(k->stream), "VERSION\t%d\t%d\nCPID\t%u\n",
		AUTH_VERSION_MAJOR, AUTH_VERSION_MINOR, make_cpid());
	stream_flush(k->stream);
	wheel_set(c->wheel, &k->greeting, GREETING_MS);
	return k;
}

void auth_connection_close(struct auth_connection *k, const char *why)
{
	LIST_EACH(link, &k->client->exchanges) {
		struct auth_exchange *x = LIST_ENTRY(link, struct auth_exchange, link);
		if (x->connection == k)
			auth_exchange_fail_later(x, AUTH_UNAVAILABLE, why);
	}
	wheel_clear(k->client->wheel, &k->greeting);
	list_remove(&k->link);
	stream_close(k->stream);
	map_finish(&k->by_id);
	mem_free(k);
}
