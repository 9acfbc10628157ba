// SPDX-License-Identifier: ISC
#include "base/ipaddr.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int family; // 0: refused
		const char *back;
		const char *literal;
	} rows[] = {
		{"192.0.2.1", 4, "192.0.2.1", "[192.0.2.1]"},
		{"0.0.0.0", 4, "0.0.0.0", "[0.0.0.0]"},
		{"255.255.255.255", 4, "255.255.255.255", "[255.255.255.255]"},
		{"2001:DB8:0:0::1", 6, "2001:db8::1", "[IPv6:2001:db8::1]"},
		{"::", 6, "::", "[IPv6:::]"},
		{"::1", 6, "::1", "[IPv6:::1]"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6,
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"[IPv6:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"},
		{"::ffff:192.0.2.1", 4, "192.0.2.1", "[192.0.2.1]"},
		{"::FFFF:c000:0201", 4, "192.0.2.1", "[192.0.2.1]"},
		{"0:0:0:0:0:ffff:192.0.2.1", 4, "192.0.2.1", "[192.0.2.1]"},
		{"64:ff9b::192.0.2.1", 6, "64:ff9b::c000:201", "[IPv6:64:ff9b::c000:201]"},
		{"", 0, "", ""},
		{"192.0.2", 0, "", ""},
		{"192.0.2.256", 0, "", ""},
		{"192.0.2.01", 0, "", ""},
		{"0300.0.2.1", 0, "", ""},
		{"3221225985", 0, "", ""},
		{"192.0.2.1 ", 0, "", ""},
		{"[192.0.2.1]", 0, "", ""},
		{"192.0.2.1:25", 0, "", ""},
		{"fe80::1%lo", 0, "", ""},
		{"1::2::3", 0, "", ""},
		{":::", 0, "", ""},
		{"12345::", 0, "", ""},
		{"example.kr", 0, "", ""},
		{"0000000000000000000000000000000000000000000000000:1", 0, "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ipaddr a;
		char text[IPADDR_TEXT_MAX], literal[IPADDR_TEXT_MAX + 8];
		int err = ipaddr_parse(str_from(rows[i].text), &a);

		assert_int_equal(err, rows[i].family ? 0 : ERR_SYNTAX);
		assert_int_equal(a.family, rows[i].family);
		if (err)
			continue;
		assert_string_equal(ipaddr_format(&a, text), rows[i].back);
		assert_string_equal(ipaddr_format_literal(&a, literal), rows[i].literal);
	}
	struct ipaddr a;
	assert_int_equal(ipaddr_parse(STR("192.0.2.1\0"), &a), ERR_SYNTAX);
}

static void test_sockaddr(void **state)
{
	static const char *const rows[] = {"192.0.2.1", "2001:db8::1", "::"};
	struct sockaddr_storage storage;
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
	struct ipaddr a, b;
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		socklen_t len;
		assert_int_equal(ipaddr_parse(str_from(rows[i]), &a), 0);
		len = ipaddr_to_sockaddr(&a, 587, &storage);
		assert_int_equal(len,
			a.family == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		ipaddr_from_sockaddr((struct sockaddr *)&storage, &b, &port);
		assert_true(ipaddr_equal(&a, &b));
		assert_int_equal(port, 587);
		ipaddr_from_sockaddr((struct sockaddr *)&storage, &b, NULL);
	}
	memcpy(&mapped.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
	ipaddr_from_sockaddr((struct sockaddr *)&mapped, &a, &port);
	assert_int_equal(a.family, 4);
	assert_int_equal(port, 25);
	ipaddr_parse(STR("192.0.2.1"), &b);
	assert_true(ipaddr_equal(&a, &b));

	storage.ss_family = AF_UNIX;
	ipaddr_from_sockaddr((struct sockaddr *)&storage, &a, &port);
	assert_int_equal(a.family, 0);
	assert_int_equal(port, 0);
	assert_int_equal(ipaddr_to_sockaddr(&a, 25, &storage), 0);
	char text[IPADDR_TEXT_MAX];
	assert_string_equal(ipaddr_format(&a, text), "");
}

static void test_questions(void **state)
{
	static const struct {
		const char *text;
		bool loopback;
	} rows[] = {
		{"127.0.0.1", true},
		{"127.255.255.254", true},
		{"128.0.0.1", false},
		{"126.255.255.255", false},
		{"::1", true},
		{"::2", false},
		{"::ffff:127.0.0.1", true},
		{"::7f00:1", false},
		{"0.0.0.0", false},
	};
	struct ipaddr a, b;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ipaddr_parse(str_from(rows[i].text), &a), 0);
		assert_int_equal(ipaddr_is_loopback(&a), rows[i].loopback);
	}
	a = b = (struct ipaddr){0};
	assert_false(ipaddr_is_loopback(&a));
	assert_true(ipaddr_equal(&a, &b));
	ipaddr_parse(STR("0.0.0.0"), &b);
	assert_false(ipaddr_equal(&a, &b));
	ipaddr_parse(STR("::"), &a);
	assert_false(ipaddr_equal(&a, &b));
	// What lies behind the four octets of IPv4 does not count.
	ipaddr_parse(STR("0.0.0.0"), &a);
	a.octets[9] = 1;
	assert_true(ipaddr_equal(&a, &b));
}

