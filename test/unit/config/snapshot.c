// SPDX-License-Identifier: ISC
#include "build.h"

#include <stdlib.h>

static const struct memory_file files[] = {
	{"/etc/pabal.conf",
		START
		"server \"a\" { listen \"*:25\" auth offer tls { min 1.3 } }\n"
		"clients { \"10.1.0.0/16\" deny \"no\"; \"10.1.2.0/24\" relay; \"2001:db8::/32\" "
		"allow }\n"
		"route \"*\" { smtp \"smtp.x.kr:587\" user \"kim-user\" password-file \"/p\" }\n"
		"route \"x.kr\" { lmtp \"/run/lmtp\" }\n"
		"resolver { servers \"192.0.2.1\" }\n"
		"tls { ca-file \"/ca\" }\n",
		false},
	{"/p", "smart-host-secret\n", false},
	// Self-signed P-256, made for this test.
	{"/ca",
#include "certificate.inc"
		, false},
};

static struct config *build(void)
{
	struct config_findings findings = {0};
	struct config *c = build_files(files, ARRAY_SIZE(files), &findings);
	struct buf out = BUF_INIT;
	config_findings_print(&findings, &out);
	if (!c)
		fail_msg("%s", buf_cstr(&out));
	buf_finish(&out);
	config_findings_finish(&findings);
	c->generation = 7;
	return c;
}

// A fake key where the server's would be: only who may see it counts here.
static void add_key(struct config *c)
{
	config_fill_certificate(c, STR("/tls/mail.pem"),
		STR("-----BEGIN PRIVATE KEY-----\nserver-key-secret\n-----END PRIVATE KEY-----\n"
		    "-----BEGIN CERTIFICATE-----\nleaf-content\n-----END "
		    "CERTIFICATE-----\nserver-key-secret\n"
		    "-----BEGIN CERTIFICATE-----\nchain-content\n-----END CERTIFICATE-----\n"
		    "-----BEGIN CERTIFICATE-----\nserver-key-secret"));
	c->tls.client_key = (struct config_file){
		STR("/tls/client.key"), arena_str(&c->arena, STR("client-key-secret"))};
}

static void test_round_trip(void **state)
{
	struct config *c = build(), *back;
	struct buf octets = BUF_INIT, again = BUF_INIT, shown = BUF_INIT, shown_back = BUF_INIT,
		   names = BUF_INIT;
	add_key(c);
	assert_int_equal(config_encode(c, CONFIG_FOR_ALL, &octets), 0);
	assert_int_equal(config_decode(buf_str(&octets), &back), 0);
	assert_int_equal(back->generation, 7);
	config_show(c, &shown);
	config_show(back, &shown_back);
	assert_string_equal(buf_cstr(&shown), buf_cstr(&shown_back));
	assert_int_equal(config_diff(c, back, &names), 0);
	config_encode(back, CONFIG_FOR_ALL, &again);
	assert_true(str_equal(buf_str(&octets), buf_str(&again)));
	assert_str(config_route_for(back, STR("gmail.com"))->password_file.content,
		"smart-host-secret");
	assert_true(config_is_local_domain(back, STR("example.kr")));
	struct ipaddr a;
	ipaddr_parse(STR("10.1.2.3"), &a);
	struct client_rule rule;
	bool needs_host;
	assert_true(config_client_rule(back, &a, STR_EMPTY, &rule, &needs_host));
	assert_int_equal(rule.action, CLIENT_RELAY);
	assert_int_equal(config_sources(back).count, 3);
	config_destroy(back);
	config_destroy(c);
	buf_finish(&octets);
	buf_finish(&again);
	buf_finish(&shown);
	buf_finish(&shown_back);
	buf_finish(&names);
}

