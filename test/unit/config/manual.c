// SPDX-License-Identifier: ISC
#include "build.h"
#include "config/config_internal.h"

// The manual page names every setting, its default and when a change holds.
static void test_complete(void **state)
{
	struct buf out = BUF_INIT, wanted = BUF_INIT;
	assert_int_equal(config_manual(&out), 0);
	assert_true(str_starts(buf_str(&out), STR("pabal.conf(5)\n\n# NAME\n\npabal.conf - ")));
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++) {
		size_t count;
		const struct config_setting *s = config_settings_of(id, &count);
		assert_true(count > 0);
		for (size_t i = 0; i < count; i++) {
			buf_clear(&wanted);
			buf_add_format(&wanted, "*%s* ", s[i].name);
			if (str_search(buf_str(&out), buf_str(&wanted)) < 0)
				fail_msg("no %s", s[i].name);
		}
	}
	assert_true(str_search(buf_str(&out),
			    STR("Default: 50M, from 1K to 4G\\. A change holds for new "
				"sessions\\.")) > 0);
	buf_finish(&wanted);
	buf_finish(&out);
}

// What the table must keep for the code that walks over it.
static void test_table(void **state)
{
	for (enum config_block_id id = 0; id < CONFIG_BLOCK_COUNT; id++) {
		size_t count;
		const struct config_setting *s = config_settings_of(id, &count);
		for (size_t i = 0; i < count; i++) {
			assert_non_null(s[i].type);
			assert_non_null(s[i].help);
			assert_true(s[i].reload && strchr("lsr", s[i].reload));
			assert_true((s[i].roles & CONFIG_FOR_MASTER) || !s[i].type->carry);
			assert_ptr_equal(config_setting_find(id, str_from(s[i].name)), &s[i]);
			if (s[i].inherits)
				assert_int_equal(
					config_setting_find(CONFIG_BLOCK_TOP, str_from(s[i].name))
						->size,
					s[i].size);
		}
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"listen", "require", "max-recipients", "tls", "auth"};
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{"lisen", "listen"},
		{"lsiten", "listen"},
		{"LISTEN", "listen"},
		{"listens", "listen"},
		{"max-recipient", "max-recipients"},
		{"maxrecipients", "max-recipients"},
		{"max_recipients", "max-recipients"},
		{"tsl", "tls"},
		{"ssl", NULL},
		{"x", NULL},
		{"", NULL},
		{"frobnicate", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got = config_nearest(str_from(cases[i].word), words, ARRAY_SIZE(words));
		if (!cases[i].nearest && got)
			fail_msg("%s: %s", cases[i].word, got);
		if (cases[i].nearest)
			assert_string_equal(got, cases[i].nearest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_complete),
		cmocka_unit_test(test_table), cmocka_unit_test(test_nearest)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
