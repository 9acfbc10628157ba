// SPDX-License-Identifier: ISC
// May this session begin a message with this sender?
#include "policy/policy_internal.h"

#include "base/text.h"
#include "policy/guard.h"

#include <inttypes.h>

// What can be said without asking anybody. True when v was set.
static bool limit_passed(const struct policy_facts *f, struct policy_verdict *v)
{
	uint64_t messages = policy_limit(f, CONFIG_LIMIT_MESSAGES);
	uint64_t size = policy_limit(f, CONFIG_LIMIT_MESSAGE_SIZE);

	if (messages && f->messages_so_far >= messages) {
		policy_verdict_set(v, POLICY_RULE_MAX_MESSAGES,
			TEXT("a connection may carry %" PRIu64 " messages; open a new one"), messages);
		policy_verdict_cite_limit(v, f, CONFIG_LIMIT_MESSAGES, f->messages_so_far + 1);
		return true;
	}
	if (f->mail && f->mail->has_size && size && f->mail->size > size) {
		policy_verdict_set(v, POLICY_RULE_MAX_SIZE,
			TEXT("a message may have %" PRIu64 " octets, yours has %" PRIu64), size,
			f->mail->size);
		policy_verdict_cite_limit(v, f, CONFIG_LIMIT_MESSAGE_SIZE, f->mail->size);
		return true;
	}
	return false;
}

// What the guard does to who sends. True when v was set.
static bool is_suspended(const struct policy_facts *f, struct policy_verdict *v)
{
	char address[IPADDR_TEXT_MAX];

	if (f->guard_action != GUARD_SUSPEND)
		return false;
	if (f->account.len)
		policy_verdict_set(v, POLICY_RULE_GUARD_SUSPENDED,
			TEXT("account %.*s sent unusual mail and was stopped; change its password and ask "
			     "the administrator"), STR_ARG(f->account));
	else
		policy_verdict_set(v, POLICY_RULE_GUARD_SUSPENDED,
			TEXT("%s sent unusual mail and was stopped; ask the administrator"),
			ipaddr_format(&f->client, address));
	return true;
}

bool policy_is_guarded(const struct policy_facts *f)
{
	return f->account.len || (!f->server->require_auth && f->client_rule &&
		f->client_rule->action == CLIENT_RELAY);
}

// The rules may have changed since the client came: a right that was taken away is gone from the
// next message on. True when v was set.
static bool client_refused(const struct policy_facts *f, struct policy_verdict *v)
{
	if (f->client_by_name) {
		policy_verdict_need(v, POLICY_FACT_HOSTNAME);
		return true;
	}
	if (!f->client_rule || f->client_rule->action != CLIENT_DENY)
		return false;
	policy_client_refused(f, POLICY_RULE_CLIENT_DENIED_NOW, v);
	return true;
}

// Limits of an account are known when its groups are.
static bool limits_known(const struct policy_facts *f)
{
	return !f->account.len || f->known & POLICY_FACT_ACCOUNT;
}

void policy_hello(const struct policy_facts *f, struct policy_verdict *v)
{
	if (f->account.len && !(f->known & POLICY_FACT_ACCOUNT) &&
		config_limit_has_scope(f->config, CONFIG_SCOPE_GROUP))
		policy_verdict_need(v, POLICY_FACT_ACCOUNT);
	else
		policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}

void policy_mail(const struct policy_facts *f, struct policy_verdict *v)
{
	unsigned need;

	if (policy_session_refused(f, v) || client_refused(f, v) ||
		(limits_known(f) && limit_passed(f, v)))
		return;
	if (f->sender && f->sender->postmaster) { // RFC 5321 4.1.2: without domain only at RCPT
		policy_verdict_set(v, POLICY_RULE_SENDER_BAD,
			TEXT("the sender needs a domain, as in postmaster@example.org"));
		return;
	}
	need = (POLICY_FACT_SPACE | (f->account.len ? POLICY_FACT_ACCOUNT : 0u) |
		(policy_is_guarded(f) ? POLICY_FACT_GUARD : 0u)) & ~f->known;
	if (f->account.len && f->server->senders != CONFIG_SENDERS_ANY)
		need |= POLICY_FACT_SENDER & ~f->known;
	if (need) {
		policy_verdict_need(v, need);
		return;
	}
	if (is_suspended(f, v) || policy_account_refused(f, v) || policy_sender_refused(f, v))
		return;
	if (f->store_full)
		policy_verdict_set(v, POLICY_RULE_STORE_FULL,
			TEXT("this server is short of disk space and takes no mail now; try again later"));
	else if (!policy_rate_refused(f, CONFIG_RATE_MESSAGES, v)) // last: what is asked for is reserved
		policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
	if (v->kind == POLICY_ALLOW && f->guard_action == GUARD_SLOW)
		v->delay_ms = f->guard_slow_ms;
}

void policy_data(const struct policy_facts *f, struct policy_verdict *v)
{
	if (policy_session_refused(f, v))
		return;
	policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}
