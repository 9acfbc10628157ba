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
#define ACCOUNT_COLUMNS                                                                            \
	"id, name, enabled, rights, quota, created_ms, changed_ms, stated, expires_ms, locked, "   \
	"lock_reason, networks, servers, group_names, act_as, send_as, "      \
	"quota_soft, quota_messages, quota_messages_soft"
#define QUOTA_COLUMNS "quota, quota_soft, quota_messages, quota_messages_soft"
#define GROUP_COLUMNS "name, rights, stated, networks, servers, created_ms, changed_ms"

void rows_read_message(struct sql_statement *row, struct arena *arena, struct store_message *out);
void rows_read_recipient(
	struct sql_statement *row, struct arena *arena, struct store_recipient *out);
// Without its groups and what its domain says.
void rows_read_account(struct sql_statement *row, struct arena *arena, struct store_account *out);
void rows_read_group(struct sql_statement *row, struct arena *arena, struct store_group *out);
// Binds the columns in their order from $1 on.
void rows_bind_account(struct sql_statement *row, const struct store_account *a);
void rows_bind_group(struct sql_statement *row, const struct store_group *g);
// A copy with its strings and groups in arena.
void rows_copy_account(const struct store_account *a, struct arena *arena, struct store_account *out);

#endif
