// SPDX-License-Identifier: ISC
// Makes tables out of the files that a configuration names: what its parts have in common, and how
// they are put together.
#include "config/tables_build.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

// ---- findings

void tables_tell(struct tables_source *s, char severity, unsigned line, const char *format, ...)
{
	char words[1024];
	va_list args;
	s->told++;
	if (severity != 'E' && s->told > TABLES_TOLD_MAX)
		return;
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	config_findings_add(s->b->findings, severity, s->path, line, 1, "%s", words);
	if (severity != 'E' && s->told == TABLES_TOLD_MAX)
		config_findings_add(s->b->findings, severity, s->path, 0, 0,
			TEXT("there is more of this kind"));
}

static void say_full(struct tables_builder *b)
{
	if (!b->full)
		config_findings_add(b->findings, 'E', STR_EMPTY, 0, 0,
			TEXT("the tables (rules, domains, aliases) are larger than 1G or have too many "
			     "entries"));
	b->full = true;
}

// ---- parts

bool tables_add(struct tables_builder *b, enum tables_part part, const void *data, size_t len)
{
	b->parts[part].limit = TABLES_SIZE_MAX / 2;
	if (b->full || buf_add(&b->parts[part], data, len) < 0) {
		say_full(b);
		return false;
	}
	return true;
}

struct tables_text tables_add_text(struct tables_builder *b, struct str s)
{
	struct tables_text text = {(uint32_t)buf_len(&b->parts[TABLES_TEXT]), (uint32_t)s.len};
	if (s.len == 0 || !tables_add(b, TABLES_TEXT, s.data, s.len))
		return (struct tables_text){0, 0};
	return text;
}

void tables_add_slot(
	struct tables_builder *b, enum tables_part slots, struct tables_hash hash, uint32_t number)
{
	struct tables_pending pending = {hash, number};
	if (buf_add(&b->hashes[slots], &pending, sizeof pending) < 0)
		say_full(b);
}

uint32_t tables_add_file(struct tables_builder *b, struct str path)
{
	uintptr_t known = (uintptr_t)map_get(&b->files, path);
	if (known)
		return (uint32_t)known - 1;
	struct tables_text text = tables_add_text(b, path);
	if (b->file_count == TABLES_FILES_MAX) {
		say_full(b);
		return 0;
	}
	tables_add(b, TABLES_FILES, &text, sizeof text);
	map_set(&b->files, path, (void *)(uintptr_t)(b->file_count + 1));
	return b->file_count++;
}

// ---- files

bool tables_is_cdb(struct str path)
{
	return path.len > 4 && str_equal(str_skip(path, path.len - 4), STR(".cdb"));
}

static int read_any(struct tables_builder *b, struct str path, enum config_table kind,
	struct buf *out, struct config_look *look, struct error *err)
{
	char name[4096];
	*look = (struct config_look){0};
	if (!str_copy(path, name, sizeof name))
		return error_set(err, ERR_LIMIT, TEXT("a file name is too long"));
	if (b->reader->read_table)
		return b->reader->read_table(b->reader->arg, name, kind, out, look, err);
	return out ? b->reader->read(b->reader->arg, name, false, out, err) : ERR_NOT_FOUND;
}

// tcpserver reads the .cdb, people write the text beside it: one of them may be forgotten.
static void compare_sibling(struct tables_source *s, const struct config_look *own)
{
	char name[4096];
	struct config_look other;
	struct error err;
	bool is_cdb = tables_is_cdb(s->path);
	int len = is_cdb ? (int)s->path.len - 4 : (int)s->path.len;
	if ((size_t)len + 5 > sizeof name || own->modified_ns == 0)
		return;
	snprintf(name, sizeof name, "%.*s%s", len, s->path.data, is_cdb ? "" : ".cdb");
	tables_add_file(s->b, str_from(name));
	if (read_any(s->b, str_from(name), CONFIG_TABLE_LIST, NULL, &other, &err) || !other.modified_ns)
		return;
	int64_t text = is_cdb ? other.modified_ns : own->modified_ns;
	int64_t cdb = is_cdb ? own->modified_ns : other.modified_ns;
	if (text > cdb)
		tables_tell(s, 'W', 0,
			TEXT("%.*s was changed after %.*s.cdb was made of it: run tcprules (of a list "
			     "of domains, qmail-newmrh)"),
			len, s->path.data, len, s->path.data);
}

