// SPDX-License-Identifier: ISC
// The line of JSON behind each reply of a rehearsal: the verdict, the rule, and the facts that policy
// had. Its names are told in doc/manual/explain.md and stay.
#include "role/smtpd_internal.h"

#include "base/error.h"
#include "base/memory.h"
#include "policy/guard.h"
#include "policy/limits.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[] = {[POLICY_ALLOW] = "allow", [POLICY_HOLD] = "hold",
	[POLICY_DEFER] = "defer", [POLICY_REFUSE] = "refuse", [POLICY_DROP] = "drop",
	[POLICY_DISCARD] = "discard", [POLICY_NEED] = "defer"};

static void set(json_t *o, const char *key, json_t *value)
{
	if (!value || json_object_set_new(o, key, value))
		fatal("out of memory");
}

// What a client may send is any octets; what is no UTF-8 becomes "?".
static json_t *text_of(struct str s)
{
	json_t *text = str_is_utf8(s) ? json_stringn(s.len ? s.data : "", s.len) : NULL;
	if (text)
		return text;
	char *safe = str_dup(s);
	for (size_t i = 0; i < s.len; i++)
		if (safe[i] & 0x80)
			safe[i] = '?';
	text = json_string(safe);
	mem_free(safe);
	return text;
}

static json_t *number_of(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *address_of(const struct ipaddr *a)
{
	char text[IPADDR_TEXT_MAX];
	return json_string(a->family ? ipaddr_format(a, text) : "");
}

// ---- facts
static json_t *rule_of_client(const struct client_rule *rule)
{
	static const char *const actions[] = {[CLIENT_RELAY] = "relay", [CLIENT_DENY] = "deny",
		[CLIENT_ALLOW] = "allow"};
	struct buf where = BUF_INIT;
	if (!rule)
		return json_null();
	(void)buf_add_str(&where, rule->place.file);
	if (rule->place.line)
		(void)buf_add_format(&where, ":%u", rule->place.line);
	json_t *o = json_pack("{s:o, s:s, s:o}", "name", text_of(rule->name), "action",
		actions[rule->action], "where", text_of(buf_str(&where)));
	buf_finish(&where);
	return o;
}

static void add_client(json_t *o, const struct policy_facts *f)
{
	set(o, "server", text_of(f->server->name));
	set(o, "client", address_of(&f->client));
	set(o, "local", address_of(&f->local));
	set(o, "tls", json_boolean(f->tls));
	set(o, "require_auth", json_boolean(f->server->require_auth));
	set(o, "client_rule", rule_of_client(f->client_rule));
	if (f->known & POLICY_FACT_HOSTNAME)
		set(o, "client_name", text_of(f->client_name));
	if (f->known & POLICY_FACT_CONNECTIONS) {
		set(o, "connections", json_pack("{s:I, s:I, s:I}", "address",
			(json_int_t)f->connections_address, "network", (json_int_t)f->connections_network,
			"all", (json_int_t)f->connections_all));
		set(o, "connections_minute", json_pack("{s:I, s:I, s:I}", "address",
			(json_int_t)f->minute_address, "network", (json_int_t)f->minute_network, "all",
			(json_int_t)f->minute_all));
	}
}

static void add_account(json_t *o, const struct policy_facts *f)
{
	static const char *const states[] = {[POLICY_ACCOUNT_NONE] = "none",
		[POLICY_ACCOUNT_ENABLED] = "enabled", [POLICY_ACCOUNT_DISABLED] = "disabled",
		[POLICY_ACCOUNT_UNKNOWN] = "uncertain", [POLICY_ACCOUNT_LOCKED] = "locked",
		[POLICY_ACCOUNT_EXPIRED] = "expired"};
	set(o, "account", text_of(f->account));
	if (!f->account.len || !(f->known & POLICY_FACT_ACCOUNT))
		return;
	set(o, "account_state", json_string(states[f->account_state]));
	set(o, "may_submit", json_boolean(f->account_may_submit));
	set(o, "may_relay", json_boolean(f->account_may_relay));
	// Lines "WHO<tab>words"; "" : everywhere.
	set(o, "account_networks", text_of(f->account_networks));
	set(o, "account_servers", text_of(f->account_servers));
	set(o, "account_groups", text_of(f->account_groups));
}

static void add_sender(json_t *o, const struct policy_facts *f)
{
	if (!f->sender)
		return;
	set(o, "sender", text_of(str_from(f->sender->text)));
	set(o, "size", number_of(f->mail && f->mail->has_size ? f->mail->size : 0));
	set(o, "max_size", number_of(policy_limit(f, CONFIG_LIMIT_MESSAGE_SIZE)));
	if (f->known & POLICY_FACT_SPACE)
		set(o, "store_full", json_boolean(f->store_full));
	if (f->known & POLICY_FACT_GUARD)
		set(o, "guard", json_string(guard_action_name((enum guard_action)f->guard_action)));
}

static void add_domain(json_t *o, const struct policy_facts *f)
{
	const struct smtp_address *to = f->recipient;
	set(o, "recipient", text_of(str_from(to->text)));
	set(o, "local_domain", json_boolean(!to->literal && to->domain[0] &&
		config_is_local_domain(f->config, str_from(to->domain))));
}

static void add_mailbox(json_t *o, const struct policy_facts *f)
{
	static const char *const exists[] = {[POLICY_EXISTS_NO] = "no", [POLICY_EXISTS_YES] = "yes",
		[POLICY_EXISTS_UNKNOWN] = "uncertain", [POLICY_EXISTS_NOWHERE] = "nowhere"};
	set(o, "exists", json_string(exists[f->recipient_exists]));
	set(o, "mailbox_full", json_boolean(f->recipient_full));
	set(o, "mailbox_max_size", number_of(f->local_size));
	set(o, "mailbox_max_size_where", text_of(f->local_size ? f->local_size_where : STR_EMPTY));
}

static void add_recipient(json_t *o, const struct policy_facts *f)
{
	const struct smtp_address *to = f->recipient;
	const char *rule;
	if (!to)
		return;
	add_domain(o, f);
	set(o, "domain", text_of(str_from(to->domain)));
	set(o, "may_relay_here", json_boolean(policy_may_relay(f, &rule)));
	set(o, "relay_rule", json_string(rule));
	set(o, "recipients", number_of(f->recipients_so_far));
	set(o, "max_recipients", number_of(policy_limit(f, CONFIG_LIMIT_RECIPIENTS)));
	if (f->known & POLICY_FACT_RECIPIENT)
		add_mailbox(o, f);
}

// ---- what is in force, and who says so
static void add_limits(json_t *o, const struct policy_facts *f)
{
	char where[POLICY_WHERE_MAX];
	json_t *limits = json_object();
	for (unsigned i = 0; i < CONFIG_LIMITS; i++) {
		enum config_limit_id id = (enum config_limit_id)i;
		set(limits, config_limit_kinds[i].name, json_pack("{s:o, s:o}", "value",
			number_of(policy_limit(f, id)), "where",
			text_of(str_from(policy_limit_where(f, id, where)))));
	}
	set(o, "limits", limits);
}

static void add_rates(json_t *o, const struct policy_facts *f)
{
	char text[CONFIG_RATE_TEXT_MAX], where[POLICY_WHERE_MAX], key[POLICY_RATE_KEY_MAX];
	struct policy_limits limits;
	json_t *rates = json_array();
	policy_limits(f, &limits);
	for (unsigned i = 0; i < limits.rate_count; i++) {
		const struct policy_rate *r = &limits.rates[i];
		if (!policy_rate_key(f, r->rate, key))
			continue;
		json_t *one = json_pack("{s:o, s:o, s:s, s:s, s:o, s:s, s:o}", "text",
			text_of(str_from(config_rate_text(r->rate, text))), "key", text_of(str_from(key)),
			"what", config_rate_what_word(r->rate->what), "period",
			config_rate_period_word(r->rate->period), "most", number_of(r->rate->most),
			"action", config_rate_action_word(r->rate->action), "where",
			text_of(str_from(policy_rate_where(r, where))));
		if (!one || json_array_append_new(rates, one))
			fatal("out of memory");
	}
	set(o, "rates", rates);
}

static json_t *facts_of(const struct session_seen *seen)
{
	json_t *o = json_object();
	add_client(o, seen->facts);
	add_account(o, seen->facts);
	add_sender(o, seen->facts);
	add_recipient(o, seen->facts);
	if (strcmp(seen->step, "connect") && strcmp(seen->step, "mail"))
		return o;
	add_limits(o, seen->facts);
	add_rates(o, seen->facts);
	return o;
}

// ---- logging in is no command of a rehearsal, so what would be said to AUTH stands with hello.
static json_t *login_of(const struct policy_facts *f)
{
	struct policy_verdict v;
	policy_auth(f, &v);
	json_t *o = json_object();
	set(o, "kind", json_string(kinds[v.kind]));
	set(o, "rule", json_string(v.rule));
	set(o, "where", text_of(str_from(v.rule_text)));
	set(o, "code", json_integer(v.reply.code));
	set(o, "status", json_string(v.reply.enhanced));
	set(o, "text", text_of(str_from(v.reply.text)));
	return o;
}

static void say(struct connection *c, const struct session_seen *seen, json_t *facts)
{
	struct buf *out = session_output(c->session);
	json_t *o = json_object();
	set(o, "step", json_string(seen->step));
	set(o, "kind", json_string(kinds[seen->kind]));
	set(o, "rule", json_string(seen->rule));
	set(o, "where", text_of(str_from(seen->rule_text)));
	set(o, "code", json_integer(seen->reply->code));
	set(o, "status", json_string(seen->reply->enhanced));
	set(o, "text", text_of(str_from(seen->reply->text)));
	set(o, "delay_ms", json_integer(seen->delay_ms));
	set(o, "facts", facts);
	if (!strcmp(seen->step, "hello") && seen->facts->account.len)
		set(o, "login", login_of(seen->facts));
	char *text = json_dumps(o, JSON_COMPACT);
	if (!text)
		fatal("out of memory");
	if (!buf_add_text(out, text))
		(void)buf_add_text(out, "\r\n");
	free(text);
	json_decref(o);
}

void connection_explain(void *arg, const struct session_seen *seen)
{
	struct connection *c = arg;
	json_t *facts = facts_of(seen);
	set(facts, "port", json_integer(c->port));
	say(c, seen, facts);
}

void connection_explain_briefly(void *arg, const struct session_seen *seen)
{
	json_t *facts = json_object();
	if (seen->facts->recipient)
		add_domain(facts, seen->facts);
	say(arg, seen, facts);
}
