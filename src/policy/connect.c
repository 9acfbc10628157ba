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

void policy_client_refused(const struct policy_facts *f, enum policy_rule rule,
	struct policy_verdict *v)
{
	const struct client_rule *client = f->client_rule;

	if (client->text.len)
		policy_verdict_set(v, rule, "%.*s", STR_ARG(client->text));
	else
		policy_verdict_set(v, rule,
			TEXT("your address may not use this server; ask its postmaster"));
	policy_verdict_cite(v, client);
}

// A rule without words closes without one, as tcpserver does; the log has it.
static void deny(const struct policy_facts *f, struct policy_verdict *v)
{
	policy_client_refused(f, POLICY_RULE_CLIENT_DENIED, v);
	if (!f->client_rule->text.len)
		policy_verdict_silence(v);
}

void policy_connect(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct client_rule *rule = f->client_rule;

	if (rule && rule->action == CLIENT_DENY && !f->client_by_name) {
		deny(f, v);
		return;
	}
	if (!(f->known & POLICY_FACT_CONNECTIONS)) {
		policy_verdict_need(v, POLICY_FACT_CONNECTIONS);
		return;
	}
	check_counts(f, v);
	// Its name is asked for only when it may stay: that costs many questions.
	if (v->kind == POLICY_ALLOW && f->client_by_name)
		policy_verdict_need(v, POLICY_FACT_HOSTNAME);
}
