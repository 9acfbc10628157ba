// SPDX-License-Identifier: ISC
#include "config/gateways.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// As this machine's kernel writes 192.168.1.254: the octets in memory read as a number.
static const char *number_of(const uint8_t octets[4])
{
	static char text[9];
	uint32_t number;

	memcpy(&number, octets, sizeof number);
	snprintf(text, sizeof text, "%08X", number);
	return text;
}

static void default_routes_over_ipv4(void **state)
{
	static const uint8_t gateway[4] = {192, 168, 1, 254}, network[4] = {192, 168, 1, 0};
	struct gateways g = {0};
	char text[1024], where[IPADDR_TEXT_MAX];
	char via[9];

	(void)state;
	strcpy(via, number_of(gateway));
	snprintf(text, sizeof text,
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n"
		"eth0\t00000000\t%s\t0003\t0\t0\t0\t00000000\t0\t0\t0  \n"
		"eth0\t%s\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0  \n"
		"ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0  \n"
		"eth1\t000000E0\t0100000A\t0003\t0\t0\t0\t000000F0\t0\t0\t0  \n"
		"eth0\t00000000\t%s\t0003\t0\t0\t9\t00000000\t0\t0\t0  \n"
		"eth0\t00000000\t%.4s\t0003",
		via, number_of(network), via, via);
	gateways_take_routes4(&g, str_from(text));
	assert_int_equal(g.count, 1);
	assert_string_equal(ipaddr_format(&g.items[0].address, where), "192.168.1.254");
	assert_string_equal(g.items[0].interface, "eth0");
	assert_false(g.items[0].bridge);
}

static void default_routes_over_ipv6(void **state)
{
	struct gateways g = {0};
	char where[IPADDR_TEXT_MAX];

	(void)state;
	gateways_take_routes6(&g, str_from(
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"fe80000000000000000000000000000a 00000400 00000001 00000000 00000003     eth0\n"
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
		"20010db8000000000000000000000000 20 00000000000000000000000000000000 00 "
		"20010db8000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"));
	assert_int_equal(g.count, 1);
	assert_string_equal(ipaddr_format(&g.items[0].address, where), "fe80::a");
}

static void no_more_than_there_is_room_for(void **state)
{
	struct gateways g = {0};
	struct buf text = BUF_INIT;

	(void)state;
	for (unsigned i = 0; i < 2 * GATEWAYS_MAX; i++)
		buf_add_format(&text, "eth0 00000000 %08X 0003 0 0 0 00000000 0 0 0\n", i + 1);
	gateways_take_routes4(&g, buf_str(&text));
	assert_int_equal(g.count, GATEWAYS_MAX);
	buf_finish(&text);
}

// ---- what is said about rules
static struct config_client rules[1];
static struct str proxy_items[1];
static struct config_server servers[2];

static struct config make_config(const char *network, enum config_client_action action)
{
	struct config c = {.clients = rules, .client_count = 1, .servers = servers, .server_count = 2};

	rules[0] = (struct config_client){.action = action, .text = STR_EMPTY, .name = str_from(network),
		.file = STR("pabal.conf"), .line = 7};
	assert_int_equal(ipnet_parse(rules[0].name, &rules[0].network), 0);
	return c;
}

static void rules_that_trust_them_are_told(void **state)
{
	static const struct {
		const char *network;
		enum config_client_action action;
		const char *address;
		bool bridge, container;
		const char *found; // "" : nothing
	} rows[] = {
		{"192.168.1.1", CONFIG_CLIENT_RELAY, "192.168.1.1", false, false, "7:1: warning: "},
		{"192.168.1.0/24", CONFIG_CLIENT_RELAY, "192.168.1.1", false, false, "7:1: note: "},
		{"192.168.1.0/24", CONFIG_CLIENT_RELAY, "192.168.1.1", false, true, "7:1: warning: "},
		{"172.17.0.0/16", CONFIG_CLIENT_RELAY, "172.17.0.1", true, false, "on the bridge docker0"},
		{"192.168.1.0/24", CONFIG_CLIENT_ALLOW, "192.168.1.1", false, true, ""},
		{"192.168.2.0/24", CONFIG_CLIENT_RELAY, "192.168.1.1", false, true, ""},
		{"2001:db8::/64", CONFIG_CLIENT_RELAY, "2001:db8::1", true, false, "docker0"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c = make_config(rows[i].network, rows[i].action);
		struct gateways g = {.count = 1, .container = rows[i].container,
			.items = {{.bridge = rows[i].bridge, .interface = "docker0"}}};
		struct config_findings findings = {0};
		struct buf text = BUF_INIT;

		ipaddr_parse(str_from(rows[i].address), &g.items[0].address);
		// lookup goes by groups, which a configuration that was read has
		c.client_groups = &(struct config_client_group){
			rules[0].network.addr.family, rules[0].network.prefix, 0, 1};
		c.client_group_count = 1;
		config_check_gateways(&c, &g, &findings);
		config_findings_print(&findings, &text);
		assert_int_equal(findings.errors, 0);
		if (!rows[i].found[0])
			assert_int_equal(findings.count, 0);
		else if (!strstr(buf_cstr(&text), rows[i].found))
			fail_msg("row %zu: %s", i, buf_cstr(&text));
		buf_finish(&text);
		config_findings_finish(&findings);
	}
}

static void proxies_that_may_relay_are_told_once(void **state)
{
	struct config c = make_config("10.0.0.0/24", CONFIG_CLIENT_RELAY);
	struct gateways g = {0};
	struct config_findings findings = {0};

	(void)state;
	c.client_groups = &(struct config_client_group){4, 24, 0, 1};
	c.client_group_count = 1;
	proxy_items[0] = STR("10.0.0.5");
	servers[0].proxies = servers[1].proxies = (struct config_list){proxy_items, 1};
	config_check_gateways(&c, &g, &findings);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.items[0].severity, 'W');
	assert_int_equal(findings.items[0].line, 7);
	config_findings_finish(&findings);
	servers[0].proxies = servers[1].proxies = (struct config_list){0};
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_routes_over_ipv4),
		cmocka_unit_test(default_routes_over_ipv6),
		cmocka_unit_test(no_more_than_there_is_room_for),
		cmocka_unit_test(rules_that_trust_them_are_told),
		cmocka_unit_test(proxies_that_may_relay_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
