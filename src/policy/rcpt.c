// SPDX-License-Identifier: ISC
// Is this recipient taken? Ours and existing, or elsewhere with the right to relay.
// The address was reduced to its real domain by smtp/address.c; a local part is never
// read as a route.
#include "policy/policy_internal.h"

#include "base/text.h"

#include <inttypes.h>

static bool is_role(const char *local, bool with_abuse)
{
	struct str s = str_from(local);

	return str_equal_nocase(s, STR("postmaster")) ||
		(with_abuse && str_equal_nocase(s, STR("abuse")));
}

// 0.0.0.0 and :: connect to this host.
static bool is_unspecified(const struct ipaddr *ip)
{
	static const struct ipaddr zero;

	return !memcmp(ip->octets, zero.octets, ip->family == 4 ? 4 : 16);
}

// An address literal that is this host: our end of the connection, one we listen on, loopback.
static bool is_own_address(const struct policy_facts *f, const struct ipaddr *ip)
{
	if (ipaddr_is_loopback(ip) || is_unspecified(ip) ||
		(f->local.family && ipaddr_equal(&f->local, ip)))
		return true;
	for (size_t i = 0; i < f->config->server_count; i++) {
		const struct config_server *server = &f->config->servers[i];
		for (size_t j = 0; j < server->listen_count; j++) {
			const struct ipaddr *own = &server->listens[j].address;
			if (own->family && ipaddr_equal(own, ip))
				return true;
		}
	}
	return false;
}

// The port of the first server on which one can log in; 0 when there is none.
static unsigned login_port(const struct config *c)
{
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].require_auth && c->servers[i].listen_count)
			return c->servers[i].listens[0].port;
	return 0;
}

// The words of qmail-smtpd, which scripts and people of such a site look for.
static void deny_as_qmail(struct policy_verdict *v)
{
	policy_verdict_set(v, POLICY_RULE_RELAY_DENIED, NULL);
	smtp_reply_set(&v->reply, 553, "", // no words of ours: they are not translated
		"sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)");
}

static void deny_relay(const struct policy_facts *f, struct policy_verdict *v)
{
	const char *domain = f->recipient->domain;
	unsigned port = login_port(f->config);

	if (f->server->qmail_words)
		deny_as_qmail(v);
	else if (f->account.len && f->login_untrusted)
		policy_verdict_set(v, POLICY_RULE_RELAY_DENIED,
			TEXT("%s is not a domain of this server and the way you logged in gives no right "
			     "to send to other hosts (trust-mechanisms); log in with another mechanism"),
			domain);
	else if (f->account.len)
		policy_verdict_set(v, POLICY_RULE_RELAY_DENIED,
			TEXT("%s is not a domain of this server and your account has no right to send "
			     "to other hosts; ask the administrator"), domain);
	else if (f->server->offer_auth || f->server->require_auth)
		policy_verdict_set(v, POLICY_RULE_RELAY_DENIED,
			TEXT("%s is not a domain of this server; log in to send mail to other hosts"),
			domain);
	else if (port)
		policy_verdict_set(v, POLICY_RULE_RELAY_DENIED,
			TEXT("%s is not a domain of this server; log in on port %u to send mail to other "
			     "hosts"), domain, port);
	else
		policy_verdict_set(v, POLICY_RULE_RELAY_DENIED,
			TEXT("%s is not a domain of this server and your address has no right to relay"),
			domain);
}

// `route "example.org" { refuse "text" }`: said here, so that no report has to be sent later.
static bool route_refuses(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct config_route *route = config_route_for(f->config, str_from(f->recipient->domain));

	if (!route || route->kind != CONFIG_ROUTE_REFUSE)
		return false;
	policy_verdict_set(v, POLICY_RULE_ROUTE_REFUSED, "%.*s", STR_ARG(route->text));
	return true;
}

// A local part that another server could read as a route: it is taken as it stands from who has the
// right to relay, and from nobody else. True when v was set.
static bool hides_route(const struct policy_facts *f, struct policy_verdict *v)
{
	struct str hidden;
	const char *rule;

	if (!smtp_address_hidden_domain(f->recipient, &hidden) || policy_may_relay(f, &rule))
		return false;
	policy_verdict_set(v, POLICY_RULE_HIDDEN_ROUTE,
		TEXT("the part before the last @ names another destination (%.*s); write the "
		     "recipient's own address"), STR_ARG(hidden));
	return true;
}

// One of relay-domains: taken from everybody, whoever exists there.
static bool decide_relay_domain(const struct policy_facts *f, struct policy_verdict *v)
{
	struct tables_place place;
	struct str entry;

	if (f->recipient->literal || config_domain(f->config, str_from(f->recipient->domain), &place,
		&entry) != TABLES_DOMAIN_RELAY)
		return false;
	if (hides_route(f, v) || route_refuses(f, v))
		return true;
	policy_verdict_set(v, POLICY_RULE_RELAY_DOMAIN, NULL);
	policy_verdict_cite_entry(v, "relay-domains", &place, entry);
	return true;
}

static void decide_remote(const struct policy_facts *f, struct policy_verdict *v)
{
	const char *rule;

	if (decide_relay_domain(f, v))
		return;
	if (!policy_may_relay(f, &rule)) {
		deny_relay(f, v);
		return;
	}
	if (route_refuses(f, v))
		return;
	if (rule == policy_rule_name(POLICY_RULE_RELAY_ACCOUNT)) {
		policy_verdict_set(v, POLICY_RULE_RELAY_ACCOUNT, NULL);
		return;
	}
	policy_verdict_set(v, POLICY_RULE_RELAY_CLIENT, NULL);
	policy_verdict_cite(v, f->client_rule);
}

