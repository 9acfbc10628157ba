// SPDX-License-Identifier: ISC
// The client rules of clients { } and of every rules file, merged.
#include "config/tables_build.h"

#include "base/memory.h"
#include "base/text.h"
#include "config/tcprules.h"

#include <stdio.h>

#define HOST_MAX 1024 // longer names are never asked for
#define UNKNOWN_MAX 100

struct rules {
	struct tables_source source;
	struct map merged;  // key: index + 1 in TABLES_RULES
	struct map seen;    // keys of this source
	struct map unknown; // variables that were named, of this source
	bool ident_told;
};

// ---- keys in maps

// A network and a name never look the same.
static struct str map_key(const struct tables_key *key, struct str name, struct buf *out)
{
	uint8_t network[TABLES_NETWORK_KEY];
	buf_clear(out);
	buf_add_char(out, key->family ? 'n' : 'h');
	if (key->family) {
		tables_network_key(key->family, key->prefix, key->octets, network);
		buf_add(out, network, sizeof network);
	} else {
		buf_add_str(out, name);
	}
	return buf_str(out);
}

static struct tables_key network_key(const struct ipnet *n)
{
	struct tables_key key = {.family = n->addr.family, .prefix = n->prefix};
	memcpy(key.octets, n->addr.octets, sizeof key.octets);
	return key;
}

// Adds the rule, or lets it take the place of one that does not deny as it does. name: of a rule by name.
static bool merge(struct rules *r, struct tables_rule *rule, struct str name)
{
	struct tables_builder *b = r->source.b;
	struct buf text = BUF_INIT;
	struct str key = map_key(&rule->key, name, &text);
	size_t count = buf_len(&b->parts[TABLES_RULES]) / sizeof *rule;
	bool good = true;
	if (!map_set(&r->seen, key, r)) { // of equal keys in one file the first counts
		struct tables_rule *all = (void *)b->parts[TABLES_RULES].data;
		uintptr_t other = (uintptr_t)map_get(&r->merged, key);
		if (!other) {
			map_set(&r->merged, key, (void *)(uintptr_t)(count + 1));
			rule->key.name = tables_add_text(b, name);
			good = count < TABLES_RULES_MAX && tables_add(b, TABLES_RULES, rule, sizeof *rule);
			if (count == TABLES_RULES_MAX)
				tables_tell(&r->source, 'E', rule->line,
					TEXT("more than %d rules"), TABLES_RULES_MAX);
		} else if (rule->action == CLIENT_DENY && all[other - 1].action != CLIENT_DENY) {
			rule->key.name = all[other - 1].key.name;
			all[other - 1] = *rule;
		}
	}
	buf_finish(&text);
	return good;
}

// ---- clients { }

static void add_client(struct rules *r, const struct config_client *client)
{
	struct tables_builder *b = r->source.b;
	struct tables_rule rule = {
		.key = network_key(&client->network),
		.action = client->action == CONFIG_CLIENT_DENY	  ? CLIENT_DENY
			  : client->action == CONFIG_CLIENT_RELAY ? CLIENT_RELAY
								  : CLIENT_ALLOW,
		.file = tables_add_file(b, client->file),
		.line = client->line,
		.name = tables_add_text(b, client->name),
		.text = tables_add_text(b, client->text),
		.senders = tables_add_text(b, client->senders),
	};
	merge(r, &rule, STR_EMPTY);
}

// ---- variables

static void set_number(struct rules *r, struct tables_rule *rule, unsigned flag, uint64_t *out,
	struct str name, struct str value)
{
	if (str_to_u64(value, out) == 0)
		rule->flags |= (uint8_t)flag;
	else
		tables_tell(&r->source, 'W', rule->line, TEXT("%.*s=\"%.*s\": expected a number; it is "
			"left out"), STR_ARG(name), STR_ARG(str_slice(value, 0, 100)));
}

