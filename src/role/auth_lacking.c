// SPDX-License-Identifier: ISC
#include "role/auth_lacking.h"

#include "base/arena.h"
#include "base/memory.h"
#include "role/auth_account.h"
#include "role/auth_admin.h"

enum { CANNOT_TELL = 3, ENABLED = 1 }; // states of ipc account_answer

struct name {
	struct name *next;
	struct str text;
};

struct auth_lacking {
	struct secrets *secrets;
	void (*known)(void *arg, bool any);
	void *arg;
	struct ipc_channel *queue; // NULL: does not look now
	bool again;
	struct arena arena; // of the names
	struct name *first, **last;
	uint64_t request;
};

struct auth_lacking *auth_lacking_create(
	struct secrets *secrets, void (*known)(void *arg, bool any), void *arg)
{
	struct auth_lacking *l = mem_alloc(sizeof *l);

	l->secrets = secrets;
	l->known = known;
	l->arg = arg;
	l->request = AUTH_LACKING_REQUEST;
	return l;
}

void auth_lacking_lost(struct auth_lacking *l)
{
	if (!l)
		return;
	l->queue = NULL;
	l->again = false;
	l->first = NULL;
	arena_finish(&l->arena);
}

void auth_lacking_destroy(struct auth_lacking *l)
{
	auth_lacking_lost(l);
	mem_free(l);
}

static void end(struct auth_lacking *l, bool any)
{
	struct ipc_channel *queue = l->again ? l->queue : NULL;

	auth_lacking_lost(l);
	l->known(l->arg, any);
	if (queue)
		auth_lacking_look(l, queue);
}

static void ask(struct auth_lacking *l)
{
	if (!l->first) {
		end(l, false);
		return;
	}
	struct ipc_account_query m = {.request = ++l->request, .name = l->first->text};
	if (ipc_send_account_query(l->queue, &m))
		auth_lacking_lost(l); // who owns the channel will hear of it
}

static void add(void *arg, struct str name)
{
	struct auth_lacking *l = arg;
	struct name *n = arena_alloc(&l->arena, sizeof *n);

	n->text = arena_str(&l->arena, name);
	*l->last = n;
	l->last = &n->next;
}

void auth_lacking_look(struct auth_lacking *l, struct ipc_channel *queue)
{
	uint64_t count = 0;

	if (!l || !queue)
		return;
	if (l->queue) {
		l->again = true;
		return;
	}
	if (secrets_without_scram(l->secrets, NULL, NULL, &count))
		return;
	if (count > AUTH_LACKING_MAX) {
		l->known(l->arg, true);
		return;
	}
	l->queue = queue;
	l->last = &l->first;
	if (count && secrets_without_scram(l->secrets, add, l, &count))
		auth_lacking_lost(l);
	else
		ask(l);
}

void auth_lacking_answer(struct auth_lacking *l, const struct ipc_account_answer *m)
{
	if (!l || !l->queue || m->request != l->request)
		return; // of an earlier look
	if (m->state == ENABLED || m->state == CANNOT_TELL) {
		end(l, true);
		return;
	}
	l->first = l->first->next;
	ask(l);
}

// ---- for `pabal check`
struct listing {
	struct control_call *call;
	unsigned rows;
};

static void give(void *arg, struct str name)
{
	struct listing *l = arg;
	json_t *text = json_stringn(name.data, name.len);

	if (text && l->rows++ < AUTH_LACKING_MAX)
		control_row(l->call, json_pack("{s:o}", "name", text));
	else
		json_decref(text);
}

void auth_lacking_list(struct control_call *call, const json_t *arguments, void *arg)
{
	const struct auth_admin *admin = arg;
	struct listing l = {.call = call};
	uint64_t count = 0;
	int err = secrets_without_scram(admin->secrets, give, &l, &count);

	(void)arguments;
	if (err)
		auth_admin_fail(call, err);
	else
		control_done(call, json_pack("{s:I}", "count", (json_int_t)count));
}
