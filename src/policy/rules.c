// SPDX-License-Identifier: ISC
// Every rule that is built in, on one screen: its name, what it does and with which codes.
#include "policy/policy_internal.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

static const struct rule {
	const char *name;
	enum policy_kind kind;
	bool plain;           // the words are those of an RFC: clients look for them, no name in front
	unsigned code;
	const char *enhanced;
} rules[POLICY_RULES] = {
	[POLICY_RULE_ALLOW] = {"allow", POLICY_ALLOW},
	// connect
	[POLICY_RULE_CLIENT_DENIED] = {"client-denied", POLICY_DROP, false, 554, "5.7.1"},
	[POLICY_RULE_CLIENT_DENIED_NOW] = {"client-denied", POLICY_REFUSE, false, 550, "5.7.1"}, // since then
	[POLICY_RULE_CONNECTIONS_ADDRESS] = {"max-connections-address", POLICY_DROP, false, 421, "4.7.0"},
	[POLICY_RULE_CONNECTIONS_NETWORK] = {"max-connections-network", POLICY_DROP, false, 421, "4.7.0"},
	[POLICY_RULE_CONNECTIONS_ALL] = {"max-connections", POLICY_DROP, false, 421, "4.7.0"},
	[POLICY_RULE_MINUTE_ADDRESS] = {"max-connections-minute", POLICY_DROP, false, 421, "4.7.0"},
	[POLICY_RULE_MINUTE_NETWORK] = {"max-connections-minute-network", POLICY_DROP, false, 421, "4.7.0"},
	[POLICY_RULE_MINUTE_ALL] = {"max-connections-minute-all", POLICY_DROP, false, 421, "4.7.0"},
	// auth
	[POLICY_RULE_AUTH_NOT_OFFERED] = {"auth-not-offered", POLICY_REFUSE, false, 502, "5.5.1"},
	[POLICY_RULE_AUTH_NEEDS_TLS] = {"auth-needs-tls", POLICY_REFUSE, false, 538, "5.7.11"},
	// mail
	[POLICY_RULE_REQUIRE_TLS] = {"require-tls", POLICY_REFUSE, true, 530, "5.7.0"},   // RFC 3207 4
	[POLICY_RULE_REQUIRE_AUTH] = {"require-auth", POLICY_REFUSE, true, 530, "5.7.0"}, // RFC 4954 6
	[POLICY_RULE_MAX_MESSAGES] = {"max-messages", POLICY_DROP, false, 421, "4.7.0"},
	[POLICY_RULE_MAX_SIZE] = {"max-message-size", POLICY_REFUSE, false, 552, "5.3.4"},
	[POLICY_RULE_ACCOUNT_DISABLED] = {"account-disabled", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_ACCOUNT_LOCKED] = {"account-locked", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_ACCOUNT_EXPIRED] = {"account-expired", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_ACCOUNT_REMOVED] = {"account-removed", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_ACCOUNT_UNKNOWN] = {"account-uncertain", POLICY_DEFER, false, 451, "4.3.0"},
	[POLICY_RULE_ACCOUNT_NETWORKS] = {"account-from-networks", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_ACCOUNT_SERVERS] = {"account-servers", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_SUBMIT_DENIED] = {"submit-denied", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_SENDER_BAD] = {"sender-without-domain", POLICY_REFUSE, false, 553, "5.1.7"},
	[POLICY_RULE_GUARD_SUSPENDED] = {"guard-suspended", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_SENDER_NOT_YOURS] = {"sender-not-yours", POLICY_REFUSE, false, 553, "5.7.1"},
	[POLICY_RULE_SENDER_DOMAIN] = {"sender-domain", POLICY_REFUSE, false, 553, "5.7.1"},
	[POLICY_RULE_SENDER_UNKNOWN] = {"sender-uncertain", POLICY_DEFER, false, 451, "4.3.0"},
	[POLICY_RULE_NULL_SENDER] = {"null-sender", POLICY_REFUSE, false, 553, "5.7.1"},
	[POLICY_RULE_STORE_FULL] = {"store-full", POLICY_DEFER, false, 452, "4.3.1"},
	// rcpt
	[POLICY_RULE_MAX_RECIPIENTS] = {"max-recipients", POLICY_DEFER, false, 452, "4.5.3"},
	[POLICY_RULE_RBL_TEXT] = {"rbl-text", POLICY_DEFER, true, 451, "4.7.1"}, // the words of RBLSMTPD
	[POLICY_RULE_RBL_TEXT_FINAL] = {"rbl-text", POLICY_REFUSE, true, 553, "5.7.1"},
	[POLICY_RULE_MAX_LOCAL_SIZE] = {"max-local-size", POLICY_REFUSE, false, 552, "5.2.3"}, // RFC 3463 3.3
	[POLICY_RULE_RATE_DEFER] = {"rate", POLICY_DEFER, false, 451, "4.7.1"},
	[POLICY_RULE_RATE_REFUSE] = {"rate", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_RATE_UNCERTAIN] = {"rate-uncertain", POLICY_DEFER, false, 451, "4.3.0"},
	[POLICY_RULE_RECIPIENT_BAD] = {"recipient-empty", POLICY_REFUSE, false, 550, "5.1.3"},
	[POLICY_RULE_POSTMASTER] = {"postmaster", POLICY_ALLOW},
	[POLICY_RULE_LITERAL_LOCAL] = {"literal-local", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_HIDDEN_ROUTE] = {"hidden-route", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_RECIPIENT_LOCAL] = {"local-recipient", POLICY_ALLOW},
	[POLICY_RULE_RECIPIENT_UNKNOWN] = {"unknown-recipient", POLICY_REFUSE, false, 550, "5.1.1"},
	[POLICY_RULE_RECIPIENT_UNCERTAIN] = {"recipient-uncertain", POLICY_DEFER, false, 451, "4.3.0"},
	[POLICY_RULE_MAILBOX_FULL] = {"mailbox-full", POLICY_DEFER, false, 452, "4.2.2"},
	[POLICY_RULE_MAILBOX_FULL_REFUSED] = {"mailbox-full", POLICY_REFUSE, false, 552, "5.2.2"},
	[POLICY_RULE_RECIPIENT_NOWHERE] = {"recipient-nowhere", POLICY_REFUSE, false, 550, "5.4.6"},
	[POLICY_RULE_RELAY_ACCOUNT] = {"relay-account", POLICY_ALLOW},
	[POLICY_RULE_RELAY_CLIENT] = {"relay-client", POLICY_ALLOW},
	[POLICY_RULE_RELAY_DOMAIN] = {"relay-domain", POLICY_ALLOW},
	[POLICY_RULE_RELAY_DENIED] = {"relay-denied", POLICY_REFUSE, false, 550, "5.7.1"},
	[POLICY_RULE_ROUTE_REFUSED] = {"route-refused", POLICY_REFUSE, false, 550, "5.7.1"},
};

