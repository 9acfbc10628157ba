// SPDX-License-Identifier: ISC
// Tables for people: columns as wide as their widest cell, Hangul counted as two, numbers to the
// right, colour only on a terminal.
#ifndef PABAL_COMMAND_TABLE_H
#define PABAL_COMMAND_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS_MAX 12

struct table {
	size_t columns;
	const char *titles[TABLE_COLUMNS_MAX];
	bool right[TABLE_COLUMNS_MAX];
	char **cells;      // owned; row after row
	size_t count, size;
};
void table_init(struct table *t, size_t columns, const char *const *titles);
void table_finish(struct table *t);
void table_set_right(struct table *t, size_t column);
// Adds the next cell; copies, made safe for a terminal. NULL or empty: "-".
void table_add(struct table *t, const char *text);
void table_print(const struct table *t); // to standard output; nothing when it has no rows

// "good", "bad", "dim" words wrapped in colour when standard output is a terminal that wants it.
const char *table_colour(const char *kind);

#endif
