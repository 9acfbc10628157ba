// SPDX-License-Identifier: ISC
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

static void test_clocks(void **state)
{
	uint64_t before = clock_monotonic_ms();
	uint64_t wall = clock_wall_ms();
	uint64_t seconds = (uint64_t)time(NULL);

	assert_true(clock_monotonic_ms() >= before);
	assert_true(wall / 1000 <= seconds && seconds - wall / 1000 < 60);
}

static void test_rfc3339(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{UINT64_C(1795309200123), "2026-11-22T01:00:00.123Z"},
		{UINT64_C(1709164799999), "2024-02-28T23:59:59.999Z"},
		{UINT64_C(1709164800007), "2024-02-29T00:00:00.007Z"},
		{UINT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
		{UINT64_C(253402300800000), "9999-12-31T23:59:59.000Z"},
		{UINT64_MAX, "9999-12-31T23:59:59.615Z"},
	};
	char out[CLOCK_DATE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(clock_format_rfc3339(rows[i].ms, out), rows[i].text);
}

static void test_rfc5322(void **state)
{
	static const struct {
		const char *zone;
		uint64_t ms;
		const char *text;
	} rows[] = {
		{"KST-9", UINT64_C(1795309200123), "Sun, 22 Nov 2026 10:00:00 +0900"},
		{"UTC0", UINT64_C(1795309200999), "Sun, 22 Nov 2026 01:00:00 +0000"},
		{"UTC0", 0, "Thu, 1 Jan 1970 00:00:00 +0000"},
		{"NST3:30", UINT64_C(1795309200123), "Sat, 21 Nov 2026 21:30:00 -0330"},
		{"XXX0:30", UINT64_C(1795309200123), "Sun, 22 Nov 2026 00:30:00 -0030"},
		{"NPT-5:45", UINT64_C(1795309200123), "Sun, 22 Nov 2026 06:45:00 +0545"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", UINT64_C(1782867600000),
			"Wed, 1 Jul 2026 03:00:00 +0200"},
		{"XXX-14", UINT64_MAX, "Fri, 31 Dec 9999 13:59:59 +1400"},
	};
	char out[CLOCK_DATE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setenv("TZ", rows[i].zone, 1);
		clock_prepare();
		assert_string_equal(clock_format_rfc5322(rows[i].ms, out), rows[i].text);
	}
}

static void test_parse_date(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms; // 0: wrong
	} rows[] = {
		{"2026-11-22", UINT64_C(1795273200000)},
		{"2026-11-22T10:30", UINT64_C(1795311000000)},
		{"30d", 1000 + UINT64_C(30) * 86400000},
		{"2h", 1000 + 7200000},
		{"2028-02-29", UINT64_C(1835362800000)},
		{"2026-02-29"}, {"2026-13-01"}, {"2026-00-10"}, {"2026-1-1"}, {"2026-11"}, {"2026-11-22T"},
		{"2026-11-22T24:00"}, {"2026-11-22T10:60"}, {"2026-11-22T10:30:00"}, {"2026-11-22 10:30"},
		{""}, {"30"}, {"never"}, {"-5d"}, {"1969-01-01"}, {"99999999999999999999d"},
	};
	uint64_t ms;

	setenv("TZ", "KST-9", 1);
	clock_prepare();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ms = 0;
		int err = clock_parse_date(str_from(rows[i].text), 1000, &ms);
		if ((err == 0) != (rows[i].ms != 0) || (err == 0 && ms != rows[i].ms))
			fail_msg("%s: %d %llu", rows[i].text, err, (unsigned long long)ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_rfc5322),
		cmocka_unit_test(test_parse_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
