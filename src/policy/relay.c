// SPDX-License-Identifier: ISC
// The one place that says who may send to domains that are not ours.
#include "policy/policy_internal.h"

bool policy_may_relay(const struct policy_facts *f, const char **out_rule)
{
	*out_rule = policy_rule_name(POLICY_RULE_RELAY_DENIED);
	if (f->account.len && (f->known & POLICY_FACT_ACCOUNT) &&
		f->account_state == POLICY_ACCOUNT_ENABLED && f->account_may_submit &&
		f->account_may_relay) {
		*out_rule = policy_rule_name(POLICY_RULE_RELAY_ACCOUNT);
		return true;
	}
	// `require auth` beats any right by address: such a server never relays for a network.
	if (f->server->require_auth)
		return false;
	if (f->client_rule && f->client_rule->action == CLIENT_RELAY) {
		*out_rule = policy_rule_name(POLICY_RULE_RELAY_CLIENT);
		return true;
	}
	return false;
}
