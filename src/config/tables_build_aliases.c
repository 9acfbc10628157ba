// SPDX-License-Identifier: ISC
// The aliases of every file that the configuration names; of one name the first counts.
#include "config/tables_build.h"

#include "base/memory.h"
#include "base/text.h"
#include "config/aliases_file.h"

#include <stdio.h>

struct aliases {
	struct tables_source source;
	struct map known; // name: index + 1
};

static size_t count_of(const struct tables_builder *b)
{
	return buf_len(&b->parts[TABLES_ALIASES]) / sizeof(struct tables_alias_row);
}

static void tell_twice(struct aliases *a, struct str name, uintptr_t known, unsigned line)
{
	const struct tables_builder *b = a->source.b;
	const struct tables_alias_row *row = (const void *)b->parts[TABLES_ALIASES].data;
	const struct tables_text *file = (const void *)b->parts[TABLES_FILES].data;
	row += known - 1;
	file += row->file;
	tables_tell(&a->source, 'W', line, TEXT("\"%.*s\" is there already in %.*s, line %u, which counts"),
		STR_ARG(name), (int)file->len, b->parts[TABLES_TEXT].data + file->at, row->line);
}

static bool on_alias(void *arg, struct str name, struct str targets, unsigned line)
{
	struct aliases *a = arg;
	struct tables_builder *b = a->source.b;
	size_t count = count_of(b);
	uintptr_t known = (uintptr_t)map_get(&a->known, name);
	if (known) {
		tell_twice(a, name, known, line);
		return true;
	}
	if (count == TABLES_ALIASES_MAX) {
		tables_tell(&a->source, 'E', line, TEXT("more than %d aliases"), TABLES_ALIASES_MAX);
		return false;
	}
	struct tables_alias_row row = {tables_add_text(b, name), tables_add_text(b, targets),
		a->source.file, line};
	map_set(&a->known, name, (void *)(uintptr_t)(count + 1));
	if (!tables_add(b, TABLES_ALIASES, &row, sizeof row))
		return false;
	tables_add_slot(b, TABLES_ALIAS_SLOTS, tables_hash_of(&b->header, name.data, name.len),
		(uint32_t)count + 1);
	return true;
}

static int on_include(
	void *arg, const char *path, struct buf *out, bool *out_trusted, struct error *err)
{
	struct aliases *a = arg;
	struct tables_builder *b = a->source.b;
	struct config_look look = {0};
	int result;
	if (b->includes++ >= TABLES_INCLUDES_MAX)
		return error_set(err, ERR_LIMIT, TEXT("more than %d files are included"),
			TABLES_INCLUDES_MAX);
	tables_add_file(b, str_from(path));
	if (b->reader->read_table)
		result = b->reader->read_table(
			b->reader->arg, path, CONFIG_TABLE_INCLUDE, out, &look, err);
	else
		result = b->reader->read(b->reader->arg, path, false, out, err);
	*out_trusted = !look.foreign;
	return result;
}

static void on_tell(void *arg, char severity, struct str file, unsigned line, const char *words)
{
	struct aliases *a = arg;
	struct tables_source of = a->source;
	of.path = file;
	tables_tell(&of, severity, line, "%s", words);
	a->source.told = of.told;
}

static void add_file(struct aliases *a, struct str path)
{
	struct aliases_sink sink = {a, on_alias, on_include, on_tell};
	struct buf content = BUF_INIT;
	a->source = (struct tables_source){.b = a->source.b, .path = path};
	if (tables_read(&a->source, CONFIG_TABLE_ALIASES, &content))
		aliases_file_text(buf_str(&content), path, &sink);
	buf_finish(&content);
}

void tables_build_aliases(struct tables_builder *b)
{
	struct aliases a = {.source = {.b = b}};
	for (size_t i = 0; i < b->config->aliases.count; i++)
		add_file(&a, b->config->aliases.items[i]);
	map_finish(&a.known);
}
