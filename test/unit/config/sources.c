// SPDX-License-Identifier: ISC
// source "KIND" { } in auth, and what servers name of it.
#include "build.h"

static const char every_kind[] = START
	"auth {\n"
	" source \"accounts\" { on-failure continue }\n"
	" source \"pam\" { service \"smtp\" timeout 3s cache 0 connections 2 name \"system\" }\n"
	" source \"saslauthd\" { realm \"x.kr\" }\n"
	" source \"checkpassword\" { command \"/bin/checkpassword\" \"/bin/true\" cram yes "
	"memory 64M user \"mail\" }\n"
	" source \"poppasswd\" { path \"/etc/poppasswd\" }\n"
	" source \"vpopmail\" { path \"/home/vpopmail/domains\" }\n"
	" source \"sql\" { engine postgresql host \"db.x.kr\" port 5433 database \"mail\" login \"m\" "
	"password-file \"/p\" query \"SELECT password\\nFROM users WHERE name = :name\" tls yes }\n"
	" source \"ldap\" { uris { \"ldaps://a.x.kr\" \"ldap://b.x.kr\" } base \"dc=x,dc=kr\" "
	"filter \"(uid=%n)\" scope one login \"cn=\xea\xb9\x80,dc=x\" password-file \"/p\" }\n"
	" source \"dovecot\" { path \"/run/dovecot/auth\" }\n"
	" source \"oauth\" { introspection \"https://x.kr/i\" audience \"pabal\" }\n"
	"}\n"
	"server \"a\" { listen \"*:587\" sources \"system\" \"ldap\" mechanisms \"plain\" "
	"\"SCRAM-SHA-256\" trust-mechanisms { \"PLAIN\" } }\n"
	"server \"b\" { listen \"*:588\" }\nmechanisms \"LOGIN\"\n";

static struct config *build(const char *text, struct config_findings *findings)
{
	const struct memory_file files[] = {
		{"/etc/pabal.conf", text, false}, {"/p", "secret\n", false}};
	return build_files(files, 2, findings);
}

static struct config *build_every_kind(void)
{
	struct config_findings findings = {0};
	struct buf out = BUF_INIT;
	struct config *c = build(every_kind, &findings);
	config_findings_print(&findings, &out);
	if (!c)
		fail_msg("%s", buf_cstr(&out));
	buf_finish(&out);
	config_findings_finish(&findings);
	return c;
}

static void test_every_kind(void **state)
{
	struct config *c = build_every_kind();
	const struct config_source *s = c->auth.sources;
	assert_int_equal(c->auth.source_count, 10);
	assert_true(s[0].continue_on_no);
	assert_str(s[1].name, "system");
	assert_str(s[1].kind, "pam");
	assert_str(s[1].service, "smtp");
	assert_int_equal(s[1].timeout, 3000);
	assert_int_equal(s[1].cache, 0);
	assert_int_equal(s[1].connections, 2);
	assert_str(s[2].service, "smtp");
	assert_str(s[2].path, "/run/saslauthd/mux");
	assert_int_equal(s[3].command.count, 2);
	assert_int_equal(s[3].memory, 64 << 20);
	assert_true(s[3].cram);
	assert_int_equal(s[6].port, 5433);
	assert_str(s[6].password_file.content, "secret");
	assert_str(s[6].query, "SELECT password\nFROM users WHERE name = :name");
	assert_str(s[7].uris.items[1], "ldap://b.x.kr");
	assert_str(s[7].scope, "one");
	assert_str(s[9].account_claim, "email");
	assert_int_equal(c->servers[0].sources.count, 2);
	assert_str(c->servers[0].mechanisms.items[0], "PLAIN");
	assert_str(c->servers[0].trust_mechanisms.items[0], "PLAIN");
	assert_str(c->servers[1].mechanisms.items[0], "LOGIN");
	assert_int_equal(c->servers[1].sources.count, 0);
	config_destroy(c);
}

