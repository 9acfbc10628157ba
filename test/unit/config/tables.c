// SPDX-License-Identifier: ISC
// Tables made of files in memory, and what is found in them.
#include "build.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 8

// A configuration and its files; the first is the configuration.
struct made {
	struct config *config;
	struct config_findings findings;
	struct buf octets;
	struct tables *tables; // NULL: there was an error
	int result;
};

static struct made make(const struct memory_file *files)
{
	struct made m = {0};
	size_t count = 0;
	while (count < FILES_MAX && files[count].path)
		count++;
	struct memory_files all = {files, count};
	struct config_reader reader = {memory_read, &all};
	m.config = config_build(files[0].path, &reader, &m.findings);
	assert_non_null(m.config);
	config_findings_finish(&m.findings);
	m.result = tables_build(m.config, &reader, &m.octets, &m.findings);
	if (!m.result) {
		assert_int_equal(tables_open(buf_str(&m.octets), &m.tables), 0);
		config_use_tables(m.config, m.tables);
	}
	return m;
}

static void finish(struct made *m)
{
	tables_close(m->tables);
	config_destroy(m->config);
	config_findings_finish(&m->findings);
	buf_finish(&m->octets);
}

static void expect_findings(const struct made *m, const char *expected)
{
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < m->findings.count; i++) {
		const struct config_finding *f = &m->findings.items[i];
		buf_add_format(&out, "%c %.*s:%u %.*s\n", f->severity, STR_ARG(f->file), f->line,
			STR_ARG(f->text));
	}
	if (!str_equal(buf_str(&out), str_from(expected)))
		fail_msg("findings:\n%s", buf_cstr(&out));
	buf_finish(&out);
}

// The rule as "FILE:LINE NAME", or "-".
static void expect_rule(const struct made *m, const char *address, const char *host,
	const char *expected)
{
	struct client_rule r;
	struct ipaddr a;
	char text[200] = "-";
	bool needs_host;
	assert_int_equal(ipaddr_parse(str_from(address), &a), 0);
	if (config_client_rule(m->config, &a, str_from(host), &r, &needs_host))
		snprintf(text, sizeof text, "%.*s:%u %.*s", STR_ARG(r.place.file), r.place.line,
			STR_ARG(r.name));
	assert_false(needs_host);
	if (strcmp(text, expected))
		fail_msg("%s (%s): %s, expected %s", address, host, text, expected);
}

// ---- rules

static void test_one_order_of_rules(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "rules \"/a\"\nrules \"/b\"\nclients {\n"
			"\"192.0.2.0/24\" relay\n\"192.0.3.0/24\" deny\n\"192.0.4.4\" relay\n"
			"\"198.51.0.0/20\" relay\n\"2001:db8::/32\" deny\n}\n"},
		{"/a", "192.0.2.:deny\n192.0.3.:allow\n192.0.4.4:allow,DATABYTES=\"1\"\n=mail.a.kr:deny\n"
			"=.a.kr:allow\n=.kr:deny\n198.51.:deny\n198.51.1.:deny\n192.0.5.:allow\n"
			"192.0.5.:deny\n192.0.6.:allow\n"},
		{"/b", "192.0.6.:deny\n192.0.5.0/24:deny\n=:allow\n:deny\n10.0.0.1:allow\n"},
		{0}};
	struct made m = make(files);
	expect_findings(&m, "");
	expect_rule(&m, "192.0.2.1", "", "/a:1 192.0.2.");	// a deny goes first
	expect_rule(&m, "192.0.3.1", "", "/c:8 192.0.3.0/24");
	expect_rule(&m, "192.0.4.4", "mail.a.kr", "/c:9 192.0.4.4"); // then clients
	expect_rule(&m, "192.0.2.1", "mail.a.kr", "/a:4 =mail.a.kr");  // a host beats a network
	expect_rule(&m, "10.9.9.9", "x.mail.a.kr", "/a:5 =.a.kr");
	expect_rule(&m, "10.9.9.9", "a.kr", "/a:6 =.kr");
	expect_rule(&m, "10.9.9.9", "kr", "/b:3 =");
	expect_rule(&m, "10.9.9.9", "", "/b:4 ");
	expect_rule(&m, "10.0.0.1", "mail.a.kr", "/b:5 10.0.0.1");
	expect_rule(&m, "198.51.1.1", "x.a.kr", "/a:8 198.51.1."); // 24, 20, 16: the longest
	expect_rule(&m, "198.51.2.1", "x.a.kr", "/c:10 198.51.0.0/20");
	expect_rule(&m, "198.51.20.1", "x.a.kr", "/a:7 198.51.");
	// Of equal keys in a file the first counts, and that file's word is held against the others'.
	expect_rule(&m, "192.0.5.1", "", "/b:2 192.0.5.0/24");
	expect_rule(&m, "192.0.6.1", "", "/b:1 192.0.6.");
	expect_rule(&m, "2001:db8::1", "x.a.kr", "/c:11 2001:db8::/32");
	expect_rule(&m, "2001:db9::1", "", "/b:4 ");
	finish(&m);
}