// Its mailbox was counted lately, or now, and has no room.
static void decide_room(const struct policy_facts *f, struct policy_verdict *v)
{
	if (!f->recipient_full)
		policy_verdict_set(v, POLICY_RULE_RECIPIENT_LOCAL, NULL);
	else if (f->config->deliver.quota_refuse)
		policy_verdict_set(v, POLICY_RULE_MAILBOX_FULL_REFUSED,
			TEXT("the mailbox of %s has no room for this message; its owner has to make "
			     "some"), f->recipient->text);
	else
		policy_verdict_set(v, POLICY_RULE_MAILBOX_FULL,
			TEXT("the mailbox of %s has no room for this message now; try again later"),
			f->recipient->text);
}

// The mailbox takes no message of the size that was declared. What was not declared is seen at the end
// of the body.
static bool too_large(const struct policy_facts *f, struct policy_verdict *v)
{
	if (!f->local_size || !f->mail || !f->mail->has_size || f->mail->size <= f->local_size)
		return false;
	policy_local_size_refused(f->local_size, f->local_size_where, f->mail->size, v);
	return true;
}

static void decide_existence(const struct policy_facts *f, struct policy_verdict *v)
{
	if (!(f->known & POLICY_FACT_RECIPIENT)) {
		policy_verdict_need(v, POLICY_FACT_RECIPIENT);
		return;
	}
	switch (f->recipient_exists) {
	case POLICY_EXISTS_YES:
		if (!too_large(f, v))
			decide_room(f, v);
		return;
	case POLICY_EXISTS_NO:
		policy_verdict_set(v, POLICY_RULE_RECIPIENT_UNKNOWN,
			TEXT("there is no %s here; check the spelling"), f->recipient->text);
		return;
	case POLICY_EXISTS_NOWHERE:
		policy_verdict_set(v, POLICY_RULE_RECIPIENT_NOWHERE,
			TEXT("%s is an alias that leads to itself, or to nobody; its postmaster must mend it"),
			f->recipient->text);
		return;
	case POLICY_EXISTS_UNKNOWN:
		break;
	}
	policy_verdict_set(v, POLICY_RULE_RECIPIENT_UNCERTAIN,
		TEXT("the recipient cannot be looked up now; try again"));
}

static void decide_local(const struct policy_facts *f, struct policy_verdict *v)
{
	if (is_role(f->recipient->local, true))
		policy_verdict_set(v, POLICY_RULE_POSTMASTER, NULL);
	else if (!hides_route(f, v)) // with the right to relay it must exist as it stands
		decide_existence(f, v);
}

// Addresses that need no look at a domain. True when v was set.
static bool decide_special(const struct policy_facts *f, struct policy_verdict *v)
{
	const struct smtp_address *to = f->recipient;

	if (!to || to->null) {
		policy_verdict_set(v, POLICY_RULE_RECIPIENT_BAD, TEXT("a recipient is needed"));
		return true;
	}
	if (to->postmaster || (to->literal && is_own_address(f, &to->ip) && is_role(to->local, false))) {
		policy_verdict_set(v, POLICY_RULE_POSTMASTER, NULL);
		return true;
	}
	if (to->literal && is_own_address(f, &to->ip)) {
		policy_verdict_set(v, POLICY_RULE_LITERAL_LOCAL,
			TEXT("only postmaster is reached by the address of this host; use a domain"));
		return true;
	}
	return false;
}

// RBLSMTPD of the client's rule, as rblsmtpd answers: the words alone, which end with the session
// when a '-' stands before them. Who has logged in is known by another name than his address.
static bool client_is_listed(const struct policy_facts *f, struct policy_verdict *v)
{
	struct str words = f->client_rule ? f->client_rule->rblsmtpd : STR_EMPTY;
	bool final = str_starts(words, STR("-"));

	if (!words.len || f->account.len)
		return false;
	policy_verdict_set(v, final ? POLICY_RULE_RBL_TEXT_FINAL : POLICY_RULE_RBL_TEXT, "%.*s",
		STR_ARG(str_skip(words, final)));
	policy_verdict_cite(v, f->client_rule);
	return true;
}

static void decide(const struct policy_facts *f, struct policy_verdict *v)
{
	uint64_t most = policy_limit(f, CONFIG_LIMIT_RECIPIENTS);
	bool local;

	if (policy_session_refused(f, v) || client_is_listed(f, v))
		return;
	if (most && f->recipients_so_far >= most) {
		policy_verdict_set(v, POLICY_RULE_MAX_RECIPIENTS,
			TEXT("a message may have %" PRIu64 " recipients; send the rest in another one"),
			most);
		policy_verdict_cite_limit(v, f, CONFIG_LIMIT_RECIPIENTS, f->recipients_so_far + 1);
		return;
	}
	if (f->account.len && !(f->known & POLICY_FACT_ACCOUNT)) {
		policy_verdict_need(v, POLICY_FACT_ACCOUNT);
		return;
	}
	if (policy_account_refused(f, v))
		return;
	if (decide_special(f, v)) {
		v->local = v->kind == POLICY_ALLOW;
		return;
	}
	local = !f->recipient->literal &&
		config_is_local_domain(f->config, str_from(f->recipient->domain));
	if (local)
		decide_local(f, v);
	else
		decide_remote(f, v);
	v->local = local;
}

// Rates come last: what is asked of them is reserved.
void policy_rcpt(const struct policy_facts *f, struct policy_verdict *v)
{
	struct policy_verdict rate;

	decide(f, v);
	if ((v->kind == POLICY_ALLOW || v->kind == POLICY_HOLD) &&
		policy_rate_refused(f, CONFIG_RATE_RECIPIENTS, &rate))
		*v = rate;
}
