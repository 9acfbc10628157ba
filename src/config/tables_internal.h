// SPDX-License-Identifier: ISC
// How tables lie in their octets. They are made and used on one machine by one build: numbers are
// in its order, structs in its layout. What is referred to is checked where it is followed.
#ifndef PABAL_CONFIG_TABLES_INTERNAL_H
#define PABAL_CONFIG_TABLES_INTERNAL_H

#include "config/config.h"

#include "base/buf.h"

enum tables_part {
	TABLES_TEXT,	     // octets
	TABLES_FILES,	     // struct tables_text
	TABLES_RULES,	     // struct tables_rule
	TABLES_RULE_SLOTS,   // struct tables_slot
	TABLES_DOMAINS,	     // struct tables_domain_row with its name, each on a multiple of 4
	TABLES_DOMAIN_SLOTS, // struct tables_slot
	TABLES_ALIASES,	     // struct tables_alias_row
	TABLES_ALIAS_SLOTS,  // struct tables_slot
	TABLES_PARTS
};

struct tables_header {
	char magic[8];
	uint64_t size; // of all octets
	uint8_t hash_key[16];
	struct {
		uint64_t at, count; // from the first octet; of elements
	} parts[TABLES_PARTS];
	uint64_t domain_count;
	uint64_t prefixes4;    // bit N: there is a network /N; the addresses of hosts are not counted
	uint64_t prefixes6[2]; // the same, /0 to /127
	uint32_t host_rules;   // "=HOST"
	uint32_t name_rules;   // "=.SUFFIX" and "="
};

extern const size_t tables_element_sizes[TABLES_PARTS];

#define TABLES_MAGIC "PABALTB1"

// A place of a hash table (open addressing): an empty one has number 0.
struct tables_slot {
	uint32_t tag;	 // half of the hash
	uint32_t number; // of what is meant, from 1; of domains: offset / 4, from 1
};

struct tables_text {
	uint32_t at, len;
};

// The key of a rule: a network, or a name as tcprules has it ("=host", "=.suffix", "=", "").
struct tables_key {
	uint8_t family; // 4, 6; 0: by name
	uint8_t prefix;
	uint8_t octets[16];
	struct tables_text name;
};

enum { TABLES_RULE_FOREIGN = 1, TABLES_RULE_DATABYTES = 2, TABLES_RULE_RBLSMTPD = 4, TABLES_RULE_MAXRCPT = 8 };

struct tables_rule {
	struct tables_key key;
	uint8_t action; // enum client_action
	uint8_t flags;
	uint32_t file, line; // file: number, from 0
	struct tables_text name, text, relay_suffix, rblsmtpd, senders;
	uint64_t databytes, maxrcpt;
};

#define TABLES_NO_FILE UINT16_MAX // the configuration itself

enum { TABLES_DOMAIN_IS_LOCAL = 1, TABLES_DOMAIN_IS_RELAY = 2 };

struct tables_domain_row {
	uint32_t line;
	uint16_t file;
	uint8_t what;
	uint8_t len;
	char name[];
};

struct tables_alias_row {
	struct tables_text name, targets;
	uint32_t file, line;
};

struct tables {
	struct str octets;
	const struct tables_header *header;
};

// ---- the hash of a key: which slot, and the tag
struct tables_hash {
	uint32_t place, tag;
};
struct tables_hash tables_hash_of(const struct tables_header *h, const void *data, size_t len);
// What is hashed of a network.
#define TABLES_NETWORK_KEY 18
void tables_network_key(uint8_t family, uint8_t prefix, const uint8_t octets[16],
	uint8_t out[TABLES_NETWORK_KEY]);
// The slot where the search for a hash begins.
static inline size_t tables_first_slot(uint32_t place, size_t slots)
{
	return (size_t)(((uint64_t)place * slots) >> 32);
}

// "" when it is not inside.
struct str tables_text_of(const struct tables *t, struct tables_text text);
const void *tables_part_of(const struct tables *t, enum tables_part part);
struct tables_place tables_place_of(const struct tables *t, uint32_t file, uint32_t line);

// The number of the entry with that key, 0: none. same: is it number's?
typedef bool (*tables_same)(const struct tables *t, uint32_t number, const void *key);
uint32_t tables_find(const struct tables *t, enum tables_part slots, struct tables_hash hash,
	tables_same same, const void *key);

#endif
