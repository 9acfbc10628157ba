// SPDX-License-Identifier: ISC
#include "auth/source/connections.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct auth_connections {
	pthread_mutex_t lock;
	pthread_cond_t given;
	void (*close)(void *connection);
	size_t most, out, kept;
	void *idle[];
};

struct auth_connections *auth_connections_create(uint64_t most, void (*close)(void *connection))
{
	size_t count = most ? (size_t)most : 1;
	struct auth_connections *c = mem_alloc(sizeof *c + count * sizeof *c->idle);
	pthread_condattr_t monotonic;

	c->most = count;
	c->close = close;
	if (pthread_condattr_init(&monotonic) ||
		pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) ||
		pthread_cond_init(&c->given, &monotonic) || pthread_mutex_init(&c->lock, NULL))
		fatal("cannot make a lock");
	pthread_condattr_destroy(&monotonic);
	return c;
}

void auth_connections_destroy(struct auth_connections *c)
{
	if (!c)
		return;
	auth_connections_forget(c);
	pthread_cond_destroy(&c->given);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

bool auth_connections_take(struct auth_connections *c, uint64_t deadline, void **out)
{
	struct timespec until = {(time_t)(deadline / 1000), (long)(deadline % 1000) * 1000000};
	bool taken;

	*out = NULL;
	pthread_mutex_lock(&c->lock);
	while (c->out == c->most)
		if (pthread_cond_timedwait(&c->given, &c->lock, &until) == ETIMEDOUT)
			break;
	taken = c->out < c->most;
	if (taken) {
		c->out++;
		if (c->kept)
			*out = c->idle[--c->kept];
	}
	pthread_mutex_unlock(&c->lock);
	return taken;
}

void auth_connections_give(struct auth_connections *c, void *connection)
{
	pthread_mutex_lock(&c->lock);
	BUG_ON(!c->out || c->kept == c->most);
	c->out--;
	if (connection)
		c->idle[c->kept++] = connection;
	pthread_cond_signal(&c->given);
	pthread_mutex_unlock(&c->lock);
}

void auth_connections_forget(struct auth_connections *c)
{
	for (;;) {
		void *connection = NULL;

		pthread_mutex_lock(&c->lock);
		if (c->kept)
			connection = c->idle[--c->kept];
		pthread_mutex_unlock(&c->lock);
		if (!connection)
			return;
		c->close(connection); // may take its time: outside the lock
	}
}
