// SPDX-License-Identifier: ISC
// Puts together who says what: everywhere, the server, the client's network, the account's domain,
// its groups, the account; each later one over the earlier, value by value.
#include "policy/limits.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/unit.h"
#include "policy/policy_internal.h"

#include <stdio.h>
#include <string.h>

// ---- what everybody has: the defaults, or what the configuration in memory says

static uint64_t base_value(const struct policy_facts *f, enum config_limit_id id)
{
	static const size_t of_server[CONFIG_LIMITS] = {
		[CONFIG_LIMIT_MESSAGE_SIZE] = offsetof(struct config_server, max_message_size),
		[CONFIG_LIMIT_RECIPIENTS] = offsetof(struct config_server, max_recipients),
		[CONFIG_LIMIT_MESSAGES] = offsetof(struct config_server, max_messages),
		[CONFIG_LIMIT_ERRORS] = offsetof(struct config_server, max_errors),
		[CONFIG_LIMIT_SESSION_TIMEOUT] = offsetof(struct config_server, session_timeout)};
	static const size_t of_all[CONFIG_LIMITS] = {
		[CONFIG_LIMIT_CONNECTIONS] = offsetof(struct config, limits.connections),
		[CONFIG_LIMIT_CONNECTIONS_ADDRESS] = offsetof(struct config, limits.connections_address),
		[CONFIG_LIMIT_CONNECTIONS_NETWORK] = offsetof(struct config, limits.connections_network),
		[CONFIG_LIMIT_HEADER_SIZE] = offsetof(struct config, limits.header_size)};
	uint64_t value = 0;

	if (of_server[id] && f->server)
		value = *(const uint64_t *)((const char *)f->server + of_server[id]);
	else if (of_all[id])
		value = *(const uint64_t *)((const char *)f->config + of_all[id]);
	return value ? value : config_limit_kinds[id].standard;
}

// ---- one that says something

static uint64_t in_force(uint64_t written)
{
	return written == CONFIG_LIMIT_NONE ? 0 : written;
}

static void set_rate(struct policy_limits *out, const struct config_rate *r, const struct config_limit *by)
{
	for (unsigned i = 0; i < out->rate_count; i++)
		if (config_rate_index(out->rates[i].rate) == config_rate_index(r)) {
			out->rates[i] = (struct policy_rate){r, by};
			return;
		}
	out->rates[out->rate_count++] = (struct policy_rate){r, by};
}

static void apply(struct policy_limits *out, const struct config_limit *l)
{
	for (unsigned id = 0; l && id < CONFIG_LIMITS; id++) {
		if (!l->value[id])
			continue;
		out->value[id] = in_force(l->value[id]);
		out->by[id] = l;
		out->by_client &= ~(1u << id);
	}
	for (size_t i = 0; l && i < l->rate_count; i++)
		set_rate(out, &l->rates[i], l);
}

// ---- several that are equals: the smallest counts. What none of them says is 0.

static void tighten(struct policy_limits *all, const struct config_limit *l)
{
	for (unsigned id = 0; id < CONFIG_LIMITS; id++)
		if (l->value[id] && (!all->by[id] || l->value[id] < all->by[id]->value[id]))
			all->by[id] = l;
	for (size_t i = 0; i < l->rate_count; i++) {
		bool larger = false;
		for (unsigned k = 0; k < all->rate_count; k++)
			larger = larger || (config_rate_index(all->rates[k].rate) ==
				config_rate_index(&l->rates[i]) && all->rates[k].rate->most <= l->rates[i].most);
		if (!larger)
			set_rate(all, &l->rates[i], l);
	}
}

static void apply_groups(struct policy_limits *out, const struct config *c, struct str groups)
{
	struct policy_limits all = {.rate_count = 0};
	struct str name;

	while (groups.len && str_split(&groups, ' ', &name)) {
		const struct config_limit *l = config_limit_find(c, CONFIG_SCOPE_GROUP, name);
		if (l)
			tighten(&all, l);
	}
	for (unsigned id = 0; id < CONFIG_LIMITS; id++)
		if (all.by[id]) {
			out->value[id] = in_force(all.by[id]->value[id]);
			out->by[id] = all.by[id];
			out->by_client &= ~(1u << id);
		}
	for (unsigned i = 0; i < all.rate_count; i++)
		set_rate(out, all.rates[i].rate, all.rates[i].by);
}

