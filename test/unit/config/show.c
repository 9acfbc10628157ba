// SPDX-License-Identifier: ISC
#include "build.h"

static const char full[] = START
	"domains { \"b.kr\" \"a.kr\" } banner \"we \\\"quote\\\" \\\\ this\"\n"
	"server \"a\" { listen \"*:25\" listen \"[::1]:2525\" tls off auth offer max-errors 3 "
	"compat { } }\n"
	"server \"b\" { listen \"127.0.0.1:587\" require { tls auth } compat help-not-implemented\n"
	" tls { min 1.3 } auth-without-tls no session-timeout 1h30m max-message-size 10000 }\n"
	"server \"c\" { listen \"127.0.0.1:465\" tls implicit require auth }\n"
	"clients { \"10.1.0.0/16\" deny \"no\"; \"10.1.2.0/24\" relay; \"2001:db8::/32\" allow }\n"
	"auth { public-socket \"\" socket \"/run/dovecot/auth\" public-group \"mail\" cache 0 }\n"
	"route \"*\" { smtp \"smtp.x.kr:587\" user \"u\" password-file \"/p\" source \"192.0.2.1\" "
	"helo \"h.kr\" }\n"
	"route \"a.x.kr\" { lmtp \"/run/lmtp\" }\nroute \"b.x.kr\" { lmtp \"[2001:db8::1]:24\" }\n"
	"route \"a.kr\" { lmtp \"/run/lmtp\" recipients any }\n"
	"route \"c.x.kr\" { local }\nroute \"*.x.kr\" { refuse \"not here\" }\n"
	"destination \"*.x.kr\" { connections 1 }\n"
	"resolver { servers \"192.0.2.1\" trust-anchor \"x. IN DS 1 13 2 AA\" \"y. IN DS 1 13 2 "
	"AA\" }\n"
	"log { to file \"/var/log/p\" format json level warning history-age 1w }\n"
	"queue { hold yes life 36h min-free-size 123 }\nlimits { workers 3 }\n";

static const char *const texts[] = {
	START, full, START "log { to syslog } resolver { servers recursion }",
	// What blocks say for everybody is not said again by the older spellings.
	START "max-errors 7\nlimits { header-size 9K }\n"
	"server \"mx\" { listen \"*:25\" max-recipients 3 }\n"
	"limit \"everywhere\" { message-size 20M recipients 30 connections 40 }\n"
	"limit \"server mx\" { messages 2 }\nlimit \"account kim\" { errors 5 }\n"};

static struct config *build_with_password(const char *text)
{
	const struct memory_file files[] = {
		{"/etc/pabal.conf", text, false}, {"/p", "secret\n", false}};
	struct config_findings findings = {0};
	struct config *c = build_files(files, 2, &findings);
	struct buf out = BUF_INIT;
	config_findings_print(&findings, &out);
	if (!c)
		fail_msg("%s\n%s", text, buf_cstr(&out));
	buf_finish(&out);
	config_findings_finish(&findings);
	return c;
}

// What is shown is a configuration that shows the same and does not differ.
static void test_round_trip(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buf first = BUF_INIT, second = BUF_INIT, names = BUF_INIT;
		struct config *a = build_with_password(texts[i]);
		assert_int_equal(config_show(a, &first), 0);
		struct config *b = build_with_password(buf_cstr(&first));
		assert_int_equal(config_show(b, &second), 0);
		assert_string_equal(buf_cstr(&first), buf_cstr(&second));
		// Only where the rules were written is another place now.
		char class = config_diff(a, b, &names);
		if (i == 1)
			assert_string_equal(buf_cstr(&names), "clients");
		else
			assert_int_equal(class, 0);
		assert_true(str_search(buf_str(&first), STR("secret")) < 0);
		buf_finish(&first);
		buf_finish(&second);
		buf_finish(&names);
		config_destroy(a);
		config_destroy(b);
	}
}

static void test_shown(void **state)
{
	struct buf out = BUF_INIT;
	struct config *c =
		build_good(START "clients { \"10.1.0.0/16\" deny \"no\"\n \"10.1.2.3\" relay }");
	config_show(c, &out);
	static const char *const parts[] = {
		"hostname \"mail.example.kr\"\n",
		"domains { \"example.kr\" }\n",
		"clients {\n\t\"10.1.2.3/32\" relay\n\t\"10.1.0.0/16\" deny \"no\"\n}\n",
		"\nserver \"submissions\" {\n\tlisten \"*:465\" tls implicit\n\trequire { auth }\n",
		"\tmax-message-size 50M\n",
		"\nqueue {\n\tlife 5d\n",
		"\nresolver {\n\tservers auto\n}\n",
		"\nlog {\n\tto stderr\n\tformat key-value\n\tlevel info\n\thistory-age 30d\n",
		"\ndestination \"*\" {\n\tconnections 20\n\tmessages 100\n}\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (str_search(buf_str(&out), str_from(parts[i])) < 0)
			fail_msg("no %s in\n%s", parts[i], buf_cstr(&out));
	buf_finish(&out);
	config_destroy(c);
}

static void test_diff(void **state)
{
	static const struct {
		const char *a, *b, *names;
		char class;
	} cases[] = {
		{"", "", "", 0},
		{"", "log { level debug }", "log.level", 'l'},
		{"", "max-errors 3", "max-errors,server.max-errors", 's'},
		{"", "state-folder \"/x\" log { level debug }",
			"state-folder,log.level", 'r'},
		{"server \"a\" { listen \"*:25\" }", "server \"a\" { listen \"*:26\" }",
			"server.listen", 's'},
		{"server \"a\" { listen \"*:25\" }", "server \"b\" { listen \"*:25\" }", "server",
			's'},
		{"server \"a\" { listen \"*:25\" tls { } }", "server \"a\" { listen \"*:25\" }",
			"server.tls", 's'},
		{"server \"a\" { listen \"*:25\" tls { } }",
			"server \"a\" { listen \"*:25\" tls { min 1.3 } }", "tls.min", 's'},
		{"", "route \"x.kr\" { local }", "route", 'l'},
		{"route \"x.kr\" { local }", "route \"x.kr\" { refuse \"x\" }", "route.smtp", 'l'},
		{"", "relay-from \"10.1.2.0/24\"", "clients", 'l'},
		{"domains \"x.kr\"", "", "domains", 'l'},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf a = BUF_INIT, b = BUF_INIT, names = BUF_INIT;
		buf_add_format(&a, START "%s", cases[i].a);
		buf_add_format(&b, START "%s", cases[i].b);
		struct config *x = build_good(buf_cstr(&a)), *y = build_good(buf_cstr(&b));
		char class = config_diff(x, y, &names);
		// The order of the names is the table's; only which they are matters here.
		struct str rest = str_from(cases[i].names), name;
		assert_int_equal(buf_len(&names), rest.len);
		while (rest.len && str_split(&rest, ',', &name))
			if (str_search(buf_str(&names), name) < 0)
				fail_msg("%s: %s", cases[i].b, buf_cstr(&names));
		assert_int_equal(class, cases[i].class);
		buf_finish(&a);
		buf_finish(&b);
		buf_finish(&names);
		config_destroy(x);
		config_destroy(y);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_shown), cmocka_unit_test(test_diff)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
