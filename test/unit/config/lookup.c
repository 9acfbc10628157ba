// SPDX-License-Identifier: ISC
#include "build.h"

#include "base/clock.h"

#include <stdio.h>

static const struct client_rule *rule_of(const struct config *c, const char *address)
{
	static struct client_rule found;
	struct ipaddr a;
	bool needs_host;
	assert_int_equal(ipaddr_parse(str_from(address), &a), 0);
	bool any = config_client_rule(c, &a, STR_EMPTY, &found, &needs_host);
	assert_false(needs_host);
	return any ? &found : NULL;
}

static void test_client_rules(void **state)
{
	struct config *c = build_good(START
		"clients {\n"
		"\"10.0.0.0/8\" deny \"ten\"\n\"10.1.0.0/16\" relay\n\"10.1.2.0/24\" deny \"net\"\n"
		"\"10.1.2.3\" allow\n\"10.1.2.4\" relay\n\"10.1.2.4\" deny \"wins\"\n\"10.1.2.4\" "
		"allow\n"
		"\"2001:db8::/32\" relay\n\"2001:db8:1::/48\" deny\n\"::/0\" allow\n\"::1\" relay "
		"}\n");
	static const struct {
		const char *address;
		int action; // -1: none
		unsigned line;
	} cases[] = {
		{"10.200.0.1", CLIENT_DENY, 5},
		{"10.1.255.255", CLIENT_RELAY, 6},
		{"10.1.2.255", CLIENT_DENY, 7},
		{"10.1.2.3", CLIENT_ALLOW, 8},
		{"10.1.2.4", CLIENT_DENY, 10},
		{"::ffff:10.1.2.3", CLIENT_ALLOW, 8},
		{"11.0.0.0", -1, 0},
		{"9.255.255.255", -1, 0},
		{"2001:db8:2::1", CLIENT_RELAY, 12},
		{"2001:db8:1::1", CLIENT_DENY, 13},
		{"2001:db9::", CLIENT_ALLOW, 14},
		{"::1", CLIENT_RELAY, 15},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct client_rule *r = rule_of(c, cases[i].address);
		if (cases[i].action < 0) {
			assert_null(r);
			continue;
		}
		assert_non_null(r);
		assert_int_equal(r->action, cases[i].action);
		assert_int_equal(r->place.line, cases[i].line);
		assert_str(r->place.file, "/etc/pabal.conf");
	}
	assert_str(rule_of(c, "10.1.2.4")->text, "wins");
	config_destroy(c);
}

static void test_routes(void **state)
{
	struct config *c = build_good(
		START "route \"a.kr\" { refuse \"a\" }\nroute \"*.a.kr\" { refuse \"below a\" }\n"
		      "route \".b.a.kr\" { refuse \"below b\" }\nroute \"*\" { refuse \"all\" }\n");
	static const char *const cases[][2] = {
		{"a.kr", "a"},
		{"x.a.kr", "below a"},
		{"b.a.kr", "below a"},
		{"x.b.a.kr", "below b"},
		{"y.x.b.a.kr", "below b"},
		{"ba.kr", "all"},
		{"kr", "all"},
		{"", "all"},
		{"x.", "all"},
		{".", "all"},
		{"[192.0.2.1]", "all"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_str(config_route_for(c, str_from(cases[i][0]))->text, cases[i][1]);
	config_destroy(c);
	c = build_good(START "route \"a.kr\" { local }");
	assert_null(config_route_for(c, STR("b.kr")));
	assert_null(config_route_for(c, STR("x.a.kr")));
	config_destroy(c);
	c = build_good(START);
	assert_null(config_route_for(c, STR("b.kr")));
	assert_int_equal(config_destination_for(c, STR("b.kr"))->connections, 20);
	config_destroy(c);
}

static void test_domains(void **state)
{
	struct config *c = build_good(START "domains \"z.kr\" \"b.kr\" \"EXAMPLE.kr\"");
	assert_int_equal(c->domains.count, 3);
	static const struct {
		const char *name;
		bool local;
	} cases[] = {{"example.kr", true}, {"b.kr", true}, {"z.kr", true}, {"a.kr", false},
		{"zz.kr", false}, {"", false}, {"kr", false}, {"example.k", false},
		{"example.krr", false}, {"x.example.kr", false}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			config_is_local_domain(c, str_from(cases[i].name)), cases[i].local);
	config_destroy(c);
}

static void test_certificates(void **state)
{
	struct config *c = build_good(START "server \"a\" { listen \"*:25\" tls { min 1.3 } }\n"
					    "server \"b\" { listen \"*:26\" }");
	assert_true(config_needs_certificate(c));
	assert_ptr_equal(config_server_tls(c, &c->servers[0]), &c->servers[0].tls);
	assert_ptr_equal(config_server_tls(c, &c->servers[1]), &c->tls);
	config_fill_certificate(c, STR("/x.pem"), STR("PEM"));
	assert_false(config_needs_certificate(c));
	for (size_t i = 0; i < 2; i++) {
		const struct config_tls *tls = config_server_tls(c, &c->servers[i]);
		assert_int_equal(tls->certificate_count, 1);
		assert_str(tls->certificates[0].certificate.content, "PEM");
	}
	config_destroy(c);
	c = build_good(START "server \"a\" { listen \"*:25\" tls off }");
	assert_false(config_needs_certificate(c));
	config_destroy(c);
}

// A provider's size: nothing that grows with the square.
static void test_large(void **state)
{
	enum { MANY = 100000 };
	struct buf text = BUF_INIT, octets = BUF_INIT;
	buf_add_text(&text, START "domains {\n");
	for (int i = 0; i < MANY; i++)
		buf_add_format(&text, "\"d%d.example.kr\"\n", i);
	buf_add_text(&text, "}\nclients {\n");
	for (int i = 0; i < MANY; i++)
		buf_add_format(&text, "\"11.%d.%d.%d/%d\" %s\n", i >> 12, i >> 4 & 255,
			(i & 15) << 4, 28 + i % 5, i % 3 ? "relay" : "deny \"no\"");
	buf_add_text(&text, "}\n");
	uint64_t start = clock_monotonic_ms();
	struct config *c = build_good(buf_cstr(&text)), *back;
	assert_int_equal(config_encode(c, CONFIG_FOR_SMTPD, &octets), 0);
	assert_int_equal(config_decode(buf_str(&octets), &back), 0);
	assert_int_equal(back->domains.count, MANY + 1);
	assert_int_equal(back->client_count, MANY);
	for (int i = 0; i < MANY; i++) {
		char name[40];
		int len = snprintf(name, sizeof name, "d%d.example.kr", i);
		assert_true(config_is_local_domain(back, str_make(name, (size_t)len)));
		struct ipaddr a = {
			4, {11, (uint8_t)(i >> 12), (uint8_t)(i >> 4), (uint8_t)((i & 15) << 4)}};
		struct client_rule r;
		bool needs_host;
		assert_true(config_client_rule(back, &a, STR_EMPTY, &r, &needs_host));
		assert_int_equal(r.action, i % 3 ? CLIENT_RELAY : CLIENT_DENY);
	}
	assert_in_range(clock_monotonic_ms() - start, 0, 30000); // a second, without sanitizers
	config_destroy(c);
	config_destroy(back);
	buf_finish(&octets);
	buf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_client_rules),
		cmocka_unit_test(test_routes), cmocka_unit_test(test_domains),
		cmocka_unit_test(test_certificates), cmocka_unit_test(test_large)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