static void test_first_of_a_file_is_its_word(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "rules \"/a\"\nclients { \"1.2.3.4\" relay }\n"},
		{"/a", "1.2.3.4:allow\n1.2.3.4:deny\n"}, {0}};
	struct made m = make(files);
	expect_rule(&m, "1.2.3.4", "", "/c:5 1.2.3.4"); // the deny is none: tcprules would not see it
	expect_rule(&m, "1.2.3.5", "", "-");
	finish(&m);
}

static void expect_need(const struct made *m, const char *address, bool found, bool needs)
{
	struct client_rule r;
	struct ipaddr a;
	bool needs_host;
	ipaddr_parse(str_from(address), &a);
	assert_int_equal(
		config_client_rule(m->config, &a, (struct str){NULL, 0}, &r, &needs_host), found);
	assert_int_equal(needs_host, needs);
}

static void test_when_a_name_is_needed(void **state)
{
	static const struct memory_file hosts[] = {
		{"/c", START "rules \"/a\"\n"}, {"/a", "=a.kr:deny\n1.2.3.4:allow\n1.:allow\n:deny\n"}, {0}};
	static const struct memory_file suffixes[] = {
		{"/c", START "rules \"/a\"\n"}, {"/a", "=.kr:deny\n1.2.3.4:allow\n1.:allow\n:deny\n"}, {0}};
	static const struct memory_file none[] = {
		{"/c", START "rules \"/a\"\n"}, {"/a", "1.:allow\n"}, {0}};
	struct made m = make(hosts);
	expect_need(&m, "1.2.3.4", true, false);
	expect_need(&m, "1.2.3.5", true, true);
	expect_need(&m, "2.2.3.5", true, true);
	finish(&m);
	m = make(suffixes);
	expect_need(&m, "1.2.3.4", true, false);
	expect_need(&m, "1.2.3.5", true, false); // a network beats a suffix
	expect_need(&m, "2.2.3.5", true, true);
	finish(&m);
	m = make(none);
	expect_need(&m, "1.2.3.5", true, false);
	expect_need(&m, "2.2.3.5", false, false);
	finish(&m);
}

static void test_what_a_rule_says(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "rules \"/a\"\nclients { \"10.0.0.1\" relay senders { \"A.kr\" \"b.kr\" }\n"
			"\"10.0.0.2\" deny \"no\" }\n"},
		{"/a", "1.1.1.1:allow,RELAYCLIENT=\"@s\",DATABYTES=\"1000\",MAXRCPT=\"0\",RBLSMTPD=\"-x\"\n"
			"1.1.1.2:deny,RELAYCLIENT=\"\"\n1.1.1.3:allow,RBLSMTPD=\"\",TCPREMOTEINFO=\"x\"\n"
			"1.1.1.4:allow,DATABYTES=\"no\",FOO=\"\",DATABYTES=\"7\"\n1.1.1.5:allow,FOO=\"\"\n"},
		{0}};
	struct made m = make(files);
	struct client_rule r;
	bool needs_host;
	expect_findings(&m, "W /a:4 DATABYTES=\"no\": expected a number; it is left out\n"
		"W /a:4 the variable FOO means nothing here: known are RELAYCLIENT, DATABYTES, RBLSMTPD and "
		"MAXRCPT\n");
	struct ipaddr a = {4, {1, 1, 1, 1}};
	assert_true(tables_client_rule(m.tables, &a, STR_EMPTY, &r, &needs_host));
	assert_int_equal(r.action, CLIENT_RELAY);
	assert_true(r.foreign && r.has_databytes && r.has_maxrcpt && r.has_rblsmtpd);
	assert_int_equal(r.databytes, 1000);
	assert_int_equal(r.maxrcpt, 0);
	assert_str(r.relay_suffix, "@s");
	assert_str(r.rblsmtpd, "-x");
	a.octets[3] = 2;
	assert_true(tables_client_rule(m.tables, &a, STR_EMPTY, &r, &needs_host));
	assert_int_equal(r.action, CLIENT_DENY);
	a.octets[3] = 3;
	assert_true(tables_client_rule(m.tables, &a, STR_EMPTY, &r, &needs_host));
	assert_int_equal(r.action, CLIENT_ALLOW);
	assert_true(r.has_rblsmtpd && !r.rblsmtpd.len && !r.has_databytes);
	a.octets[3] = 4;
	assert_true(tables_client_rule(m.tables, &a, STR_EMPTY, &r, &needs_host));
	assert_int_equal(r.databytes, 7);
	a = (struct ipaddr){4, {10, 0, 0, 1}};
	assert_true(tables_client_rule(m.tables, &a, STR_EMPTY, &r, &needs_host));
	assert_int_equal(r.action, CLIENT_RELAY);
	assert_false(r.foreign);
	assert_str(r.senders, "a.kr b.kr");
	assert_int_equal(r.network.prefix, 32);
	a.octets[3] = 2;
	assert_true(tables_client_rule(m.tables, &a, STR_EMPTY, &r, &needs_host));
	assert_str(r.text, "no");
	finish(&m);
}

