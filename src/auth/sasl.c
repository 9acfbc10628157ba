// SPDX-License-Identifier: ISC
// The library that is loaded, the threads its steps run on, and the way from a thread to the loop.
#include "auth/sasl.h"

#include "auth/module.h"
#include "auth/pool.h"
#include "base/memory.h"

// One a process, as the library is. library is set before there are threads.
static struct {
	const struct auth_sasl_library *library;
	struct auth_pool *pool;
	struct bridge *bridge;
	unsigned char secret[AUTH_SASL_SECRET];
} sasl;

struct bridge {
	uv_async_t wake;
	uv_mutex_t lock;   // over calls
	struct list calls; // struct auth_sasl_call
	struct list orphans; // struct auth_sasl_orphan; only of the loop
};

int auth_sasl_start(const struct auth_sasl_library *library,
	const struct auth_sasl_settings *settings, struct error *err)
{
	int result = library->start(settings, err);

	if (!result)
		sasl.library = library;
	return result;
}

int auth_sasl_load(const struct auth_sasl_settings *settings, struct error *err)
{
	const struct auth_sasl_library *library = auth_module_symbol("sasl", "auth_sasl_cyrus", err);

	return library ? auth_sasl_start(library, settings, err) : err->code;
}

bool auth_sasl_has(const char *mechanism)
{
	return sasl.library && sasl.library->has(mechanism);
}

// ---- from a thread to the loop
static void on_wake(uv_async_t *wake)
{
	struct bridge *b = wake->data;

	for (;;) {
		struct auth_sasl_call *c = NULL;
		uv_mutex_lock(&b->lock);
		if (!list_empty(&b->calls)) {
			c = LIST_ENTRY(b->calls.next, struct auth_sasl_call, link);
			list_remove(&c->link);
		}
		uv_mutex_unlock(&b->lock);
		if (!c)
			return;
		c->call(c);
	}
}

void auth_sasl_call_on_loop(struct auth_sasl_call *c)
{
	uv_mutex_lock(&sasl.bridge->lock);
	list_add_last(&sasl.bridge->calls, &c->link);
	uv_mutex_unlock(&sasl.bridge->lock);
	uv_async_send(&sasl.bridge->wake);
}

void auth_sasl_take_back(struct auth_sasl_call *c)
{
	uv_mutex_lock(&sasl.bridge->lock);
	list_remove(&c->link);
	uv_mutex_unlock(&sasl.bridge->lock);
}

void auth_sasl_leave(struct auth_sasl_orphan *o)
{
	list_add_last(&sasl.bridge->orphans, &o->link);
}

// ---- opening and closing
void auth_sasl_open(uv_loop_t *loop, unsigned threads, const unsigned char secret[AUTH_SASL_SECRET])
{
	struct bridge *b = mem_alloc(sizeof *b);

	BUG_ON(sasl.bridge);
	list_init(&b->calls);
	list_init(&b->orphans);
	if (uv_mutex_init(&b->lock) || uv_async_init(loop, &b->wake, on_wake))
		fatal("cannot make a way from threads to the loop");
	b->wake.data = b;
	sasl.bridge = b;
	memcpy(sasl.secret, secret, sizeof sasl.secret);
	sasl.pool = auth_pool_create(loop, threads, 0);
}

static void on_closed(uv_handle_t *handle)
{
	struct bridge *b = handle->data;

	uv_mutex_destroy(&b->lock);
	mem_free(b);
}

void auth_sasl_close(void)
{
	if (sasl.bridge) {
		auth_pool_destroy(sasl.pool);
		LIST_EACH(link, &sasl.bridge->orphans) {
			struct auth_sasl_orphan *o = LIST_ENTRY(link, struct auth_sasl_orphan, link);
			list_remove(link);
			o->free(o);
		}
		uv_close((uv_handle_t *)&sasl.bridge->wake, on_closed);
		mem_wipe(sasl.secret, sizeof sasl.secret);
	}
	sasl.pool = NULL;
	sasl.bridge = NULL;
}

struct auth_pool *auth_sasl_pool(void)
{
	return sasl.pool;
}

const struct auth_sasl_library *auth_sasl_library(void)
{
	return sasl.library;
}

const unsigned char *auth_sasl_secret(void)
{
	return sasl.secret;
}
