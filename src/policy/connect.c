// SPDX-License-Identifier: ISC
// Before the banner: clients that a rule denies, and how many connections there may be.
#include "policy/policy_internal.h"

#include "base/text.h"

#include <stdio.h>

// In the order in which they are looked at.
static const struct {
	enum config_limit_id id;
	enum policy_rule rule;
	size_t count;      // of facts
	const char *words; // TEXT_MARK; may have the limit in it
} counts[] = {
	{CONFIG_LIMIT_CONNECTIONS_ADDRESS, POLICY_RULE_CONNECTIONS_ADDRESS,
		offsetof(struct policy_facts, connections_address),
		TEXT_MARK("your address may have %llu connections open; close some or try later")},
	{CONFIG_LIMIT_CONNECTIONS_NETWORK, POLICY_RULE_CONNECTIONS_NETWORK,
		offsetof(struct policy_facts, connections_network),
		TEXT_MARK("your network may have %llu connections open; try later")},
	{CONFIG_LIMIT_CONNECTIONS, POLICY_RULE_CONNECTIONS_ALL,
		offsetof(struct policy_facts, connections_all),
		TEXT_MARK("too many connections to this server; try later")},
	{CONFIG_LIMIT_MINUTE_ADDRESS, POLICY_RULE_MINUTE_ADDRESS,
		offsetof(struct policy_facts, minute_address),
		TEXT_MARK("your address may begin %llu connections a minute; wait a minute")},
	{CONFIG_LIMIT_MINUTE_NETWORK, POLICY_RULE_MINUTE_NETWORK,
		offsetof(struct policy_facts, minute_network),
		TEXT_MARK("your network may begin %llu connections a minute; wait a minute")},
	{CONFIG_LIMIT_MINUTE_ALL, POLICY_RULE_MINUTE_ALL,
		offsetof(struct policy_facts, minute_all),
		TEXT_MARK("too many connections to this server in this minute; try later")},
};

static void check_counts(const struct policy_facts *f, struct policy_verdict *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint32_t count = *(const uint32_t *)((const char *)f + counts[i].count);
		uint64_t limit = policy_limit(f, counts[i].id);

		if (!limit || count <= limit)
			continue;
		char words[160];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(words, sizeof(words), TEXT(counts[i].words), (unsigned long long)limit);
#pragma GCC diagnostic pop
		policy_verdict_set(v, counts[i].rule, "%s", words);
		policy_verdict_cite_limit(v, f, counts[i].id, count);
		return;
	}
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