// Secrets reach exactly the roles that use them.
static void test_masks(void **state)
{
	static const struct {
		const char *secret;
		unsigned roles;
	} cases[] = {
		{"server-key-secret", CONFIG_FOR_SMTPD},
		{"leaf-content", CONFIG_FOR_MASTER | CONFIG_FOR_SMTPD},
		{"chain-content", CONFIG_FOR_MASTER | CONFIG_FOR_SMTPD},
		{"client-key-secret", CONFIG_FOR_SENDER},
		{"smart-host-secret", CONFIG_FOR_SENDER},
		{"kim-user", CONFIG_FOR_MASTER | CONFIG_FOR_SENDER},
		{"/tls/mail.pem", CONFIG_FOR_MASTER | CONFIG_FOR_SMTPD},
		{"smtp.x.kr",
			CONFIG_FOR_MASTER | CONFIG_FOR_SMTPD | CONFIG_FOR_QUEUE | CONFIG_FOR_SENDER},
		{"192.0.2.1:53", CONFIG_FOR_MASTER | CONFIG_FOR_RESOLVER},
		{"mail.example.kr", CONFIG_FOR_ALL},
		{"example.kr", CONFIG_FOR_ALL},
	};
	struct config *c = build();
	add_key(c);
	for (unsigned role = 1; role < CONFIG_FOR_ALL; role <<= 1) {
		struct buf octets = BUF_INIT;
		struct config *back;
		assert_int_equal(config_encode(c, role, &octets), 0);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			bool seen = str_search(buf_str(&octets), str_from(cases[i].secret)) >= 0;
			if (seen != !!(cases[i].roles & role))
				fail_msg("role %u, %s", role, cases[i].secret);
		}
		assert_int_equal(config_decode(buf_str(&octets), &back), 0);
		assert_str(back->hostname, "mail.example.kr");
		assert_int_equal(back->limits.hops, 50);
		// What it may not see is empty, and asking does no harm.
		unsigned servers = CONFIG_FOR_MASTER | CONFIG_FOR_SMTPD | CONFIG_FOR_SENDER |
				   CONFIG_FOR_QUEUE |
				   CONFIG_FOR_AUTH;
		assert_int_equal(back->server_count, role & servers ? 1 : 0);
		struct ipaddr a;
		ipaddr_parse(STR("10.1.2.3"), &a);
		struct client_rule rule;
		bool needs_host;
		config_client_rule(back, &a, STR_EMPTY, &rule, &needs_host);
		config_route_for(back, STR("x.kr"));
		config_destination_for(back, STR("x.kr"));
		config_destroy(back);
		buf_finish(&octets);
	}
	config_destroy(c);
}

// Whatever the octets are: a configuration or ERR_CORRUPT, and never a step outside them.
static void try_octets(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1); // its own block, so that a sanitizer sees the end
	struct config *c;
	memcpy(copy, data, len);
	int err = config_decode(str_make(copy, len), &c);
	if (err == 0) {
		struct buf out = BUF_INIT;
		struct ipaddr a;
		ipaddr_parse(STR("10.1.2.3"), &a);
		struct client_rule rule;
		bool needs_host;
		config_client_rule(c, &a, STR_EMPTY, &rule, &needs_host);
		config_route_for(c, STR("a.x.kr"));
		config_show(c, &out);
		buf_finish(&out);
		config_destroy(c);
	} else {
		assert_int_equal(err, ERR_CORRUPT);
		assert_null(c);
	}
	free(copy);
}

static void test_damaged(void **state)
{
	struct config *c = build();
	struct buf octets = BUF_INIT;
	config_encode(c, CONFIG_FOR_ALL, &octets);
	char *data = octets.data + octets.start;
	size_t len = buf_len(&octets);
	for (size_t i = 0; i < len; i++) {
		struct config *back;
		assert_int_equal(config_decode(str_make(data, i), &back), ERR_CORRUPT); // cut
		char kept = data[i];
		data[i] ^= (char)(1u << i % 8);
		try_octets(data, len);
		data[i] = (char)0xff;
		try_octets(data, len);
		data[i] = kept;
	}
	buf_add_char(&octets, 'x'); // more than the whole
	struct config *back;
	assert_int_equal(config_decode(buf_str(&octets), &back), ERR_CORRUPT);
	buf_finish(&octets);
	config_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_masks), cmocka_unit_test(test_damaged)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
