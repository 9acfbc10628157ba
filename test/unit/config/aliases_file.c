// SPDX-License-Identifier: ISC
#include "config/aliases_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static bool on_alias(void *arg, struct str name, struct str targets, unsigned line)
{
	buf_add_format(arg, "%u %.*s = %.*s\n", line, STR_ARG(name), STR_ARG(str_slice(targets, 0, 200)));
	assert_in_range(targets.len, 1, TABLES_TARGETS_MAX);
	return true;
}

static void on_tell(void *arg, char severity, struct str file, unsigned line, const char *words)
{
	assert_true(strlen(words) > 10);
	buf_add_format(arg, "%c %.*s:%u\n", severity, STR_ARG(file), line);
}

// /deep/N includes /deep/N+1; /loop itself; what is in /home belongs to users.
static int on_include(void *arg, const char *path, struct buf *out, bool *out_trusted, struct error *err)
{
	*out_trusted = strncmp(path, "/home/", 6) != 0;
	if (!strcmp(path, "/list"))
		return buf_add_text(out, "# c\none@a.kr, two@a.kr\r\n\n three@a.kr\n|prog\n");
	if (!strcmp(path, "/home/list"))
		return buf_add_text(out, "one@a.kr\n|prog\n\"|prog\"\n/file\n:include:/etc/shadow\nlast\n");
	if (!strcmp(path, "/home/hidden"))
		return buf_add_text(out, "\"\\|prog\"\na\\, |prog\n(b, |prog #) c\n\x01|prog\n\"\\/file\"\n"
			"d\\\"e\n\\|kim, \"k, l\" <k@a.kr>\n");
	if (!strcmp(path, "/home/open"))
		return buf_add_text(out, "\"a\nb\n");
	if (!strncmp(path, "/deep/", 6))
		return buf_add_format(out, ":include:/deep/%d", atoi(path + 6) + 1);
	if (!strcmp(path, "/loop"))
		return buf_add_text(out, "a, :include:/loop");
	if (strstr(path, "large")) {
		for (int i = 0; i < 20000; i++)
			buf_add_text(out, "someone@example.kr\n");
		return 0;
	}
	return error_set(err, ERR_NOT_FOUND, "cannot open %s: No such file", path);
}

static const struct {
	const char *text, *expected;
} rows[] = {
	{"", ""},
	{"# c\n\n", ""},
	{"root: kim\n", "1 root = kim\n"},
	{"Root : Kim@A.kr,lee ,, park\n", "1 root = Kim@A.kr, lee, park\n"},
	{"a: b,\n\tc\n # not a comment\nd: e\n", "1 a = b, c  # not a comment\n4 d = e\n"},
	{"a: b,\n# c\n\n  d\ne: f", "1 a = b, d\n5 e = f\n"},
	{"a: b,\r\n\r\n  d\r\ne: f\r\n", "1 a = b, d\n4 e = f\n"},
	{"a: b, \\\nc\n", "1 a = b, c\n"},
	{"\"A b\": x\n\"q\\\"c\": y\n\"co:lon\" : z\n", "1 a b = x\n2 q\"c = y\n3 co:lon = z\n"},
	{"a: \"|prog one, two\", |other (x, /file\n", "1 a = \"|prog one, two\", |other (x, /file\n"},
	{"a: kim (Kim, of Seoul), \\kim\n", "1 a = kim (Kim, of Seoul), \\kim\n"},
	{"a: \"x, b\nc: d\n", "E f:1\n2 c = d\n"},
	{"a: (x\n", "E f:1\n"},
	{"a b\nc: d\n", "E f:1\n2 c = d\n"},
	{": d\n", "E f:1\n"},
	{"\"\": d\n", "E f:1\n"},
	{" a: b\n", "E f:1\n"},
	{"a:\nb: ,\nc: d\n", "W f:1\nW f:2\n3 c = d\n"},
	{"a@b.kr: c\n@b.kr: d\n", "1 a@b.kr = c\n2 @b.kr = d\n"},
	// includes
	{"a: x, :include:/list, y\n", "1 a = x, one@a.kr, two@a.kr, three@a.kr, |prog, y\n"},
	{"a: \":include:/list\"\n", "1 a = one@a.kr, two@a.kr, three@a.kr, |prog\n"},
	{"a: :Include: /list\n", "1 a = one@a.kr, two@a.kr, three@a.kr, |prog\n"},
	{"a: :include:/missing\n", "W f:1\n1 a = :include:/missing\n"},
	{"a: :include:list\n", "E f:1\n"},
	{"a: :include:/loop\n", "E /loop:1\n"},
	{"a: :include:/deep/1\n", "E /deep/3:1\n"},
	{"a: :include:/deep/3\nb: c\n", "E /deep/5:1\n2 b = c\n"},
	{"a: x, :include:/home/list, y\n",
		"W /home/list:2\nW /home/list:3\nW /home/list:4\nW /home/list:5\n1 a = x, one@a.kr, last, y\n"},
	{"a: x, :include:/home/hidden, y\n", "W /home/hidden:1\nW /home/hidden:2\nW /home/hidden:3\n"
		"W /home/hidden:4\nW /home/hidden:5\nW /home/hidden:6\n1 a = x, \\|kim, \"k, l\" <k@a.kr>, y\n"},
	{"a: x, :include:/home/open\n", "W /home/open:1\n1 a = x, b\n"},
	{"a: x, :include:/home/large\n", "W f:1\n1 a = x, :include:/home/large\n"},
	{"a: x, :include:/large\nb: c\n", "E f:1\n2 b = c\n"},
};

static void test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		struct aliases_sink sink = {&out, on_alias, on_include, on_tell};
		aliases_file_text(str_from(rows[i].text), STR("f"), &sink);
		if (!str_equal(buf_str(&out), str_from(rows[i].expected)))
			fail_msg("%s gives\n%s", rows[i].text, buf_cstr(&out));
		buf_finish(&out);
	}
}

static void test_bounds(void **state)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	struct aliases_sink sink = {&out, on_alias, on_include, on_tell};
	for (int i = 0; i < ALIASES_NAME_MAX + 1; i++)
		buf_add_char(&text, 'n');
	buf_add_text(&text, ": x\nlong: ");
	for (int i = 0; i < 14000; i++)
		buf_add_text(&text, "abc, ");
	buf_add_text(&text, "end\nb: c\n");
	aliases_file_text(buf_str(&text), STR("f"), &sink);
	assert_string_equal(buf_cstr(&out), "E f:1\nE f:2\n3 b = c\n");
	buf_finish(&out);
	buf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
