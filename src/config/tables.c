// SPDX-License-Identifier: ISC
// Opening tables and looking up domains and aliases in them.
#include "config/tables_internal.h"

#include "base/domain.h"
#include "base/map.h"
#include "base/memory.h"

const size_t tables_element_sizes[TABLES_PARTS] = {
	[TABLES_TEXT] = 1,
	[TABLES_FILES] = sizeof(struct tables_text),
	[TABLES_RULES] = sizeof(struct tables_rule),
	[TABLES_RULE_SLOTS] = sizeof(struct tables_slot),
	[TABLES_DOMAINS] = 1,
	[TABLES_DOMAIN_SLOTS] = sizeof(struct tables_slot),
	[TABLES_ALIASES] = sizeof(struct tables_alias_row),
	[TABLES_ALIAS_SLOTS] = sizeof(struct tables_slot),
};

// ---- opening

static bool part_is_inside(const struct tables_header *h, enum tables_part part)
{
	uint64_t at = h->parts[part].at, count = h->parts[part].count;
	return at % 8 == 0 && at >= sizeof *h && at <= h->size && count <= UINT32_MAX &&
	       count <= (h->size - at) / tables_element_sizes[part];
}

int tables_open(struct str mapped, struct tables **out)
{
	const struct tables_header *h = (const void *)mapped.data;
	*out = NULL;
	if (mapped.len < sizeof *h || mapped.len > TABLES_SIZE_MAX || (uintptr_t)h % 8 ||
		memcmp(h->magic, TABLES_MAGIC, sizeof h->magic) || h->size != mapped.len)
		return ERR_CORRUPT;
	for (enum tables_part part = 0; part < TABLES_PARTS; part++)
		if (!part_is_inside(h, part))
			return ERR_CORRUPT;
	struct tables *t = mem_alloc(sizeof *t);
	t->octets = mapped;
	t->header = h;
	*out = t;
	return 0;
}

void tables_close(struct tables *t)
{
	mem_free(t);
}

const void *tables_part_of(const struct tables *t, enum tables_part part)
{
	return t->octets.data + t->header->parts[part].at;
}

static size_t part_count(const struct tables *t, enum tables_part part)
{
	return (size_t)t->header->parts[part].count;
}

struct str tables_text_of(const struct tables *t, struct tables_text text)
{
	size_t size = part_count(t, TABLES_TEXT);
	if (text.at > size || text.len > size - text.at)
		return STR_EMPTY;
	return str_make((const char *)tables_part_of(t, TABLES_TEXT) + text.at, text.len);
}

bool tables_file_at(const struct tables *t, size_t index, struct str *out_path)
{
	if (index >= part_count(t, TABLES_FILES))
		return false;
	*out_path = tables_text_of(t, ((const struct tables_text *)tables_part_of(t, TABLES_FILES))[index]);
	return true;
}

struct tables_place tables_place_of(const struct tables *t, uint32_t file, uint32_t line)
{
	struct tables_place place = {STR_EMPTY, line};
	if (!tables_file_at(t, file, &place.file))
		place.line = 0;
	return place;
}

// ---- hash tables

struct tables_hash tables_hash_of(const struct tables_header *h, const void *data, size_t len)
{
	uint64_t hash = hash_octets_keyed(h->hash_key, data, len);
	return (struct tables_hash){(uint32_t)(hash >> 32), (uint32_t)hash};
}

uint32_t tables_find(const struct tables *t, enum tables_part part, struct tables_hash hash,
	tables_same same, const void *key)
{
	const struct tables_slot *slots = tables_part_of(t, part);
	size_t count = part_count(t, part);
	size_t at = tables_first_slot(hash.place, count);
	for (size_t steps = 0; steps < count; steps++) {
		if (slots[at].number == 0)
			return 0;
		if (slots[at].tag == hash.tag && same(t, slots[at].number, key))
			return slots[at].number;
		at = at + 1 == count ? 0 : at + 1;
	}
	return 0;
}

// ---- domains

// NULL when it is not whole.
static const struct tables_domain_row *domain_row(const struct tables *t, uint32_t number)
{
	size_t size = part_count(t, TABLES_DOMAINS), at = ((size_t)number - 1) * 4;
	if (at > size || size - at < sizeof(struct tables_domain_row))
		return NULL;
	const struct tables_domain_row *row =
		(const void *)((const char *)tables_part_of(t, TABLES_DOMAINS) + at);
	return row->len > size - at - sizeof *row ? NULL : row;
}

static bool same_domain(const struct tables *t, uint32_t number, const void *key)
{
	const struct tables_domain_row *row = domain_row(t, number);
	return row && str_equal(str_make(row->name, row->len), *(const struct str *)key);
}

static const struct tables_domain_row *find_domain(const struct tables *t, struct str name)
{
	struct tables_hash hash = tables_hash_of(t->header, name.data, name.len);
	uint32_t number = tables_find(t, TABLES_DOMAIN_SLOTS, hash, same_domain, &name);
	return number ? domain_row(t, number) : NULL;
}

// qmail's order (rcpthosts): the name, then what is behind each dot with the dot.
static const struct tables_domain_row *match_domain(const struct tables *t, struct str domain)
{
	const struct tables_domain_row *row = find_domain(t, domain);
	for (size_t i = 0; i < domain.len && !row; i++)
		if (domain.data[i] == '.')
			row = find_domain(t, str_skip(domain, i));
	return row;
}

enum tables_domain tables_domain(const struct tables *t, struct str domain,
	struct tables_place *out_place, struct str *out_entry)
{
	const struct tables_domain_row *row = NULL;
	if (domain.len && domain.len <= DOMAIN_MAX && part_count(t, TABLES_DOMAIN_SLOTS))
		row = match_domain(t, domain);
	if (out_place)
		*out_place = row ? tables_place_of(t, row->file, row->line)
				 : (struct tables_place){STR_EMPTY, 0};
	if (out_entry)
		*out_entry = row ? str_make(row->name, row->len) : STR_EMPTY;
	return !row				     ? TABLES_DOMAIN_NONE
	       : row->what & TABLES_DOMAIN_IS_LOCAL ? TABLES_DOMAIN_LOCAL
						     : TABLES_DOMAIN_RELAY;
}

size_t tables_domain_count(const struct tables *t)
{
	return (size_t)t->header->domain_count;
}

// ---- aliases

bool tables_alias_at(const struct tables *t, size_t index, struct tables_alias *out)
{
	if (index >= part_count(t, TABLES_ALIASES))
		return false;
	const struct tables_alias_row *row = tables_part_of(t, TABLES_ALIASES);
	row += index;
	out->name = tables_text_of(t, row->name);
	out->targets = tables_text_of(t, row->targets);
	out->place = tables_place_of(t, row->file, row->line);
	return true;
}

static bool same_alias(const struct tables *t, uint32_t number, const void *key)
{
	struct tables_alias alias;
	return tables_alias_at(t, (size_t)number - 1, &alias) &&
	       str_equal(alias.name, *(const struct str *)key);
}

bool tables_alias(const struct tables *t, struct str key, struct tables_alias *out)
{
	struct tables_hash hash = tables_hash_of(t->header, key.data, key.len);
	uint32_t number = tables_find(t, TABLES_ALIAS_SLOTS, hash, same_alias, &key);
	return number && tables_alias_at(t, (size_t)number - 1, out);
}

size_t tables_alias_count(const struct tables *t)
{
	return part_count(t, TABLES_ALIASES);
}