static void test_rules_that_are_not_taken(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "rules \"/a\" \"/missing\"\n"},
		{"/a", ":allow,RELAYCLIENT=\"\"\n=:allow,RELAYCLIENT=\"\"\n0.0.0.0/0:allow,RELAYCLIENT=\"\"\n"
			"1.0.0.0/7:allow,RELAYCLIENT=\"\"\n=.kr:allow,RELAYCLIENT=\"\"\n"
			"kim@1.2.3.4:deny\nlee@1.2.3.4:deny\n1.2.3:deny\nfoo:deny\n=A.kr:deny\nx:y\n"},
		{0}};
	struct made m = make(files);
	assert_int_equal(m.result, ERR_SYNTAX);
	assert_null(m.tables);
	assert_int_equal(buf_len(&m.octets), 0);
	expect_findings(&m,
		"E /a:1 \"\" with RELAYCLIENT makes an open relay: expected your own networks\n"
		"E /a:2 \"=\" with RELAYCLIENT makes an open relay: expected your own networks\n"
		"E /a:3 \"0.0.0.0/0\" with RELAYCLIENT makes an open relay: expected your own networks\n"
		"W /a:4 relay for \"1.0.0.0/7\": this is a large part of the Internet\n"
		"W /a:5 relay for \"=.kr\": everybody with a name in that domain may relay\n"
		"W /a:6 rules for the client's ident (\"USER@\") are not carried: nobody is asked for it\n"
		"W /a:8 \"1.2.3\" matches no address: expected four numbers without zeros in front, or fewer "
		"with a dot at the end\n"
		"W /a:9 \"foo\" matches no client: expected an address, a part of one with a dot at its end, "
		"\"=NAME\" or nothing\n"
		"W /a:10 \"=A.kr\" matches no client: names are compared in lower case\n"
		"E /a:11 expected allow or deny behind the \":\"\n"
		"E /missing:0 cannot open /missing\n");
	finish(&m);
}

static void test_warnings_are_bounded(void **state)
{
	struct buf text = BUF_INIT;
	for (int i = 0; i < 500; i++)
		buf_add_text(&text, "foo:deny\n");
	struct memory_file files[] = {{"/c", START "rules \"/a\"\n"}, {"/a", buf_cstr(&text)}, {0}};
	struct made m = make(files);
	assert_int_equal(m.result, 0);
	assert_int_equal(m.findings.count, 21);
	assert_str(m.findings.items[20].text, "there is more of this kind");
	finish(&m);
	buf_finish(&text);
}

// ---- domains

static void expect_domain(const struct made *m, const char *name, enum tables_domain what,
	const char *where)
{
	struct tables_place place;
	struct str entry;
	char text[200];
	enum tables_domain found = config_domain(m->config, str_from(name), &place, &entry);
	snprintf(text, sizeof text, "%.*s:%u %.*s", STR_ARG(place.file), place.line, STR_ARG(entry));
	if (found != what || strcmp(text, where))
		fail_msg("%s: %d %s", name, found, text);
	assert_int_equal(config_is_local_domain(m->config, str_from(name)), what == TABLES_DOMAIN_LOCAL);
	assert_int_equal(config_is_relay_domain(m->config, str_from(name)), what == TABLES_DOMAIN_RELAY);
}

