// SPDX-License-Identifier: ISC
// What is said of a client by its address and its name.
#include "policy/policy_internal.h"

bool policy_client_rule(const struct policy_facts *f, struct client_rule *out, bool *out_by_name)
{
	bool known = f->known & POLICY_FACT_HOSTNAME;
	struct str unknown = {NULL, 0};
	struct str name = f->client_name.data ? f->client_name : STR_EMPTY;

	return config_client_rule(f->config, &f->client, known ? name : unknown, out, out_by_name);
}
