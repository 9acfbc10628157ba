// SPDX-License-Identifier: ISC
// What the files that build tables share: the parts being made.
#ifndef PABAL_CONFIG_TABLES_BUILD_H
#define PABAL_CONFIG_TABLES_BUILD_H

#include "config/tables_internal.h"

#include "base/map.h"

#define TABLES_TOLD_MAX 20 // warnings about one file that are given one by one

struct tables_builder {
	const struct config *config;
	const struct config_reader *reader;
	struct config_findings *findings;
	struct tables_header header;
	struct buf parts[TABLES_PARTS];
	struct buf hashes[TABLES_PARTS]; // of the slots' parts: struct tables_pending
	struct map files;		 // path: number + 1
	uint32_t file_count;
	uint32_t includes;
	bool full; // larger than may be, said once
};

// What will be in a slot.
struct tables_pending {
	struct tables_hash hash;
	uint32_t number;
};

// A file being read.
struct tables_source {
	struct tables_builder *b;
	struct str path;
	uint32_t file;
	unsigned told;	    // warnings
	unsigned last_line; // that was told of
};

void tables_tell(struct tables_source *s, char severity, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
// Appends to a part; false, and said, when it is full.
bool tables_add(struct tables_builder *b, enum tables_part part, const void *data, size_t len);
struct tables_text tables_add_text(struct tables_builder *b, struct str s);
void tables_add_slot(
	struct tables_builder *b, enum tables_part slots, struct tables_hash hash, uint32_t number);
// The number of a file among those that were read.
uint32_t tables_add_file(struct tables_builder *b, struct str path);
// Reads a file that the configuration names; false: reported.
bool tables_read(struct tables_source *s, enum config_table kind, struct buf *out);
bool tables_is_cdb(struct str path);

void tables_build_rules(struct tables_builder *b);
void tables_build_domains(struct tables_builder *b);
void tables_build_aliases(struct tables_builder *b);

#endif