static void test_net_parse(void **state)
{
	static const struct {
		const char *text;
		const char *addr; // NULL: refused
		int prefix;
	} rows[] = {
		{"192.0.2.0/24", "192.0.2.0", 24},
		{"192.0.2.77/24", "192.0.2.0", 24},
		{"192.0.2.77", "192.0.2.77", 32},
		{"192.0.2.77/32", "192.0.2.77", 32},
		{"255.255.255.255/0", "0.0.0.0", 0},
		{"255.255.255.255/1", "128.0.0.0", 1},
		{"255.255.255.255/9", "255.128.0.0", 9},
		{"255.255.255.255/31", "255.255.255.254", 31},
		{"2001:db8::1/32", "2001:db8::", 32},
		{"2001:db8::1", "2001:db8::1", 128},
		{"ffff::/0", "::", 0},
		{"2001:db8:ffff::/33", "2001:db8:8000::", 33},
		{"::ffff:192.0.2.77/120", "192.0.2.0", 24},
		{"::ffff:192.0.2.77", "192.0.2.77", 32},
		{"::ffff:0.0.0.0/96", "0.0.0.0", 0},
		{"::ffff:0.0.0.0/95", NULL, 0},
		{"::ffff:192.0.2.77/24", NULL, 0},
		{"192.0.2.0/33", NULL, 0},
		{"2001:db8::/129", NULL, 0},
		{"192.0.2.0/256", NULL, 0},
		{"192.0.2.0/", NULL, 0},
		{"192.0.2.0/-1", NULL, 0},
		{"192.0.2.0/24/24", NULL, 0},
		{"192.0.2.0/255.255.255.0", NULL, 0},
		{"/24", NULL, 0},
		{"", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ipnet net;
		char text[IPADDR_TEXT_MAX];
		int err = ipnet_parse(str_from(rows[i].text), &net);

		assert_int_equal(err, rows[i].addr ? 0 : ERR_SYNTAX);
		if (err)
			continue;
		assert_string_equal(ipaddr_format(&net.addr, text), rows[i].addr);
		assert_int_equal(net.prefix, rows[i].prefix);
	}
}

static void test_contains(void **state)
{
	static const struct {
		const char *net;
		const char *addr;
		bool inside;
	} rows[] = {
		{"192.0.2.0/24", "192.0.2.0", true},
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.0/24", "::ffff:192.0.2.9", true},
		{"192.0.2.0/24", "::192.0.2.9", false},
		{"0.0.0.0/0", "203.0.113.1", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "203.0.113.1", false},
		{"2001:db8::/47", "2001:db8:1:ffff::", true},
		{"2001:db8::/47", "2001:db8:2::", false},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
	};
	struct ipaddr none = {0};
	struct ipnet any_net = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ipnet net;
		struct ipaddr a;
		assert_int_equal(ipnet_parse(str_from(rows[i].net), &net), 0);
		assert_int_equal(ipaddr_parse(str_from(rows[i].addr), &a), 0);
		assert_int_equal(ipnet_contains(&net, &a), rows[i].inside);
		assert_false(ipnet_contains(&net, &none));
	}
	assert_false(ipnet_contains(&any_net, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_net_parse),
		cmocka_unit_test(test_contains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
