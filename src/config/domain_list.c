// SPDX-License-Identifier: ISC
#include "config/domain_list.h"

#include "base/cdb.h"
#include "base/domain.h"

#define KEY_MAX 65536

int domain_list_entry(struct str text, char out[DOMAIN_ENTRY_MAX + 1])
{
	char name[DOMAIN_MAX + 1];
	bool below = str_starts(text, STR(".")) || str_starts(text, STR("*."));
	if (below)
		text = str_skip(text, text.data[0] == '.' ? 1 : 2);
	out[0] = '\0';
	if (domain_normalise(text, name) < 0)
		return ERR_SYNTAX;
	out[0] = '.';
	return str_copy(str_from(name), out + below, DOMAIN_ENTRY_MAX + 1 - below) ? 0 : ERR_SYNTAX;
}

static bool give(const struct domain_list_sink *sink, struct str text, unsigned line)
{
	char name[DOMAIN_ENTRY_MAX + 1];
	if (domain_list_entry(text, name) == 0)
		return sink->domain(sink->arg, str_from(name), line);
	sink->odd(sink->arg, line, text);
	return true;
}

void domain_list_text(struct str text, const struct domain_list_sink *sink)
{
	struct str line;
	unsigned number = 0;
	bool more = true;
	while (more && text.len && str_split(&text, '\n', &line)) {
		number++;
		line = str_trim(line);
		if (line.len && line.data[0] != '#')
			more = give(sink, line, number);
	}
}

int domain_list_cdb(struct str octets, const struct domain_list_sink *sink)
{
	struct cdb cdb;
	struct buf key = BUF_INIT, value = BUF_INIT;
	uint64_t position = 0;
	int err = cdb_open_memory(&cdb, octets);
	while (!err && !(err = cdb_next(&cdb, &position, KEY_MAX, &key, &value)))
		if (!give(sink, buf_str(&key), 0))
			break;
	buf_finish(&key);
	buf_finish(&value);
	return !err || err == ERR_NOT_FOUND ? 0 : ERR_CORRUPT;
}
