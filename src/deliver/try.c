// SPDX-License-Identifier: ISC
// One job on its way: a kept connection, else host after host, until every recipient has a result.
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/remote_internal.h"

#include <stdio.h>

enum { BLAME_MAIL, BLAME_CONNECTION, BLAME_NETWORK };

#define SMTP_PORT  25
#define CONNECT_MS (30 * 1000)

// Until it is final a result is temporary.
static bool is_open(const struct deliver_recipient *r)
{
	return r->result.outcome == SMTP_TEMPORARY;
}

struct try *try_create(struct remote *r, struct deliver_job *job)
{
	struct try *t = mem_alloc(sizeof *t + job->recipient_count * sizeof *t->recipients);
	t->r = r;
	t->job = job;
	t->d = pool_destination(r, job);
	list_init(&t->wait);
	list_add_last(&r->tries, &t->link);
	return t;
}

void try_destroy(struct try *t)
{
	list_remove(&t->link);
	list_remove(&t->wait);
	plan_release(t->plan);
	pool_release(t->d);
	mem_free(t);
}

// ---- results
// What was sent to is_open recipients of the job, in their order.
static void take_results(struct try *t, bool has_dsn)
{
	const struct smtp_client_recipient *from = t->recipients;
	for (unsigned i = 0; i < t->job->recipient_count; i++) {
		struct deliver_recipient *to = &t->job->recipients[i];
		if (!is_open(to))
			continue;
		to->result = (from++)->result;
		to->relayed_dsn = has_dsn && to->result.outcome == SMTP_DELIVERED;
	}
}

// A temporary failure says more than a permanent one of another host: there is hope. A reply says
// more than silence.
static void note_failure(struct try *t, const struct smtp_result *f, const char *remote, unsigned blame)
{
	struct smtp_result *old = &t->failure;
	bool first = !old->enhanced[0];
	bool better = f->outcome != old->outcome ? f->outcome == SMTP_TEMPORARY : f->code || !old->code;
	if (!first && !better)
		return;
	*old = *f;
	t->blame = blame;
	snprintf(t->failed_remote, sizeof t->failed_remote, "%s", remote);
}

static void give_up(struct try *t)
{
	struct deliver_job *job = t->job;
	for (unsigned i = 0; i < job->recipient_count; i++)
		if (is_open(&job->recipients[i]) && !job->recipients[i].result.code)
			job->recipients[i].result = t->failure;
	snprintf(job->remote, sizeof job->remote, "%s", t->failed_remote);
	job->blame = t->blame;
	if (t->connects && t->network_failures == t->connects)
		job->blame = BLAME_NETWORK;
	remote_finished(t);
}

static void fail(struct try *t, const char *enhanced, const char *why)
{
	struct smtp_result f = {.outcome = SMTP_TEMPORARY, .code = 451};
	snprintf(f.enhanced, sizeof f.enhanced, "%s", enhanced);
	snprintf(f.text, sizeof f.text, "%s", why);
	note_failure(t, &f, "", BLAME_MAIL);
	give_up(t);
}

// ---- sending
static void sent(struct pooled *s);

static void send_message(struct pooled *s)
{
	struct try *t = s->t;
	unsigned n = 0;
	for (unsigned i = 0; i < t->job->recipient_count; i++) {
		const struct deliver_recipient *r = &t->job->recipients[i];
		if (is_open(r))
			t->recipients[n++] = (struct smtp_client_recipient){
				.address = r->address, .notify = r->notify, .orcpt = r->orcpt,
				.result.outcome = SMTP_TEMPORARY}; // what nobody answers is not delivered
	}
	t->message = (struct smtp_client_message){.recipients = t->recipients, .recipient_count = n};
	snprintf(t->job->remote, sizeof t->job->remote, "%s", connection_remote(s->c));
	snprintf(t->job->tls, sizeof t->job->tls, "%s", connection_tls(s->c));
	s->sending = true;
	s->sent++;
	if (!connection_send(s->c, t->job, &t->message))
		sent(s);
}

static void next_address(struct try *t);

// The host is ready again; it has said of every recipient what it thinks.
static void sent(struct pooled *s)
{
	struct try *t = s->t;
	bool next = connection_try_next_host(s->c) && s->address.family; // a socket has no next
	take_results(t, connection_has(s->c) & SMTP_HAS_DSN);
	t->s = NULL;
	if (next) {
		note_failure(t, &t->recipients[0].result, connection_remote(s->c), BLAME_MAIL);
		s->t = NULL;
		pooled_quit(s);
		next_address(t);
	} else {
		pooled_keep(s);
		remote_finished(t);
	}
}

// ---- what becomes of a connection
static void on_ready(struct connection *c, void *arg)
{
	struct pooled *s = arg;
	(void)c;
	if (s->sending)
		sent(s);
	else
		send_message(s);
}

static void mark_failed(struct try *t)
{
	if (t->plan && t->tried)
		t->plan->hosts.addresses[t->address].failed = true;
}

