// SPDX-License-Identifier: ISC
// Where an account may be used, and as whom.
#include "auth/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LEE "lee@example.kr"

static void places(void **state)
{
	static const struct {
		const char *networks, *servers, *server;
		bool fits;
		const char *who;
	} rows[] = {
		{"", "", "", true, NULL},
		{"account\t192.0.2.0/24", "", "", true, NULL},
		{"account\t198.51.100.0/24", "", "", false, "account"},
		{"group a\t192.0.2.7\ngroup b\t10.0.0.0/8", "", "", false, "group b"},
		{"", "account\tmx submission", "submission", true, NULL},
		{"", "account\tmx submission", "sub", false, "account"},
		{"", "group a\tmx", "", false, "group a"}, // another program's
	};
	struct ipaddr client;
	struct str who;
	(void)state;

	assert_int_equal(ipaddr_parse(STR("192.0.2.7"), &client), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_account a = {.networks = str_from(rows[i].networks),
			.servers = str_from(rows[i].servers)};
		assert_int_equal(
			auth_account_fits(&a, &client, str_from(rows[i].server), &who), rows[i].fits);
		if (rows[i].who)
			assert_true(str_equal(who, str_from(rows[i].who)));
	}
	struct auth_account a = {.networks = STR("account\t0.0.0.0/0 ::/0")};
	assert_false(auth_account_fits(&a, &(struct ipaddr){0}, STR_EMPTY, &who)); // not told
}

static void names(void **state)
{
	struct auth_account a = {.act_as = STR(LEE " park@example.kr")};
	(void)state;

	assert_true(auth_account_may_act_as(&a, STR(LEE)));
	assert_true(auth_account_may_act_as(&a, STR("park@example.kr")));
	assert_false(auth_account_may_act_as(&a, STR("lee@example.k")));
	assert_false(auth_account_may_act_as(&a, STR("")));
	a.act_as = STR_EMPTY;
	assert_false(auth_account_may_act_as(&a, STR(LEE)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
