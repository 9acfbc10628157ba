// SPDX-License-Identifier: ISC
#include "base/unit.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#define K UINT64_C(1024)
#define S UINT64_C(1000)
#define M (60 * S)
#define H (60 * M)
#define D (24 * H)
#define W (7 * D)

static void test_parse_size(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} rows[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"10K", 0, 10 * K},
		{"10k", 0, 10 * K},
		{"10M", 0, 10 * K * K},
		{"3g", 0, 3 * K * K * K},
		{"1T", 0, K * K * K * K},
		{"0T", 0, 0},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18014398509481983K", 0, UINT64_MAX - 1023},
		{"18014398509481984K", ERR_LIMIT, 0},
		{"16777216T", ERR_LIMIT, 0},
		{"18446744073709551616", ERR_LIMIT, 0},
		{"", ERR_SYNTAX, 0},
		{"K", ERR_SYNTAX, 0},
		{"1KB", ERR_SYNTAX, 0},
		{"1KK", ERR_SYNTAX, 0},
		{"1 K", ERR_SYNTAX, 0},
		{"-1", ERR_SYNTAX, 0},
		{"1.5M", ERR_SYNTAX, 0},
		{"1B", ERR_SYNTAX, 0},
		{"1s", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 99;
		assert_int_equal(unit_parse_size(str_from(rows[i].text), &value), rows[i].err);
		assert_int_equal(value, rows[i].err ? 99 : rows[i].value);
	}
}

static void test_parse_duration(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t value;
	} rows[] = {
		{"0", 0, 0},
		{"90", 0, 90 * S},
		{"250ms", 0, 250},
		{"4h", 0, 4 * H},
		{"1h30m", 0, H + 30 * M},
		{"1w2d3h4m5s6ms", 0, W + 2 * D + 3 * H + 4 * M + 5 * S + 6},
		{"1m500ms", 0, M + 500},
		{"100m", 0, 100 * M},
		{"18446744073709551615ms", 0, UINT64_MAX},
		{"18446744073709551616ms", ERR_LIMIT, 0},
		{"18446744073709551615", ERR_LIMIT, 0},
		{"18446744073709551s616ms", ERR_LIMIT, 0},
		{"99999999999w", ERR_LIMIT, 0},
		{"", ERR_SYNTAX, 0},
		{"h", ERR_SYNTAX, 0},
		{"1h30", ERR_SYNTAX, 0},
		{"30m1h", ERR_SYNTAX, 0},
		{"1h1h", ERR_SYNTAX, 0},
		{"1H", ERR_SYNTAX, 0},
		{"1 h", ERR_SYNTAX, 0},
		{"-1s", ERR_SYNTAX, 0},
		{"1.5h", ERR_SYNTAX, 0},
		{"1y", ERR_SYNTAX, 0},
		{"1msec", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 99;
		assert_int_equal(unit_parse_duration(str_from(rows[i].text), &value), rows[i].err);
		assert_int_equal(value, rows[i].err ? 99 : rows[i].value);
	}
}

static void test_format(void **state)
{
	static const struct {
		uint64_t octets;
		const char *exact, *rounded;
	} sizes[] = {
		{0, "0", "0"},
		{1, "1", "1"},
		{1023, "1023", "1023"},
		{1024, "1K", "1K"},
		{1025, "1025", "1K"},
		{1536, "1536", "1.5K"},
		{10 * K + 511, "10751", "10K"},
		{10 * K + 512, "10752", "11K"},
		{K * K - 513, "1048063", "1023K"},
		{K * K - 512, "1048064", "1M"},
		{10 * K * K - 1, "10485759", "10M"},
		{25 * K * K, "25M", "25M"},
		{1500000000, "1500000000", "1.4G"},
		{5 * K * K * K * K, "5T", "5T"},
		{UINT64_MAX, "18446744073709551615", "16777216T"},
	};
	static const struct {
		uint64_t ms;
		const char *exact, *rounded;
	} durations[] = {
		{0, "0s", "0ms"},
		{1, "1ms", "1ms"},
		{999, "999ms", "999ms"},
		{1000, "1s", "1s"},
		{1449, "1449ms", "1.4s"},
		{1500, "1500ms", "1.5s"},
		{1950, "1950ms", "2s"},
		{9949, "9949ms", "9.9s"},
		{9950, "9950ms", "10s"},
		{59 * S + 499, "59499ms", "59s"},
		{59 * S + 500, "59500ms", "1m"},
		{90 * S, "90s", "1m 30s"},
		{H - 500, "3599500ms", "1h"},
		{H + 30 * M, "90m", "1h 30m"},
		{23 * H + 40 * M, "1420m", "23h 40m"},
		{D - 30 * S, "86370s", "1d"},
		{D - 31 * S, "86369s", "23h 59m"},
		{D, "1d", "1d"},
		{D + S, "1d1s", "1d"},
		{36 * H, "36h", "1d 12h"},
		{3 * D + 4 * H + 29 * M, "4589m", "3d 4h"},
		{3 * D + 4 * H + 30 * M, "4590m", "3d 5h"},
		{5 * D, "5d", "5d"},
		{7 * D, "1w", "7d"},
		{UINT64_MAX, "18446744073709551615ms", NULL},
	};
	char out[UNIT_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_string_equal(unit_format_size(sizes[i].octets, out), sizes[i].exact);
		assert_string_equal(unit_format_size_short(sizes[i].octets, out), sizes[i].rounded);
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		assert_true(strlen(unit_format_duration(durations[i].ms, out)) <=
			    strlen(durations[i].exact));
		if (durations[i].ms != UINT64_MAX)
			assert_string_equal(out, durations[i].exact);
		unit_format_duration_short(durations[i].ms, out);
		if (durations[i].rounded)
			assert_string_equal(out, durations[i].rounded);
	}
}

static void test_there_and_back(void **state)
{
	uint64_t value = 1;

	// A fixed walk over the whole range (a linear congruence).
	for (int i = 0; i < 20000; i++) {
		uint64_t wanted = value >> i % 64;
		char out[UNIT_TEXT_MAX];
		uint64_t back;

		assert_int_equal(
			unit_parse_size(str_from(unit_format_size(wanted, out)), &back), 0);
		assert_int_equal(back, wanted);
		unit_format_duration(wanted, out);
		assert_int_equal(unit_parse_duration(str_from(out), &back), 0);
		assert_int_equal(back, wanted);
		assert_true(strlen(unit_format_size_short(wanted, out)) <= 9);
		assert_true(strlen(unit_format_duration_short(wanted, out)) < UNIT_TEXT_MAX - 1);
		value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_parse_duration),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
