// SPDX-License-Identifier: ISC
// What an SQL engine does for the kinds "sql" and "vpopmail-sql": one file an engine, sql_NAME.c,
// which for foreign libraries is a module (pabal-postgresql.so, pabal-mysql.so).
#ifndef PABAL_AUTH_SOURCE_SQL_H
#define PABAL_AUTH_SOURCE_SQL_H

#include "auth/source.h"
#include "auth/source/sql_query.h"

// Where the database is. Strings live as long as the source's state; "" : not set.
struct auth_sql_target {
	const char *host, *path, *database, *login, *password, *ca_file;
	uint16_t port;	  // 0: the usual one
	bool tls;	  // required, and the server's name is verified
	uint64_t timeout; // ms, of the source
};

// One row by the names of its columns. Wiped by sql.c.
#define AUTH_SQL_COLUMNS 10
struct auth_sql_row {
	struct {
		bool is_there, is_null;
		char value[AUTH_NAME_OCTETS];
	} columns[AUTH_SQL_COLUMNS];
	bool cut; // a value did not fit
};
// value.data NULL: SQL's NULL. What is no column of ours is passed over.
void auth_sql_row_set(struct auth_sql_row *row, struct str column, struct str value);

struct auth_sql_engine {
	enum auth_sql_style style;
	// Before confinement: what the library would load or read later.
	int (*prepare)(const struct auth_sql_target *target, struct error *err);
	// ERR_CLOSED or ERR_TIMEOUT with words: not reached. deadline: clock_monotonic_ms.
	int (*open)(const struct auth_sql_target *target, uint64_t deadline, void **out_connection,
		struct error *err);
	// Runs text with values bound in order, and keeps the first row. Returns how many rows
	// there were (0, 1, 2: more than one), or with words: ERR_CLOSED the connection is gone and
	// a new one may do better, ERR_TIMEOUT, ERR_SYNTAX the database takes no such value,
	// ERR_NOT_FOUND no such table, ERR_UNAVAILABLE anything else. After all but a count the
	// connection is closed.
	int (*ask)(void *connection, const char *text, const struct str *values, unsigned count,
		uint64_t deadline, struct auth_sql_row *row, struct error *err);
	void (*close)(void *connection);
};
extern const struct auth_sql_engine auth_sql_sqlite;
// The symbol of a module.
#define AUTH_SQL_SYMBOL "auth_sql_engine"

// Milliseconds until the deadline, 0 when it is past.
uint64_t auth_sql_left(uint64_t deadline);

#endif