static void unknown_variable(struct rules *r, const struct tables_rule *rule, struct str name)
{
	if (str_equal(name, STR("TCPREMOTEINFO")) || r->unknown.count == UNKNOWN_MAX)
		return;
	name = str_slice(name, 0, 64);
	if (!map_set(&r->unknown, name, r))
		tables_tell(&r->source, 'W', rule->line, TEXT("the variable %.*s means nothing here: "
			"known are RELAYCLIENT, DATABYTES, RBLSMTPD and MAXRCPT"), STR_ARG(name));
}

static void take_variable(
	struct rules *r, struct tables_rule *rule, struct str name, struct str value)
{
	struct tables_builder *b = r->source.b;
	if (str_equal(name, STR("RELAYCLIENT"))) {
		rule->action = CLIENT_RELAY;
		rule->relay_suffix = tables_add_text(b, value);
	} else if (str_equal(name, STR("RBLSMTPD"))) {
		rule->flags |= TABLES_RULE_RBLSMTPD;
		rule->rblsmtpd = tables_add_text(b, value);
	} else if (str_equal(name, STR("DATABYTES"))) {
		set_number(r, rule, TABLES_RULE_DATABYTES, &rule->databytes, name, value);
	} else if (str_equal(name, STR("MAXRCPT"))) {
		set_number(r, rule, TABLES_RULE_MAXRCPT, &rule->maxrcpt, name, value);
	} else {
		unknown_variable(r, rule, name);
	}
}

static void take_data(struct rules *r, struct tables_rule *rule, struct str data)
{
	struct str name, value;
	rule->action = tcprules_denies(data) ? CLIENT_DENY : CLIENT_ALLOW;
	while (rule->action != CLIENT_DENY && tcprules_next(&data, &name, &value))
		take_variable(r, rule, name, value);
}

// ---- what a rule must not do

static void check_relay(struct rules *r, const struct tables_rule *rule, struct str key)
{
	bool four = rule->key.family == 4;
	bool everybody = rule->key.family ? rule->key.prefix == 0 : key.len <= 1;
	if (everybody)
		tables_tell(&r->source, 'E', rule->line,
			TEXT("\"%.*s\" with RELAYCLIENT makes an open relay: expected your own networks"),
			STR_ARG(key));
	else if (rule->key.family && rule->key.prefix < (four ? 8 : 16))
		tables_tell(&r->source, 'W', rule->line,
			TEXT("relay for \"%.*s\": this is a large part of the Internet"), STR_ARG(key));
	else if (!rule->key.family && key.data[1] == '.' && str_find(str_skip(key, 2), '.') < 0)
		tables_tell(&r->source, 'W', rule->line,
			TEXT("relay for \"%.*s\": everybody with a name in that domain may relay"),
			STR_ARG(key));
}

// Never compared with anything: what was meant?
static void tell_never(struct rules *r, struct str key, unsigned line)
{
	bool digits = key.len && str_only(key, "0123456789.");
	key = str_slice(key, 0, 200);
	if (digits && key.data[key.len - 1] != '.')
		tables_tell(&r->source, 'W', line, TEXT("\"%.*s\" matches no address: expected four "
			"numbers without zeros in front, or fewer with a dot at the end"), STR_ARG(key));
	else
		tables_tell(&r->source, 'W', line, TEXT("\"%.*s\" matches no client: expected an "
			"address, a part of one with a dot at its end, \"=NAME\" or nothing"), STR_ARG(key));
}

static bool has_upper(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] >= 'A' && s.data[i] <= 'Z')
			return true;
	return false;
}

// False: there is no such rule.
static bool check_key(struct rules *r, enum tcprules_kind kind, struct str key, unsigned line)
{
	if (kind == TCPRULES_IDENT) {
		if (!r->ident_told)
			tables_tell(&r->source, 'W', line, TEXT("rules for the client's ident "
				"(\"USER@\") are not carried: nobody is asked for it"));
		r->ident_told = true;
		return false;
	}
	if (kind == TCPRULES_NEVER || key.len > HOST_MAX) {
		tell_never(r, key, line);
		return false;
	}
	if (kind == TCPRULES_NAME && has_upper(key))
		tables_tell(&r->source, 'W', line, TEXT("\"%.*s\" matches no client: names are compared "
			"in lower case"), STR_ARG(key));
	return true;
}

