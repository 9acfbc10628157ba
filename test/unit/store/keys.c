// SPDX-License-Identifier: ISC
// Sets of keys: never a wrong "no", few a wrong "perhaps", the same on every machine.
#include "help.h"

#include "store/keys.h"

static void every_key_is_found_and_few_others(void **state)
{
	static const unsigned counts[] = {1, 7, 64, 1792};

	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		uint8_t set[KEYS_SIZE(1792)] = {0};
		size_t size = KEYS_SIZE(counts[c]);
		unsigned wrong = 0;
		char key[40];

		for (unsigned i = 0; i < counts[c]; i++) {
			snprintf(key, sizeof(key), "user%u@example.kr", i);
			keys_add(set, size, keys_hash('a', str_from(key)));
		}
		for (unsigned i = 0; i < counts[c]; i++) {
			snprintf(key, sizeof(key), "USER%u@Example.KR", i);
			assert_true(keys_has(str_make(set, size), keys_hash('a', str_from(key))));
		}
		for (unsigned i = 0; i < 10000; i++) {
			snprintf(key, sizeof(key), "other%u@example.kr", i);
			wrong += keys_has(str_make(set, size), keys_hash('a', str_from(key)));
		}
		assert_in_range(wrong, 0, 300);
	}
}

static void kinds_differ(void **state)
{
	assert_true(keys_hash('a', STR("x")) != keys_hash('c', STR("x")));
	assert_true(keys_hash_number('i', 5) != keys_hash_number('i', 6));
	assert_false(keys_has(STR_EMPTY, 5));
}

// Stored on disks: must never change.
static void the_hash_is_fixed(void **state)
{
	assert_int_equal(keys_hash('a', STR("kim@example.kr")), UINT64_C(0x2cde7a117cc77d80));
	assert_int_equal(keys_hash_number('i', 123456789), UINT64_C(0x054dc3b293b4f89a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_found_and_few_others),
		cmocka_unit_test(kinds_differ),
		cmocka_unit_test(the_hash_is_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
