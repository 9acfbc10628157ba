// SPDX-License-Identifier: ISC
// Who may log in where, and what a login is worth now.
#include "policy/policy_internal.h"

#include "base/netlist.h"
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

static bool has_word(struct str words, struct str word)
{
	struct str one;

	while (words.len && str_split(&words, ' ', &one))
		if (str_equal(one, word))
			return true;
	return false;
}

static bool fits_network(const struct policy_facts *f, struct str words)
{
	return netlist_has(words, &f->client);
}

static bool fits_server(const struct policy_facts *f, struct str words)
{
	return has_word(words, f->server->name);
}

// Who (of the lines) forbids it; false when each line fits.
static bool is_limited(const struct policy_facts *f, struct str lines,
	bool (*fits)(const struct policy_facts *f, struct str words), struct str *who)
{
	struct str line;

	while (lines.len && str_split(&lines, '\n', &line)) {
		ptrdiff_t tab = str_find(line, '\t');
		size_t at = tab < 0 ? line.len : (size_t)tab;

		*who = str_slice(line, 0, at);
		if (!fits(f, str_skip(line, at + (tab >= 0))))
			return true;
	}
	return false;
}

// Where the account may be used. True when v was set.
static bool place_refused(const struct policy_facts *f, struct policy_verdict *v)
{
	char address[IPADDR_TEXT_MAX];
	struct str who;

	if (is_limited(f, f->account_networks, fits_network, &who))
		policy_verdict_set(v, POLICY_RULE_ACCOUNT_NETWORKS,
			TEXT("account %.*s may not send from %s; ask the administrator"),
			STR_ARG(f->account), ipaddr_format(&f->client, address));
	else if (is_limited(f, f->account_servers, fits_server, &who))
		policy_verdict_set(v, POLICY_RULE_ACCOUNT_SERVERS,
			TEXT("account %.*s may not send through this port (server %.*s); ask the "
			     "administrator"),
			STR_ARG(f->account), STR_ARG(f->server->name));
	else
		return false;
	policy_verdict_cite_words(v, "", who);
	return true;
}

// The words of each state in which it must not be used.
static const struct {
	enum policy_rule rule;
	const char *words; // TEXT_MARK
} states[] = {
	[POLICY_ACCOUNT_NONE] = {POLICY_RULE_ACCOUNT_REMOVED,
		TEXT_MARK("this account is not there any more; ask the administrator")},
	[POLICY_ACCOUNT_ENABLED] = {POLICY_RULE_SUBMIT_DENIED,
		TEXT_MARK("this account has no right to send; ask the administrator")},
	[POLICY_ACCOUNT_DISABLED] = {POLICY_RULE_ACCOUNT_DISABLED,
		TEXT_MARK("this account is disabled; ask the administrator")},
	[POLICY_ACCOUNT_UNKNOWN] = {POLICY_RULE_ACCOUNT_UNKNOWN,
		TEXT_MARK("the state of this account cannot be looked up now; try again")},
	[POLICY_ACCOUNT_LOCKED] = {POLICY_RULE_ACCOUNT_LOCKED,
		TEXT_MARK("this account is locked; ask the administrator")},
	[POLICY_ACCOUNT_EXPIRED] = {POLICY_RULE_ACCOUNT_EXPIRED,
		TEXT_MARK("this account has expired; ask the administrator")},
};

bool policy_account_refused(const struct policy_facts *f, struct policy_verdict *v)
{
	size_t state = f->account_state;

	if (!f->account.len)
		return false;
	if (state == POLICY_ACCOUNT_ENABLED && f->account_may_submit)
		return place_refused(f, v);
	if (state >= ARRAY_SIZE(states))
		state = POLICY_ACCOUNT_UNKNOWN;
	policy_verdict_set(v, states[state].rule, "%s", TEXT(states[state].words));
	if (state == POLICY_ACCOUNT_LOCKED && f->account_reason.len)
		policy_verdict_cite_words(v, "lock: ", f->account_reason);
	return true;
}
