// SPDX-License-Identifier: ISC
// The order of columns is that of the macros in rows.h.
#include "store/rows.h"

static struct str take(struct arena *arena, struct str value)
{
	return arena ? arena_str(arena, value) : value;
}

void rows_read_message(struct sql_statement *row, struct arena *arena, struct store_message *out)
{
	struct envelope *e = &out->envelope;
	struct str digest = sql_str(row, 10);
	struct str *texts[] = {&e->sender, &e->account, &e->client, &e->server, &e->helo, &e->envid,
		&e->labels, &e->headers, &e->edits};

	e->id = sql_u64(row, 0);
	e->received_ms = sql_u64(row, 1);
	out->expires_ms = sql_u64(row, 2);
	e->session = sql_u64(row, 3);
	e->size = sql_u64(row, 4);
	out->spool = sql_u64(row, 5);
	e->ret = (uint8_t)sql_u64(row, 6);
	e->smtputf8 = sql_u64(row, 7) != 0;
	e->eightbit = sql_u64(row, 8) != 0;
	e->bounce = sql_u64(row, 9) != 0;
	if (digest.len == sizeof(e->digest))
		memcpy(e->digest, digest.data, sizeof(e->digest));
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		*texts[i] = take(arena, sql_str(row, 11 + (int)i));
}

void rows_read_recipient(
	struct sql_statement *row, struct arena *arena, struct store_recipient *out)
{
	struct str *texts[] = {&out->address, &out->domain, &out->orcpt, &out->hold_reason,
		&out->status, &out->reply, &out->remote};

	out->id = sql_u64(row, 0);
	out->message = sql_u64(row, 1);
	out->state = (enum recipient_state)sql_u64(row, 2);
	out->next_try_ms = sql_u64(row, 3);
	out->tries = (uint32_t)sql_u64(row, 4);
	out->depth = (uint32_t)sql_u64(row, 5);
	out->notify = (uint8_t)sql_u64(row, 6);
	out->delay_warned = sql_u64(row, 7) != 0;
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		*texts[i] = take(arena, sql_str(row, 8 + (int)i));
}

void rows_read_account(struct sql_statement *row, struct arena *arena, struct store_account *out)
{
	out->id = sql_u64(row, 0);
	out->name = take(arena, sql_str(row, 1));
	out->enabled = sql_u64(row, 2) != 0;
	out->rights = (uint32_t)sql_u64(row, 3);
	out->quota = sql_u64(row, 4);
	out->created_ms = sql_u64(row, 5);
	out->changed_ms = sql_u64(row, 6);
}
