// SPDX-License-Identifier: ISC
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/remote_internal.h"

// ---- routes
static bool leads_to_host(const struct config_route *route)
{
	return route->kind == CONFIG_ROUTE_SMTP || route->kind == CONFIG_ROUTE_LMTP_HOST ||
		route->kind == CONFIG_ROUTE_LMTP_SOCKET;
}

// The number of a route belongs to a generation of the configuration, its pattern does not. NULL: by
// MX, or no such route any more.
const struct config_route *remote_route(const struct remote *r, const struct deliver_job *job)
{
	const struct config *c = r->config;
	struct str pattern = str_from(job->destination);
	const struct config_route *found = NULL;
	if (!job->route)
		return NULL;
	if (job->route <= c->route_count && str_equal(c->routes[job->route - 1].pattern, pattern))
		found = &c->routes[job->route - 1];
	for (size_t i = 0; !found && i < c->route_count; i++)
		if (str_equal(c->routes[i].pattern, pattern))
			found = &c->routes[i];
	return found && leads_to_host(found) ? found : NULL;
}

// ---- jobs that are done
static void hand_over(struct remote *r)
{
	while (!list_empty(&r->finished)) {
		struct try *t = LIST_ENTRY(r->finished.next, struct try, link);
		struct deliver_job *job = t->job;
		try_destroy(t);
		r->o.done(r->o.arg, job);
	}
}

static void on_check(uv_check_t *check)
{
	struct remote *r = check->data;
	uv_check_stop(&r->check);
	uv_idle_stop(&r->turn);
	hand_over(r);
}

static void on_turn(uv_idle_t *turn)
{
	(void)turn;
}

void remote_finished(struct try *t)
{
	struct remote *r = t->r;
	list_remove(&t->link);
	list_add_last(&r->finished, &t->link);
	if (r->destroyed)
		return;
	uv_check_start(&r->check, on_check);
	uv_idle_start(&r->turn, on_turn);
}

// ---- configuration
static void make_tls(struct remote *r)
{
	struct tls_client *tls;
	struct error err = {0};
	if (tls_client_create(&r->config->tls, &tls, &err)) {
		event_report(EVENT_ERROR, "tls", "%s: %s", r->tls ?
			TEXT("connections to other hosts go on with the old settings of TLS") :
			TEXT("connections to other hosts are made without TLS"), err.text);
		return;
	}
	tls_client_destroy(r->tls);
	r->tls = tls;
}

static bool same_file(const struct config_file *a, const struct config_file *b)
{
	return str_equal(a->path, b->path) && str_equal(a->content, b->content);
}

static bool same_tls(const struct config_tls *a, const struct config_tls *b)
{
	return same_file(&a->ca_file, &b->ca_file) && str_equal(a->ca_path, b->ca_path) &&
		same_file(&a->client_certificate, &b->client_certificate) &&
		same_file(&a->client_key, &b->client_key) && a->min == b->min;
}

void remote_set_config(struct remote *r, const struct config *config)
{
	const struct config *old = r->config;
	r->config = config;
	r->generation++;
	hosts_own_find(&r->own, config);
	// A folder of authorities can be read only before confinement: made anew only where it must.
	if (!r->tls || !same_tls(&old->tls, &config->tls))
		make_tls(r);
	pool_forget_plans(r);
	pool_close_idle(r);
	pool_forget_unused(r);
}

// ---- life
struct remote *remote_create(const struct remote_options *o)
{
	struct remote *r = mem_alloc(sizeof *r);
	r->o = *o;
	r->config = o->config;
	list_init(&r->idle);
	list_init(&r->unused);
	list_init(&r->tries);
	list_init(&r->finished);
	uv_check_init(o->loop, &r->check);
	uv_idle_init(o->loop, &r->turn);
	r->check.data = r->turn.data = r;
	r->open_handles = 2;
	hosts_own_find(&r->own, r->config);
	make_tls(r);
	return r;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct remote *r = handle->data;
	if (--r->open_handles == 0)
		mem_free(r);
}

static void stop_try(struct try *t)
{
	if (t->s) {
		t->s->t = NULL;
		pooled_destroy(t->s);
		t->s = NULL;
	}
	list_remove(&t->wait);
	deliver_job_fail(t->job, SMTP_TEMPORARY, 451, "4.3.2", TEXT("the server is being stopped"));
	remote_finished(t);
}

void remote_destroy(struct remote *r)
{
	if (!r || r->destroyed)
		return;
	r->destroyed = true;
	pool_close_idle(r);
	while (!list_empty(&r->tries))
		stop_try(LIST_ENTRY(r->tries.next, struct try, link));
	hand_over(r);
	pool_forget_unused(r);
	map_finish(&r->destinations);
	map_finish(&r->requests);
	tls_client_destroy(r->tls);
	uv_close((uv_handle_t *)&r->check, on_handle_closed);
	uv_close((uv_handle_t *)&r->turn, on_handle_closed);
}

unsigned remote_connections(const struct remote *r)
{
	return r->session_count;
}

// ---- jobs
void remote_deliver(struct remote *r, struct deliver_job *job)
{
	struct try *t = try_create(r, job);
	struct render render;
	if (render_init(&render, job->headers, job->edits, job->size)) {
		deliver_job_fail(job, SMTP_TEMPORARY, 451, "4.3.0", TEXT("the stored message is damaged"));
		remote_finished(t);
	} else if (r->destroyed) {
		stop_try(t);
	} else {
		try_begin(t);
	}
}

void remote_connected(struct remote *r, uint64_t request, int fd, const char *why)
{
	struct pooled *s = map_remove(&r->requests, str_make(&request, sizeof request));
	if (!s || s->c) {
		fd_close(&fd); // it took too long
		return;
	}
	s->request = 0;
	try_socket(s, fd, why);
}

// ---- tokens
static void give_token(struct pooled *s, struct str token, uint64_t serial, const char *why)
{
	map_remove(&s->d->r->requests, str_make(&s->request, sizeof s->request));
	s->request = 0;
	connection_token(s->c, token, serial, why);
}

void remote_token(struct remote *r, uint64_t request, struct str token, uint64_t serial, const char *why)
{
	struct pooled *s = map_get(&r->requests, str_make(&request, sizeof request));
	if (s && s->c)
		give_token(s, token, serial, why);
}

static void note_token(struct str key, void *value, void *arg)
{
	struct pooled *s = value;
	(void)key;
	if (s->c)
		*(struct pooled **)arg = s;
}

void remote_tokens_lost(struct remote *r, const char *why)
{
	for (;;) { // one failure may start another try, or end it
		struct pooled *s = NULL;
		map_each(&r->requests, note_token, &s);
		if (!s)
			return;
		give_token(s, STR_EMPTY, 0, why);
	}
}
