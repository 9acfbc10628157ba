// SPDX-License-Identifier: ISC
// Who may log in where, and what a login is worth now.
#include "policy/policy_internal.h"

#include "base/text.h"

void policy_auth(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct config_server *server = f->server;

	if (!server->require_auth && !server->offer_auth)
		policy_verdict_set(v, POLICY_RULE_AUTH_NOT_OFFERED,
			TEXT("nobody logs in on this port; use the submission port"));
	else if (server->require_tls && !f->tls)
		policy_verdict_set(v, POLICY_RULE_REQUIRE_TLS,
			TEXT("Must issue a STARTTLS command first"));
	else if (!f->tls && !server->auth_without_tls)
		policy_verdict_set(v, POLICY_RULE_AUTH_NEEDS_TLS,
			TEXT("passwords are taken under TLS only; issue STARTTLS first"));
	else
		policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}

bool policy_session_refused(const struct policy_facts *f, struct policy_verdict *v)
{
	if (f->server->require_tls && !f->tls) {
		policy_verdict_set(v, POLICY_RULE_REQUIRE_TLS,
			TEXT("Must issue a STARTTLS command first"));
		return true;
	}
	if (f->server->require_auth && !f->account.len) {
		policy_verdict_set(v, POLICY_RULE_REQUIRE_AUTH, TEXT("Authentication required"));
		return true;
	}
	return false;
}

bool policy_account_refused(const struct policy_facts *f, struct policy_verdict *v)
{
	if (!f->account.len)
		return false;
	switch (f->account_state) {
	case POLICY_ACCOUNT_ENABLED:
		if (f->account_may_submit)
			return false;
		policy_verdict_set(v, POLICY_RULE_SUBMIT_DENIED,
			TEXT("this account has no right to send; ask the administrator"));
		return true;
	case POLICY_ACCOUNT_DISABLED:
		policy_verdict_set(v, POLICY_RULE_ACCOUNT_DISABLED,
			TEXT("this account is disabled; ask the administrator"));
		return true;
	case POLICY_ACCOUNT_NONE:
		policy_verdict_set(v, POLICY_RULE_ACCOUNT_REMOVED,
			TEXT("this account is not there any more; ask the administrator"));
		return true;
	case POLICY_ACCOUNT_UNKNOWN:
		break;
	}
	policy_verdict_set(v, POLICY_RULE_ACCOUNT_UNKNOWN,
		TEXT("the state of this account cannot be looked up now; try again"));
	return true;
}
