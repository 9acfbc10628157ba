// SPDX-License-Identifier: ISC
// A thin layer over one database connection: prepared statements by number, values in and out,
// transactions. Only this file knows the engine; a second engine is a second sql_*.c.
// One connection is used by one thread at a time.
#ifndef PABAL_STORE_SQL_H
#define PABAL_STORE_SQL_H

#include "base/error.h"
#include "base/str.h"

struct sql;
struct sql_statement;

struct sql_options {
	const char *path;  // made with mode 0600 when create
	const char *words; // what it is, for errors: "the queue's store"
	const char *const
		*texts; // statements by number; parameters $1, $2 … in order of appearance
	unsigned text_count;
	unsigned cache_kib;
	bool create;
	bool durable; // a commit is synced; else only checkpoints are
	bool wipe;    // removed content is overwritten
	bool shrink;  // sql_shrink can be used (fixed when the file is made)
};

// Takes the lock that lets nobody else open the file until sql_close. ERR_DENIED when another
// has it, ERR_NOT_FOUND when it is missing and not to be made, ERR_CORRUPT when it is something
// else.
int sql_open(const struct sql_options *o, struct sql **out, struct error *err);
void sql_close(struct sql *db);

// The one number that a constant text selects (schema, settings). ERR_NOT_FOUND without a row.
int sql_read_number(struct sql *db, const char *text, uint64_t *out);
int sql_table_count(struct sql *db, uint64_t *out);
// Several statements without parameters (the schema). Not for values.
int sql_script(struct sql *db, const char *script);
// A whole, synced copy beside it; an old one of that name is replaced.
int sql_copy(struct sql *db, const char *path);

// Statement by number, ready for new parameters. Never NULL: a statement that could not be
// prepared reports it in sql_step.
struct sql_statement *sql_use(struct sql *db, unsigned number);
// Texts and octets are borrowed until the statement has ended.
void sql_bind_u64(struct sql_statement *s, int at, uint64_t value); // below 2^63, as ids are
void sql_bind_text(struct sql_statement *s, int at, struct str value);
void sql_bind_octets(struct sql_statement *s, int at, struct str value);
// 1: a row is there. 0: the end. Else ERR_*: FULL, SYSTEM, CORRUPT, EXISTS (a key that is there
// already), LIMIT. The statement ends by itself with anything but 1.
int sql_step(struct sql_statement *s);
// For statements without rows: 0 or ERR_*.
int sql_run(struct sql_statement *s);
void sql_end(struct sql_statement *s);	    // before the last row was read
unsigned sql_changed(const struct sql *db); // rows changed by the last statement
// Columns from 0; strings live until the next step or end.
uint64_t sql_u64(struct sql_statement *s, int column);
struct str sql_str(struct sql_statement *s, int column);

int sql_begin(struct sql *db);
int sql_commit(struct sql *db);	      // on error the caller calls sql_rollback
void sql_rollback(struct sql *db);    // harmless outside a transaction
bool sql_wrote(const struct sql *db); // the last transaction changed something
// Octets in the log that are not yet in the file itself.
uint64_t sql_log_size(const struct sql *db);
// Moves the log into the file; then it is written from its beginning again.
int sql_checkpoint(struct sql *db);
// The same, and gives the log's room back.
int sql_checkpoint_truncate(struct sql *db);
// Octets of the file, and of these unused.
int sql_size(struct sql *db, uint64_t *out_size, uint64_t *out_unused);
// Gives back up to that many unused octets at the end of the file.
int sql_shrink(struct sql *db, uint64_t octets);
// Words of the last error, for logs.
const char *sql_words(const struct sql *db);

#endif
