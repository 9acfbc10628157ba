// SPDX-License-Identifier: ISC
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 5000

static struct str key_of(size_t i, char text[32])
{
	snprintf(text, 32, "key-%zu", i);
	return str_from(text);
}

static void test_empty(void **state)
{
	struct map m = {0};

	assert_null(map_get(&m, STR("a")));
	assert_null(map_remove(&m, STR("a")));
	map_finish(&m);
	map_finish(&m);
}

static void test_set(void **state)
{
	struct map m = {0};
	int one, two;
	char key[] = "key";

	assert_null(map_set(&m, str_from(key), &one));
	key[0] = 'x'; // keys are copied
	assert_ptr_equal(map_get(&m, STR("key")), &one);
	assert_null(map_get(&m, STR("xey")));
	assert_null(map_get(&m, STR("KEY")));
	assert_ptr_equal(map_set(&m, STR("key"), &two), &one);
	assert_int_equal(m.count, 1);
	assert_ptr_equal(map_get(&m, STR("key")), &two);
	// Empty keys, and keys with NUL, are keys.
	assert_null(map_set(&m, STR_EMPTY, &one));
	assert_null(map_set(&m, STR("key\0a"), &one));
	assert_ptr_equal(map_get(&m, (struct str){NULL, 0}), &one);
	assert_ptr_equal(map_get(&m, STR("key")), &two);
	assert_int_equal(m.count, 3);
	assert_ptr_equal(map_remove(&m, STR("key")), &two);
	assert_null(map_remove(&m, STR("key")));
	assert_int_equal(m.count, 2);
	map_finish(&m);
	assert_int_equal(m.count, 0);
}

static void test_many(void **state)
{
	static size_t values[MANY];
	struct map m = {0};
	char text[32];

	for (size_t i = 0; i < MANY; i++)
		assert_null(map_set(&m, key_of(i, text), &values[i]));
	for (size_t i = 0; i < MANY; i += 3)
		assert_ptr_equal(map_remove(&m, key_of(i, text)), &values[i]);
	for (size_t i = 0; i < MANY; i++)
		assert_ptr_equal(map_get(&m, key_of(i, text)), i % 3 ? &values[i] : NULL);
	assert_int_equal(m.count, MANY - (MANY + 2) / 3);
	map_finish(&m);
}

struct walk {
	struct map *map;
	size_t visited;
};

static void visit_and_remove(struct str key, void *value, void *arg)
{
	struct walk *walk = arg;

	walk->visited++;
	++*(size_t *)value;
	if (*(size_t *)value == 1)
		assert_ptr_equal(map_remove(walk->map, key), value);
}

static void test_each(void **state)
{
	static size_t values[MANY];
	struct map m = {0};
	struct walk walk = {.map = &m};
	char text[32];

	for (size_t i = 0; i < MANY; i++) {
		values[i] = i % 2;
		map_set(&m, key_of(i, text), &values[i]);
	}
	map_each(&m, visit_and_remove, &walk);
	assert_int_equal(walk.visited, MANY);
	assert_int_equal(m.count, MANY / 2);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(values[i], i % 2 + 1); // each once
	map_finish(&m);
}

// The hash is the same within a process and another in the next.
static void test_hash(void **state)
{
	uint64_t mine = hash_octets("pabal", 5);
	uint64_t other = 0;
	int ends[2];
	pid_t child;

	assert_int_equal(mine, hash_octets("pabal", 5));
	assert_int_not_equal(mine, hash_octets("pabam", 5));
	assert_int_equal(hash_octets(NULL, 0), hash_octets("", 0));
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "map", "hash", (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &other, sizeof(other)), sizeof(other));
	close(ends[0]);
	waitpid(child, NULL, 0);
	assert_int_not_equal(mine, other);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_hash),
	};

	if (argc > 1) {
		uint64_t hash = hash_octets("pabal", 5);
		return write(STDOUT_FILENO, &hash, sizeof(hash)) != sizeof(hash);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
