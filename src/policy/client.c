// SPDX-License-Identifier: ISC
// What is said of a client by its address and its name, and what of a rule are limits.
#include "policy/policy_internal.h"

bool policy_client_rule(const struct policy_facts *f, struct client_rule *out, bool *out_by_name)
{
	bool known = f->known & POLICY_FACT_HOSTNAME;
	struct str unknown = {NULL, 0};
	struct str name = f->client_name.data ? f->client_name : STR_EMPTY;

	return config_client_rule(f->config, &f->client, known ? name : unknown, out, out_by_name);
}

uint64_t policy_max_message_size(const struct policy_facts *f)
{
	const struct client_rule *rule = f->client_rule;

	if (!rule || !rule->has_databytes)
		return f->server->max_message_size;
	return rule->databytes ? rule->databytes : POLICY_SIZE_MAX;
}

uint64_t policy_max_recipients(const struct policy_facts *f)
{
	const struct client_rule *rule = f->client_rule;

	return rule && rule->has_maxrcpt ? rule->maxrcpt : f->server->max_recipients;
}
