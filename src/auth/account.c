// SPDX-License-Identifier: ISC
#include "auth/account.h"

#include "base/netlist.h"

static bool has_word(struct str words, struct str word)
{
	struct str one;

	while (words.len && str_split(&words, ' ', &one))
		if (one.len && str_equal(one, word))
			return true;
	return false;
}

bool auth_account_may_act_as(const struct auth_account *a, struct str key)
{
	return has_word(a->act_as, key);
}

static bool next_line(struct str *lines, struct str *who, struct str *words)
{
	struct str line;

	if (!lines->len || !str_split(lines, '\n', &line))
		return false;
	(void)str_split(&line, '\t', who);
	*words = line;
	return true;
}

bool auth_account_fits(const struct auth_account *a, const struct ipaddr *client, struct str server,
	struct str *who)
{
	struct str networks = a->networks, servers = a->servers, words;

	while (next_line(&networks, who, &words))
		if (!netlist_has(words, client))
			return false;
	while (next_line(&servers, who, &words))
		if (!has_word(words, server))
			return false;
	return true;
}
