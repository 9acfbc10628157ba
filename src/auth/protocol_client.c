// SPDX-License-Identifier: ISC
// The client's end: a connection that is made again when it is lost, and the exchanges on it.
#include "auth/protocol.h"

#include "auth/protocol_internal.h"
#include "base/event.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "net/stream.h"

#include <stdio.h>
#include <unistd.h>

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
#define GREETING_MS (10 * 1000)
#define ANSWER_MS (60 * 1000)
#define MECHANISMS_MAX 512

struct auth_client {
	struct auth_client_options options;
	struct wheel *wheel;
	struct stream *stream;     // NULL: none
	bool up;                   // greeted: exchanges may start
	bool version_seen;
	bool broken;               // the connection is given up when the call stack is back here
	struct map by_id;          // 4 octets -> struct auth_exchange
	struct list exchanges;
	uint32_t last_id;
	uint64_t retry_ms;
	struct wheel_timer timer;  // until the next try, or for the greeting
	char mechanisms[MECHANISMS_MAX];    // all
	char not_plaintext[MECHANISMS_MAX]; // those of them that do not show the password
};

struct auth_exchange {
	struct list link;
	struct auth_client *client;
	uint32_t id;               // in by_id
	auth_client_done done;
	void *arg;
	struct wheel_timer timer;  // for an answer, or until a failure is told
	enum auth_outcome failure; // told by the timer
	const char *failure_reason;
};

static struct str id_key(const uint32_t *id)
{
	return str_make(id, sizeof *id);
}

// ---- exchanges end
static void exchange_free(struct auth_exchange *x)
{
	struct auth_client *c = x->client;

	if (map_get(&c->by_id, id_key(&x->id)) == x)
		(void)map_remove(&c->by_id, id_key(&x->id));
	list_remove(&x->link);
	wheel_clear(c->wheel, &x->timer);
	mem_free(x);
}

static void finish(struct auth_exchange *x, const struct auth_reply *r)
{
	auth_client_done done = x->done;
	void *arg = x->arg;

	exchange_free(x);
	done(arg, r);
}

static void fail(struct auth_exchange *x, enum auth_outcome outcome, const char *reason)
{
	finish(x, &(struct auth_reply){.outcome = outcome, .data = STR_EMPTY, .account = STR_EMPTY,
			  .reason = str_from(reason)});
}

// From inside a call of the owner, who does not expect an answer now.
static void fail_later(struct auth_exchange *x, enum auth_outcome outcome, const char *reason)
{
	if (map_get(&x->client->by_id, id_key(&x->id)) == x)
		(void)map_remove(&x->client->by_id, id_key(&x->id));
	x->failure = outcome;
	x->failure_reason = reason;
	wheel_set(x->client->wheel, &x->timer, 0);
}

static void send_cancel(struct auth_exchange *x)
{
	struct auth_client *c = x->client;

	if (c->up && map_get(&c->by_id, id_key(&x->id)) == x) {
		(void)buf_add_format(stream_output(c->stream), "CANCEL\t%u\n", x->id);
		stream_flush(c->stream);
	}
}

static void on_exchange_timer(struct wheel_timer *t)
{
	struct auth_exchange *x = LIST_ENTRY(t, struct auth_exchange, timer);

	if (!x->failure_reason)
		send_cancel(x);
	fail(x, x->failure_reason ? x->failure : AUTH_UNAVAILABLE,
		x->failure_reason ? x->failure_reason : "no answer of the authentication service");
}

// ---- the connection
static void ask_for_connection(struct auth_client *c)
{
	c->options.connect(c->options.arg);
}

static void ask_later(struct auth_client *c)
{
	wheel_set(c->wheel, &c->timer, c->retry_ms);
	c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
}

static void forget_connection(struct auth_client *c)
{
	stream_close(c->stream);
	c->stream = NULL;
	c->up = c->version_seen = c->broken = false;
	c->mechanisms[0] = c->not_plaintext[0] = '\0';
	wheel_clear(c->wheel, &c->timer);
	LIST_EACH(link, &c->exchanges) {
		struct auth_exchange *x = LIST_ENTRY(link, struct auth_exchange, link);
		if (!x->failure_reason)
			fail_later(x, AUTH_UNAVAILABLE, "the connection to the authentication service was lost");
	}
}

static void connection_lost(struct auth_client *c)
{
	forget_connection(c);
	ask_later(c);
}

static void on_timer(struct wheel_timer *t)
{
	struct auth_client *c = LIST_ENTRY(t, struct auth_client, timer);

	if (c->stream) {
		event_report(EVENT_WARNING, "auth", "the authentication service does not greet");
		connection_lost(c);
	} else {
		ask_for_connection(c);
	}
}

