// SPDX-License-Identifier: ISC
// Before the banner: clients that a rule denies, and how many connections there may be.
#include "policy/policy_internal.h"

#include "base/text.h"

#include <inttypes.h>

static bool over(uint64_t count, uint64_t limit)
{
	return limit && count > limit;
}

static void check_counts(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct config *c = f->config;

	if (over(f->connections_address, c->limits.connections_address))
		policy_verdict_set(v, POLICY_RULE_CONNECTIONS_ADDRESS,
			TEXT("your address may have %" PRIu64 " connections open; close some or try later"),
			c->limits.connections_address);
	else if (over(f->connections_network, c->limits.connections_network))
		policy_verdict_set(v, POLICY_RULE_CONNECTIONS_NETWORK,
			TEXT("your network may have %" PRIu64 " connections open; try later"),
			c->limits.connections_network);
	else if (over(f->connections_all, c->limits.connections))
		policy_verdict_set(v, POLICY_RULE_CONNECTIONS_ALL,
			TEXT("too many connections to this server; try later"));
	else
		policy_verdict_set(v, POLICY_RULE_ALLOW, NULL);
}

void policy_connect(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct client_rule *rule = f->client_rule;

	if (rule && rule->action == CLIENT_DENY) {
		if (rule->text.len) {
			policy_verdict_set(v, POLICY_RULE_CLIENT_DENIED, "%.*s", STR_ARG(rule->text));
		} else {
			policy_verdict_set(v, POLICY_RULE_CLIENT_DENIED,
				TEXT("a rule without a text denies this address: closed without a word"));
			policy_verdict_silence(v);
		}
		policy_verdict_cite(v, rule);
		return;
	}
	if (!(f->known & POLICY_FACT_CONNECTIONS)) {
		policy_verdict_need(v, POLICY_FACT_CONNECTIONS);
		return;
	}
	check_counts(f, v);
}
