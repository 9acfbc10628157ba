// SPDX-License-Identifier: ISC
#include "auth/cram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXT_OF(text) {"" text, sizeof(text) - 1}
#define CHALLENGE     "<1896.697170952@postoffice.reston.mci.net>"

// The first is the example of RFC 2195.
static void digests(void **state)
{
	(void)state;
	static const struct {
		struct str password, digest;
		bool matches;
	} rows[] = {
		{TEXT_OF("tanstaaftanstaaf"), TEXT_OF("b913a602c7eda7a495b4e6e7334d3890"), true},
		{TEXT_OF("tanstaaftanstaaf"), TEXT_OF("B913A602C7EDA7A495B4E6E7334D3890"), true},
		{TEXT_OF("tanstaaftanstaag"), TEXT_OF("b913a602c7eda7a495b4e6e7334d3890"), false},
		{TEXT_OF("tanstaaftanstaaf"), TEXT_OF("b913a602c7eda7a495b4e6e7334d3891"), false},
		{TEXT_OF("tanstaaftanstaaf"), TEXT_OF("b913a602c7eda7a495b4e6e7334d389"), false},
		{TEXT_OF("tanstaaftanstaaf"), TEXT_OF("b913a602c7eda7a495b4e6e7334d38900"), false},
		{TEXT_OF("tanstaaftanstaaf"), TEXT_OF(""), false},
		{TEXT_OF(""), TEXT_OF("b913a602c7eda7a495b4e6e7334d3890"), false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			auth_cram_matches(rows[i].password, STR(CHALLENGE), rows[i].digest),
			rows[i].matches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(digests)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