// ---- the greeting
static void add_mechanism(char list[MECHANISMS_MAX], const char *name)
{
	size_t used = strlen(list);

	if (used + 1 + strlen(name) < MECHANISMS_MAX)
		snprintf(list + used, MECHANISMS_MAX - used, "%s%s", used ? " " : "", name);
}

// What needs facts that we do not send, or lets anybody in, is not offered.
static bool is_usable(const struct auth_line_mechanism *m)
{
	return !m->anonymous && !m->private_ && strcmp(m->name, "EXTERNAL") != 0 &&
	       !str_ends_nocase(str_from(m->name), STR("-PLUS"));
}

static void on_mechanism(struct auth_client *c, struct str fields)
{
	struct auth_line_mechanism m;

	if (c->up || auth_line_mechanism_read(fields, &m) || !is_usable(&m))
		return;
	add_mechanism(c->mechanisms, m.name);
	if (!m.plaintext && strcmp(m.name, "PLAIN") != 0 && strcmp(m.name, "LOGIN") != 0)
		add_mechanism(c->not_plaintext, m.name);
}

static void on_version(struct auth_client *c, struct str fields)
{
	struct str field;
	uint32_t major;

	if (!auth_field_take(&fields, &field) || auth_number_read(field, &major) ||
		major != AUTH_VERSION_MAJOR) {
		event_report(EVENT_WARNING, "auth",
			"the authentication service speaks another version of the protocol");
		c->broken = true;
	}
	c->version_seen = true;
}

static void on_greeted(struct auth_client *c, struct str fields)
{
	(void)fields;
	if (!c->version_seen) {
		c->broken = true;
		return;
	}
	c->up = true;
	c->retry_ms = RETRY_FIRST_MS;
	wheel_clear(c->wheel, &c->timer);
}

static const struct {
	const char *word;
	void (*run)(struct auth_client *c, struct str fields);
} words[] = {
	{"VERSION", on_version},
	{"MECH", on_mechanism},
	{"DONE", on_greeted},
};

// ---- answers
static const char *reason_of(const struct auth_line_reply *r)
{
	return r->reason[0] ? r->reason :
	       r->disabled  ? "disabled" :
	       r->expired   ? "password expired" :
	       r->authz     ? "authzid differs" :
	       r->temporary ? "the authentication service cannot tell now" :
			      "";
}

static void ended(struct auth_exchange *x, const struct auth_line_reply *r)
{
	bool all = !r->has_rights;

	finish(x, &(struct auth_reply){
			  .outcome = r->outcome == AUTH_LINE_OK ? AUTH_OK :
			  r->temporary ? AUTH_UNAVAILABLE : AUTH_FAILED,
			  .data = STR_EMPTY,
			  .account = str_from(r->user),
			  .may_submit = all || r->rights & AUTH_LINE_SUBMIT,
			  .may_relay = all || r->rights & AUTH_LINE_RELAY,
			  .reason = r->outcome == AUTH_LINE_OK ? STR_EMPTY : str_from(reason_of(r)),
		  });
}

static void challenged(struct auth_exchange *x, struct str base64)
{
	struct buf decoded = BUF_INIT;

	wheel_clear(x->client->wheel, &x->timer); // the client's turn; its own limits apply
	if (base64.len && buf_add_base64_decoded(&decoded, base64)) {
		send_cancel(x);
		fail(x, AUTH_UNAVAILABLE, "the authentication service sent a broken challenge");
	} else {
		x->done(x->arg, &(struct auth_reply){.outcome = AUTH_CONTINUE, .data = buf_str(&decoded),
					.account = STR_EMPTY, .reason = STR_EMPTY});
	}
	buf_finish_wipe(&decoded);
}

static void run_line(struct auth_client *c, struct str line)
{
	struct str word = STR_EMPTY, fields = line;
	struct auth_line_reply r;

	(void)auth_field_take(&fields, &word);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_equal(word, str_from(words[i].word))) {
			words[i].run(c, fields);
			return;
		}
	int err = auth_line_reply_read(line, &r);
	if (err == ERR_UNSUPPORTED)
		return; // SPID, CUID, COOKIE and words of later versions
	if (err || !c->up) {
		event_report(EVENT_WARNING, "auth", "the authentication service sent a broken line");
		c->broken = true;
		return;
	}
	struct auth_exchange *x = map_get(&c->by_id, id_key(&r.id));
	if (!x)
		return; // cancelled
	if (r.outcome == AUTH_LINE_CONT)
		challenged(x, r.data);
	else
		ended(x, &r);
}

static size_t on_input(struct stream *stream, void *arg, struct str octets)
{
	struct auth_client *c = arg;
	struct str rest = octets, line;
	int got = 0;

	// An answer may make the owner replace the connection or end us: then the stream is another.
	while (c->stream == stream && !c->broken && (got = auth_line_take(&rest, &line)) == 1)
		run_line(c, line);
	size_t used = octets.len - rest.len;
	if (c->stream == stream && (c->broken || got < 0))
		connection_lost(c);
	return used;
}

