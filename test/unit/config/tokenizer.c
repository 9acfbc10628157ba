// SPDX-License-Identifier: ISC
#include "build.h"
#include "config/tokenizer.h"

// "w:text" word, "s:text" string, { } ; for newline and ';', ! for bad.
static void tokens_as_text(const char *text, struct buf *out)
{
	struct arena arena = {0};
	struct config_tokenizer t;
	struct config_token token;
	config_tokenizer_init(&t, str_from(text), &arena);
	for (;;) {
		config_tokenizer_next(&t, &token);
		if (token.kind == CONFIG_TOKEN_EOF)
			break;
		static const char *const marks[] = {"w:", "s:", "{", "}", ";", "", "!"};
		buf_add_text(out, marks[token.kind]);
		if (token.kind <= CONFIG_TOKEN_STRING)
			buf_add_str(out, token.text);
		buf_add_format(out, "@%u:%u ", token.line, token.column);
	}
	arena_finish(&arena);
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text, *tokens;
	} cases[] = {
		{"", ""},
		{" \t # nothing", ""},
		{"hostname \"a.b\"\n", "w:hostname@1:1 s:a.b@1:10 ;@1:15 "},
		{"a{b c}d", "w:a@1:1 {@1:2 w:b@1:3 w:c@1:5 }@1:6 w:d@1:7 "},
		{"a;b # c\r\nd\r\n", "w:a@1:1 ;@1:2 w:b@1:3 ;@1:9 w:d@2:1 ;@2:3 "},
		{"\"a\\\"b\\\\c\\n\\t\"", "s:a\"b\\c\n\t@1:1 "},
		{"\"#{};\" *:25", "s:#{};@1:1 w:*:25@1:8 "},
		{"\"\xed\x95\x9c\" x", "s:\xed\x95\x9c@1:1 w:x@1:5 "},
		{"\xef\xbb\xbfx", "w:x@1:1 "},
		{"\"open\nx", "!@1:1 ;@1:6 w:x@2:1 "},
		{"\"open", "!@1:1 "},
		{"\"a\\", "!@1:1 "},
		{"\"a\\\n", "!@1:1 ;@1:4 "},
		{"\"a\\q\" x", "!@1:1 w:x@1:7 "},
		{"\"\xff\" x", "!@1:1 w:x@1:5 "},
		{"\"a\x01\" x", "!@1:1 w:x@1:6 "},
		{"\x01 x\x7f", "!@1:1 w:x@1:3 !@1:4 "},
		{"a\rb", "w:a@1:1 !@1:2 w:b@1:3 "},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf out = BUF_INIT;
		tokens_as_text(cases[i].text, &out);
		assert_string_equal(buf_cstr(&out), cases[i].tokens);
		buf_finish(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tokens)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
