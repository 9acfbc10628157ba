// SPDX-License-Identifier: ISC
#include "deliver/forward.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// One letter a kind, the text, a line an entry.
static void words(const char *text, size_t len, char *out, size_t size)
{
	static const char letters[] = {[FORWARD_ADDRESS] = 'a', [FORWARD_KEEP] = 'k',
		[FORWARD_COMMAND] = 'c', [FORWARD_FILE] = 'f', [FORWARD_INCLUDE] = 'i', [FORWARD_WRONG] = 'w'};
	char *exact = malloc(len ? len : 1);
	struct str rest = str_make(exact, len);
	struct forward_entry e;
	size_t n = 0;
	memcpy(exact, text, len);
	out[0] = '\0';
	while (forward_next(&rest, &e) && n < size)
		n += (size_t)snprintf(out + n, size - n, "%c %s\n", letters[e.kind],
			e.kind == FORWARD_WRONG ? "" : e.text);
	free(exact);
}

static void test_entries(void **state)
{
	static const struct {
		const char *text, *entries;
	} rows[] = {
		{"", ""},
		{"\n \t\n,,\r\n", ""},
		{"kim@example.kr", "a kim@example.kr\n"},
		{"kim@example.kr\n", "a kim@example.kr\n"},
		{"kim@example.kr, lee\n\\kim", "a kim@example.kr\na lee\nk kim\n"},
		{"# words, more\nkim\n  # words\nlee", "a kim\na lee\n"},
		{"kim # no comment", "a kim # no comment\n"},
		{"kim, #lee\nmin", "a kim\na min\n"},
		{"Kim <kim@example.kr>, <lee@example.kr>", "a kim@example.kr\na lee@example.kr\n"},
		{"\"Kim, K.\" <kim@example.kr>", "a kim@example.kr\n"},
		{"\"kim lee\"@example.kr", "a \"kim lee\"@example.kr\n"},
		{"|/usr/bin/procmail", "c /usr/bin/procmail\n"},
		{"|/usr/bin/program with, words\nkim", "c /usr/bin/program with, words\na kim\n"},
		{"\"|exec /usr/bin/procmail -f- || exit 75 #kim\"", "c exec /usr/bin/procmail -f- || exit 75 #kim\n"},
		{"|\"/usr/bin/vacation kim\", \\kim", "c /usr/bin/vacation kim\nk kim\n"},
		{"\"|IFS=' ' && exec /usr/bin/procmail \\\"-p\\\" \"", "c IFS=' ' && exec /usr/bin/procmail \"-p\"\n"},
		{"\"|a\\\\b\"", "c a\\b\n"},
		{"/var/mail/archive, \"/home/kim/old mail\"", "f /var/mail/archive\nf /home/kim/old mail\n"},
		{"/home/kim/Maildir/", "f /home/kim/Maildir/\n"},
		{":include:/home/kim/list", "i /home/kim/list\n"},
		{"\":include: /home/kim/list\"", "i /home/kim/list\n"},
		{"|", "w \n"},
		{"\\", "w \n"},
		{":include:", "w \n"},
		{"\"|program", "w \n"},
		{"\"|program\nkim", "w \na kim\n"},
		{"\"kim", "w \n"},
		{"ki\x01m", "w \n"},
		{"<>", "w \n"},
	};
	char out[2000];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		words(rows[i].text, strlen(rows[i].text), out, sizeof out);
		if (strcmp(out, rows[i].entries) != 0)
			fail_msg("%s\ngives\n%snot\n%s", rows[i].text, out, rows[i].entries);
	}
}

static void test_nul_and_long(void **state)
{
	char out[4000], text[3 * FORWARD_TEXT_MAX];
	(void)state;
	words("a\0b", 3, out, sizeof out);
	assert_string_equal(out, "w \n");
	memset(text, 'x', sizeof text);
	words(text, FORWARD_TEXT_MAX, out, sizeof out);
	assert_int_equal(strlen(out), FORWARD_TEXT_MAX + 3);
	words(text, FORWARD_TEXT_MAX + 1, out, sizeof out);
	assert_string_equal(out, "w \n");
	text[0] = '|';
	words(text, sizeof text, out, sizeof out);
	assert_string_equal(out, "w \n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_nul_and_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
