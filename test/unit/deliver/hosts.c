// SPDX-License-Identifier: ISC
#include "deliver/hosts.h"
#include "world.h"

#include <stddef.h>

static const struct zone_row zone[] = {
	{"two.example", DNS_MX, "20 b.two.example", 0},
	{"two.example", DNS_MX, "10 a.two.example", 0},
	{"a.two.example", DNS_A, "192.0.2.1", 0},
	{"a.two.example", DNS_A, "192.0.2.2", 0},
	{"a.two.example", DNS_AAAA, "2001:db8::1", 0},
	{"a.two.example", DNS_AAAA, "2001:db8::2", 0},
	{"b.two.example", DNS_A, "192.0.2.3", 0},
	{"bare.example", DNS_A, "192.0.2.9", 0},
	{"none.example", DNS_MX, "0 ", 0},
	{"dead.example", DNS_MX, NULL, DNS_FAILED},
	{"forged.example", DNS_MX, NULL, DNS_BOGUS},
	{"text.example", DNS_TXT, NULL, DNS_NO_DATA},
	{"lost.example", DNS_MX, "10 nowhere.example", 0},
	{"half.example", DNS_MX, "10 nowhere.example", 0},
	{"half.example", DNS_MX, "20 silent.example", 0},
	{"silent.example", DNS_A, NULL, DNS_FAILED},
	{"badhost.example", DNS_MX, "10 forgedhost.example", 0},
	{"forgedhost.example", DNS_A, NULL, DNS_BOGUS},
	{"ours.example", DNS_MX, "10 mail.pabal.example", 0},
	{"ours.example", DNS_MX, "20 b.two.example", 0},
	{"backup.example", DNS_MX, "10 b.two.example", 0},
	{"backup.example", DNS_MX, "20 mail.pabal.example", 0},
	{"backup.example", DNS_MX, "20 a.two.example", 0},
	{"backup.example", DNS_MX, "30 worse.example", 0},
	{"byaddress.example", DNS_MX, "10 alias.example", 0},
	{"alias.example", DNS_A, "198.51.100.7", 0},
	{"alsoours.example", DNS_A, "198.51.100.7", 0},
	{"equal.example", DNS_MX, "10 alias.example", 0},
	{"equal.example", DNS_MX, "10 b.two.example", 0},
	{"equal.example", DNS_MX, "5 a.two.example", 0},
	{"six.example", DNS_AAAA, "2001:db8::6", 0},
	{"smart.example", DNS_A, "198.51.100.7", 0},
	{0},
};

static const struct hosts_own own = {.hostname = "mail.pabal.example", .count = 1,
	.addresses = {{.family = 4, .octets = {198, 51, 100, 7}}}};

struct found {
	bool done;
	struct hosts_plan plan;
};

static void on_found(void *arg, const struct hosts_plan *plan)
{
	struct found *f = arg;
	assert_false(f->done);
	f->done = true;
	f->plan = *plan;
}

static struct found find(struct world *w, const char *name, bool mx, uint8_t family)
{
	struct found f = {.done = false};
	struct hosts_question q = {.dns = w->dns, .own = &own, .name = name, .mx = mx,
		.source = {.family = family}};
	hosts_find(&q, on_found, &f);
	assert_false(f.done);
	WORLD_UNTIL(w, f.done);
	return f;
}

static void describe(const struct hosts_plan *plan, struct buf *out)
{
	char text[IPADDR_TEXT_MAX];
	for (unsigned i = 0; i < plan->address_count; i++) {
		const struct hosts_address *a = &plan->addresses[i];
		buf_add_format(out, "%s=%s ", plan->hosts[a->host], ipaddr_format(&a->address, text));
	}
}

