// SPDX-License-Identifier: ISC
// What the guard in queue does to accounts and clients: a few names, told by queue when they change,
// so that nobody is asked at each MAIL.
#include "role/smtpd_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "policy/guard.h"

#include <stdio.h>

#define GUARDED_MAX 10000 // beyond that queue holds what comes all the same

struct guarded {
	uint8_t action;
	uint32_t slow_ms;
};

void smtpd_guard_state(void *arg, struct str body, int fd)
{
	struct smtpd *s = arg;
	struct ipc_guard_state m;
	fd_close(&fd);
	if (ipc_decode_guard_state(body, &m) || m.action > GUARD_SUSPEND)
		return;
	mem_free(map_remove(&s->guarded, m.subject));
	if (m.action == GUARD_NONE || s->guarded.count >= GUARDED_MAX)
		return;
	struct guarded *g = mem_alloc(sizeof *g);
	*g = (struct guarded){.action = m.action, .slow_ms = m.slow_ms};
	map_set(&s->guarded, m.subject, g);
}

static void free_one(struct str key, void *value, void *arg)
{
	(void)key;
	(void)arg;
	mem_free(value);
}

void smtpd_guard_forget(struct smtpd *s)
{
	map_each(&s->guarded, free_one, NULL);
	map_finish(&s->guarded);
}

void connection_guard_fact(struct connection *c)
{
	struct policy_facts *f = c->facts;
	char subject[SMTP_ADDRESS_MAX + 16], address[IPADDR_TEXT_MAX];
	const struct guarded *g = NULL;
	int n = 0;
	if (c->smtpd->guarded.count) {
		n = f->account.len ? snprintf(subject, sizeof subject, "account %.*s", STR_ARG(f->account)) :
			snprintf(subject, sizeof subject, "client %s", ipaddr_format(&f->client, address));
		if (n > 0 && (size_t)n < sizeof subject)
			g = map_get(&c->smtpd->guarded, str_make(subject, (size_t)n));
	}
	f->guard_action = g ? g->action : GUARD_NONE;
	f->guard_slow_ms = g ? g->slow_ms : 0;
	f->known |= POLICY_FACT_GUARD;
}