// ---- each scope

static void apply_spelled(struct policy_limits *out, const struct config *c, enum config_scope scope,
	struct str key)
{
	for (size_t i = 0; i < c->limit_spelled_count; i++)
		if (c->limit_spelled[i].scope == scope && str_equal(c->limit_spelled[i].key, key))
			apply(out, &c->limit_spelled[i]);
	apply(out, config_limit_find(c, scope, key));
}

// The shortest prefix first, so that the longest has the last word.
static void apply_networks(struct policy_limits *out, const struct config *c, const struct ipaddr *a)
{
	const struct config_limit *found[129], *l;
	size_t state = 0, count = 0;

	while (count < ARRAY_SIZE(found) && (l = config_limit_next_network(c, a, &state)))
		found[count++] = l;
	while (count)
		apply(out, found[--count]);
}

static void set_by_client(struct policy_limits *out, enum config_limit_id id, uint64_t value)
{
	out->value[id] = value ? value : config_limit_kinds[id].most;
	out->by[id] = NULL;
	out->by_client |= 1u << id;
}

// What a rule of tcp.smtp says of a client counts as its network's; `limit "network …"`, which is our
// own file, goes before it. 0 is no limit there; here nothing is without bounds.
static void apply_client_rule(struct policy_limits *out, const struct client_rule *r)
{
	if (r && r->has_databytes)
		set_by_client(out, CONFIG_LIMIT_MESSAGE_SIZE, r->databytes);
	if (r && r->has_maxrcpt)
		set_by_client(out, CONFIG_LIMIT_RECIPIENTS, r->maxrcpt);
}

static struct str domain_of(struct str account)
{
	ptrdiff_t at = str_find_last(account, '@');

	return at < 0 ? STR_EMPTY : str_skip(account, (size_t)at + 1);
}

static void apply_account(struct policy_limits *out, const struct config *c, struct str account,
	struct str groups)
{
	if (!account.len)
		return;
	apply(out, config_limit_find(c, CONFIG_SCOPE_DOMAIN, domain_of(account)));
	if (config_limit_has_scope(c, CONFIG_SCOPE_GROUP))
		apply_groups(out, c, groups);
	apply(out, config_limit_find(c, CONFIG_SCOPE_ACCOUNT, account));
}

// "none" has nobody to count any more.
static void drop_lifted(struct policy_limits *out)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < out->rate_count; i++)
		if (out->rates[i].rate->most != CONFIG_LIMIT_NONE)
			out->rates[kept++] = out->rates[i];
	out->rate_count = kept;
}

void policy_limits(const struct policy_facts *f, struct policy_limits *out)
{
	const struct config *c = f->config;

	out->by_client = 0;
	out->rate_count = 0;
	for (unsigned id = 0; id < CONFIG_LIMITS; id++) {
		out->value[id] = base_value(f, (enum config_limit_id)id);
		out->by[id] = NULL;
	}
	apply_spelled(out, c, CONFIG_SCOPE_EVERYWHERE, STR_EMPTY);
	if (f->server)
		apply_spelled(out, c, CONFIG_SCOPE_SERVER, f->server->name);
	apply_client_rule(out, f->client_rule);
	if (f->client.family && config_limit_has_scope(c, CONFIG_SCOPE_NETWORK))
		apply_networks(out, c, &f->client);
	apply_account(out, c, f->account, f->account_groups);
	drop_lifted(out);
}

struct policy_limits *policy_limits_create(const struct policy_facts *f)
{
	struct policy_limits all;
	size_t size;

	policy_limits(f, &all);
	size = offsetof(struct policy_limits, rates) + all.rate_count * sizeof(all.rates[0]);
	struct policy_limits *kept = mem_alloc(size);
	memcpy(kept, &all, size);
	return kept;
}

