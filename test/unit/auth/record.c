// SPDX-License-Identifier: ISC
#include "auth/record.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct auth_answer full(void)
{
	struct auth_answer a = {.verdict = AUTH_YES, .has_rights = true, .rights = 3};

	memset(a.account, 'a', sizeof a.account - 1);
	memset(a.reason, 'r', sizeof a.reason - 1);
	memset(a.clear, 'c', sizeof a.clear - 1);
	for (size_t i = 0; i < ARRAY_SIZE(a.scram); i++)
		memset(a.scram[i], 's', sizeof a.scram[i] - 1);
	return a;
}

static void what_is_written_is_read(void **state)
{
	const struct auth_answer from = full();
	struct auth_answer to = {0};
	struct auth_record r;

	(void)state;
	auth_record_make(&r, &from);
	assert_int_equal(auth_record_read(&r, &to), 0);
	assert_int_equal(to.verdict, AUTH_YES);
	assert_true(to.has_rights);
	assert_int_equal(to.rights, 3);
	assert_string_equal(to.account, from.account);
	assert_string_equal(to.reason, from.reason);
	assert_string_equal(to.clear, from.clear);
	assert_memory_equal(to.scram, from.scram, sizeof to.scram);
}

static void refuse(const struct auth_record *r)
{
	struct auth_answer to = {.verdict = AUTH_UNKNOWN, .reason = "untouched"};

	assert_int_equal(auth_record_read(r, &to), ERR_CORRUPT);
	assert_int_equal(to.verdict, AUTH_UNKNOWN);
	assert_string_equal(to.reason, "untouched");
}

// As a child that was taken over could write it.
static void what_is_none_is_refused(void **state)
{
	const struct auth_answer from = full();
	struct auth_record good, r;

	(void)state;
	auth_record_make(&good, &from);
#define REFUSE(change) (r = good, change, refuse(&r))
	REFUSE(r.verdict = AUTH_CANNOT + 1);
	REFUSE(r.verdict = UINT32_MAX);
	REFUSE(r.has_rights = 2);
	REFUSE(r.account[sizeof r.account - 1] = 'a');
	REFUSE(r.reason[sizeof r.reason - 1] = 'r');
	REFUSE(r.clear[sizeof r.clear - 1] = 'c');
	for (size_t i = 0; i < ARRAY_SIZE(r.scram); i++)
		REFUSE(r.scram[i][sizeof r.scram[i] - 1] = 's');
#undef REFUSE
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
