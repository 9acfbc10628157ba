// SPDX-License-Identifier: ISC
#include "auth/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char octets[AUTH_SECRET_OCTETS + 2];

static void questions(void **state)
{
	struct auth_question q;
	struct ipc_check m = {.ask = AUTH_ASK_CRAM,
		.name = STR("kim"),
		.secret = STR("digest"),
		.challenge = STR("<1@mail>"),
		.client = STR("192.0.2.7"),
		.server = STR("submission")};
	char text[IPADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(auth_wire_question(&m, &q), 0);
	assert_int_equal(q.ask, AUTH_ASK_CRAM);
	assert_true(str_equal(q.name, m.name) && str_equal(q.secret, m.secret));
	assert_true(str_equal(q.challenge, m.challenge) && str_equal(q.server, m.server));
	assert_string_equal(ipaddr_format(&q.client, text), "192.0.2.7");
	m.client = STR_EMPTY;
	assert_int_equal(auth_wire_question(&m, &q), 0);
	assert_int_equal(q.client.family, 0);
}

static void what_is_no_question(void **state)
{
	const struct ipc_check good = {.name = STR("kim"), .secret = STR("secret")};
	struct auth_question q;
	struct ipc_check m;

	(void)state;
#define ASK(change) (m = good, change, auth_wire_question(&m, &q))
	assert_int_equal(ASK(m.ask = AUTH_ASK_TOKEN + 1), ERR_CORRUPT);
	assert_int_equal(ASK(m.client = STR("192.0.2")), ERR_CORRUPT);
	assert_int_equal(ASK(m.name = str_make(octets, AUTH_NAME_OCTETS)), ERR_CORRUPT);
	assert_int_equal(ASK(m.name = str_make(octets, AUTH_NAME_OCTETS - 1)), 0);
	assert_int_equal(ASK(m.secret = str_make(octets, AUTH_SECRET_OCTETS + 1)), ERR_CORRUPT);
	assert_int_equal(ASK(m.secret = str_make(octets, AUTH_SECRET_OCTETS)), 0);
#undef ASK
}

static void answers(void **state)
{
	const struct ipc_checked good = {.verdict = AUTH_YES,
		.account = STR("kim@example.kr"),
		.reason = STR("why"),
		.has_rights = 1,
		.rights = 2,
		.clear = STR("secret"),
		.scram = STR("one\ntwo\nthree")};
	struct auth_answer a;
	struct ipc_checked m;

	(void)state;
	assert_int_equal(auth_wire_answer(&good, &a), 0);
	assert_int_equal(a.verdict, AUTH_YES);
	assert_string_equal(a.account, "kim@example.kr");
	assert_string_equal(a.reason, "why");
	assert_true(a.has_rights);
	assert_int_equal(a.rights, 2);
	assert_string_equal(a.clear, "secret");
	assert_string_equal(a.scram[0], "one");
	assert_string_equal(a.scram[2], "three");
#define REFUSE(change)                                                                             \
	do {                                                                                       \
		m = good;                                                                          \
		change;                                                                            \
		assert_int_equal(auth_wire_answer(&m, &a), ERR_CORRUPT);                           \
		assert_string_equal(a.clear, "");                                                  \
		assert_string_equal(a.account, "");                                                \
	} while (0)
	REFUSE(m.verdict = AUTH_CANNOT + 1);
	REFUSE(m.account = str_make(octets, sizeof a.account));
	REFUSE(m.reason = str_make(octets, sizeof a.reason));
	REFUSE(m.clear = str_make(octets, sizeof a.clear));
	REFUSE(m.scram = str_make(octets, sizeof a.scram[0]));
#undef REFUSE
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(what_is_no_question),
		cmocka_unit_test(answers),
	};

	memset(octets, 'a', sizeof octets);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