bool tables_read(struct tables_source *s, enum config_table kind, struct buf *out)
{
	struct config_look look;
	struct error err;
	s->file = tables_add_file(s->b, s->path);
	if (read_any(s->b, s->path, kind, out, &look, &err)) {
		tables_tell(s, 'E', 0, "%s", err.text);
		return false;
	}
	if (look.foreign)
		tables_tell(s, 'N', 0, TEXT("not only root may write this file: who may decides "
			"what is in force"));
	if (kind == CONFIG_TABLE_LIST)
		compare_sibling(s, &look);
	return true;
}

// ---- putting together

// A quarter stays empty, so that a search is short.
static void make_slots(struct tables_builder *b, enum tables_part part)
{
	const struct tables_pending *pending = (const void *)buf_str(&b->hashes[part]).data;
	size_t count = buf_len(&b->hashes[part]) / sizeof *pending;
	size_t slot_count = count + count / 3 + 1;
	struct tables_slot *slots = (void *)buf_reserve(&b->parts[part], slot_count * sizeof *slots);
	if (count == 0)
		return;
	if (!slots || slot_count > UINT32_MAX) {
		say_full(b);
		return;
	}
	memset(slots, 0, slot_count * sizeof *slots);
	for (size_t i = 0; i < count; i++) {
		size_t at = tables_first_slot(pending[i].hash.place, slot_count);
		while (slots[at].number)
			at = at + 1 == slot_count ? 0 : at + 1;
		slots[at] = (struct tables_slot){pending[i].hash.tag, pending[i].number};
	}
	buf_commit(&b->parts[part], slot_count * sizeof *slots);
}

static size_t aligned(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static int put_together(struct tables_builder *b, struct buf *out)
{
	static const char zeros[8];
	struct tables_header *h = &b->header;
	size_t at = aligned(sizeof *h);
	for (enum tables_part part = 0; part < TABLES_PARTS; part++) {
		h->parts[part].at = at;
		h->parts[part].count = buf_len(&b->parts[part]) / tables_element_sizes[part];
		at += aligned(buf_len(&b->parts[part]));
	}
	h->size = at;
	memcpy(h->magic, TABLES_MAGIC, sizeof h->magic);
	if (at > TABLES_SIZE_MAX)
		return ERR_LIMIT;
	int err = buf_reserve(out, at) ? buf_add(out, h, sizeof *h) : ERR_LIMIT;
	for (enum tables_part part = 0; part < TABLES_PARTS && !err; part++) {
		struct str octets = buf_str(&b->parts[part]);
		err = buf_add_str(out, octets);
		if (!err)
			err = buf_add(out, zeros, aligned(octets.len) - octets.len);
		buf_finish(&b->parts[part]);
	}
	return err;
}

_Static_assert(sizeof(struct tables_header) % 8 == 0, "the first part begins behind it");

int tables_build(const struct config *c, const struct config_reader *reader, struct buf *out,
	struct config_findings *findings)
{
	struct tables_builder *b = mem_alloc(sizeof *b);
	size_t errors = findings->errors, before = out->end;
	*b = (struct tables_builder){.config = c, .reader = reader, .findings = findings};
	mem_random(b->header.hash_key, sizeof b->header.hash_key);
	tables_build_rules(b);
	tables_build_domains(b);
	tables_build_aliases(b);
	make_slots(b, TABLES_RULE_SLOTS);
	make_slots(b, TABLES_DOMAIN_SLOTS);
	make_slots(b, TABLES_ALIAS_SLOTS);
	int err = b->full ? ERR_LIMIT : findings->errors > errors ? ERR_SYNTAX : put_together(b, out);
	if (err == ERR_LIMIT)
		say_full(b);
	if (err)
		out->end = before;
	for (enum tables_part part = 0; part < TABLES_PARTS; part++) {
		buf_finish(&b->parts[part]);
		buf_finish(&b->hashes[part]);
	}
	map_finish(&b->files);
	mem_free(b);
	return err;
}