const char *policy_rule_name(enum policy_rule rule)
{
	return rules[rule].name;
}

void policy_verdict_set(struct policy_verdict *v, enum policy_rule rule, const char *format, ...)
{
	const struct rule *row = &rules[rule];
	char words[SMTP_REPLY_TEXT_MAX - 64];
	va_list args;

	*v = (struct policy_verdict){.kind = row->kind, .rule = row->name};
	if (!row->code)
		return;
	words[0] = '\0';
	if (format) {
		va_start(args, format);
		vsnprintf(words, sizeof(words), format, args);
		va_end(args);
	}
	smtp_reply_set(&v->reply, row->code, row->enhanced, "%s%s%s", row->plain ? "" : row->name,
		row->plain || !words[0] ? "" : ": ", words);
}

void policy_verdict_silence(struct policy_verdict *v)
{
	v->reply.code = 0;
	v->reply.enhanced[0] = '\0';
}

void policy_verdict_need(struct policy_verdict *v, unsigned need)
{
	*v = (struct policy_verdict){.kind = POLICY_NEED, .need = need, .rule = "need"};
}

void policy_verdict_cite_words(struct policy_verdict *v, const char *what, struct str words)
{
	snprintf(v->rule_text, sizeof(v->rule_text), "%s%.*s", what, STR_ARG(words));
}

void policy_verdict_cite_entry(struct policy_verdict *v, const char *what,
	const struct tables_place *place, struct str entry)
{
	if (place->line)
		snprintf(v->rule_text, sizeof(v->rule_text), "%s %.*s:%u", what, STR_ARG(place->file),
			place->line);
	else if (place->file.len)
		snprintf(v->rule_text, sizeof(v->rule_text), "%s %.*s, entry \"%.*s\"", what,
			STR_ARG(place->file), STR_ARG(entry));
	else
		snprintf(v->rule_text, sizeof(v->rule_text), "%s \"%.*s\"", what, STR_ARG(entry));
}

void policy_verdict_cite_limit(struct policy_verdict *v, const struct policy_facts *f,
	enum config_limit_id id, uint64_t count)
{
	_Static_assert(sizeof(v->rule_text) == POLICY_WHERE_MAX, "a place fits");
	(void)policy_limit_where(f, id, v->rule_text);
	v->count = count;
	v->limit = policy_limit(f, id);
}

const char *policy_client_where(const struct client_rule *rule, char out[POLICY_WHERE_MAX])
{
	const char *what = rule && rule->foreign ? "rules" : "clients";

	out[0] = '\0';
	if (rule && rule->place.line)
		snprintf(out, POLICY_WHERE_MAX, "%s %.*s:%u", what, STR_ARG(rule->place.file),
			rule->place.line);
	else if (rule && rule->place.file.len) // a .cdb has no lines
		snprintf(out, POLICY_WHERE_MAX, "%s %.*s, rule \"%.*s\"", what,
			STR_ARG(rule->place.file), STR_ARG(rule->name));
	return out;
}

void policy_verdict_cite(struct policy_verdict *v, const struct client_rule *rule)
{
	(void)policy_client_where(rule, v->rule_text);
}
