// SPDX-License-Identifier: ISC
// The limits that are in force for this session: when they are put together, and what is said when
// one is reached. What they are stands in policy/limits.h.
#include "session/session_internal.h"

#include "base/memory.h"

void session_find_limits(struct session *s)
{
	struct policy_limits *before = s->in_force;

	s->facts.limits = NULL;
	s->in_force = policy_limits_create(&s->facts);
	s->facts.limits = s->in_force;
	mem_free(before);
}

void session_forget_limits(struct session *s)
{
	s->facts.limits = NULL;
	mem_free(s->in_force);
	s->in_force = NULL;
}

uint64_t session_limit(const struct session *s, enum config_limit_id id)
{
	return policy_limit(&s->facts, id);
}

uint64_t session_age_limit(const struct session *s)
{
	return session_limit(s, CONFIG_LIMIT_SESSION_TIMEOUT);
}

// Of the replies that say that a limit was reached: which, and how far it was passed.
static bool limit_of(const struct session *s, enum reply reply, enum config_limit_id *id, uint64_t *count)
{
	switch (reply) {
	case REPLY_TOO_MANY_ERRORS:
		*id = CONFIG_LIMIT_ERRORS;
		*count = s->errors;
		return true;
	case REPLY_TOO_MANY_COMMANDS:
		*id = CONFIG_LIMIT_COMMANDS;
		*count = s->commands;
		return true;
	case REPLY_BODY_TOO_LARGE:
	case REPLY_BODY_ENDLESS:
		*id = CONFIG_LIMIT_MESSAGE_SIZE;
		*count = s->transaction ? body_wire(s->transaction->body) : 0;
		return true;
	case REPLY_TOO_OLD:
		*id = CONFIG_LIMIT_SESSION_TIMEOUT;
		*count = session_age_limit(s);
		return true;
	default:
		return false;
	}
}

void session_cause_limit(const struct session *s, enum config_limit_id id, uint64_t count,
	struct session_cause *c)
{
	c->where = policy_limit_where(&s->facts, id, c->text);
	c->count = count;
	c->limit = session_limit(s, id);
}

void session_cause_of(const struct session *s, enum reply reply, const char *rule, struct session_cause *c)
{
	enum config_limit_id id;
	uint64_t count;

	c->rule = rule;
	c->where = "";
	c->count = c->limit = 0;
	if (limit_of(s, reply, &id, &count))
		session_cause_limit(s, id, count, c);
}

void session_expired(struct session *s)
{
	session_end_in_time(s, REPLY_TOO_OLD);
}

// ---- mailboxes that take only so much

void session_note_local_size(struct session *s)
{
	struct transaction *t = s->transaction;
	const struct policy_facts *f = &s->facts;

	if (!f->local_size || t->local_size_free) {
		t->local_size_free = true;
		return;
	}
	if (f->local_size <= t->local_size)
		return;
	t->local_size = f->local_size;
	t->local_size_where = arena_str(&t->arena, f->local_size_where);
}

bool session_refuse_local_size(struct session *s)
{
	struct transaction *t = s->transaction;
	uint64_t size = body_size(t->body);
	struct policy_verdict v;

	if (!t->count || t->local_size_free || !t->local_size || size <= t->local_size)
		return false;
	policy_local_size_refused(t->local_size, t->local_size_where, size, &v);
	session_answer_verdict(s, &v);
	session_reset(s);
	return true;
}
