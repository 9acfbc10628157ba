// SPDX-License-Identifier: ISC
// Local and relay domains of the configuration and of every list that it names.
#include "config/tables_build.h"

#include "base/memory.h"
#include "base/text.h"
#include "config/domain_list.h"

#define ODD_MAX 100 // entries that are no domains, after which a file is no list of domains

// All domains so far, by their hashes, so that each is there once.
struct domains {
	struct tables_source source;
	uint8_t what; // TABLES_DOMAIN_IS_*
	size_t count, odd;
	struct tables_slot *slots; // a power of two of them, at most half full
	size_t slot_count;
};

static struct tables_domain_row *row_of(const struct domains *d, uint32_t number)
{
	return (void *)(d->source.b->parts[TABLES_DOMAINS].data + ((size_t)number - 1) * 4);
}

static struct tables_hash hash_of(const struct domains *d, struct str name)
{
	return tables_hash_of(&d->source.b->header, name.data, name.len);
}

// The slot with the name, or the empty one for it.
static struct tables_slot *find_slot(
	const struct domains *d, struct tables_hash hash, struct str name)
{
	size_t mask = d->slot_count - 1;
	for (size_t at = hash.place & mask;; at = (at + 1) & mask) {
		struct tables_slot *slot = &d->slots[at];
		if (slot->number == 0)
			return slot;
		const struct tables_domain_row *row = row_of(d, slot->number);
		if (slot->tag == hash.tag && str_equal(str_make(row->name, row->len), name))
			return slot;
	}
}

static void grow(struct domains *d)
{
	struct tables_slot *old = d->slots;
	size_t old_count = d->slot_count;
	d->slot_count = old_count ? old_count * 2 : 1024;
	d->slots = mem_array(d->slot_count, sizeof *d->slots);
	for (size_t i = 0; i < old_count; i++) {
		if (!old[i].number)
			continue;
		const struct tables_domain_row *row = row_of(d, old[i].number);
		size_t at = hash_of(d, str_make(row->name, row->len)).place & (d->slot_count - 1);
		while (d->slots[at].number)
			at = (at + 1) & (d->slot_count - 1);
		d->slots[at] = old[i];
	}
	mem_free(old);
}

static uint32_t append(struct domains *d, const struct tables_domain_row *row, struct str name)
{
	static const char zeros[4];
	struct tables_builder *b = d->source.b;
	size_t at = buf_len(&b->parts[TABLES_DOMAINS]), rest = (sizeof *row + name.len) % 4;
	bool good = tables_add(b, TABLES_DOMAINS, row, sizeof *row) &&
		    tables_add(b, TABLES_DOMAINS, name.data, name.len) &&
		    tables_add(b, TABLES_DOMAINS, zeros, rest ? 4 - rest : 0);
	return good ? (uint32_t)(at / 4 + 1) : 0;
}

static bool on_domain(void *arg, struct str name, unsigned line)
{
	struct domains *d = arg;
	if (d->count >= TABLES_DOMAINS_MAX) {
		tables_tell(&d->source, 'E', line, TEXT("more than %d domains"), TABLES_DOMAINS_MAX);
		return false;
	}
	if (d->count * 2 >= d->slot_count)
		grow(d);
	struct tables_domain_row fresh = {.line = line, .file = (uint16_t)d->source.file,
		.what = d->what, .len = (uint8_t)name.len};
	struct tables_hash hash = hash_of(d, name);
	struct tables_slot *slot = find_slot(d, hash, name);
	if (slot->number) {
		struct tables_domain_row *row = row_of(d, slot->number);
		row->what |= d->what; // local domains are read first: the place is theirs
		return true;
	}
	uint32_t number = append(d, &fresh, name);
	if (!number)
		return false;
	*slot = (struct tables_slot){hash.tag, number};
	d->count++;
	tables_add_slot(d->source.b, TABLES_DOMAIN_SLOTS, hash, number);
	return true;
}

static void on_odd(void *arg, unsigned line, struct str text)
{
	struct domains *d = arg;
	if (d->odd++ < ODD_MAX)
		tables_tell(&d->source, 'W', line, TEXT("\"%.*s\" is no domain and is left out: expected "
			"one like example.kr, or .example.kr for all below it"),
			STR_ARG(str_slice(text, 0, 200)));
}

static void add_file(struct domains *d, struct str path)
{
	struct domain_list_sink sink = {d, on_domain, on_odd};
	struct buf content = BUF_INIT;
	d->source = (struct tables_source){.b = d->source.b, .path = path};
	d->odd = 0;
	size_t before = d->count;
	if (tables_read(&d->source, CONFIG_TABLE_LIST, &content)) {
		if (!tables_is_cdb(path))
			domain_list_text(buf_str(&content), &sink);
		else if (domain_list_cdb(buf_str(&content), &sink) < 0)
			tables_tell(&d->source, 'E', 0, TEXT("this is no whole .cdb"));
		if (d->odd > ODD_MAX && d->odd > d->count - before)
			tables_tell(&d->source, 'E', 0, TEXT("this is no list of domains: expected a "
				"domain on each line"));
	}
	buf_finish(&content);
}

static void add_lists(struct domains *d, uint8_t what, const struct config_list *own,
	const struct config_list *files)
{
	d->what = what;
	d->source.file = TABLES_NO_FILE;
	for (size_t i = 0; i < own->count; i++)
		on_domain(d, own->items[i], 0);
	for (size_t i = 0; i < files->count; i++)
		add_file(d, files->items[i]);
}

void tables_build_domains(struct tables_builder *b)
{
	const struct config *c = b->config;
	struct domains d = {.source = {.b = b}};
	add_lists(&d, TABLES_DOMAIN_IS_LOCAL, &c->domains, &c->domain_files);
	add_lists(&d, TABLES_DOMAIN_IS_RELAY, &c->relay_domains, &c->relay_domain_files);
	b->header.domain_count = d.count;
	mem_free(d.slots);
}
