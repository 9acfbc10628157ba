// SPDX-License-Identifier: ISC
// The tables of our databases, and how an older one becomes the present one.
#ifndef PABAL_STORE_SCHEMA_H
#define PABAL_STORE_SCHEMA_H

#include "store/sql.h"

// Every database of ours has a table schema_version (number) with one row.
struct schema {
	const char *words;	  // "the queue's store"
	unsigned version;	  // the present one, from 1
	const char *create;	  // all tables of the present version, in an empty file
	const char *const *steps; // steps[n]: from version n + 1 to n + 2
};

extern const struct schema schema_queue;
extern const struct schema schema_secrets;
extern const struct schema schema_history;

// Makes the tables in an empty file. An older schema: copies the file to PATH.before-VERSION, then
// changes it in one transaction. A newer one: ERR_UNSUPPORTED with words. path: of the database.
int schema_prepare(
	struct sql *db, const struct schema *schema, const char *path, struct error *err);

#endif
