// SPDX-License-Identifier: ISC
// Which client rule an address gets: the one order of all rules (tables.h), asked of a hash table.
#include "config/tables_internal.h"

#define HOST_MAX 1024 // of a checked name; DNS has 255

void tables_network_key(uint8_t family, uint8_t prefix, const uint8_t octets[16],
	uint8_t out[TABLES_NETWORK_KEY])
{
	out[0] = family;
	out[1] = prefix;
	memcpy(out + 2, octets, 16);
}

// ---- one rule

static const struct tables_rule *rule_of(const struct tables *t, uint32_t number)
{
	const struct tables_rule *rules = tables_part_of(t, TABLES_RULES);
	return number && number <= t->header->parts[TABLES_RULES].count ? &rules[number - 1] : NULL;
}

static bool same_network(const struct tables *t, uint32_t number, const void *key)
{
	const struct tables_rule *r = rule_of(t, number);
	uint8_t own[TABLES_NETWORK_KEY];
	if (!r || !r->key.family)
		return false;
	tables_network_key(r->key.family, r->key.prefix, r->key.octets, own);
	return !memcmp(own, key, sizeof own);
}

static bool same_name(const struct tables *t, uint32_t number, const void *key)
{
	const struct tables_rule *r = rule_of(t, number);
	return r && !r->key.family &&
	       str_equal(tables_text_of(t, r->key.name), *(const struct str *)key);
}

static const struct tables_rule *find_network(
	const struct tables *t, const struct ipaddr *a, unsigned prefix)
{
	struct ipnet n = ipaddr_network(a, (uint8_t)prefix);
	uint8_t key[TABLES_NETWORK_KEY];
	tables_network_key(n.addr.family, n.prefix, n.addr.octets, key);
	struct tables_hash hash = tables_hash_of(t->header, key, sizeof key);
	return rule_of(t, tables_find(t, TABLES_RULE_SLOTS, hash, same_network, key));
}

static const struct tables_rule *find_name(const struct tables *t, struct str name)
{
	struct tables_hash hash = tables_hash_of(t->header, name.data, name.len);
	return rule_of(t, tables_find(t, TABLES_RULE_SLOTS, hash, same_name, &name));
}

// ---- the order

static const struct tables_rule *longest_network(const struct tables *t, const struct ipaddr *a)
{
	const struct tables_header *h = t->header;
	const struct tables_rule *r = NULL;
	for (unsigned word = a->family == 4 ? 1 : 2; word-- && !r;) {
		uint64_t left = a->family == 4 ? h->prefixes4 & 0xffffffff : h->prefixes6[word];
		while (left && !r) {
			unsigned bit = 63 - (unsigned)__builtin_clzll(left);
			left &= ~((uint64_t)1 << bit);
			r = find_network(t, a, word * 64 + bit);
		}
	}
	return r;
}

// "=" and the name from each of its dots on, at last "=" alone.
static const struct tables_rule *longest_suffix(const struct tables *t, char *equals, size_t len)
{
	const struct tables_rule *r = NULL;
	for (size_t i = 1; i <= len && !r; i++) {
		if (equals[i] != '.')
			continue;
		char kept = equals[i - 1];
		equals[i - 1] = '=';
		r = find_name(t, str_make(equals + i - 1, len - i + 2));
		equals[i - 1] = kept;
	}
	return r ? r : find_name(t, STR("="));
}

// equals: "=" and the name, len octets behind the "="; none when len is 0.
static const struct tables_rule *find_rule(
	const struct tables *t, const struct ipaddr *a, char *equals, size_t len)
{
	const struct tables_header *h = t->header;
	const struct tables_rule *r = find_network(t, a, a->family == 4 ? 32 : 128);
	if (!r && len && h->host_rules + h->name_rules)
		r = find_name(t, str_make(equals, len + 1));
	if (!r)
		r = longest_network(t, a);
	if (!r && len && h->name_rules)
		r = longest_suffix(t, equals, len);
	return r ? r : find_name(t, STR_EMPTY);
}

// Without the name the answer is r: could the name change it?
static bool needs_host(const struct tables *t, const struct tables_rule *r)
{
	bool by_address = r && r->key.family;
	bool exact = by_address && r->key.prefix == (r->key.family == 4 ? 32 : 128);
	return !exact && (t->header->host_rules || (!by_address && t->header->name_rules));
}

static void fill(const struct tables *t, const struct tables_rule *r, struct client_rule *out)
{
	*out = (struct client_rule){
		.action = r->action <= CLIENT_DENY ? (enum client_action)r->action : CLIENT_DENY,
		.foreign = r->flags & TABLES_RULE_FOREIGN,
		.text = tables_text_of(t, r->text),
		.relay_suffix = tables_text_of(t, r->relay_suffix),
		.has_databytes = r->flags & TABLES_RULE_DATABYTES,
		.databytes = r->databytes,
		.has_rblsmtpd = r->flags & TABLES_RULE_RBLSMTPD,
		.rblsmtpd = tables_text_of(t, r->rblsmtpd),
		.has_maxrcpt = r->flags & TABLES_RULE_MAXRCPT,
		.maxrcpt = r->maxrcpt,
		.senders = tables_text_of(t, r->senders),
		.name = tables_text_of(t, r->name),
		.place = tables_place_of(t, r->file, r->line),
	};
	bool network = (r->key.family == 4 && r->key.prefix <= 32) ||
		       (r->key.family == 6 && r->key.prefix <= 128);
	if (network) {
		out->network.addr.family = r->key.family;
		out->network.prefix = r->key.prefix;
		memcpy(out->network.addr.octets, r->key.octets, sizeof r->key.octets);
	}
}

bool tables_client_rule(const struct tables *t, const struct ipaddr *a, struct str host,
	struct client_rule *out, bool *out_needs_host)
{
	char equals[HOST_MAX + 2] = "=";
	size_t len = host.data && host.len <= HOST_MAX ? host.len : 0;
	if (len)
		memcpy(equals + 1, host.data, len);
	const struct tables_rule *r = find_rule(t, a, equals, len);
	*out_needs_host = !host.data && needs_host(t, r);
	if (r)
		fill(t, r, out);
	return r != NULL;
}

bool tables_client_at(const struct tables *t, size_t index, struct client_rule *out)
{
	const struct tables_rule *r =
		index < UINT32_MAX ? rule_of(t, (uint32_t)index + 1) : NULL;
	if (r)
		fill(t, r, out);
	return r != NULL;
}
