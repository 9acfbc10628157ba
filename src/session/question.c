// SPDX-License-Identifier: ISC
// Asks policy and fetches the facts that it wants, all that are missing at once. A fact
// that was asked for and did not come makes the question end as temporary.
#include "session/session_internal.h"

#include "base/memory.h"
#include "base/text.h"

static const struct {
	void (*policy)(const struct policy_facts *f, struct policy_verdict *v);
	void (*decided)(struct session *s, const struct policy_verdict *v);
} questions[QUESTIONS] = {
	[QUESTION_CONNECT] = {policy_connect, session_decided_connect},
	[QUESTION_HELLO] = {policy_hello, session_decided_hello},
	[QUESTION_MAIL] = {policy_mail, session_decided_mail},
	[QUESTION_RCPT] = {policy_rcpt, session_decided_rcpt},
	[QUESTION_DATA] = {policy_data, session_decided_data},
	[QUESTION_BDAT] = {policy_data, session_decided_bdat},
	[QUESTION_BODY] = {policy_body, session_decided_body},
};

static void set_unavailable(struct session *s, struct policy_verdict *v)
{
	bool connect = s->question == QUESTION_CONNECT;
	const struct reply_text *text = reply_text(REPLY_UNAVAILABLE);

	*v = (struct policy_verdict){.kind = connect ? POLICY_DROP : POLICY_DEFER, .rule = text->rule};
	smtp_reply_set(&v->reply, connect ? 421 : text->code, text->enhanced, "%s",
		text_lookup(text->text));
}

static void carry_out(struct session *s, const struct policy_verdict *v)
{
	s->decided = v;
	questions[s->question].decided(s, v);
	s->decided = NULL;
}

static void step(struct session *s)
{
	struct policy_verdict v;
	unsigned missing;

	questions[s->question].policy(&s->facts, &v);
	if (v.kind == POLICY_NEED) {
		missing = v.need & ~s->asked;
		if (missing) {
			s->asked |= (uint8_t)missing;
			s->wait = SESSION_WAIT_FACTS;
			s->host->facts(s->arg, missing, &s->facts);
			return;
		}
		set_unavailable(s, &v);
	}
	if (v.delay_ms && !s->rehearsal) {
		s->verdict = mem_alloc(sizeof(v));
		*s->verdict = v;
		s->wait = SESSION_WAIT_DELAY;
		s->host->delay(s->arg, v.delay_ms);
		return;
	}
	carry_out(s, &v);
}

enum reply session_ask(struct session *s, enum question question)
{
	s->question = (uint8_t)question;
	s->asked = 0;
	step(s);
	return REPLY_NONE;
}

static void take_rates(struct session *s, const struct policy_facts *filled)
{
	s->facts.rate_full = filled->rate_full;
	s->facts.rate_count = filled->rate_count;
	s->facts.rate_left_ms = filled->rate_left_ms;
	s->facts.rate_uncertain = filled->rate_uncertain;
	if (!filled->rate_full.rate && !filled->rate_uncertain)
		s->transaction->reserved = true;
}

static void merge(struct session *s, unsigned known, const struct policy_facts *filled)
{
	struct policy_facts *own = &s->facts;

	if (known & POLICY_FACT_CONNECTIONS) {
		own->connections_address = filled->connections_address;
		own->connections_network = filled->connections_network;
		own->connections_all = filled->connections_all;
		own->minute_address = filled->minute_address;
		own->minute_network = filled->minute_network;
		own->minute_all = filled->minute_all;
	}
	if (known & POLICY_FACT_ACCOUNT) {
		own->account_state = filled->account_state;
		own->account_may_submit = filled->account_may_submit;
		own->account_may_relay = filled->account_may_relay;
		own->login_untrusted = filled->login_untrusted;
		session_set_limits(s, filled);
	}
	if (known & POLICY_FACT_RECIPIENT) {
		own->recipient_exists = filled->recipient_exists;
		own->recipient_full = filled->recipient_full;
		own->local_size = filled->local_size;
		own->local_size_where = filled->local_size ?
			arena_str(&s->transaction->arena, filled->local_size_where) : STR_EMPTY;
	}
	if (known & POLICY_FACT_RATE)
		take_rates(s, filled);
	if (known & POLICY_FACT_SENDER && s->transaction)
		own->owners = arena_str(&s->transaction->arena, filled->owners);
	if (known & POLICY_FACT_SPACE)
		own->store_full = filled->store_full;
	if (known & POLICY_FACT_GUARD) {
		own->guard_action = filled->guard_action;
		own->guard_slow_ms = filled->guard_slow_ms;
	}
	if (known & POLICY_FACT_HOSTNAME)
		session_set_client_name(s, filled->client_name);
	own->known |= known;
}

void session_facts(struct session *s, unsigned known, const struct policy_facts *filled)
{
	if (s->wait != SESSION_WAIT_FACTS)
		return;
	session_enter(s);
	s->wait = SESSION_WAIT_NONE;
	merge(s, known & s->asked, filled);
	step(s);
	session_leave(s);
}

void session_delayed(struct session *s)
{
	struct policy_verdict *v = s->verdict;

	if (s->wait != SESSION_WAIT_DELAY)
		return;
	session_enter(s);
	s->wait = SESSION_WAIT_NONE;
	s->verdict = NULL;
	carry_out(s, v);
	mem_free(v);
	session_leave(s);
}