static void test_domains(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "domains from \"/locals\"\nrelay-domains { \"back.kr\" \".wild.kr\" }\n"
			"relay-domains from \"/rcpthosts\"\n"},
		{"/locals", "# ours\nSub.Example.KR\r\n.local.kr\n[1.2.3.4]\n"},
		{"/rcpthosts", "example.kr\nsub.example.kr\nelse.kr\n.else.kr\nx.local.kr\nback.kr\n.a.b.wild.kr\n"},
		{0}};
	struct made m = make(files);
	expect_findings(&m, "W /locals:4 \"[1.2.3.4]\" is no domain and is left out: expected one like "
		"example.kr, or .example.kr for all below it\n");
	assert_int_equal(tables_domain_count(m.tables), 9);
	expect_domain(&m, "example.kr", TABLES_DOMAIN_LOCAL, ":0 example.kr");
	expect_domain(&m, "sub.example.kr", TABLES_DOMAIN_LOCAL, "/locals:2 sub.example.kr");
	expect_domain(&m, "x.example.kr", TABLES_DOMAIN_NONE, ":0 ");
	expect_domain(&m, "local.kr", TABLES_DOMAIN_NONE, ":0 "); // ".local.kr" is only below it
	expect_domain(&m, "a.b.local.kr", TABLES_DOMAIN_LOCAL, "/locals:3 .local.kr");
	expect_domain(&m, "x.local.kr", TABLES_DOMAIN_RELAY, "/rcpthosts:5 x.local.kr"); // the longer wins
	expect_domain(&m, "y.x.local.kr", TABLES_DOMAIN_LOCAL, "/locals:3 .local.kr");
	expect_domain(&m, "else.kr", TABLES_DOMAIN_RELAY, "/rcpthosts:3 else.kr");
	expect_domain(&m, "a.else.kr", TABLES_DOMAIN_RELAY, "/rcpthosts:4 .else.kr");
	expect_domain(&m, "aelse.kr", TABLES_DOMAIN_NONE, ":0 ");
	expect_domain(&m, "back.kr", TABLES_DOMAIN_RELAY, ":0 back.kr");
	expect_domain(&m, "c.a.b.wild.kr", TABLES_DOMAIN_RELAY, "/rcpthosts:7 .a.b.wild.kr");
	expect_domain(&m, "a.b.wild.kr", TABLES_DOMAIN_RELAY, ":0 .wild.kr");
	expect_domain(&m, "", TABLES_DOMAIN_NONE, ":0 ");
	expect_domain(&m, "kr", TABLES_DOMAIN_NONE, ":0 ");
	config_use_tables(m.config, NULL); // its own arrays say the same of what they hold
	expect_domain(&m, "x.wild.kr", TABLES_DOMAIN_RELAY, ":0 .wild.kr");
	expect_domain(&m, "wild.kr", TABLES_DOMAIN_NONE, ":0 ");
	expect_domain(&m, "back.kr", TABLES_DOMAIN_RELAY, ":0 back.kr");
	expect_domain(&m, "example.kr", TABLES_DOMAIN_LOCAL, ":0 example.kr");
	finish(&m);
}

static void test_what_is_no_list(void **state)
{
	struct buf text = BUF_INIT;
	for (int i = 0; i < 200; i++)
		buf_add_format(&text, "words of a letter %d\n", i);
	struct memory_file files[] = {
		{"/c", START "domains from \"/letter\"\n"}, {"/letter", buf_cstr(&text)}, {0}};
	struct made m = make(files);
	assert_int_equal(m.result, ERR_SYNTAX);
	assert_str(m.findings.items[m.findings.count - 1].text,
		"this is no list of domains: expected a domain on each line");
	finish(&m);
	buf_finish(&text);
}

static void test_broken_cdb(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "rules \"/r.cdb\"\nrelay-domains from \"/d.cdb\"\n"}, {"/r.cdb", "1.2.3.4:deny\n"},
		{"/d.cdb", "a.kr\n"}, {0}};
	struct made m = make(files);
	expect_findings(&m, "E /r.cdb:0 this is no whole .cdb of tcprules\nE /d.cdb:0 this is no whole .cdb\n");
	finish(&m);
}

// A hash of many names finds each, and nothing else.
static void test_many_domains(void **state)
{
	enum { MANY = 20000 };
	struct buf text = BUF_INIT;
	char name[64];
	for (int i = 0; i < MANY; i++)
		buf_add_format(&text, "%sd%d.example.kr\n", i % 3 ? "" : ".", i);
	struct memory_file files[] = {
		{"/c", START "relay-domains from \"/a\"\n"}, {"/a", buf_cstr(&text)}, {0}};
	struct made m = make(files);
	for (int i = 0; i < MANY; i++) {
		struct tables_place place;
		snprintf(name, sizeof name, "%sd%d.example.kr", i % 3 ? "" : "x.", i);
		assert_int_equal(
			tables_domain(m.tables, str_from(name), &place, NULL), TABLES_DOMAIN_RELAY);
		assert_int_equal(place.line, i + 1);
		snprintf(name, sizeof name, "e%d.example.kr", i);
		assert_int_equal(tables_domain(m.tables, str_from(name), NULL, NULL), TABLES_DOMAIN_NONE);
	}
	finish(&m);
	buf_finish(&text);
}

