// SPDX-License-Identifier: ISC
// The table of limits and the questions about who says which. limit_types.c reads them,
// policy/limits.c puts together what is in force for a session.
#include "config/limits.h"

#include "base/text.h"
#include "config/config_internal.h"

#include <stdio.h>

const struct config_limit_kind config_limit_kinds[CONFIG_LIMITS] = {
#define KIND(id, name, unit, scopes, spelled, least, most, standard, none, rule, code, enhanced, help) \
	[CONFIG_LIMIT_##id] = {name, CONFIG_UNIT_##unit, CONFIG_SCOPES_##scopes, spelled, least, most, \
		standard, none, rule, code, enhanced, TEXT_MARK(help)},
	CONFIG_LIMIT_LIST(KIND)
#undef KIND
};

// ---- words

const char *config_scope_name(enum config_scope scope)
{
	static const char *const names[CONFIG_SCOPES] = {
		"everywhere", "server", "network", "domain", "group", "account"};
	return names[scope];
}

const char *config_rate_word(enum config_rate_subject s)
{
	static const char *const words[] = {"account", "client", "domain"};
	return words[s];
}

const char *config_rate_what_word(enum config_rate_what w)
{
	static const char *const words[] = {"messages", "recipients"};
	return words[w];
}

const char *config_rate_period_word(enum config_rate_period p)
{
	static const char *const words[] = {"minute", "hour", "day"};
	return words[p];
}

uint64_t config_rate_period_ms(enum config_rate_period p)
{
	static const uint64_t ms[] = {60000, 3600000, 86400000};
	return ms[p];
}

const char *config_rate_action_word(enum config_rate_action a)
{
	static const char *const words[] = {"defer", "refuse", "hold"};
	return words[a];
}

unsigned config_rate_index(const struct config_rate *r)
{
	return ((unsigned)r->subject * CONFIG_RATE_WHATS + (unsigned)r->what) * CONFIG_RATE_PERIODS +
	       (unsigned)r->period;
}

const char *config_rate_text(const struct config_rate *r, char out[CONFIG_RATE_TEXT_MAX])
{
	char most[24] = "none";
	if (r->most != CONFIG_LIMIT_NONE)
		snprintf(most, sizeof most, "%llu", (unsigned long long)r->most);
	snprintf(out, CONFIG_RATE_TEXT_MAX, "rate %s %s %s per %s", config_rate_word(r->subject),
		config_rate_what_word(r->what), most, config_rate_period_word(r->period));
	return out;
}

// ---- the label

// Makes scope, key and network out of it; the key lies in the label.
static int read_label(struct config_limit *l)
{
	struct str rest = l->label, scope;
	(void)str_split(&rest, ' ', &scope);
	l->key = rest.data ? rest : STR_EMPTY;
	l->network = (struct ipnet){.prefix = 0};
	for (unsigned s = 0; s < CONFIG_SCOPES; s++) {
		if (!str_equal(scope, str_from(config_scope_name((enum config_scope)s))))
			continue;
		l->scope = (enum config_scope)s;
		if (s == CONFIG_SCOPE_NETWORK && ipnet_parse(l->key, &l->network) < 0)
			return ERR_SYNTAX;
		return (s == CONFIG_SCOPE_EVERYWHERE) == (l->key.len == 0) ? 0 : ERR_SYNTAX;
	}
	return ERR_SYNTAX;
}

int config_limit_read_label(struct config_limit *l)
{
	return read_label(l);
}

// ---- order: by scope, then networks as client rules are, all others by key

int config_limit_compare(const struct config_limit *a, const struct config_limit *b)
{
	if (a->scope != b->scope)
		return (a->scope > b->scope) - (a->scope < b->scope);
	if (a->scope != CONFIG_SCOPE_NETWORK)
		return str_compare(a->key, b->key);
	if (a->network.addr.family != b->network.addr.family)
		return a->network.addr.family - b->network.addr.family;
	if (a->network.prefix != b->network.prefix)
		return b->network.prefix - a->network.prefix;
	return memcmp(a->network.addr.octets, b->network.addr.octets, sizeof a->network.addr.octets);
}

