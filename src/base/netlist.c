// SPDX-License-Identifier: ISC
#include "base/netlist.h"

#include "base/error.h"

#include <stdio.h>

static int add(struct str word, struct buf *out)
{
	char text[IPADDR_TEXT_MAX], whole[IPADDR_TEXT_MAX + 8];
	struct ipnet net;
	int err;

	if (str_equal_nocase(word, STR("any")))
		return buf_add_str(out, STR("0.0.0.0/0 ::/0"));
	err = ipnet_parse(word, &net);
	if (err)
		return err;
	ipaddr_format(&net.addr, text);
	if (net.prefix == (net.addr.family == 4 ? 32 : 128))
		return buf_add_str(out, str_from(text));
	snprintf(whole, sizeof whole, "%s/%u", text, net.prefix);
	return buf_add_str(out, str_from(whole));
}

int netlist_parse(struct str words, struct buf *out, struct str *bad)
{
	size_t before = buf_len(out);

	while (words.len) {
		size_t n = 0;
		while (n < words.len && words.data[n] != ' ' && words.data[n] != ',')
			n++;
		struct str word = str_slice(words, 0, n);
		words = str_skip(words, n < words.len ? n + 1 : n);
		if (!word.len)
			continue;
		if (bad)
			*bad = word;
		if (buf_len(out) > before && buf_add_char(out, ' '))
			return ERR_LIMIT;
		int err = add(word, out);
		if (err)
			return err;
	}
	return 0;
}

bool netlist_has(struct str list, const struct ipaddr *address)
{
	struct str word;
	struct ipnet net;

	while (list.len && str_split(&list, ' ', &word))
		if (word.len && ipnet_parse(word, &net) == 0 && ipnet_contains(&net, address))
			return true;
	return false;
}