uint64_t policy_limit(const struct policy_facts *f, enum config_limit_id id)
{
	struct policy_limits all;

	if (f->limits)
		return f->limits->value[id];
	policy_limits(f, &all);
	return all.value[id];
}

// ---- words

static const char *where(const struct config_limit *by, uint32_t line, char out[POLICY_WHERE_MAX])
{
	snprintf(out, POLICY_WHERE_MAX, "limit %.*s%s%.*s:%u", STR_ARG(by->label),
		by->file.len ? " " : "", STR_ARG(by->file), line);
	return out;
}

const char *policy_limit_where(const struct policy_facts *f, enum config_limit_id id,
	char out[POLICY_WHERE_MAX])
{
	struct policy_limits all;
	const struct policy_limits *l = f->limits;

	if (!l) {
		policy_limits(f, &all);
		l = &all;
	}
	if (l->by[id])
		return where(l->by[id], l->by[id]->line[id], out);
	snprintf(out, POLICY_WHERE_MAX, "default");
	return l->by_client & 1u << id ? policy_client_where(f->client_rule, out) : out;
}

const char *policy_rate_where(const struct policy_rate *r, char out[POLICY_WHERE_MAX])
{
	return where(r->by, r->rate->line, out);
}

// ---- rates

// IPv6: one customer has a whole /64.
static const char *client_name(const struct ipaddr *a, char out[IPADDR_TEXT_MAX + 4])
{
	struct ipnet net = ipaddr_network(a, 64);
	char text[IPADDR_TEXT_MAX];

	if (a->family == 4)
		return ipaddr_format(a, out);
	snprintf(out, IPADDR_TEXT_MAX + 4, "%s/64", ipaddr_format(&net.addr, text));
	return out;
}

bool policy_rate_key(const struct policy_facts *f, const struct config_rate *r,
	char out[POLICY_RATE_KEY_MAX])
{
	char client[IPADDR_TEXT_MAX + 4];
	struct str who = f->account;
	int n;

	if (r->subject == CONFIG_RATE_CLIENT)
		who = f->client.family ? str_from(client_name(&f->client, client)) : STR_EMPTY;
	else if (r->subject == CONFIG_RATE_DOMAIN)
		who = domain_of(f->account);
	if (!who.len)
		return false;
	n = snprintf(out, POLICY_RATE_KEY_MAX, "%s %.*s %s %s", config_rate_word(r->subject),
		STR_ARG(who), config_rate_what_word(r->what), config_rate_period_word(r->period));
	return n > 0 && n < POLICY_RATE_KEY_MAX;
}

bool policy_rate_asks(const struct policy_facts *f, enum config_rate_what what)
{
	for (unsigned i = 0; f->limits && i < f->limits->rate_count; i++) {
		const struct config_rate *r = f->limits->rates[i].rate;
		if (r->what == what && r->action != CONFIG_RATE_HOLD &&
			(r->subject == CONFIG_RATE_CLIENT || f->account.len))
			return true;
	}
	return false;
}

// ---- mailboxes

uint64_t policy_local_size(const struct config *c, struct str account, struct str groups,
	char out_where[POLICY_WHERE_MAX])
{
	struct policy_facts f = {.config = c, .account = account, .account_groups = groups};

	if (!config_limit_has_value(c, CONFIG_LIMIT_LOCAL_SIZE))
		return 0;
	if (out_where)
		(void)policy_limit_where(&f, CONFIG_LIMIT_LOCAL_SIZE, out_where);
	return policy_limit(&f, CONFIG_LIMIT_LOCAL_SIZE);
}

void policy_local_size_refused(uint64_t most, struct str where_said, uint64_t size,
	struct policy_verdict *v)
{
	char text[2][UNIT_TEXT_MAX];

	policy_verdict_set(v, POLICY_RULE_MAX_LOCAL_SIZE,
		TEXT("the mailbox takes messages of up to %s, yours has %s; send it smaller"),
		unit_format_size_short(most, text[0]), unit_format_size_short(size, text[1]));
	policy_verdict_cite_words(v, "", where_said);
	v->count = size;
	v->limit = most;
}
