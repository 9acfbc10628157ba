// SPDX-License-Identifier: ISC
// No rule that can refuse is without advice, whoever asks.
#include "policy/advice.h"
#include "policy/policy_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct policy_situation usual = {
	.client = {"192.0.2.7", 9}, .server = {"mx", 2}, .account = {"kim@example.kr", 14},
	.sender = {"a@example.org", 13}, .recipient = {"x@example.com", 13}, .domain = {"example.com", 11},
	.where = {"clients pabal.conf:7", 20}, .configuration = {"pabal.conf", 10}, .login_port = 587,
};

static void every_refusing_rule_has_one(void **state)
{
	for (unsigned i = 0; i < POLICY_RULES; i++) {
		struct policy_verdict v;

		policy_verdict_set(&v, (enum policy_rule)i, "words");
		if (v.kind == POLICY_ALLOW)
			continue;
		if (!policy_advice_step(v.rule))
			fail_msg("no advice for %s: write one into src/policy/advice.c", v.rule);
		for (unsigned way = 0; way < 16; way++) {
			struct policy_situation s = usual;
			struct buf out = BUF_INIT;

			s.account = way & 1 ? s.account : STR_EMPTY;
			s.login_port = way & 2 ? 587 : 0;
			s.server_requires_auth = way & 4;
			s.account_may_relay = way & 8;
			assert_int_equal(policy_advise(v.rule, &s, &out), 0);
			if (!buf_len(&out) || str_find(buf_str(&out), '$') >= 0)
				fail_msg("advice for %s, way %u: \"%s\"", v.rule, way, buf_cstr(&out));
			buf_finish(&out);
		}
	}
}

static void assert_advice(const struct policy_situation *s, const char *expected)
{
	struct buf out = BUF_INIT;

	assert_int_equal(policy_advise("relay-denied", s, &out), 0);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void it_fits_who_asks(void **state)
{
	struct policy_situation s = usual;

	assert_advice(&s, "`pabal account set kim@example.kr --relay yes`, or its group's right\n"
		"a rule for 192.0.2.7 with relay in clients { } of pabal.conf\n"
		"if mail for example.com is to be taken here: add it to domains { } of pabal.conf\n");
	s.account = STR_EMPTY;
	s.server_requires_auth = true;
	assert_advice(&s, "log in on port 587\n"
		"if mail for example.com is to be taken here: add it to domains { } of pabal.conf\n");
}

static void unknown_rules(void **state)
{
	struct buf out = BUF_INIT;

	assert_null(policy_advice_step("nothing-of-the-kind"));
	assert_int_equal(policy_advise("nothing-of-the-kind", &usual, &out), 0);
	assert_int_equal(policy_advise("allow", &usual, &out), 0);
	assert_int_equal(buf_len(&out), 0);
	out.limit = 10;
	assert_true(policy_advise("relay-denied", &usual, &out) < 0);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_refusing_rule_has_one),
		cmocka_unit_test(it_fits_who_asks),
		cmocka_unit_test(unknown_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
