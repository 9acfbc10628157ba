// SPDX-License-Identifier: ISC
// The administrator's query with named parameters, turned into what an engine takes. The values are
// never part of the text.
#ifndef PABAL_AUTH_SOURCE_SQL_QUERY_H
#define PABAL_AUTH_SOURCE_SQL_QUERY_H

#include "base/error.h"
#include "base/str.h"

enum auth_sql_style {
	AUTH_SQL_DOLLAR,   // $1, one number a name (PostgreSQL)
	AUTH_SQL_NUMBERED, // ?1, one number a name (SQLite)
	AUTH_SQL_POSITION, // ?, one each place (MySQL)
};

enum auth_sql_parameter {
	AUTH_SQL_USER,	 // the whole name
	AUTH_SQL_NAME,	 // its local part
	AUTH_SQL_DOMAIN, // the part behind the last "@"; "" : none
	AUTH_SQL_CLIENT, // the client's address
	AUTH_SQL_SERVER, // the server block's name
	AUTH_SQL_PARAMETERS
};

#define AUTH_SQL_VALUES_MAX 16

struct auth_sql_query {
	char *text; // in the engine's words; owned
	unsigned count;
	enum auth_sql_parameter order[AUTH_SQL_VALUES_MAX]; // what goes where
};

// Finds :user, :name, :domain, :client and :server outside of strings, quoted names and comments as
// the engine understands these; "::" (a cast) and ":=" are none. ERR_SYNTAX with words for another
// name, a parameter in the engine's own words ("?", "$1"), or an end inside a string; ERR_LIMIT for
// too many.
int auth_sql_query_make(struct str written, enum auth_sql_style style, struct auth_sql_query *out,
	struct error *err);
void auth_sql_query_finish(struct auth_sql_query *q);

// True when word stands outside of strings and comments (case does not matter): the name of a
// column that the query gives.
bool auth_sql_query_names(struct str written, struct str word);

#endif