// Names alone, as before there were braces.
static void test_short_forms(void **state)
{
	static const char *const forms[] = {"source \"accounts\" \"pam\"",
		"source { \"accounts\"\n\"pam\" }", "source \"accounts\"\nsource \"pam\" { }",
		"source \"accounts\" \"pam\" { timeout 10s }"};
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct buf text = BUF_INIT;
		buf_add_format(&text, START "auth { %s }", forms[i]);
		struct config *c = build_good(buf_cstr(&text));
		assert_int_equal(c->auth.source_count, 2);
		assert_str(c->auth.sources[0].name, "accounts");
		assert_str(c->auth.sources[1].name, "pam");
		assert_str(c->auth.sources[1].service, "smtp");
		config_destroy(c);
		buf_finish(&text);
	}
}

static void test_shown(void **state)
{
	struct buf first = BUF_INIT, second = BUF_INIT, names = BUF_INIT;
	struct config_findings findings = {0};
	struct config *a = build_every_kind();
	config_show(a, &first);
	struct config *b = build(buf_cstr(&first), &findings);
	if (!b)
		fail_msg("%s", buf_cstr(&first));
	config_show(b, &second);
	assert_string_equal(buf_cstr(&first), buf_cstr(&second));
	assert_int_equal(config_diff(a, b, &names), 0);
	// Nothing is shown that a kind does not take.
	assert_true(str_search(buf_str(&first),
			    STR("\tsource \"accounts\" {\n\t\tname \"accounts\"\n"
				"\t\ton-failure continue\n\t}\n")) > 0);
	assert_true(str_search(buf_str(&first), STR("secret")) < 0);
	config_destroy(a);
	config_destroy(b);
	config_findings_finish(&findings);
	buf_finish(&first);
	buf_finish(&second);
	buf_finish(&names);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *found;
	} cases[] = {
		{"source \"acounts\"", "did you mean \"accounts\"?"},
		{"source pam", "source: expected a kind of source in quotes, not \"pam\""},
		{"source \"pam\" \"pam\"", "source \"pam\" is there already in line 4"},
		{"source \"pam\"\nsource \"sql\" { name \"pam\" engine mysql database \"d\" query \"q\" "
		 "}",
			"/etc/pabal.conf:5:1: error: source \"pam\" is there already"},
		{"source \"accounts\" { timeout 5s }",
			"timeout has no meaning in source \"accounts\""},
		{"source \"pam\" { path \"/x\" }", "path has no meaning in source \"pam\""},
		{"source \"pam\" { timeot 5s }", "did you mean \"timeout\"?"},
		{"source \"pam\" { timeout 1h }", "from 100ms to 5m"},
		{"source \"checkpassword\"", "source \"checkpassword\": expected command as well"},
		{"source \"checkpassword\" { command \"bin/x\" }", "with its whole path"},
		{"source \"poppasswd\"", "expected path as well"},
		{"source \"ldap\" { base \"dc=x\" }", "expected uris as well"},
		{"source \"ldap\" { uris \"ldap://x\" }", "expected base or bind-dn as well"},
		{"source \"ldap\" { uris \"http://x\" base \"dc=x\" }", "expected ldap://"},
		{"source \"ldap\" { uris \"ldap://x\" bind-dn \"cn=x\" }", "bind-dn: expected %u"},
		{"source \"sql\" { engine oracle }", "one of \"sqlite\", \"postgresql\", \"mysql\""},
		{"source \"sql\" { engine sqlite database \"d\" query \"q\" }",
			"engine sqlite: expected path as well"},
		{"source \"sql\" { engine mysql path \"/d\" query \"q\" }",
			"engine mysql: expected database as well"},
		{"source \"sql\" { engine mysql }", "expected query as well"},
		{"source \"sql\" { port 70000 }", "a port from 1 to 65535"},
		{"source \"oauth\"", "introspection or jwks or jwks-file"},
		{"source \"oauth\" { introspection \"http://id.kr/i\" }", "expected an https:// address"},
		{"source \"oauth\" { introspection \"http://127.0.0.1.id.kr/\" }",
			"expected an https:// address"},
		{"source \"oauth\" { introspection \"http://localhost/\" }",
			"expected an https:// address"},
		{"source \"oauth\" { introspection \"https://kim:secret@id.kr/\" }",
			"expected an https:// address"},
		{"source \"oauth\" { introspection \"ftp://id.kr/\" }", "expected an https:// address"},
		{"source \"oauth\" { jwks \"https://\" issuer \"i\" audience \"a\" }",
			"jwks: expected an https:// address"},
		{"source \"oauth\" { jwks \"https://id.kr/k\" audience \"a\" }",
			"jwks: expected issuer and audience as well"},
		{"source \"oauth\" { jwks \"http://[::1]:80/k\" issuer \"i\" }",
			"jwks: expected issuer and audience as well"},
		{"} server \"a\" { listen \"*:1\" sources \"acounts\"",
			"sources: auth has no source \"acounts\"; did you mean \"accounts\"?"},
		{"} server \"a\" { listen \"*:1\" mechanisms \"PLIAN\"", "did you mean \"PLAIN\"?"},
		{"} server \"a\" { listen \"*:1\" mechanisms \"KERBEROS_V4\"", "use GSSAPI"},
				{"winbind { map \"EXAMPLE\" \"example.kr\" }", "winbind: expected helper"},
		{"winbind { helper \"/usr/bin/ntlm_auth\" }", "winbind: expected map"},
		{"winbind { helper \"ntlm_auth\" map \"A\" \"b.kr\" }", "helper: expected a program"},
		{"winbind { helper \"/a\" map \"A\" }", "the domain of the accounts of \"A\" is missing"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_findings findings = {0};
		struct buf text = BUF_INIT, out = BUF_INIT;
		buf_add_format(&text, START "auth { %s\n}", cases[i].text);
		assert_null(build(buf_cstr(&text), &findings));
		config_findings_print(&findings, &out);
		if (str_search(buf_str(&out), str_from(cases[i].found)) < 0)
			fail_msg("%s\n%s\n%s", cases[i].text, cases[i].found, buf_cstr(&out));
		buf_finish(&text);
		buf_finish(&out);
		config_findings_finish(&findings);
	}
}