static void test_finds_hosts(void **state)
{
	static const struct {
		const char *name, *expected;
		bool host;
		uint8_t family;
	} cases[] = {
		{"two.example", "a.two.example=2001:db8::1 a.two.example=192.0.2.1 "
			"a.two.example=2001:db8::2 a.two.example=192.0.2.2 b.two.example=192.0.2.3 ", false, 0},
		{"two.example", "a.two.example=192.0.2.1 a.two.example=192.0.2.2 b.two.example=192.0.2.3 ",
			false, 4},
		{"two.example", "a.two.example=2001:db8::1 a.two.example=2001:db8::2 ", false, 6},
		{"bare.example", "bare.example=192.0.2.9 ", false, 0},
		{"half.example", "", false, 0},
		{"backup.example", "b.two.example=192.0.2.3 ", false, 0},
		{"equal.example", "a.two.example=2001:db8::1 a.two.example=192.0.2.1 "
			"a.two.example=2001:db8::2 a.two.example=192.0.2.2 ", false, 0},
		{"smart.example", "smart.example=198.51.100.7 ", true, 0},
		{"two.example", "", true, 0},
	};
	struct world w;
	(void)state;
	world_open(&w, zone);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf text = BUF_INIT;
		struct found f = find(&w, cases[i].name, !cases[i].host, cases[i].family);
		describe(&f.plan, &text);
		assert_string_equal(buf_cstr(&text), cases[i].expected);
		buf_finish(&text);
	}
	world_close(&w);
}

static void test_says_why_not(void **state)
{
	static const struct {
		const char *name;
		bool host;
		uint8_t family;
		unsigned code;
		const char *enhanced;
		unsigned blame;
		const char *words;
	} cases[] = {
		{"none.example", false, 0, 556, "5.1.10", 0, "null MX"},
		{"missing.example", false, 0, 550, "5.1.2", 0, "does not exist"},
		{"text.example", false, 0, 550, "5.1.2", 0, "neither MX nor address"},
		{"dead.example", false, 0, 451, "4.4.3", 2, "no answer"},
		{"forged.example", false, 0, 451, "4.7.0", 1, "DNSSEC says forged"},
		{"badhost.example", false, 0, 451, "4.7.0", 1, "DNSSEC says forged"},
		{"lost.example", false, 0, 550, "5.4.4", 0, "no host in the MX"},
		{"half.example", false, 0, 451, "4.4.3", 2, "no answer"},
		{"ours.example", false, 0, 554, "5.4.6", 0,
			"MX of ours.example points to this server, but ours.example is not in `domains`"},
		{"byaddress.example", false, 0, 554, "5.4.6", 0,
			"MX of byaddress.example points to this server"},
		{"alsoours.example", false, 0, 554, "5.4.6", 0, "alsoours.example is this server"},
		{"missing.example", true, 0, 451, "4.4.4", 1, "the host missing.example of the route"},
		{"six.example", false, 4, 451, "4.4.4", 1, "source"},
	};
	struct world w;
	(void)state;
	world_open(&w, zone);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct found f = find(&w, cases[i].name, !cases[i].host, cases[i].family);
		const struct smtp_result *r = &f.plan.failure;
		assert_int_equal(f.plan.address_count, 0);
		if (r->code != cases[i].code || strcmp(r->enhanced, cases[i].enhanced) != 0 ||
			f.plan.blame != cases[i].blame || !strstr(r->text, cases[i].words))
			fail_msg("%s: %u %s %u %s", cases[i].name, r->code, r->enhanced, f.plan.blame, r->text);
		assert_int_equal(r->outcome, cases[i].code / 100 == 5 ? SMTP_PERMANENT : SMTP_TEMPORARY);
	}
	world_close(&w);
}

// Names of routes may be in /etc/hosts, those of MX never.
static void test_asks_hosts_file_for_routes_only(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, zone);
	find(&w, "smart.example", false, 0);
	assert_string_equal(buf_cstr(&w.asked), "smart.example/1+hosts smart.example/28+hosts ");
	buf_clear(&w.asked);
	find(&w, "bare.example", true, 0);
	assert_string_equal(buf_cstr(&w.asked), "bare.example/15 bare.example/1 bare.example/28 ");
	world_close(&w);
}

static void test_bounds(void **state)
{
	static struct zone_row many[200];
	static char names[60][32], addresses[60][32];
	struct world w;
	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(names[i], sizeof names[i], "%u h%u.example", i, i);
		snprintf(addresses[i], sizeof addresses[i], "192.0.2.%u", i);
		many[2 * i] = (struct zone_row){"many.example", DNS_MX, names[i], 0};
		many[2 * i + 1] = (struct zone_row){strchr(names[i], 'h'), DNS_A, addresses[i], 0};
	}
	world_open(&w, many);
	struct found f = find(&w, "many.example", true, 0);
	assert_int_equal(f.plan.host_count, HOSTS_MAX);
	assert_int_equal(f.plan.address_count, HOSTS_MAX);
	assert_int_equal(w.questions, 1 + 2 * HOSTS_MAX);
	assert_string_equal(f.plan.hosts[0], "h0.example");
	world_close(&w);
}

