// SPDX-License-Identifier: ISC
#include "queue/rights.h"

#include <stdio.h>

static void name_group(const struct store_group *g, char who[80])
{
	snprintf(who, 80, "group %.*s", STR_ARG(str_slice(g->name, 0, 70)));
}

bool queue_right(const struct store_account *a, uint32_t right, char who[80])
{
	bool given = true;
	snprintf(who, 80, "%s", a->stated & right ? "account" : "default");
	if (a->stated & right)
		return a->rights & right;
	for (unsigned i = 0; i < a->group_count && given; i++) {
		const struct store_group *g = &a->groups[i];
		if (!(g->stated & right))
			continue;
		given = g->rights & right;
		name_group(g, who);
	}
	return given;
}

uint32_t queue_rights(const struct store_account *a)
{
	char who[80];
	return (queue_right(a, ACCOUNT_MAY_SUBMIT, who) ? ACCOUNT_MAY_SUBMIT : 0u) |
		(queue_right(a, ACCOUNT_MAY_RELAY, who) ? ACCOUNT_MAY_RELAY : 0u);
}

static void add_line(struct buf *out, const char *who, struct str words)
{
	if (!words.len)
		return;
	if (buf_len(out))
		buf_add_char(out, '\n');
	buf_add_text(out, who);
	buf_add_char(out, '\t');
	buf_add_str(out, words);
}

void queue_limits(const struct store_account *a, bool servers, struct buf *out)
{
	struct str own = servers ? a->servers : a->networks;
	char who[80];
	add_line(out, "account", own);
	for (unsigned i = 0; i < a->group_count && !own.len; i++) {
		name_group(&a->groups[i], who);
		add_line(out, who, servers ? a->groups[i].servers : a->groups[i].networks);
	}
}