// The password of a database is for role source alone.
static void test_who_sees_what(void **state)
{
	struct config *c = build_every_kind();
	for (unsigned role = 1; role < CONFIG_FOR_ALL; role <<= 1) {
		struct buf octets = BUF_INIT;
		assert_int_equal(config_encode(c, role, &octets), 0);
		bool secret = str_search(buf_str(&octets), STR("secret")) >= 0;
		bool query = str_search(buf_str(&octets), STR("SELECT password")) >= 0;
		assert_int_equal(secret, role == CONFIG_FOR_SOURCE);
		assert_int_equal(query,
			(role & (CONFIG_FOR_MASTER | CONFIG_FOR_AUTH | CONFIG_FOR_SOURCE |
					CONFIG_FOR_CHECKER)) != 0);
		buf_finish(&octets);
	}
	config_destroy(c);
}

static void test_diff(void **state)
{
	struct buf names = BUF_INIT;
	struct config *a = build_good(START "auth { source \"pam\" }");
	struct config *b = build_good(START "auth { source \"pam\" { timeout 5s } }");
	struct config *c = build_good(START "auth { source \"accounts\" \"pam\" }");
	assert_int_equal(config_diff(a, b, &names), 'l');
	assert_string_equal(buf_cstr(&names), "source.timeout");
	buf_clear(&names);
	assert_int_equal(config_diff(a, c, &names), 'l');
	assert_string_equal(buf_cstr(&names), "source");
	buf_finish(&names);
	config_destroy(a);
	config_destroy(b);
	config_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_short_forms),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_who_sees_what),
		cmocka_unit_test(test_diff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