// It broke, or the host ended it, with the message under way.
static void broke_sending(struct try *t, const struct pooled *s)
{
	const struct smtp_result *f = connection_failure(s->c);
	bool kept = s->sent > 1;
	take_results(t, connection_has(s->c) & SMTP_HAS_DSN);
	if (!connection_try_next_host(s->c)) {
		t->job->blame = f->code ? BLAME_MAIL : BLAME_CONNECTION;
		remote_finished(t);
	} else if (kept && (!connection_answered(s->c) || f->code == 421)) {
		t->fresh = true; // the host had closed it meanwhile: no failure
		t->had.family = 0;
		try_begin(t);
	} else {
		note_failure(t, f, connection_remote(s->c), BLAME_CONNECTION);
		mark_failed(t);
		next_address(t);
	}
}

static void open_address(struct try *t);

static void report_plain(const struct try *t, const struct pooled *s)
{
	struct event e;
	event_begin(&e, EVENT_INFO, "tls", t->job->message);
	event_text(&e, "host", connection_remote(s->c));
	event_text(&e, "reason", connection_failure(s->c)->text);
	event_text(&e, "status", "trying without TLS");
	event_emit(&e);
}

static bool may_go_plain(const struct try *t)
{
	const struct config_route *route = remote_route(t->r, t->job);
	return !t->plain && (!t->job->route || (route && route->tls == CONFIG_ROUTE_TLS_OPTIONAL));
}

// Only of that port a provider closes the way.
static bool is_mail_port(const struct try *t)
{
	const struct config_route *route = remote_route(t->r, t->job);
	return !route || route->port == SMTP_PORT;
}

static void broke_before(struct try *t, const struct pooled *s)
{
	if (connection_stage(s->c) == CONNECTION_SHAKING_HANDS && may_go_plain(t)) {
		report_plain(t, s);
		t->plain = true;
		open_address(t);
		return;
	}
	t->network_failures += connection_network_failed(s->c) && is_mail_port(t);
	note_failure(t, connection_failure(s->c), connection_remote(s->c), BLAME_CONNECTION);
	mark_failed(t);
	if (connection_try_next_host(s->c))
		next_address(t);
	else
		give_up(t);
}

static void on_closed(struct connection *c, void *arg)
{
	struct pooled *s = arg;
	struct try *t = s->t;
	(void)c;
	s->t = NULL;
	if (t) {
		t->s = NULL;
		if (s->sending)
			broke_sending(t, s);
		else
			broke_before(t, s);
	}
	pooled_destroy(s);
}

static void ask_token(struct connection *c, void *arg, uint64_t refused)
{
	struct pooled *s = arg;
	struct remote *r = s->d->r;
	(void)c;
	s->request = ++r->last_request;
	map_set(&r->requests, str_make(&s->request, sizeof s->request), s);
	r->o.token(r->o.arg, s->request, s->t ? s->t->job->destination : "", refused);
}

static const struct connection_events connection_events = {
	.ready = on_ready, .closed = on_closed, .token = ask_token};

// ---- opening
static const enum smtp_client_tls route_tls[] = {
	[CONFIG_ROUTE_TLS_OPTIONAL] = SMTP_TLS_WHEN_OFFERED,
	[CONFIG_ROUTE_TLS_REQUIRED] = SMTP_TLS_REQUIRED,
	[CONFIG_ROUTE_TLS_IMPLICIT] = SMTP_TLS_IMPLICIT,
	[CONFIG_ROUTE_TLS_NEVER] = SMTP_TLS_NEVER,
};

