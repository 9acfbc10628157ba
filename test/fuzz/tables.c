// SPDX-License-Identifier: ISC
// Tables: of whatever files, they are refused with findings or made, and what is in them is found;
// octets that somebody spoiled are refused or used, and nothing outside of them is touched. The
// first octet says what follows: r rules, c rules as .cdb, d domains, e domains as .cdb, a aliases,
// o octets of tables, p places of good tables and what to put there.
#include "fuzz.h"

#include "config/config.h"

struct files {
	struct str content;
	struct str aliases; // "" : the same
	struct str include;
	bool foreign; // the include
};

static int read_table(void *arg, const char *path, enum config_table kind, struct buf *out,
	struct config_look *look, struct error *err)
{
	const struct files *files = arg;
	bool include = kind == CONFIG_TABLE_INCLUDE;
	*look = (struct config_look){0, include && files->foreign};
	if (include && strstr(path, "missing"))
		return error_set(err, ERR_NOT_FOUND, "cannot open %s", path);
	bool aliases = kind == CONFIG_TABLE_ALIASES && files->aliases.len;
	struct str text = include ? files->include : aliases ? files->aliases : files->content;
	return out ? buf_add_str(out, text) : ERR_NOT_FOUND;
}

static bool inside(struct str octets, struct str s)
{
	uintptr_t from = (uintptr_t)octets.data, at = (uintptr_t)s.data;
	return s.len == 0 || (at >= from && s.len <= octets.len && at - from <= octets.len - s.len);
}

static void check_rule(struct str octets, const struct client_rule *r)
{
	CHECK(r->action == CLIENT_ALLOW || r->action == CLIENT_RELAY || r->action == CLIENT_DENY);
	CHECK(inside(octets, r->text) && inside(octets, r->relay_suffix) && inside(octets, r->name));
	CHECK(inside(octets, r->rblsmtpd) && inside(octets, r->senders) && inside(octets, r->place.file));
	CHECK(r->network.addr.family == 0 || r->network.addr.family == 4 || r->network.addr.family == 6);
}

static void ask_clients(const struct tables *t, struct str octets)
{
	static const char *const hosts[] = {NULL, "", "a.b", "mail.example.kr", "..", "=", "x"};
	static const struct ipaddr addresses[] = {{4, {1, 2, 3, 4}}, {4, {0}}, {6, {0x20, 1, 0xd, 0xb8}}};
	struct client_rule r;
	bool needs_host, later;
	for (size_t a = 0; a < ARRAY_SIZE(addresses); a++)
		for (size_t h = 0; h < ARRAY_SIZE(hosts); h++) {
			struct str host = {hosts[h], hosts[h] ? strlen(hosts[h]) : 0};
			bool found = tables_client_rule(t, &addresses[a], host, &r, &needs_host);
			CHECK(h == 0 || !needs_host);
			if (found)
				check_rule(octets, &r);
			if (h == 0 && !needs_host) { // then no name changes it
				struct client_rule named;
				CHECK(tables_client_rule(t, &addresses[a], STR("a.b"), &named, &later) == found);
				CHECK(!found || named.place.line == r.place.line);
			}
		}
	for (size_t i = 0; i < 1000 && tables_client_at(t, i, &r); i++)
		check_rule(octets, &r);
}

