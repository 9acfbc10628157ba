// SPDX-License-Identifier: ISC
// One question at a time: it is in no hurry.
#include "role/auth_sweep.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/memory.h"

#define YOUNG_MS (10 * 60 * 1000)

struct name {
	struct name *next;
	struct str text;
};

struct auth_sweep {
	struct arena arena;
	struct secrets *secrets;
	struct ipc_channel *queue;
	struct name *first, **last;
	uint64_t request;
};

static void add(void *arg, struct str name)
{
	struct auth_sweep *s = arg;
	struct secret secret;

	if (secrets_get(s->secrets, name, &secret) == 0 &&
		secret.changed_ms + YOUNG_MS < clock_wall_ms()) {
		struct name *n = arena_alloc(&s->arena, sizeof *n);
		n->text = arena_str(&s->arena, name);
		*s->last = n;
		s->last = &n->next;
	}
	mem_wipe(&secret, sizeof secret);
}

static bool ask(struct auth_sweep *s)
{
	if (!s->first)
		return false;
	struct ipc_account_query m = {.request = ++s->request, .name = s->first->text};
	return ipc_send_account_query(s->queue, &m) == 0;
}

struct auth_sweep *auth_sweep_start(struct secrets *secrets, struct ipc_channel *queue)
{
	struct auth_sweep *s = mem_alloc(sizeof *s);

	s->secrets = secrets;
	s->queue = queue;
	s->last = &s->first;
	s->request = AUTH_SWEEP_REQUEST;
	if (secrets_each(secrets, add, s) || !ask(s)) {
		auth_sweep_stop(s);
		return NULL;
	}
	return s;
}

bool auth_sweep_answer(struct auth_sweep *s, const struct ipc_account_answer *m)
{
	struct secret secret;

	if (m->request != s->request)
		return true; // of an earlier one
	// Set again while we asked: then it is not what we looked at.
	if (m->state == 0 && secrets_get(s->secrets, s->first->text, &secret) == 0 &&
		secret.changed_ms + YOUNG_MS < clock_wall_ms() &&
		secrets_remove(s->secrets, s->first->text) == 0)
		event_report(EVENT_INFO, "auth",
			"the password of %.*s was removed: there is no such account",
			STR_ARG(s->first->text));
	mem_wipe(&secret, sizeof secret);
	s->first = s->first->next;
	return ask(s);
}

void auth_sweep_stop(struct auth_sweep *s)
{
	if (!s)
		return;
	arena_finish(&s->arena);
	mem_free(s);
}
