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

// The texts of an account behind its name, in the order of their columns.
#define ACCOUNT_TEXTS(a)                                                                           \
	{                                                                                          \
		&(a)->lock_reason, &(a)->networks, &(a)->servers, &(a)->group_names, &(a)->act_as, \
			&(a)->send_as                                                              \
	}
#define FIRST_TEXT 10

void rows_read_account(struct sql_statement *row, struct arena *arena, struct store_account *out)
{
	struct str *texts[] = ACCOUNT_TEXTS(out);

	out->id = sql_u64(row, 0);
	out->name = take(arena, sql_str(row, 1));
	out->enabled = sql_u64(row, 2) != 0;
	out->rights = (uint32_t)sql_u64(row, 3);
	out->quota = sql_u64(row, 4);
	out->created_ms = sql_u64(row, 5);
	out->changed_ms = sql_u64(row, 6);
	out->stated = (uint32_t)sql_u64(row, 7);
	out->expires_ms = sql_u64(row, 8);
	out->locked = sql_u64(row, 9) != 0;
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		*texts[i] = take(arena, sql_str(row, FIRST_TEXT + (int)i));
	out->quota_soft = sql_u64(row, FIRST_TEXT + (int)ARRAY_SIZE(texts));
	out->quota_messages = sql_u64(row, FIRST_TEXT + (int)ARRAY_SIZE(texts) + 1);
	out->quota_messages_soft = sql_u64(row, FIRST_TEXT + (int)ARRAY_SIZE(texts) + 2);
	out->groups = NULL;
	out->group_count = 0;
}

void rows_bind_account(struct sql_statement *row, const struct store_account *a)
{
	const struct str *texts[] = ACCOUNT_TEXTS(a);

	sql_bind_u64(row, 1, a->id);
	sql_bind_text(row, 2, a->name);
	sql_bind_u64(row, 3, a->enabled);
	sql_bind_u64(row, 4, a->rights);
	sql_bind_u64(row, 5, a->quota);
	sql_bind_u64(row, 6, a->created_ms);
	sql_bind_u64(row, 7, a->changed_ms);
	sql_bind_u64(row, 8, a->stated);
	sql_bind_u64(row, 9, a->expires_ms);
	sql_bind_u64(row, 10, a->locked);
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		sql_bind_text(row, 1 + FIRST_TEXT + (int)i, *texts[i]);
	sql_bind_u64(row, 1 + FIRST_TEXT + (int)ARRAY_SIZE(texts), a->quota_soft);
	sql_bind_u64(row, 2 + FIRST_TEXT + (int)ARRAY_SIZE(texts), a->quota_messages);
	sql_bind_u64(row, 3 + FIRST_TEXT + (int)ARRAY_SIZE(texts), a->quota_messages_soft);
}

void rows_read_group(struct sql_statement *row, struct arena *arena, struct store_group *out)
{
	out->name = take(arena, sql_str(row, 0));
	out->rights = (uint32_t)sql_u64(row, 1);
	out->stated = (uint32_t)sql_u64(row, 2);
	out->networks = take(arena, sql_str(row, 3));
	out->servers = take(arena, sql_str(row, 4));
	out->created_ms = sql_u64(row, 5);
	out->changed_ms = sql_u64(row, 6);
}

void rows_bind_group(struct sql_statement *row, const struct store_group *g)
{
	sql_bind_text(row, 1, g->name);
	sql_bind_u64(row, 2, g->rights);
	sql_bind_u64(row, 3, g->stated);
	sql_bind_text(row, 4, g->networks);
	sql_bind_text(row, 5, g->servers);
	sql_bind_u64(row, 6, g->created_ms);
	sql_bind_u64(row, 7, g->changed_ms);
}

void rows_copy_account(const struct store_account *a, struct arena *arena, struct store_account *out)
{
	struct store_account copy = *a;
	struct str *texts[] = ACCOUNT_TEXTS(&copy);
	struct store_group *groups = NULL;

	copy.name = arena_str(arena, copy.name);
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		*texts[i] = arena_str(arena, *texts[i]);
	if (a->group_count)
		groups = arena_alloc(arena, a->group_count * sizeof(*groups));
	for (unsigned i = 0; i < a->group_count; i++) {
		groups[i] = a->groups[i];
		groups[i].name = arena_str(arena, groups[i].name);
		groups[i].networks = arena_str(arena, groups[i].networks);
		groups[i].servers = arena_str(arena, groups[i].servers);
	}
	copy.groups = groups;
	*out = copy;
}