static bool same_length(const struct config_limit *a, const struct config_limit *b)
{
	return a->network.addr.family == b->network.addr.family && a->network.prefix == b->network.prefix;
}

static void index_network(struct config *c, size_t i)
{
	const struct config_limit *l = &c->limit_blocks[i];
	bool first = i == 0 || l[-1].scope != CONFIG_SCOPE_NETWORK || !same_length(l - 1, l);
	if (first)
		*(struct config_client_group *)config_array_add(&c->arena, &c->limit_groups,
			&c->limit_group_count, sizeof *c->limit_groups) =
			(struct config_client_group){l->network.addr.family, l->network.prefix, i, 0};
	c->limit_groups[c->limit_group_count - 1].count++;
}

static void note_values(struct config *c, const struct config_limit *l)
{
	for (unsigned id = 0; id < CONFIG_LIMITS; id++)
		if (l->value[id]) {
			c->limit_values |= 1u << id;
			if (l->value[id] > c->limit_most[id])
				c->limit_most[id] = l->value[id];
		}
	if (l->rate_count)
		c->limit_values |= 1u << CONFIG_LIMITS;
}

int config_limit_index(struct config *c)
{
	_Static_assert(CONFIG_LIMITS < 32, "limit_values has a bit for each, and one for rates");
	_Static_assert(CONFIG_LIMITS <= ARRAY_SIZE(c->limit_most), "a place for each");
	_Static_assert(CONFIG_SCOPES + 1 <= ARRAY_SIZE(c->limit_first), "a beginning for each scope");
	unsigned scope = 0;
	c->limit_groups = NULL;
	c->limit_group_count = 0;
	c->limit_values = 0;
	memset(c->limit_most, 0, sizeof c->limit_most);
	for (size_t i = 0; i < c->limit_block_count; i++) {
		struct config_limit *l = &c->limit_blocks[i];
		if (read_label(l) < 0 || (i && config_limit_compare(l - 1, l) > 0))
			return ERR_CORRUPT;
		while (scope <= l->scope)
			c->limit_first[scope++] = i;
		if (l->scope == CONFIG_SCOPE_NETWORK)
			index_network(c, i);
		note_values(c, l);
	}
	while (scope <= CONFIG_SCOPES)
		c->limit_first[scope++] = c->limit_block_count;
	for (size_t i = 0; i < c->limit_spelled_count; i++)
		if (read_label(&c->limit_spelled[i]) < 0)
			return ERR_CORRUPT;
	return 0;
}

// ---- questions

const struct config_limit *config_limit_find(const struct config *c, enum config_scope scope,
	struct str key)
{
	size_t low = c->limit_first[scope], end = c->limit_first[scope + 1], high = end;
	while (low < high) { // the first one that is not less
		size_t middle = low + (high - low) / 2;
		if (str_compare(c->limit_blocks[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < end && str_equal(c->limit_blocks[low].key, key) ? &c->limit_blocks[low] : NULL;
}

static const struct config_limit *find_network(const struct config *c,
	const struct config_client_group *g, const struct ipaddr *address)
{
	struct ipnet wanted = ipaddr_network(address, g->prefix);
	size_t low = g->first, high = g->first + g->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(c->limit_blocks[middle].network.addr.octets, wanted.addr.octets,
			sizeof wanted.addr.octets);
		if (order == 0)
			return &c->limit_blocks[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct config_limit *config_limit_next_network(const struct config *c,
	const struct ipaddr *address, size_t *state)
{
	while (*state < c->limit_group_count) {
		const struct config_client_group *g = &c->limit_groups[(*state)++];
		const struct config_limit *found =
			g->family == address->family ? find_network(c, g, address) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

bool config_limit_has_scope(const struct config *c, enum config_scope scope)
{
	return c->limit_first[scope] < c->limit_first[scope + 1];
}

bool config_limit_has_value(const struct config *c, enum config_limit_id id)
{
	return c->limit_values & 1u << id;
}

bool config_limit_has_rates(const struct config *c)
{
	return c->limit_values & 1u << CONFIG_LIMITS;
}

uint64_t config_limit_most(const struct config *c, enum config_limit_id id)
{
	return c->limit_most[id];
}
