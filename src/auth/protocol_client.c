// SPDX-License-Identifier: ISC
// The client's end: which connection is used, and when another one is made. A foreign server that
// is stopped or restarted may leave its old process to those who are connected to it, without what
// it needs to do its work; so a connection that is used is replaced after a while by a new one, if
// there still is a service behind the socket.
#include "auth/protocol_client.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#define RETRY_FIRST_MS	100
#define RETRY_MAX_MS	5000
#define RENEW_MS	10000
#define RENEW_SOON_MS	1000
#define CONNECTIONS_MAX 8 // old ones with exchanges included

// ---- exchanges end
static void exchange_free(struct auth_exchange *x)
{
	struct auth_connection *k = x->connection;

	auth_connection_remove(x);
	list_remove(&x->link);
	mem_free(x);
	if (k && k->by_id.count == 0)
		auth_client_idle(k);
}

void auth_exchange_finish(struct auth_exchange *x, const struct auth_reply *r)
{
	auth_client_done done = x->done;
	void *arg = x->arg;

	exchange_free(x);
	done(arg, r);
}

static void fail(struct auth_exchange *x, enum auth_outcome outcome, const char *reason)
{
	auth_exchange_finish(x, &(struct auth_reply){.outcome = outcome,
					.data = STR_EMPTY,
					.account = STR_EMPTY,
					.reason = str_from(reason)});
}

void auth_exchange_fail_later(
	struct auth_exchange *x, enum auth_outcome outcome, const char *reason)
{
	auth_connection_remove(x);
	x->failure = outcome;
	x->failure_reason = reason;
	wheel_set(x->client->wheel, &x->timer, 0);
}

static void on_exchange_timer(struct wheel_timer *t)
{
	struct auth_exchange *x = LIST_ENTRY(t, struct auth_exchange, timer);

	if (x->failure_reason) {
		fail(x, x->failure, x->failure_reason);
	} else {
		auth_connection_cancel(x);
		auth_client_renew(x->client);
		fail(x, AUTH_UNAVAILABLE, "no answer of the authentication service");
	}
}

// ---- connections come and go
static void ask_later(struct auth_client *c)
{
	wheel_set(c->wheel, &c->timer, c->retry_ms);
	c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
}

static void on_timer(struct wheel_timer *t)
{
	struct auth_client *c = LIST_ENTRY(t, struct auth_client, timer);

	if (!c->next)
		c->options.connect(c->options.arg);
}

// Our own role auth hands us a new socket when there is a new process. A connection that was just
// made is as good as the next one.
void auth_client_renew(struct auth_client *c)
{
	uint64_t now = clock_monotonic_ms();

	if (c->options.trusted || !c->current || c->next || c->renewal_failed ||
		now - c->current->greeted_ms < RENEW_SOON_MS)
		return;
	wheel_set(c->wheel, &c->timer, RETRY_FIRST_MS);
}

static void note_use(struct auth_client *c)
{
	if (!c->options.trusted && c->current && !c->next && c->timer.due_ms == 0)
		wheel_set(c->wheel, &c->timer, RENEW_MS);
}

// The service has given up this one: no new exchange goes there.
static void retire(struct auth_client *c)
{
	struct auth_connection *k = c->current;

	c->current = NULL;
	if (k && k->by_id.count == 0)
		auth_connection_close(k, "");
}

void auth_client_greeted(struct auth_connection *k)
{
	struct auth_client *c = k->client;

	if (k != c->next)
		return;
	retire(c);
	c->current = k;
	k->greeted_ms = clock_monotonic_ms();
	c->next = NULL;
	c->renewal_failed = false;
	wheel_clear(c->wheel, &c->timer);
}

void auth_client_idle(struct auth_connection *k)
{
	if (k != k->client->current && k != k->client->next)
		auth_connection_close(k, "");
}

// The service cannot be reached. One failure is none: its queue of connections may have been full.
static void not_reached(struct auth_client *c)
{
	if (c->current && c->renewal_failed) {
		event_report(EVENT_WARNING, "auth",
			"the authentication service takes no new connections");
		retire(c);
	}
	c->renewal_failed = c->current != NULL;
	ask_later(c);
}

void auth_client_lost(struct auth_connection *k, const char *why)
{
	struct auth_client *c = k->client;
	bool was_current = k == c->current, was_next = k == c->next;

	// One that greets and closes again and again is asked less and less often.
	if (was_current && clock_monotonic_ms() - k->greeted_ms > RETRY_MAX_MS)
		c->retry_ms = RETRY_FIRST_MS;
	if (was_current)
		c->current = NULL;
	if (was_next)
		c->next = NULL;
	if (was_current || was_next)
		event_report(EVENT_WARNING, "auth",
			"the connection to the authentication service ended: %s", why);
	auth_connection_close(k, "the connection to the authentication service was lost");
	if (was_next)
		not_reached(c);
	else if (was_current && !c->next)
		ask_later(c);
}

