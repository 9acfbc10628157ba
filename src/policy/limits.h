// SPDX-License-Identifier: ISC
// What is in force for a session: of each limit the most specific value and who says it. Made once
// at connect, once when the account (or its groups) is known, and anew with new tables or a new
// configuration; never a recipient. The table of limits is config/limits.h.
#ifndef PABAL_POLICY_LIMITS_H
#define PABAL_POLICY_LIMITS_H

#include "config/limits.h"
#include "policy/policy.h"

struct policy_limits {
	uint64_t value[CONFIG_LIMITS];                // octets, milliseconds or a number; 0: none
	const struct config_limit *by[CONFIG_LIMITS]; // who says it; NULL: the default, or
	uint32_t by_client;                           // bits: the client's rule (DATABYTES, MAXRCPT)
	unsigned rate_count;
	struct policy_rate rates[CONFIG_RATES];       // in force, also those of an account nobody has yet
};

// Of facts: config, server (NULL: of no server), client (family 0: of no address), client_rule,
// account ("" : nobody) and account_groups. All that is pointed to belongs to the configuration.
void policy_limits(const struct policy_facts *f, struct policy_limits *out);
// The same, as large as it has to be; for mem_free.
struct policy_limits *policy_limits_create(const struct policy_facts *f);

// The value that f->limits has, or that policy_limits would have when that is NULL.
uint64_t policy_limit(const struct policy_facts *f, enum config_limit_id id);
#define POLICY_WHERE_MAX 160
// Who says it: "limit account kim@example.kr pabal.conf:12", "clients tcp.smtp:3", "default".
const char *policy_limit_where(const struct policy_facts *f, enum config_limit_id id,
	char out[POLICY_WHERE_MAX]);
const char *policy_rate_where(const struct policy_rate *r, char out[POLICY_WHERE_MAX]);

// ---- rates
#define POLICY_RATE_KEY_MAX 400
// Under which name it is counted: "account kim@example.kr recipients day". False: there is nobody
// whom it would count (no account).
bool policy_rate_key(const struct policy_facts *f, const struct config_rate *r,
	char out[POLICY_RATE_KEY_MAX]);
// Must queue be asked before the next message or recipient? (Not for those that only hold.)
bool policy_rate_asks(const struct policy_facts *f, enum config_rate_what what);

// ---- mailboxes
// The largest message that this mailbox takes, 0: any. groups: words of its account; out_where may
// be NULL.
uint64_t policy_local_size(const struct config *c, struct str account, struct str groups,
	char out_where[POLICY_WHERE_MAX]);
// A message of this size for mailboxes that take only most, as where says.
void policy_local_size_refused(uint64_t most, struct str where, uint64_t size, struct policy_verdict *v);

#endif
