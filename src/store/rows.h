// SPDX-License-Identifier: ISC
// Rows of queue.db to the structs of store.h; strings are copied into an arena, or, when it is
// NULL, borrowed from the row that the statement stands on.
#ifndef PABAL_STORE_ROWS_H
#define PABAL_STORE_ROWS_H

#include "base/arena.h"
#include "store/sql.h"
#include "store/store.h"

// In the order in which rows_…() read and batch.c writes them.
#define MESSAGE_COLUMNS                                                                            \
	"id, received_ms, expires_ms, session, size, spool, ret, smtputf8, eightbit, bounce, "     \
	"digest, sender, account, client, server, helo, envid, labels, headers, edits"
#define RECIPIENT_COLUMNS                                                                          \
	"id, message, state, next_ms, tries, depth, notify, delay_warned, address, domain, "       \
	"orcpt, "                                                                                  \
	"hold_reason, status, reply, remote"
#define ACCOUNT_COLUMNS "id, name, enabled, rights, quota, created_ms, changed_ms"

void rows_read_message(struct sql_statement *row, struct arena *arena, struct store_message *out);
void rows_read_recipient(
	struct sql_statement *row, struct arena *arena, struct store_recipient *out);
void rows_read_account(struct sql_statement *row, struct arena *arena, struct store_account *out);

#endif