// good: what was just made; else octets that may say anything.
static void ask(const struct tables *t, struct str octets, bool good)
{
	struct tables_place place;
	struct tables_alias alias, same;
	struct str entry;
	if (good)
		ask_clients(t, octets);
	for (size_t i = 0; !good && i < 4; i++) {
		struct client_rule r;
		struct ipaddr a = {i % 2 ? 4 : 6, {1, 2, 3, 4}};
		bool needs_host;
		if (tables_client_rule(t, &a, STR("mail.example.kr"), &r, &needs_host))
			check_rule(octets, &r);
		if (tables_client_at(t, i, &r))
			check_rule(octets, &r);
	}
	if (tables_domain(t, STR("x.y.example.kr"), &place, &entry) != TABLES_DOMAIN_NONE)
		CHECK(inside(octets, entry) && inside(octets, place.file) && entry.len);
	for (size_t i = 0; i < 1000 && tables_alias_at(t, i, &alias); i++) {
		CHECK(inside(octets, alias.name) && inside(octets, alias.targets));
		CHECK(inside(octets, alias.place.file));
		if (good) {
			CHECK(tables_alias(t, alias.name, &same) && same.place.line == alias.place.line);
			CHECK(alias.targets.len && alias.targets.len <= TABLES_TARGETS_MAX);
			CHECK(!has_control(alias.targets) || memchr(alias.targets.data, 0x7f, alias.targets.len));
		}
	}
	for (size_t i = 0; i < 1000 && tables_file_at(t, i, &entry); i++)
		CHECK(inside(octets, entry));
	(void)tables_alias(t, STR("root"), &alias);
}

static bool build(const struct config *c, struct files *files, struct buf *out)
{
	struct config_reader reader = {.read_table = read_table, .arg = files};
	struct config_findings findings = {0};
	int err = tables_build(c, &reader, out, &findings);
	CHECK((err != 0) == (findings.errors > 0) && (!err || buf_len(out) == 0));
	for (size_t i = 0; i < findings.count; i++)
		CHECK(!has_control(findings.items[i].text) && findings.items[i].text.len);
	config_findings_finish(&findings);
	return err == 0;
}

static void try_octets(struct str octets)
{
	struct str copy = exact_copy(octets);
	struct tables *t;
	int err = tables_open(copy, &t);
	CHECK(err == 0 || err == ERR_CORRUPT);
	if (!err)
		ask(t, copy, false);
	tables_close(t);
	free((void *)copy.data);
}

static void try_places(struct str places)
{
	static struct str list = {"/list", 5}, cdb = {"/rules", 6};
	const struct config c = {.rules = {&cdb, 1}, .relay_domain_files = {&list, 1}, .aliases = {&list, 1}};
	struct files files = {STR("1.2.3.4:deny\n1.2.:allow,RELAYCLIENT=\"@x\"\n=.kr:deny\n=:deny\n:deny\n"
				  "mail.example.kr:deny\n"), STR("root: kim\nlee: root\n"), STR_EMPTY, false};
	struct buf octets = BUF_INIT;
	CHECK(build(&c, &files, &octets));
	for (; places.len >= 3; places = str_skip(places, 3)) {
		size_t at = (size_t)(unsigned char)places.data[0] << 8 | (unsigned char)places.data[1];
		octets.data[octets.start + at % buf_len(&octets)] = places.data[2];
	}
	try_octets(buf_str(&octets));
	buf_finish(&octets);
}

static void try_files(char kind, struct str text)
{
	struct str path = kind == 'c' || kind == 'e' ? STR("/file.cdb") : STR("/file");
	struct config_list one = {&path, 1};
	struct config c = {0};
	struct buf octets = BUF_INIT;
	struct tables *t;
	ptrdiff_t end = str_find(text, '\f'); // the include is behind it
	struct files files = {text, STR_EMPTY, end < 0 ? STR("a, b\n# c\nd") : str_skip(text, (size_t)end + 1),
		end >= 0 && text.len % 2};
	if (end >= 0 && kind == 'a')
		files.content = str_slice(text, 0, (size_t)end);
	*(kind == 'r' || kind == 'c' ? &c.rules : kind == 'a' ? &c.aliases : &c.domain_files) = one;
	if (build(&c, &files, &octets)) {
		struct str copy = exact_copy(buf_str(&octets));
		CHECK(tables_open(copy, &t) == 0);
		ask(t, copy, true);
		tables_close(t);
		free((void *)copy.data);
	}
	buf_finish(&octets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct str rest = str_make(data + 1, size - 1);
	if (data[0] == 'o')
		try_octets(rest);
	else if (data[0] == 'p')
		try_places(rest);
	else if (strchr("rcdea", data[0]) && data[0])
		try_files((char)data[0], rest);
	return 0;
}
