// SPDX-License-Identifier: ISC
// What the rules say of the client, kept by the session: tables may be replaced under it at any
// time, so it holds copies. Looked up when the client comes, when its name is known, and at the
// first MAIL after the tables have changed.
#include "session/session_internal.h"

#include "base/memory.h"

struct session_client {
	struct client_rule rule;
	char octets[];
};

static struct session_client *copy_rule(const struct client_rule *from)
{
	struct str *strings[] = {NULL, NULL, NULL, NULL, NULL, NULL};
	size_t len = from->text.len + from->relay_suffix.len + from->rblsmtpd.len +
		from->senders.len + from->name.len + from->place.file.len;
	struct session_client *c = mem_alloc(sizeof(*c) + len);
	char *at = c->octets;

	c->rule = *from;
	strings[0] = &c->rule.text;
	strings[1] = &c->rule.relay_suffix;
	strings[2] = &c->rule.rblsmtpd;
	strings[3] = &c->rule.senders;
	strings[4] = &c->rule.name;
	strings[5] = &c->rule.place.file;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		if (strings[i]->len)
			memcpy(at, strings[i]->data, strings[i]->len);
		*strings[i] = str_make(at, strings[i]->len);
		at += strings[i]->len;
	}
	return c;
}

void session_look_up_client(struct session *s)
{
	struct session_client *before = s->client;
	struct client_rule rule;
	bool found = policy_client_rule(&s->facts, &rule, &s->facts.client_by_name);

	s->tables = s->facts.config->tables_generation;
	s->client = found ? copy_rule(&rule) : NULL;
	s->facts.client_rule = found ? &s->client->rule : NULL;
	mem_free(before);
	if (!s->limits_stale)
		session_find_limits(s);
}

void session_renew_client(struct session *s)
{
	if (s->tables != s->facts.config->tables_generation)
		session_look_up_client(s);
}

void session_set_client_name(struct session *s, struct str name)
{
	mem_free(s->client_name);
	s->client_name = name.len ? str_dup(name) : NULL;
	s->facts.client_name = str_from(s->client_name);
	s->facts.known |= POLICY_FACT_HOSTNAME;
	session_look_up_client(s);
}

void session_forget_client(struct session *s)
{
	s->facts.client_rule = NULL;
	s->facts.client_name = STR_EMPTY;
	mem_free(s->client);
	mem_free(s->client_name);
	s->client = NULL;
	s->client_name = NULL;
}
