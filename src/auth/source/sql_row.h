// SPDX-License-Identifier: ISC
// What a row of the database says about a login. Pure.
#ifndef PABAL_AUTH_SOURCE_SQL_ROW_H
#define PABAL_AUTH_SOURCE_SQL_ROW_H

#include "auth/source/sql.h"

// Columns: password (any form of stored.h), scram, clear (AUTH_ASK_LOOKUP), enabled (0: the account
// is disabled), rights ("submit relay", or columns submit and relay with 0 or 1; where one is there
// the others are no), account, gid (vpopmail's flags). Never UNKNOWN.
void auth_sql_row_judge(
	const struct auth_sql_row *row, const struct auth_question *q, struct auth_answer *out);

#endif
