// SPDX-License-Identifier: ISC
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <string.h>

static void test_alloc(void **state)
{
	unsigned char *p = mem_alloc(1000);
	unsigned char *q = mem_array(10, 100);

	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(p[i] | q[i], 0);
	memset(p, 7, 1000);
	p = mem_resize(p, 2000);
	assert_int_equal(p[0], 7);
	assert_int_equal(p[999], 7);
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
}

static void test_nothing_is_something(void **state)
{
	void *p = mem_alloc(0);
	void *q = mem_array(0, 8);
	void *r = mem_resize(NULL, 0);

	assert_non_null(p);
	assert_non_null(q);
	assert_non_null(r);
	r = mem_resize(r, 0);
	mem_free(p);
	mem_free(q);
	mem_free(r);
}

static void test_wipe(void **state)
{
	char secret[8] = "hunter2";
	static const char zeros[8];

	mem_wipe(secret, 4);
	assert_memory_equal(secret, zeros, 4);
	assert_string_equal(secret + 4, "er2");
	mem_wipe(NULL, 0);
}

static void test_equal_secret(void **state)
{
	assert_true(mem_equal_secret("abc", "abc", 3));
	assert_false(mem_equal_secret("abc", "abd", 3));
	assert_false(mem_equal_secret("xbc", "abc", 3));
	assert_true(mem_equal_secret("abX", "abY", 2));
	assert_true(mem_equal_secret(NULL, NULL, 0));
}

static void test_random(void **state)
{
	static unsigned char a[1000], b[1000];

	mem_random(a, sizeof(a));
	mem_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	// The last octets are filled too (2^-64 to fail by chance).
	assert_memory_not_equal(a + sizeof(a) - 8, "\0\0\0\0\0\0\0", 8);
	mem_random(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_nothing_is_something),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_equal_secret),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
