// SPDX-License-Identifier: ISC
#include "command/table.h"

#include "base/buf.h"
#include "base/file.h"

#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// What is printed to standard output.
static const char *printed(const struct table *t, struct buf *out)
{
	FILE *file = tmpfile();
	int kept = dup(STDOUT_FILENO);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	table_print(t);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	buf_clear(out);
	lseek(fileno(file), 0, SEEK_SET);
	assert_int_equal(fd_read_all(fileno(file), out, 65536), 0);
	fclose(file);
	return buf_cstr(out);
}

static void add_row(struct table *t, const char *a, const char *b, const char *c)
{
	table_add(t, a);
	table_add(t, b);
	table_add(t, c);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
	static const char *const titles[] = {"NAME", "N", "STATE"};
	struct buf out = BUF_INIT;
	struct table t;
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	table_init(&t, 3, titles);
	table_set_right(&t, 1);
	add_row(&t, "kim", "7", "enabled");
	add_row(&t, "김철수", "1234", "");
	add_row(&t, "ｗ", NULL, "e\xcc\x81"); // a wide letter, one put together
	add_row(&t, "\x1b[2J", "1", "a\nb");
	assert_string_equal(printed(&t, &out),
		"NAME       N  STATE\n"
		"kim        7  enabled\n"
		"김철수  1234  -\n"
		"ｗ         -  e\xcc\x81\n"
		"?[2J       1  a?b\n");
	table_finish(&t);
	buf_finish(&out);
}

static void other_locales_count_octets(void **state)
{
	static const char *const titles[] = {"A", "B", "C"};
	struct buf out = BUF_INIT;
	struct table t;
	(void)state;
	setlocale(LC_CTYPE, "C");
	table_init(&t, 3, titles);
	add_row(&t, "김", "\xff\xfe", "x");
	assert_string_equal(printed(&t, &out), "A    B   C\n김  \xff\xfe  x\n");
	table_finish(&t);
	buf_finish(&out);
}

static void nothing_to_show(void **state)
{
	static const char *const titles[] = {"A", "B", "C"};
	struct buf out = BUF_INIT;
	struct table t;
	(void)state;
	table_init(&t, 3, titles);
	assert_string_equal(printed(&t, &out), "");
	for (int i = 0; i < 1000; i++)
		add_row(&t, "a", "b", "c");
	printed(&t, &out);
	assert_int_equal(buf_len(&out), 1001 * strlen("a  b  c\n"));
	table_finish(&t);
	table_finish(&t); // empty and usable again
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(other_locales_count_octets),
		cmocka_unit_test(nothing_to_show),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
