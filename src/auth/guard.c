// SPDX-License-Identifier: ISC
#include "auth/guard.h"

#include "auth/places.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#include <stdio.h>

struct auth_guard {
	struct auth_guess guess;
	struct auth_places *places;
};

static struct auth_guess_limits limits_of(const struct config *c)
{
	return (struct auth_guess_limits){.window_ms = c->auth.guess.window,
		.block_ms = c->auth.guess.block,
		.most = {
			[AUTH_GUESS_PAIR] = c->auth.guess.account_address,
			[AUTH_GUESS_ACCOUNT] = c->auth.guess.account,
			[AUTH_GUESS_ADDRESS] = c->auth.guess.address,
			[AUTH_GUESS_NAMES_ADDRESS] = c->auth.guess.names,
			[AUTH_GUESS_NETWORK] = c->auth.guess.network,
			[AUTH_GUESS_NAMES_NETWORK] = c->auth.guess.network_names,
		}};
}

struct auth_guard *auth_guard_create(
	uv_loop_t *loop, const struct config *config, struct secrets *secrets)
{
	struct auth_guard *g = mem_alloc(sizeof *g);
	struct auth_guess_limits limits = limits_of(config);

	auth_guess_init(&g->guess, &limits);
	g->places = auth_places_create(loop, secrets);
	return g;
}

void auth_guard_destroy(struct auth_guard *g)
{
	if (!g)
		return;
	auth_guess_finish(&g->guess);
	auth_places_destroy(g->places);
	mem_free(g);
}

void auth_guard_set_config(struct auth_guard *g, const struct config *config)
{
	g->guess.limits = limits_of(config);
}

// The form of this line is promised in pabal(8), and dist/fail2ban reads it: the address comes
// first, so that nothing a client sends can stand before it.
static void report(const struct auth_guard_try *t, const char *reason, const char *blocked, uint64_t count)
{
	struct event e;

	event_begin(&e, EVENT_INFO, "login-failed", 0);
	if (t->facts->client.family)
		event_addr(&e, "client", &t->facts->client);
	event_str(&e, "account", str_slice(t->name, 0, AUTH_NAME_MAX));
	event_text(&e, "mechanism", t->mechanism);
	event_text(&e, "reason", reason);
	event_u64(&e, "count", count);
	event_text(&e, "blocked", blocked);
	event_str(&e, "server", t->facts->trusted ? t->facts->server : STR("auth-client"));
	event_str(&e, "session", t->facts->session);
	event_emit(&e);
}

bool auth_guard_ask(struct auth_guard *g, struct auth_guess_attempt *a,
	const struct auth_guard_try *t, const unsigned char *key, char *out_reason, size_t size)
{
	struct auth_guess_refusal r;
	const char *scope;
	uint64_t hash;

	memcpy(&hash, key, sizeof hash);
	if (auth_guess_ask(&g->guess, a, t->name, &t->facts->client, hash,
		    auth_places_has(g->places, t->name, &t->facts->client), clock_monotonic_ms(),
		    &r))
		return true;
	scope = auth_guess_scope_name(r.scope);
	report(t, "too many failed logins", scope, r.count);
	snprintf(out_reason, size, "too many failed logins: auth { guess { %s } }", scope);
	return false;
}

void auth_guard_failed(struct auth_guard *g, struct auth_guess_attempt *a,
	const struct auth_guard_try *t, const char *reason)
{
	uint64_t count;

	if (!a->open) {
		*a = (struct auth_guess_attempt){.client = t->facts->client};
		(void)str_copy(str_slice(t->name, 0, AUTH_NAME_MAX), a->name, sizeof a->name);
	}
	count = auth_guess_failed(&g->guess, a, clock_monotonic_ms());
	report(t, reason, NULL, count);
}

void auth_guard_succeeded(
	struct auth_guard *g, struct auth_guess_attempt *a, const struct auth_guard_try *t)
{
	auth_guess_succeeded(&g->guess, a);
	auth_places_add(g->places, t->name, &t->facts->client);
}

void auth_guard_dropped(struct auth_guard *g, struct auth_guess_attempt *a)
{
	auth_guess_dropped(&g->guess, a);
}

uint64_t auth_guard_each(struct auth_guard *g,
	void (*each)(void *arg, const struct auth_guess_block *b), void *arg)
{
	return auth_guess_each(&g->guess, clock_monotonic_ms(), each, arg);
}

uint64_t auth_guard_clear(struct auth_guard *g, const struct str *name, const struct ipnet *network)
{
	return auth_guess_clear(&g->guess, name, network, clock_monotonic_ms());
}
