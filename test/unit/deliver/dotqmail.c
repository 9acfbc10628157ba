// SPDX-License-Identifier: ISC
#include "deliver/dotqmail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void words(const char *text, char *out, size_t size)
{
	static const char letters[] = {[DOTQMAIL_FORWARD] = 'a', [DOTQMAIL_COMMAND] = 'c',
		[DOTQMAIL_MBOX] = 'm', [DOTQMAIL_MAILDIR] = 'd', [DOTQMAIL_LIST] = 'l', [DOTQMAIL_WRONG] = 'w'};
	size_t len = strlen(text), n = 0;
	char *exact = malloc(len ? len : 1);
	struct str rest = str_make(exact, len);
	struct dotqmail_line line;
	bool first = true;
	memcpy(exact, text, len);
	out[0] = '\0';
	while (dotqmail_next(&rest, &first, &line) && n < size)
		n += (size_t)snprintf(out + n, size - n, "%c %s\n", letters[line.kind], line.text);
	free(exact);
}

static void test_lines(void **state)
{
	static const struct {
		const char *text, *lines;
	} rows[] = {
		{"", ""},
		{"# only words\n", ""},
		{"\nkim", "w \na kim\n"},
		{"# words\n\nkim", "a kim\n"},
		{"&kim@example.kr\nlee@example.kr  \n", "a kim@example.kr\na lee@example.kr\n"},
		{"& kim@example.kr", "a kim@example.kr\n"},
		{"|preline procmail || exit 111\t\n", "c preline procmail || exit 111\n"},
		{"| condredirect lee grep x", "c condredirect lee grep x\n"},
		{"./Mailbox\n./Maildir/\n/var/mail/kim\n", "m ./Mailbox\nd ./Maildir/\nm /var/mail/kim\n"},
		{"+list\nkim", "l +list\na kim\n"},
		{"+lists", "w \n"},
		{"|", "w \n"},
		{"&", "w \n"},
		{"ki\x01m", "w \n"},
	};
	char out[2000];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		words(rows[i].text, out, sizeof out);
		if (strcmp(out, rows[i].lines) != 0)
			fail_msg("%s\ngives\n%snot\n%s", rows[i].text, out, rows[i].lines);
	}
}

static void test_names(void **state)
{
	static const struct {
		const char *extension, *names;
	} rows[] = {
		{"", ".qmail()"},
		{"list", ".qmail-list() .qmail-default(list)"},
		{"Foo.Bar", ".qmail-foo:bar() .qmail-default(Foo.Bar)"},
		{"foo-bar", ".qmail-foo-bar() .qmail-foo-default(bar) .qmail-default(foo-bar)"},
		{"a-b-c", ".qmail-a-b-c() .qmail-a-b-default(c) .qmail-a-default(b-c) .qmail-default(a-b-c)"},
		{"../x", ""},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char all[300] = "", name[100];
		struct str rest;
		for (unsigned n = 0; dotqmail_name(str_from(rows[i].extension), n, name, sizeof name, &rest); n++)
			snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s(%.*s)", n ? " " : "", name,
				STR_ARG(rest));
		assert_string_equal(all, rows[i].names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