// ---- rules files

static bool on_record(void *arg, struct str key, struct str data, unsigned line)
{
	struct rules *r = arg;
	struct ipnet network;
	enum tcprules_kind kind = tcprules_key(key, &network);
	if (!check_key(r, kind, key, line))
		return !r->source.b->full;
	struct tables_rule rule = {.flags = TABLES_RULE_FOREIGN, .file = r->source.file, .line = line};
	if (kind == TCPRULES_NETWORK)
		rule.key = network_key(&network);
	rule.name = tables_add_text(r->source.b, key);
	take_data(r, &rule, data);
	if (rule.action == CLIENT_RELAY)
		check_relay(r, &rule, key);
	return merge(r, &rule, kind == TCPRULES_NAME ? key : STR_EMPTY) && !r->source.b->full;
}

static void on_tell(void *arg, char severity, unsigned line, const char *words)
{
	struct rules *r = arg;
	tables_tell(&r->source, severity, line, "%s", words);
}

static void end_source(struct rules *r)
{
	map_finish(&r->seen);
	map_finish(&r->unknown);
	r->ident_told = false;
}

static void add_file(struct rules *r, struct str path)
{
	struct tcprules_sink sink = {r, on_record, on_tell};
	struct buf content = BUF_INIT;
	r->source = (struct tables_source){.b = r->source.b, .path = path};
	if (tables_read(&r->source, CONFIG_TABLE_LIST, &content)) {
		if (!tables_is_cdb(path))
			tcprules_text(buf_str(&content), &sink);
		else if (tcprules_cdb(buf_str(&content), &sink) < 0)
			tables_tell(&r->source, 'E', 0, TEXT("this is no whole .cdb of tcprules"));
	}
	buf_finish(&content);
	end_source(r);
}

// ---- the hash table, and what is asked at all

static void index_rule(struct tables_builder *b, const struct tables_rule *rule, uint32_t number)
{
	const struct tables_key *key = &rule->key;
	struct tables_header *h = &b->header;
	uint8_t network[TABLES_NETWORK_KEY];
	struct str text = str_make(b->parts[TABLES_TEXT].data + key->name.at, key->name.len);
	if (key->family) {
		tables_network_key(key->family, key->prefix, key->octets, network);
		text = str_make(network, sizeof network);
		uint64_t bit = (uint64_t)1 << (key->prefix % 64);
		if (key->family == 4 && key->prefix < 32)
			h->prefixes4 |= bit;
		else if (key->family == 6 && key->prefix < 128)
			h->prefixes6[key->prefix / 64] |= bit;
	} else if (text.len > 1 && text.data[1] != '.') {
		h->host_rules++;
	} else if (text.len) {
		h->name_rules++;
	}
	tables_add_slot(b, TABLES_RULE_SLOTS, tables_hash_of(h, text.data, text.len), number);
}

void tables_build_rules(struct tables_builder *b)
{
	struct rules r = {.source = {.b = b}};
	const struct config *c = b->config;
	for (size_t i = 0; i < c->client_count; i++)
		add_client(&r, &c->clients[i]);
	end_source(&r);
	for (size_t i = 0; i < c->rules.count; i++)
		add_file(&r, c->rules.items[i]);
	map_finish(&r.merged);
	const struct tables_rule *all = (const void *)b->parts[TABLES_RULES].data;
	size_t count = buf_len(&b->parts[TABLES_RULES]) / sizeof *all;
	for (size_t i = 0; i < count && !b->full; i++)
		index_rule(b, &all[i], (uint32_t)i + 1);
}