static size_t count_connections(const struct auth_client *c)
{
	size_t count = 0;

	LIST_EACH(link, &c->connections)
		count++;
	return count;
}

void auth_client_connected(struct auth_client *c, int fd)
{
	struct auth_connection *next = c->next;

	if (fd < 0) {
		if (!next)
			not_reached(c);
		return;
	}
	wheel_clear(c->wheel, &c->timer);
	c->next = NULL;
	if (next)
		auth_connection_close(next, "");
	if (count_connections(c) >= CONNECTIONS_MAX) {
		struct auth_connection *oldest =
			LIST_ENTRY(c->connections.next, struct auth_connection, link);
		if (oldest != c->current)
			auth_connection_close(oldest,
				"the connection to the authentication service was given up");
	}
	c->next = auth_connection_open(c, fd);
}

// ---- the owner's calls
const char *auth_client_mechanisms(struct auth_client *c, bool tls, bool plaintext_ok)
{
	note_use(c);
	if (!c->current)
		return "";
	return tls || plaintext_ok ? c->current->mechanisms : c->current->not_plaintext;
}

static struct auth_offer *find_offer(struct auth_client *c, struct str server)
{
	LIST_EACH(link, &c->offers) {
		struct auth_offer *o = LIST_ENTRY(link, struct auth_offer, link);
		if (str_equal(str_from(o->server), server))
			return o;
	}
	return NULL;
}

void auth_client_take_offer(struct auth_client *c, const struct auth_offer *offer)
{
	struct auth_offer *o = find_offer(c, str_from(offer->server));

	if (!o && c->offer_count == AUTH_CLIENT_OFFERS_MAX)
		return;
	if (!o) {
		o = mem_alloc(sizeof *o);
		list_add_last(&c->offers, &o->link);
		c->offer_count++;
	}
	memcpy(o->server, offer->server, sizeof o->server);
	memcpy(o->before, offer->before, sizeof o->before);
	memcpy(o->after, offer->after, sizeof o->after);
}

const char *auth_client_offers(struct auth_client *c, struct str server, bool tls)
{
	const struct auth_offer *o = find_offer(c, server);

	return !o ? NULL : tls ? o->after : o->before;
}

struct auth_exchange *auth_client_start(
	struct auth_client *c, const struct auth_request *r, auth_client_done done, void *arg)
{
	struct auth_exchange *x = mem_alloc(sizeof *x);

	*x = (struct auth_exchange){.client = c, .done = done, .arg = arg};
	wheel_timer_init(&x->timer, on_exchange_timer);
	list_add_last(&c->exchanges, &x->link);
	note_use(c);
	if (!c->current)
		auth_exchange_fail_later(x, AUTH_UNAVAILABLE, "no authentication service");
	else if (auth_connection_start(c->current, x, r))
		auth_exchange_fail_later(x, AUTH_FAILED, "response too long");
	return x;
}

void auth_client_continue(struct auth_exchange *x, struct str response)
{
	if (!x->connection)
		return; // its failure is on the way
	if (auth_connection_continue(x, response)) {
		auth_connection_cancel(x);
		auth_exchange_fail_later(x, AUTH_FAILED, "response too long");
	}
}

void auth_client_cancel(struct auth_exchange *x)
{
	if (!x)
		return;
	auth_connection_cancel(x);
	exchange_free(x);
}

struct auth_client *auth_client_create(const struct auth_client_options *o)
{
	struct auth_client *c = mem_alloc(sizeof *c);

	c->options = *o;
	c->wheel = wheel_create(o->loop);
	c->retry_ms = RETRY_FIRST_MS;
	list_init(&c->connections);
	list_init(&c->exchanges);
	list_init(&c->offers);
	wheel_timer_init(&c->timer, on_timer);
	o->connect(o->arg);
	return c;
}

void auth_client_destroy(struct auth_client *c)
{
	if (!c)
		return;
	c->current = c->next = NULL;
	while (!list_empty(&c->exchanges))
		fail(LIST_ENTRY(c->exchanges.next, struct auth_exchange, link), AUTH_UNAVAILABLE,
			"shutting down");
	while (!list_empty(&c->connections))
		auth_connection_close(
			LIST_ENTRY(c->connections.next, struct auth_connection, link), "");
	LIST_EACH(link, &c->offers) {
		list_remove(link);
		mem_free(LIST_ENTRY(link, struct auth_offer, link));
	}
	wheel_clear(c->wheel, &c->timer);
	wheel_destroy(c->wheel);
	mem_free(c);
}