// ---- aliases

static void test_aliases(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "aliases \"/a\" \"/b\"\n"},
		{"/a", "root: kim\nlist: :include:/list, :include:/gone\n"},
		{"/b", "Root: lee\nwebmaster: root\n"}, {"/list", "one@a.kr\ntwo@a.kr\n"}, {0}};
	struct made m = make(files);
	struct tables_alias alias;
	struct str path;
	expect_findings(&m, "W /a:2 cannot open /gone; mail to this alias waits until it can be read\n"
		"W /b:1 \"root\" is there already in /a, line 1, which counts\n");
	assert_int_equal(tables_alias_count(m.tables), 3);
	assert_true(tables_alias(m.tables, STR("root"), &alias));
	assert_str(alias.targets, "kim");
	assert_str(alias.place.file, "/a");
	assert_int_equal(alias.place.line, 1);
	assert_true(tables_alias(m.tables, STR("list"), &alias));
	assert_str(alias.targets, "one@a.kr, two@a.kr, :include:/gone");
	assert_true(tables_alias(m.tables, STR("webmaster"), &alias));
	assert_int_equal(alias.place.line, 2);
	assert_false(tables_alias(m.tables, STR("Root"), &alias));
	assert_false(tables_alias(m.tables, STR(""), &alias));
	assert_false(tables_alias_at(m.tables, 3, &alias));
	// Every file is named, for the watcher.
	static const char *const read[] = {"/a", "/list", "/gone", "/b"};
	for (size_t i = 0; i < ARRAY_SIZE(read); i++) {
		assert_true(tables_file_at(m.tables, i, &path));
		assert_str(path, read[i]);
	}
	assert_false(tables_file_at(m.tables, ARRAY_SIZE(read), &path));
	finish(&m);
}

// ---- octets

static void test_empty_tables(void **state)
{
	static const struct memory_file files[] = {{"/c", "hostname \"a.kr\"\npostmaster \"k@a.kr\"\ndomains { }\n"}, {0}};
	struct made m = make(files);
	struct tables_alias alias;
	expect_rule(&m, "1.2.3.4", "a.kr", "-");
	expect_domain(&m, "a.kr", TABLES_DOMAIN_NONE, ":0 ");
	assert_false(tables_alias(m.tables, STR("root"), &alias));
	finish(&m);
}

static void test_corrupt_octets(void **state)
{
	static const struct memory_file files[] = {
		{"/c", START "rules \"/a\"\n"}, {"/a", "1.2.3.4:deny\n"}, {0}};
	struct made m = make(files);
	size_t size = buf_len(&m.octets);
	uint64_t *copy = malloc(size + 16);
	struct tables *t;
	memcpy(copy, m.octets.data, size);
	assert_int_equal(tables_open(str_make(copy, size), &t), 0);
	tables_close(t);
	for (size_t len = 0; len < size; len += 7) // cut off anywhere
		assert_int_equal(tables_open(str_make(copy, len), &t), ERR_CORRUPT);
	assert_int_equal(tables_open(str_make(copy, size + 8), &t), ERR_CORRUPT);
	memmove((char *)copy + 4, copy, size);
	assert_int_equal(tables_open(str_make((char *)copy + 4, size), &t), ERR_CORRUPT); // not aligned
	memmove(copy, (char *)copy + 4, size);
	for (size_t i = 4; i < 4 + 2 * 8; i++) { // a part that lies outside
		uint64_t kept = copy[i];
		copy[i] = UINT64_MAX - 7;
		assert_int_equal(tables_open(str_make(copy, size), &t), ERR_CORRUPT);
		copy[i] = kept;
	}
	free(copy);
	finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_order_of_rules),
		cmocka_unit_test(test_first_of_a_file_is_its_word),
		cmocka_unit_test(test_when_a_name_is_needed),
		cmocka_unit_test(test_what_a_rule_says),
		cmocka_unit_test(test_rules_that_are_not_taken),
		cmocka_unit_test(test_warnings_are_bounded),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_what_is_no_list),
		cmocka_unit_test(test_broken_cdb),
		cmocka_unit_test(test_many_domains),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_empty_tables),
		cmocka_unit_test(test_corrupt_octets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
