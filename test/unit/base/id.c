// SPDX-License-Identifier: ISC
#include "base/id.h"

#include "base/clock.h"
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static void test_next(void **state)
{
	struct id_source s;
	uint64_t before = clock_wall_ms();
	uint64_t last = 0;

	id_source_init(&s, 3, 7);
	// More than one millisecond's counter can hold.
	for (int i = 0; i < 20000; i++) {
		uint64_t id = id_next(&s);
		assert_true(id > last);
		assert_int_equal(id >> 11 & 1023, 3 << 6 | 7);
		last = id;
		if (i == 0)
			assert_true(id_wall_ms(id) >= before && id_wall_ms(id) <= clock_wall_ms());
	}
}

static void test_clock_steps_back(void **state)
{
	struct id_source s;
	uint64_t last;

	id_source_init(&s, 15, 63);
	last = id_next(&s);
	s.last_ms += 3600000; // as if the clock had been an hour ahead
	for (int i = 0; i < 10000; i++) {
		uint64_t id = id_next(&s);
		assert_true(id > last);
		last = id;
	}
}

static void test_sources_differ(void **state)
{
	struct id_source a, b;

	id_source_init(&a, 0, 1);
	id_source_init(&b, 0, 2);
	for (int i = 0; i < 1000; i++)
		assert_int_not_equal(id_next(&a), id_next(&b));
}

static void test_text(void **state)
{
	static const struct {
		uint64_t id;
		const char *text;
	} rows[] = {
		{1, "0000000000001"},
		{31, "000000000000z"},
		{32, "0000000000010"},
		{UINT64_C(1) << 62, "4000000000000"},
		{UINT64_MAX, "fzzzzzzzzzzzz"},
	};
	char text[ID_TEXT_MAX], before[ID_TEXT_MAX] = "";
	struct id_source s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t id;
		assert_string_equal(id_format(rows[i].id, text), rows[i].text);
		assert_int_equal(id_parse(str_from(text), &id), 0);
		assert_int_equal(id, rows[i].id);
		assert_true(strcmp(before, text) < 0);
		memcpy(before, text, sizeof(text));
	}
	id_source_init(&s, 1, 1);
	memset(before, 0, sizeof(before));
	for (int i = 0; i < 3000; i++) {
		uint64_t id = id_next(&s), back;
		id_format(id, text);
		assert_true(strcmp(before, text) < 0);
		assert_int_equal(id_parse(str_from(text), &back), 0);
		assert_int_equal(back, id);
		memcpy(before, text, sizeof(text));
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const rows[] = {
		"",
		"0",
		"000000000000",
		"00000000000001", // lengths
		"0000000000000",  // never 0
		"g000000000000",  // over 64 bits
		"zzzzzzzzzzzzz",
		"000000000000i",
		"000000000000l",
		"000000000000o",
		"000000000000u",
		"000000000000A",
		"00000000000/1",
		"000000000000 ",
	};
	uint64_t id = 99;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(id_parse(str_from(rows[i]), &id), ERR_SYNTAX);
	assert_int_equal(id_parse(STR("000000000001\0"), &id), ERR_SYNTAX);
	assert_int_equal(id, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_clock_steps_back),
		cmocka_unit_test(test_sources_differ),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_parse_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