static void on_ended(struct stream *stream, void *arg, int err, const char *why)
{
	struct auth_client *c = arg;

	(void)stream;
	if (c->up)
		event_report(EVENT_WARNING, "auth", "the authentication service is gone: %s",
			why ? why : err_text(err));
	connection_lost(c);
}

static const struct stream_events events = {.input = on_input, .ended = on_ended};

void auth_client_connected(struct auth_client *c, int fd)
{
	if (fd < 0) {
		if (!c->stream)
			ask_later(c);
		return;
	}
	forget_connection(c);
	c->stream = stream_open(c->options.loop, c->wheel, fd, &events, c);
	(void)buf_add_format(stream_output(c->stream), "VERSION\t%d\t%d\nCPID\t%ld\n", AUTH_VERSION_MAJOR,
		AUTH_VERSION_MINOR, (long)getpid());
	stream_flush(c->stream);
	wheel_set(c->wheel, &c->timer, GREETING_MS);
}

// ---- the owner's calls
const char *auth_client_mechanisms(struct auth_client *c, bool tls, bool plaintext_ok)
{
	if (!c->up)
		return "";
	return tls || plaintext_ok ? c->mechanisms : c->not_plaintext;
}

static uint32_t next_id(struct auth_client *c)
{
	do
		c->last_id++;
	while (c->last_id == 0 || map_get(&c->by_id, id_key(&c->last_id)));
	return c->last_id;
}

static int send_request(struct auth_exchange *x, const struct auth_request *r)
{
	struct auth_client *c = x->client;
	struct auth_line_request line = {
		.id = x->id,
		.secured = r->secured,
		.client = r->client, .client_port = r->client_port,
		.local = r->local, .local_port = r->local_port,
		.has_response = r->initial.data != NULL,
	};
	char session[ID_TEXT_MAX];

	if (!str_copy(str_from(r->mechanism), line.mechanism, sizeof line.mechanism))
		return ERR_LIMIT;
	(void)str_copy(r->server, line.server, sizeof line.server);
	if (r->session)
		(void)str_copy(str_from(id_format(r->session, session)), line.session, sizeof line.session);
	return auth_line_request_add(stream_output(c->stream), &line, r->initial, c->options.trusted);
}

struct auth_exchange *auth_client_start(struct auth_client *c, const struct auth_request *r,
	auth_client_done done, void *arg)
{
	struct auth_exchange *x = mem_alloc(sizeof *x);

	*x = (struct auth_exchange){.client = c, .id = next_id(c), .done = done, .arg = arg};
	wheel_timer_init(&x->timer, on_exchange_timer);
	list_add_last(&c->exchanges, &x->link);
	if (!c->up) {
		fail_later(x, AUTH_UNAVAILABLE, "no authentication service");
	} else if (send_request(x, r)) {
		fail_later(x, AUTH_FAILED, "response too long");
	} else {
		map_set(&c->by_id, id_key(&x->id), x);
		stream_flush(c->stream);
		wheel_set(c->wheel, &x->timer, ANSWER_MS);
	}
	return x;
}

void auth_client_continue(struct auth_exchange *x, struct str response)
{
	struct auth_client *c = x->client;
	struct buf line = {.limit = AUTH_LINE_MAX};

	if (x->failure_reason)
		return; // on its way
	if (buf_add_format(&line, "CONT\t%u\t", x->id) || buf_add_base64(&line, response) ||
		buf_add_char(&line, '\n') || buf_add_str(stream_output(c->stream), buf_str(&line))) {
		send_cancel(x);
		fail_later(x, AUTH_FAILED, "response too long");
	} else {
		stream_flush(c->stream);
		wheel_set(c->wheel, &x->timer, ANSWER_MS);
	}
	buf_finish_wipe(&line);
}

void auth_client_cancel(struct auth_exchange *x)
{
	if (!x)
		return;
	send_cancel(x);
	exchange_free(x);
}

struct auth_client *auth_client_create(const struct auth_client_options *o)
{
	struct auth_client *c = mem_alloc(sizeof *c);

	c->options = *o;
	c->wheel = wheel_create(o->loop);
	c->retry_ms = RETRY_FIRST_MS;
	list_init(&c->exchanges);
	wheel_timer_init(&c->timer, on_timer);
	ask_for_connection(c);
	return c;
}

void auth_client_destroy(struct auth_client *c)
{
	if (!c)
		return;
	while (!list_empty(&c->exchanges)) {
		struct auth_exchange *x = LIST_ENTRY(c->exchanges.next, struct auth_exchange, link);
		fail(x, AUTH_UNAVAILABLE, "shutting down");
	}
	wheel_clear(c->wheel, &c->timer);
	stream_close(c->stream);
	map_finish(&c->by_id);
	wheel_destroy(c->wheel);
	mem_free(c);
}
