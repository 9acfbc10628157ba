// SPDX-License-Identifier: ISC
#include "command/options.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 12

struct result {
	bool good;
	struct options o;
	const char *since;
	bool all;
};

static struct result parse(const char *const given[])
{
	char *argv[ARGUMENTS_MAX + 1] = {0};
	int argc = 0;
	for (; given[argc]; argc++)
		argv[argc] = (char *)given[argc];
	struct result r = {0};
	const struct option_row rows[] = {{"--since", &r.since, NULL}, {"--all", NULL, &r.all}};
	r.good = options_parse(argc, argv, rows, ARRAY_SIZE(rows), &r.o);
	return r;
}

static void what_is_right(void **state)
{
	static const struct {
		const char *given[ARGUMENTS_MAX];
		const char *config, *since, *words; // words with a blank behind each
		bool json, all;
	} rows[] = {
		{{"trace"}, OPTIONS_CONFIG, NULL, "", false, false},
		{{"trace", "a", "b"}, OPTIONS_CONFIG, NULL, "a b ", false, false},
		{{"trace", "a", "--json", "b", "--all"}, OPTIONS_CONFIG, NULL, "a b ", true, true},
		{{"trace", "--since", "2h", "a"}, OPTIONS_CONFIG, "2h", "a ", false, false},
		{{"trace", "--since=2h", "a"}, OPTIONS_CONFIG, "2h", "a ", false, false},
		{{"trace", "--since=", "a"}, OPTIONS_CONFIG, "", "a ", false, false},
		{{"trace", "--since", "--all"}, OPTIONS_CONFIG, "--all", "", false, false},
		{{"trace", "--since", "1h", "--since", "2h"}, OPTIONS_CONFIG, "2h", "", false, false},
		{{"trace", "-c", "file", "a"}, "file", NULL, "a ", false, false},
		{{"trace", "a", "-c", "file"}, "file", NULL, "a ", false, false},
		{{"trace", "--", "--all", "-c"}, OPTIONS_CONFIG, NULL, "--all -c ", false, false},
		{{"trace", "-", ""}, OPTIONS_CONFIG, NULL, "-  ", false, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct result r = parse(rows[i].given);
		char words[100] = "";
		assert_true(r.good);
		assert_string_equal(r.o.config_path, rows[i].config);
		assert_int_equal(r.since != NULL, rows[i].since != NULL);
		if (r.since)
			assert_string_equal(r.since, rows[i].since);
		for (unsigned n = 0; n < r.o.word_count; n++) {
			strcat(words, r.o.words[n]);
			strcat(words, " ");
		}
		assert_string_equal(words, rows[i].words);
		assert_int_equal(r.o.json, rows[i].json);
		assert_int_equal(r.all, rows[i].all);
	}
}

static void what_is_wrong(void **state)
{
	static const char *const rows[][ARGUMENTS_MAX] = {
		{"trace", "--nothing"}, {"trace", "--since"}, {"trace", "a", "-c"}, {"trace", "--all=yes"},
		{"trace", "--json=1"}, {"trace", "-x"}, {"trace", "--sinc", "2h"}, {"trace", "--since2h"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_false(parse(rows[i]).good);
}

static void what_comes_several_times(void **state)
{
	const char *argv[140] = {"trace"};
	int argc = 1;
	struct option_values values = {0};
	const struct option_row rows[] = {{"--rcpt", NULL, NULL, &values}};
	struct options o;
	(void)state;
	argv[argc++] = "--rcpt";
	argv[argc++] = "a@b.c";
	argv[argc++] = "--rcpt=d@e.f";
	assert_true(options_parse(argc, (char **)argv, rows, 1, &o));
	assert_int_equal(values.count, 2);
	assert_string_equal(values.items[0], "a@b.c");
	assert_string_equal(values.items[1], "d@e.f");
	while (argc < (int)ARRAY_SIZE(argv) - 1)
		argv[argc++] = "--rcpt=x";
	values.count = 0;
	assert_false(options_parse(argc, (char **)argv, rows, 1, &o));
	assert_int_equal(values.count, ARRAY_SIZE(values.items));
}

static void too_many_words(void **state)
{
	static char name[] = "trace", word[] = "word";
	char *words[OPTIONS_WORDS_MAX + 3] = {name};
	struct options o;
	(void)state;
	for (int n = 1; n <= OPTIONS_WORDS_MAX + 1; n++)
		words[n] = word;
	assert_true(options_parse(OPTIONS_WORDS_MAX + 1, words, NULL, 0, &o));
	assert_int_equal(o.word_count, OPTIONS_WORDS_MAX);
	assert_false(options_parse(OPTIONS_WORDS_MAX + 2, words, NULL, 0, &o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_several_times),
		cmocka_unit_test(what_is_right),
		cmocka_unit_test(what_is_wrong), cmocka_unit_test(too_many_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