// Equal preferences share the load.
static void test_shuffles_equals(void **state)
{
	static const struct zone_row equals[] = {
		{"equal.example", DNS_MX, "10 a.example", 0},
		{"equal.example", DNS_MX, "10 b.example", 0},
		{"a.example", DNS_A, "192.0.2.1", 0},
		{"b.example", DNS_A, "192.0.2.2", 0},
		{0},
	};
	struct world w;
	unsigned first[2] = {0};
	(void)state;
	world_open(&w, equals);
	for (unsigned i = 0; i < 64; i++) {
		struct found f = find(&w, "equal.example", true, 0);
		assert_int_equal(f.plan.host_count, 2);
		first[f.plan.hosts[0][0] - 'a']++;
	}
	assert_true(first[0] > 0 && first[1] > 0);
	world_close(&w);
}

static void test_literals(void **state)
{
	static const struct {
		const char *name;
		bool literal;
		const char *address; // NULL: refused
	} cases[] = {
		{"[192.0.2.1]", true, "192.0.2.1"},
		{"[IPv6:2001:db8::1]", true, "2001:db8::1"},
		{"[2001:db8::1]", true, "2001:db8::1"},
		{"[198.51.100.7]", true, NULL},
		{"[IPv6:::ffff:198.51.100.7]", true, NULL},
		{"[x-tag:what]", true, NULL},
		{"[]", true, NULL},
		{"[", false, NULL},
		{"example.org", false, NULL},
		{"", false, NULL},
	};
	char text[IPADDR_TEXT_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hosts_question q = {.own = &own, .name = cases[i].name, .mx = true};
		struct hosts_plan plan = {.host_count = 0};
		assert_int_equal(hosts_from_literal(&q, &plan), cases[i].literal);
		assert_int_equal(plan.address_count, cases[i].address ? 1 : 0);
		if (cases[i].address)
			assert_string_equal(ipaddr_format(&plan.addresses[0].address, text), cases[i].address);
		else if (cases[i].literal)
			assert_int_equal(plan.failure.outcome, SMTP_PERMANENT);
	}
}

static void test_cancel(void **state)
{
	struct world w;
	struct found f = {.done = false};
	(void)state;
	world_open(&w, zone);
	w.dns_dead = true;
	struct hosts_question q = {.dns = w.dns, .own = &own, .name = "two.example", .mx = true};
	struct hosts_search *s = hosts_find(&q, on_found, &f);
	WORLD_UNTIL(&w, w.questions == 1);
	hosts_cancel(s);
	q.mx = false;
	s = hosts_find(&q, on_found, &f);
	WORLD_UNTIL(&w, w.questions == 3);
	hosts_cancel(s);
	hosts_cancel(NULL);
	world_close(&w);
	assert_false(f.done);
}

static void test_knows_itself(void **state)
{
	struct config_listen listens[] = {
		{.address = {.family = 4, .octets = {192, 0, 2, 50}}, .port = 25},
		{.address = {.family = 4, .octets = {192, 0, 2, 51}}, .port = 587},
	};
	struct config_listen every = {.port = 25};
	struct config_server server = {.listens = listens, .listen_count = 2};
	struct config config = {.hostname = STR("mail.pabal.example"), .servers = &server,
		.server_count = 1};
	struct hosts_own found;
	struct ipaddr loopback = {.family = 4, .octets = {127, 0, 0, 9}};
	(void)state;
	hosts_own_find(&found, &config);
	assert_string_equal(found.hostname, "mail.pabal.example");
	assert_true(hosts_own_has(&found, &listens[0].address));
	assert_false(hosts_own_has(&found, &listens[1].address));
	assert_false(hosts_own_has(&found, &loopback));
	server = (struct config_server){.listens = &every, .listen_count = 1};
	hosts_own_find(&found, &config);
	assert_true(hosts_own_has(&found, &loopback));
	assert_true(found.count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_hosts),
		cmocka_unit_test(test_says_why_not),
		cmocka_unit_test(test_asks_hosts_file_for_routes_only),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_shuffles_equals),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_knows_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
