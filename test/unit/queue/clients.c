// SPDX-License-Identifier: ISC
#include "queue/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct clients *c;
static uint32_t minute; // 0: not counted

static int set_up(void **state)
{
	(void)state;
	c = clients_create();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	clients_destroy(c);
	return 0;
}

static struct clients_counts open_one(unsigned worker, uint64_t session, const char *address)
{
	struct clients_counts counts;
	struct ipaddr a;
	assert_int_equal(ipaddr_parse(str_from(address), &a), 0);
	clients_open(c, worker, session, &a, minute, &counts);
	return counts;
}

static void assert_counts(struct clients_counts n, uint32_t address, uint32_t network, uint32_t all)
{
	assert_int_equal(n.address, address);
	assert_int_equal(n.network, network);
	assert_int_equal(n.all, all);
}

static void addresses_networks_and_all(void **state)
{
	assert_counts(open_one(1, 1, "192.0.2.1"), 1, 1, 1);
	assert_counts(open_one(1, 2, "192.0.2.1"), 2, 2, 2);
	assert_counts(open_one(2, 3, "192.0.2.200"), 1, 3, 3);
	assert_counts(open_one(2, 4, "192.0.3.1"), 1, 1, 4);
	assert_counts(open_one(2, 5, "2001:db8::1"), 1, 1, 5);
	assert_counts(open_one(2, 6, "2001:db8::ffff:1"), 1, 2, 6);
	assert_counts(open_one(2, 7, "2001:db8:0:1::1"), 1, 1, 7);
	clients_close(c, 1, 2);
	assert_counts(open_one(1, 8, "192.0.2.1"), 2, 3, 7);
}

static void a_worker_closes_only_its_own(void **state)
{
	open_one(1, 1, "192.0.2.1");
	clients_close(c, 2, 1);
	clients_close(c, 1, 99);
	assert_counts(open_one(1, 2, "192.0.2.1"), 2, 2, 2);
}

static void what_a_worker_had_goes_with_it(void **state)
{
	for (uint64_t n = 0; n < 1000; n++)
		open_one((unsigned)(n % 2), n, "192.0.2.1");
	clients_worker_gone(c, 0);
	assert_counts(open_one(1, 5000, "192.0.2.1"), 501, 501, 501);
	clients_worker_gone(c, 1);
	assert_counts(open_one(1, 5001, "192.0.2.1"), 1, 1, 1);
}

static void told_twice_is_counted_once(void **state)
{
	open_one(1, 1, "192.0.2.1");
	assert_counts(open_one(1, 1, "192.0.2.2"), 1, 1, 1);
}

static void a_look_counts_nothing(void **state)
{
	struct clients_counts counts;
	struct ipaddr a;
	open_one(1, 1, "192.0.2.1");
	assert_int_equal(ipaddr_parse(STR("192.0.2.1"), &a), 0);
	for (int i = 0; i < 3; i++) {
		clients_peek(c, &a, minute, &counts);
		assert_counts(counts, 2, 2, 2);
	}
	assert_int_equal(ipaddr_parse(STR("2001:db8::1"), &a), 0);
	clients_peek(c, &a, minute, &counts);
	assert_counts(counts, 1, 1, 2);
	assert_counts(open_one(1, 2, "192.0.2.1"), 2, 2, 2);
}

static void those_begun_in_a_minute(void **state)
{
	struct clients_counts n;
	(void)state;
	minute = 7;
	for (uint64_t session = 1; session <= 3; session++) {
		n = open_one(1, session, "192.0.2.1");
		clients_close(c, 1, session); // closed ones count, too
	}
	assert_counts(n, 1, 1, 1);
	assert_int_equal(n.minute_address, 3);
	n = open_one(1, 4, "192.0.2.2");
	assert_int_equal(n.minute_address, 1);
	assert_int_equal(n.minute_network, 4);
	assert_int_equal(n.minute_all, 4);
	minute = 0; // told again by a queue that is new
	n = open_one(1, 5, "192.0.2.1");
	assert_int_equal(n.minute_address + n.minute_network + n.minute_all, 0);
	minute = 8;
	n = open_one(1, 6, "192.0.2.2");
	assert_int_equal(n.minute_address, 1);
	assert_int_equal(n.minute_network, 1);
	assert_int_equal(n.minute_all, 1);
	minute = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(addresses_networks_and_all),
		T(a_worker_closes_only_its_own),
		T(what_a_worker_had_goes_with_it),
		T(told_twice_is_counted_once),
		T(a_look_counts_nothing),
		T(those_begun_in_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
