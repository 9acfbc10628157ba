// SPDX-License-Identifier: ISC
#include "control/control.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_command_is_found_once(void **state)
{
	static const char *const roles[] = {"master", "queue", "auth"};
	(void)state;
	assert_true(control_command_count > 0);
	for (size_t i = 0; i < control_command_count; i++) {
		const struct control_command *c = &control_commands[i];
		bool known = false;
		assert_ptr_equal(control_command_find(c->name), c);
		assert_true(c->help && c->help[0]);
		for (size_t r = 0; r < ARRAY_SIZE(roles); r++)
			known |= !strcmp(roles[r], c->role);
		assert_true(known);
		// Nobody can ask a master that is not there.
		assert_true(strcmp(c->role, "master") || !c->offline);
	}
}

static void who_only_looks_changes_nothing(void **state)
{
	static const struct {
		const char *name;
		enum control_right right;
	} rows[] = {{"status", CONTROL_READ}, {"queue list", CONTROL_READ}, {"trace", CONTROL_READ},
		{"reload", CONTROL_OPERATE}, {"queue hold", CONTROL_OPERATE},
		{"queue delete", CONTROL_ADMIN}, {"secret set", CONTROL_ADMIN}, {"stop", CONTROL_ADMIN}};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(control_command_find(rows[i].name)->right, rows[i].right);
}

static void others_are_not_found(void **state)
{
	static const char *const names[] = {"", "queue", "queue  list", "Status", "status ", "\xff"};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(control_command_find(names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_found_once),
		cmocka_unit_test(who_only_looks_changes_nothing),
		cmocka_unit_test(others_are_not_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
