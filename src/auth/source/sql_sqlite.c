// SPDX-License-Identifier: ISC
// SQLite: a file of others, opened to read. A file put in its place is noticed.
#include "auth/source/sql.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define STEPS_BETWEEN_LOOKS 1000 // of SQLite's machine

struct connection {
	sqlite3 *db;
	const char *path;
	dev_t device;
	ino_t file;
	uint64_t deadline;
};

static int is_late(void *arg)
{
	const struct connection *c = arg;

	return !auth_sql_left(c->deadline);
}

static void close_connection(void *arg)
{
	struct connection *c = arg;

	sqlite3_close_v2(c->db);
	mem_free(c);
}

static int open_connection(
	const struct auth_sql_target *target, uint64_t deadline, void **out, struct error *err)
{
	struct connection *c = mem_alloc(sizeof *c);
	struct stat status;

	c->path = target->path;
	c->deadline = deadline;
	if (stat(target->path, &status) < 0) {
		error_system(err, TEXT("cannot open %s"), target->path);
		goto failed;
	}
	c->device = status.st_dev;
	c->file = status.st_ino;
	if (sqlite3_open_v2(target->path, &c->db,
		    SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL)) {
		error_set(err, ERR_UNAVAILABLE, TEXT("cannot open %s: %s"), target->path,
			sqlite3_errmsg(c->db));
		goto failed;
	}
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_progress_handler(c->db, STEPS_BETWEEN_LOOKS, is_late, c);
	*out = c;
	return 0;
failed:
	close_connection(c);
	return ERR_UNAVAILABLE;
}

static bool is_replaced(const struct connection *c)
{
	struct stat status;

	return stat(c->path, &status) < 0 || status.st_dev != c->device || status.st_ino != c->file;
}

static int failure(const struct connection *c, struct error *err)
{
	int code = sqlite3_errcode(c->db) & 0xff;

	if (code == SQLITE_INTERRUPT || code == SQLITE_BUSY)
		return error_set(
			err, ERR_TIMEOUT, TEXT("%s is busy, or the query takes too long"), c->path);
	return error_set(err, ERR_UNAVAILABLE, "%s: %s", c->path, sqlite3_errmsg(c->db));
}

static void keep(sqlite3_stmt *s, struct auth_sql_row *row)
{
	for (int i = 0; i < sqlite3_column_count(s); i++) {
		const void *text = sqlite3_column_text(s, i);
		struct str value = {text, text ? (size_t)sqlite3_column_bytes(s, i) : 0};
		auth_sql_row_set(row, str_from(sqlite3_column_name(s, i)), value);
	}
}

static int ask(void *arg, const char *text, const struct str *values, unsigned count,
	uint64_t deadline, struct auth_sql_row *row, struct error *err)
{
	struct connection *c = arg;
	sqlite3_stmt *s = NULL;
	const char *rest = "";
	int rows = 0, step = SQLITE_OK;

	if (is_replaced(c))
		return error_set(err, ERR_CLOSED, TEXT("%s is another file now"), c->path);
	c->deadline = deadline;
	sqlite3_busy_timeout(c->db, (int)auth_sql_left(deadline));
	if (sqlite3_prepare_v2(c->db, text, -1, &s, &rest) || !s)
		return failure(c, err);
	if (*rest)
		error_set(
			err, rows = ERR_UNAVAILABLE, TEXT("query: it is more than one statement"));
	for (unsigned i = 0; i < count && !step; i++)
		step = sqlite3_bind_text(
			s, (int)i + 1, values[i].data, (int)values[i].len, SQLITE_STATIC);
	while (rows >= 0 && rows < 2 && (step == SQLITE_OK || step == SQLITE_ROW)) {
		step = sqlite3_step(s);
		if (step == SQLITE_ROW && ++rows == 1)
			keep(s, row);
	}
	if (rows >= 0 && step != SQLITE_ROW && step != SQLITE_DONE)
		rows = failure(c, err);
	sqlite3_finalize(s);
	return rows;
}

const struct auth_sql_engine auth_sql_sqlite = {
	.style = AUTH_SQL_NUMBERED,
	.open = open_connection,
	.ask = ask,
	.close = close_connection,
};