static struct str first_line(struct str text)
{
	struct str line = STR_EMPTY;
	(void)str_split(&text, '\n', &line);
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void open_connection(struct try *t, struct pooled *s, struct connection_options *o)
{
	const struct config_route *route = remote_route(t->r, t->job);
	const struct config *config = t->r->config;
	char helo[DOMAIN_MAX + 1], user[512] = "", pattern[DOMAIN_MAX + 3] = "";
	struct login_options login = {.user = user};
	o->smtp.tls = t->plain ? SMTP_TLS_NEVER : route ? route_tls[route->tls] : SMTP_TLS_WHEN_OFFERED;
	o->verify = o->smtp.tls == SMTP_TLS_REQUIRED || o->smtp.tls == SMTP_TLS_IMPLICIT;
	o->smtp.limits = smtp_limits_default;
	o->smtp.lmtp = route && route->kind != CONFIG_ROUTE_SMTP;
	str_copy(route && route->helo.len ? route->helo : config->hostname, helo, sizeof helo);
	o->smtp.helo = helo;
	o->loop = t->r->o.loop;
	o->wheel = t->r->o.wheel;
	o->connect_ms = t->r->o.connect_ms ? t->r->o.connect_ms : CONNECT_MS;
	o->tls_client = t->r->tls;
	if (route) {
		o->source = route->source;
		str_copy(route->user, user, sizeof user);
		str_copy(route->pattern, pattern, sizeof pattern);
		login.password = first_line(route->password_file.content);
		login.has_token = route->token_file.len > 0;
		login.certificate = config->tls.client_certificate.path.len > 0;
		login.wanted = route->mechanisms.items;
		login.wanted_count = route->mechanisms.count;
		login.host = o->host;
		login.port = o->port;
		o->login = route->user.len || route->mechanisms.count ? &login : NULL;
		o->route = pattern;
	}
	if (!o->tls_client && !o->verify)
		o->smtp.tls = SMTP_TLS_NEVER;
	s->c = connection_open(o, &connection_events, s);
}

static void open_address(struct try *t)
{
	const struct hosts_plan *hosts = &t->plan->hosts;
	const struct hosts_address *a = &hosts->addresses[t->address];
	const struct config_route *route = remote_route(t->r, t->job);
	struct connection_options o = {.fd = -1, .address = a->address, .host = hosts->hosts[a->host]};
	if (t->job->route && !route) {
		fail(t, "4.3.5", TEXT("the route is no more in the configuration"));
		return;
	}
	if (!t->r->tls && route &&
		(route->tls == CONFIG_ROUTE_TLS_REQUIRED || route->tls == CONFIG_ROUTE_TLS_IMPLICIT)) {
		fail(t, "4.7.5", TEXT("TLS is required, but cannot be set up here"));
		return;
	}
	o.port = route ? route->port : t->r->o.port ? t->r->o.port : SMTP_PORT;
	t->connects++;
	t->s = pooled_create(t);
	t->s->address = a->address;
	open_connection(t, t->s, &o);
}

// The first one not tried yet; those that others found dead come last.
static int choose_address(const struct try *t)
{
	const struct hosts_plan *hosts = &t->plan->hosts;
	int dead = -1;
	for (unsigned i = 0; i < hosts->address_count; i++) {
		if (t->tried & 1u << i)
			continue;
		if (!hosts->addresses[i].failed)
			return (int)i;
		if (dead < 0)
			dead = (int)i;
	}
	return dead;
}

static void next_address(struct try *t)
{
	if (!t->plan) { // of a kept connection: begin with all hosts
		t->fresh = true;
		try_begin(t);
		return;
	}
	int next = choose_address(t);
	if (next < 0) {
		give_up(t);
		return;
	}
	t->address = (unsigned)next;
	t->tried |= 1u << next;
	t->plain = false;
	open_address(t);
}

// That host has had this mail over its kept connection.
static void skip_had(struct try *t)
{
	const struct hosts_plan *hosts = &t->plan->hosts;
	for (unsigned i = 0; t->had.family && i < hosts->address_count; i++)
		if (ipaddr_equal(&hosts->addresses[i].address, &t->had))
			t->tried |= 1u << i;
}

void try_go_on(struct try *t, const struct hosts_plan *failed)
{
	if (failed) {
		note_failure(t, &failed->failure, "", failed->blame);
		give_up(t);
		return;
	}
	t->plan = t->d->plan;
	t->plan->users++;
	skip_had(t);
	next_address(t);
}

// ---- sockets
static void ask_socket(struct try *t, const struct config_route *route)
{
	struct remote *r = t->r;
	if (t->connects++) { // there is only one of it
		give_up(t);
		return;
	}
	struct pooled *s = t->s = pooled_create(t);
	s->request = ++r->last_request;
	map_set(&r->requests, str_make(&s->request, sizeof s->request), s);
	wheel_set(r->o.wheel, &s->timer, CONNECT_MS);
	r->o.connect(r->o.arg, s->request, (unsigned)(route - r->config->routes));
}

void try_socket(struct pooled *s, int fd, const char *why)
{
	struct try *t = s->t;
	const struct config_route *route = remote_route(t->r, t->job);
	struct smtp_result f = {.outcome = SMTP_TEMPORARY, .enhanced = "4.4.1"};
	char path[300];
	str_copy(route ? route->host : STR_EMPTY, path, sizeof path);
	if (fd >= 0 && route && route->kind == CONFIG_ROUTE_LMTP_SOCKET) {
		struct connection_options o = {.fd = fd, .host = path};
		pooled_start_deadline(s);
		open_connection(t, s, &o);
		return;
	}
	fd_close(&fd);
	snprintf(f.text, sizeof f.text, "%s: %s", TEXT("cannot connect"), why ? why : "");
	note_failure(t, &f, path, BLAME_CONNECTION);
	t->s = NULL;
	s->t = NULL;
	pooled_destroy(s);
	give_up(t);
}

// ---- the beginning
void try_begin(struct try *t)
{
	struct pooled *s = t->fresh ? NULL : pool_take_idle(t->d);
	if (s) {
		s->t = t;
		t->s = s;
		t->had = s->address;
		pooled_start_deadline(s);
		send_message(s);
		return;
	}
	const struct config_route *route = remote_route(t->r, t->job);
	if (t->job->route && !route)
		fail(t, "4.3.5", TEXT("the route is no more in the configuration"));
	else if (route && route->kind == CONFIG_ROUTE_LMTP_SOCKET)
		ask_socket(t, route);
	else
		pool_wait_for_plan(t);
}
