// SPDX-License-Identifier: ISC
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

struct item {
	int number;
	struct list link;
};

static int sum_in_order(struct list *head)
{
	int sum = 0;

	LIST_EACH(link, head)
	sum = sum * 10 + LIST_ENTRY(link, struct item, link)->number;
	return sum;
}

static void test_order(void **state)
{
	struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	assert_int_equal(sum_in_order(&head), 0);
	list_add_last(&head, &items[1].link);
	list_add_last(&head, &items[2].link);
	list_add_first(&head, &items[0].link);
	list_add_last(&head, &items[3].link);
	assert_false(list_empty(&head));
	assert_int_equal(sum_in_order(&head), 1234);
	list_remove(&items[1].link);
	assert_int_equal(sum_in_order(&head), 134);
	list_remove(&items[1].link); // in no list: harmless
	assert_int_equal(sum_in_order(&head), 134);
	list_add_first(&head, &items[1].link);
	assert_int_equal(sum_in_order(&head), 2134);
}

static void test_remove_while_walking(void **state)
{
	struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
	struct list head;

	list_init(&head);
	for (int i = 0; i < 4; i++)
		list_add_last(&head, &items[i].link);
	LIST_EACH(link, &head)
	if (LIST_ENTRY(link, struct item, link)->number % 2 == 0)
		list_remove(link);
	assert_int_equal(sum_in_order(&head), 13);
	LIST_EACH(link, &head)
	list_remove(link);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_remove_while_walking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
