// SPDX-License-Identifier: ISC
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

static void test_alloc(void **state)
{
	static const size_t sizes[] = {0, 1, 3, 8, 16, 100, 999, 1000, 1001, 4000, 4001, 100000};
	struct arena a = {0};
	unsigned char *before = NULL;

	for (size_t round = 0; round < 50; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned char *p = arena_alloc(&a, sizes[i]);
			assert_non_null(p);
			assert_ptr_not_equal(p, before);
			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xee, sizes[i]); // the next must still be zero
			before = p;
		}
	}
	arena_finish(&a);
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 10));
	arena_finish(&a);
	arena_finish(&a);
}

static void test_strings(void **state)
{
	struct arena a = {0};
	struct str s = arena_str(&a, STR("user@example.kr"));
	struct str empty = arena_str(&a, (struct str){NULL, 0});
	struct str nul = arena_str(&a, STR("a\0b"));

	assert_string_equal(s.data, "user@example.kr");
	assert_int_equal(s.len, 15);
	assert_non_null(empty.data);
	assert_string_equal(empty.data, "");
	assert_true(str_equal(nul, STR("a\0b")));
	assert_string_equal(arena_format(&a, "%s/%d", "x", 5), "x/5");
	assert_string_equal(arena_format(&a, "%s", ""), "");
	// Strings are packed, but what comes after them is aligned.
	assert_int_equal((uintptr_t)arena_alloc(&a, 1) % _Alignof(max_align_t), 0);
	arena_finish(&a);
}

static void test_limit(void **state)
{
	struct arena a = {.limit = 100};

	assert_non_null(arena_alloc(&a, 60));
	assert_null(arena_alloc(&a, 41));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_str(&a, str_make("", SIZE_MAX)).data);
	assert_null(arena_format(&a, "%50d", 1));
	assert_non_null(arena_str(&a, STR("123456789012345678901234567890123456789")).data);
	assert_int_equal(a.used, 100);
	assert_null(arena_str(&a, STR_EMPTY).data); // its NUL counts
	assert_null(arena_alloc(&a, 0));
	arena_finish(&a);
	assert_int_equal(a.limit, 100);
	assert_non_null(arena_alloc(&a, 100));
	arena_finish(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
