// SPDX-License-Identifier: ISC
#include "message/headers.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LIMIT 40

// What was told, as one text: "name=value@offset+length;" with line ends as / and a '~' behind
// what was cut.
struct told {
	struct headers_reader reader;
	struct buf text;
};

static void tell(void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct told *t = arg;

	buf_add_str(&t->text, name);
	buf_add_char(&t->text, '=');
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] != '\r')
			buf_add_char(&t->text, value.data[i] == '\n' ? '/' : value.data[i]);
	buf_add_format(&t->text, "%s@%u+%u;", t->reader.truncated ? "~" : "", (unsigned)offset,
		(unsigned)length);
}

static const struct {
	const char *body;
	const char *fields;
	unsigned size;	 // of the section
	unsigned offset; // where it ended
	bool separated;
} cases[] = {
	{"A: b\r\n\r\ntext\r\nB: c\r\n", "A= b@0+6;", 6, 8, true},
	{"A: b\r\nC:d\r\n\r\n", "A= b@0+6;C=d@6+5;", 11, 13, true},
	{"A: b\r\n\tc\r\n d\r\nE:\r\n\r\n", "A= b/\tc/ d@0+14;E=@14+4;", 18, 20, true},
	{"A : b\r\nB\t:c\r\n\r\n", "A= b@0+7;B=c@7+6;", 13, 15, true},
	{"A: b:c\r\n\r\n", "A= b:c@0+8;", 8, 10, true},
	{"\r\ntext\r\n", "", 0, 2, true},
	{"", "", 0, 0, false},
	// No empty line: the section ends where something else stands.
	{"A: b\r\ntext\r\nB: c\r\n", "A= b@0+6;", 6, 6, false},
	{"text\r\n", "", 0, 0, false},
	{" A: b\r\n", "", 0, 0, false},
	{": b\r\n", "", 0, 0, false},
	{"A B: c\r\n", "", 0, 0, false},
	{"A\xc3\xb6: c\r\n", "", 0, 0, false},
	{"From a@b Sun Nov 22\r\nA: b\r\n", "", 0, 0, false},
	// The body ends within the section.
	{"A: b\r\n", "A= b@0+6;", 6, 6, false},
	{"A: b", "A= b@0+4;", 4, 4, false},
	{"A: b\r\n c", "A= b/ c@0+8;", 8, 8, false},
	{"A: b\r\nB", "A= b@0+6;", 6, 6, false},
	{"A: b\r\n\r", "A= b@0+6;", 6, 6, false},
	// LF alone is a line end for the reader (what is on disk came through stricter hands).
	{"A: b\nC: d\n\nE: f\n", "A= b@0+5;C= d@5+5;", 10, 11, true},
	{"A: b\rc\r\n\r\n", "A= bc@0+8;", 8, 10, true},
	// Blank lines that are folding, not the end.
	{"A: b\r\n \r\n\r\n", "A= b/ @0+9;", 9, 11, true},
	// Longer than what is kept: 40 octets exactly, and one more.
	{"A: 4567890123456789012345678901234567890\r\n\r\n",
		"A= 4567890123456789012345678901234567890@0+42;", 42, 44, true},
	{"A: 45678901234567890123456789012345678901\r\nB: c\r\n\r\n",
		"A= 4567890123456789012345678901234567890~@0+43;B= c@43+6;", 49, 51, true},
	{"A: 45678901234567890\r\n 456789012345678901234567890\r\nB: c\r\n\r\n",
		"A= 45678901234567890/ 45678901234567890~@0+52;B= c@52+6;", 58, 60, true},
	// A name that does not end within what is kept is none.
	{"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: b\r\n\r\n", "", 0, 0, false},
};

static void feed(struct told *t, struct str body, size_t step)
{
	t->text = BUF_INIT;
	headers_reader_init(&t->reader, LIMIT);
	for (size_t at = 0; at < body.len; at += step)
		headers_reader_feed(&t->reader, str_slice(body, at, at + step), tell, t);
	headers_reader_end(&t->reader, tell, t);
}

static void finish(struct told *t)
{
	headers_reader_finish(&t->reader);
	buf_finish(&t->text);
}

// Whole, octet by octet, and in every step between.
static void test_table(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str body = str_from(cases[i].body);

		for (size_t step = 1; step <= body.len + 1; step++) {
			struct told t;

			feed(&t, body, step);
			assert_string_equal(buf_cstr(&t.text), cases[i].fields);
			assert_int_equal(t.reader.size, cases[i].size);
			assert_int_equal(t.reader.offset, cases[i].offset);
			assert_int_equal(t.reader.separated, cases[i].separated);
			assert_true(t.reader.done);
			finish(&t);
		}
	}
}

// Memory does not grow with what comes.
static void test_bounded(void **state)
{
	struct told t = {.text = BUF_INIT};
	char junk[1000];

	memset(junk, 'x', sizeof(junk));
	headers_reader_init(&t.reader, LIMIT);
	headers_reader_feed(&t.reader, STR("A:"), tell, &t);
	for (int i = 0; i < 1000; i++) {
		headers_reader_feed(&t.reader, str_make(junk, sizeof(junk)), tell, &t);
		assert_true(t.reader.field.size < 4096);
	}
	assert_int_equal(buf_len(&t.reader.field), LIMIT + 2);
	headers_reader_feed(&t.reader, STR("\r\n\r\n"), tell, &t);
	assert_int_equal(t.reader.size, 1000004);
	assert_int_equal(t.reader.field.size, 0);
	finish(&t);
}

static void test_unfold(void **state)
{
	static const struct {
		const char *value;
		const char *expected;
	} unfolded[] = {
		{" a", "a"},
		{" a\r\n b\r\n\tc ", "a b\tc"},
		{"\r\n a", "a"},
		{" a\n b", "a b"},
		{"", ""},
		{" \t ", ""},
	};
	struct buf out = BUF_INIT;
	struct buf small = {.limit = 3};

	for (size_t i = 0; i < ARRAY_SIZE(unfolded); i++) {
		assert_int_equal(headers_unfold(str_from(unfolded[i].value), &out), 0);
		assert_string_equal(buf_cstr(&out), unfolded[i].expected);
		buf_clear(&out);
	}
	assert_int_equal(headers_unfold(STR(" ab\r\n cd"), &small), ERR_LIMIT);
	assert_int_equal(buf_len(&small), 0);
	buf_finish(&out);
	buf_finish(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_unfold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
