// SPDX-License-Identifier: ISC
#include "message/explain.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
	const char *status;
	const char *code; // of the row expected
} cases[] = {
	{"5.1.1", "1.1"},
	{"4.1.1", "1.1"},
	{"5.1.10", "1.10"},
	{"5.1.99", "1"},
	{"5.2.2", "2.2"},
	{"5.7.1", "7"},
	{"5.0.0", ""},
	{"5", ""},
	{"5.", ""},
	{"5.1", "1"},
	{"5..", ""},
	{"", ""},
	{"nonsense", ""},
};

static void test_status(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct explanation *e = explain_status(str_from(cases[i].status));

		assert_string_equal(e->code, cases[i].code);
		assert_true(strlen(e->what) > 0 && strlen(e->advice) > 0);
	}
	assert_string_equal(explain_status((struct str){NULL, 0})->code, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
