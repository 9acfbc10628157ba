// SPDX-License-Identifier: ISC
// The table of rules that are built in, and how a verdict is made from a row of it.
#ifndef PABAL_POLICY_INTERNAL_H
#define PABAL_POLICY_INTERNAL_H

#include "policy/limits.h"
#include "policy/policy.h"

enum policy_rule {
	POLICY_RULE_ALLOW,
	POLICY_RULE_CLIENT_DENIED,
	POLICY_RULE_CLIENT_DENIED_NOW,
	POLICY_RULE_CONNECTIONS_ADDRESS,
	POLICY_RULE_CONNECTIONS_NETWORK,
	POLICY_RULE_CONNECTIONS_ALL,
	POLICY_RULE_MINUTE_ADDRESS,
	POLICY_RULE_MINUTE_NETWORK,
	POLICY_RULE_MINUTE_ALL,
	POLICY_RULE_AUTH_NOT_OFFERED,
	POLICY_RULE_AUTH_NEEDS_TLS,
	POLICY_RULE_REQUIRE_TLS,
	POLICY_RULE_REQUIRE_AUTH,
	POLICY_RULE_MAX_MESSAGES,
	POLICY_RULE_MAX_SIZE,
	POLICY_RULE_ACCOUNT_DISABLED,
	POLICY_RULE_ACCOUNT_LOCKED,
	POLICY_RULE_ACCOUNT_EXPIRED,
	POLICY_RULE_ACCOUNT_REMOVED,
	POLICY_RULE_ACCOUNT_UNKNOWN,
	POLICY_RULE_ACCOUNT_NETWORKS,
	POLICY_RULE_ACCOUNT_SERVERS,
	POLICY_RULE_SUBMIT_DENIED,
	POLICY_RULE_SENDER_BAD,
	POLICY_RULE_SENDER_NOT_YOURS,
	POLICY_RULE_SENDER_DOMAIN,
	POLICY_RULE_SENDER_UNKNOWN,
	POLICY_RULE_NULL_SENDER,
	POLICY_RULE_STORE_FULL,
	POLICY_RULE_GUARD_SUSPENDED,
	POLICY_RULE_MAX_RECIPIENTS,
	POLICY_RULE_RBL_TEXT,
	POLICY_RULE_RBL_TEXT_FINAL,
	POLICY_RULE_MAX_LOCAL_SIZE,
	POLICY_RULE_RATE_DEFER,
	POLICY_RULE_RATE_REFUSE,
	POLICY_RULE_RATE_UNCERTAIN,
	POLICY_RULE_RECIPIENT_BAD,
	POLICY_RULE_POSTMASTER,
	POLICY_RULE_LITERAL_LOCAL,
	POLICY_RULE_HIDDEN_ROUTE,
	POLICY_RULE_RECIPIENT_LOCAL,
	POLICY_RULE_RECIPIENT_UNKNOWN,
	POLICY_RULE_RECIPIENT_UNCERTAIN,
	POLICY_RULE_MAILBOX_FULL,
	POLICY_RULE_MAILBOX_FULL_REFUSED,
	POLICY_RULE_RECIPIENT_NOWHERE,
	POLICY_RULE_RELAY_ACCOUNT,
	POLICY_RULE_RELAY_CLIENT,
	POLICY_RULE_RELAY_DOMAIN,
	POLICY_RULE_RELAY_DENIED,
	POLICY_RULE_ROUTE_REFUSED,
	POLICY_RULES
};

const char *policy_rule_name(enum policy_rule rule);
// Fills the whole verdict: kind, name and codes come from the table, the words from format
// (NULL: none are needed). The client reads "NAME: words", so that it can be looked up.
void policy_verdict_set(struct policy_verdict *v, enum policy_rule rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void policy_verdict_need(struct policy_verdict *v, unsigned need);
// A drop that says nothing to the client, as tcpserver does it; the log says why.
void policy_verdict_silence(struct policy_verdict *v);
// Names what beside the configuration decided, "group staff".
void policy_verdict_cite_words(struct policy_verdict *v, const char *what, struct str words);
// Names the entry of a list that decided, and its line where there is one.
void policy_verdict_cite_entry(struct policy_verdict *v, const char *what,
	const struct tables_place *place, struct str entry);
// Names the line of the configuration or of a rules file that decided. rule may be NULL.
void policy_verdict_cite(struct policy_verdict *v, const struct client_rule *rule);
// "clients pabal.conf:12", "rules tcp.smtp:3"; "" when nobody wrote it. Returns out.
const char *policy_client_where(const struct client_rule *rule, char out[POLICY_WHERE_MAX]);

// Names the limit that was reached, who says it, and how far it was passed.
void policy_verdict_cite_limit(struct policy_verdict *v, const struct policy_facts *f,
	enum config_limit_id id, uint64_t count);
// Is there room in the rates for one more? True when v was set: full, uncertain, or to be asked.
bool policy_rate_refused(const struct policy_facts *f, enum config_rate_what what, struct policy_verdict *v);

// A deny of the client's rule, with its words. client_rule must be set.
void policy_client_refused(const struct policy_facts *f, enum policy_rule rule,
	struct policy_verdict *v);
// "Must be under TLS" and "must have logged in", the same at MAIL and RCPT. True when v was set.
bool policy_session_refused(const struct policy_facts *f, struct policy_verdict *v);
// As whom it may not send. True when v was set. SENDER must be known where it is needed.
bool policy_sender_refused(const struct policy_facts *f, struct policy_verdict *v);
// What the account's state forbids. True when v was set. ACCOUNT must be known.
bool policy_account_refused(const struct policy_facts *f, struct policy_verdict *v);

#endif
