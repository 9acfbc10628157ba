// SPDX-License-Identifier: ISC
#include "base/quota.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static void test_judge(void **state)
{
	const struct {
		struct quota_limits l;
		struct quota_usage now;
		uint64_t octets;
		enum quota_over over;
	} rows[] = {
		{{0}, {UINT64_MAX, UINT64_MAX}, UINT64_MAX, QUOTA_FITS},
		{{.octets = 100}, {0, 0}, 100, QUOTA_FITS},
		{{.octets = 100}, {0, 0}, 101, QUOTA_OVER_HARD},
		{{.octets = 100}, {99, 5}, 1, QUOTA_FITS},
		{{.octets = 100}, {100, 5}, 1, QUOTA_OVER_HARD},
		{{.octets = 100}, {100, 5}, 0, QUOTA_FITS},
		{{.octets = 100}, {101, 5}, 0, QUOTA_OVER_HARD},
		{{.octets = 100}, {1, 5}, UINT64_MAX, QUOTA_OVER_HARD}, // no sum overflows
		{{.messages = 2}, {0, 1}, 1, QUOTA_FITS},
		{{.messages = 2}, {0, 2}, 1, QUOTA_OVER_HARD},
		{{.messages = 2}, {0, 2}, 0, QUOTA_FITS},
		{{.octets_soft = 50}, {50, 1}, 0, QUOTA_FITS},
		{{.octets_soft = 50}, {50, 1}, 1, QUOTA_OVER_SOFT},
		{{.octets = 100, .octets_soft = 50}, {60, 1}, 1, QUOTA_OVER_SOFT},
		{{.octets = 100, .octets_soft = 50}, {60, 1}, 41, QUOTA_OVER_HARD},
		{{.octets = 100, .messages_soft = 3}, {60, 3}, 1, QUOTA_OVER_SOFT},
		{{.octets = 100, .pass = true}, {100, 5}, 1, QUOTA_OVER_HARD},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(quota_judge(&rows[i].l, &rows[i].now, rows[i].octets), rows[i].over);
}

// Account, domain, default: value by value, the most special that says something.
static void test_the_most_special_holds(void **state)
{
	const uint64_t none = QUOTA_NONE;
	const struct {
		uint64_t account, domain, standard, in_force;
	} rows[] = {
		{0, 0, 0, 0}, {0, 0, 30, 30}, {0, 20, 30, 20}, {10, 20, 30, 10}, {10, 0, 30, 10},
		{10, 0, 0, 10}, {none, 20, 30, 0}, {0, none, 30, 0}, {10, none, 30, 10},
		{none, none, none, 0}, {0, 20, 0, 20}, {none, 0, 30, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		// Each value goes its own way: the others are said elsewhere.
		for (unsigned value = 0; value < 4; value++) {
			struct quota_limits l = {1000, 1000, 1000, 1000, false};
			struct quota_limits domain = {2000, 2000, 2000, 2000, false};
			struct quota_limits standard = {3000, 3000, 3000, 3000, false};
			struct quota_limits *levels[] = {&l, &domain, &standard};
			const uint64_t said[] = {rows[i].account, rows[i].domain, rows[i].standard};
			for (unsigned n = 0; n < 3; n++) {
				uint64_t *values[] = {&levels[n]->octets, &levels[n]->messages,
					&levels[n]->octets_soft, &levels[n]->messages_soft};
				*values[value] = said[n];
			}
			quota_inherit(&l, &domain);
			quota_inherit(&l, &standard);
			quota_resolve(&l);
			const uint64_t got[] = {l.octets, l.messages, l.octets_soft, l.messages_soft};
			for (unsigned n = 0; n < 4; n++)
				assert_int_equal(got[n], n == value ? rows[i].in_force : 1000);
		}
	}
}

static void test_is_limited(void **state)
{
	assert_false(quota_is_limited(&(struct quota_limits){.pass = true}));
	assert_true(quota_is_limited(&(struct quota_limits){.messages_soft = 1}));
	assert_true(quota_is_limited(&(struct quota_limits){.octets = 1}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_the_most_special_holds),
		cmocka_unit_test(test_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
