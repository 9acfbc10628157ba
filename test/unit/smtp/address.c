// SPDX-License-Identifier: ISC
// Every form an address comes in, and the one form it leaves in.
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// STR() for a constant table.
#define LIT(literal)                                                                               \
	{                                                                                          \
		"" literal, sizeof(literal) - 1                                                    \
	}

#define L16	"0123456789abcdef"
#define L64	L16 L16 L16 L16
#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct {
	struct str input;
	int err;
	const char *text;
	const char *key;
} paths[] = {
	{LIT("<>"), 0, "", ""},
	{LIT("<kim@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<Kim.Min@Example.KR>"), 0, "Kim.Min@example.kr", "kim.min@example.kr"},
	{LIT("<kim@example.kr.>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<kim@example.kr..>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@.example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@exa_mple.kr>"), 0, "kim@exa_mple.kr", "kim@exa_mple.kr"},
	{LIT("<!#$%&'*+-/=?^_`{|}~@example.kr>"), 0, "!#$%&'*+-/=?^_`{|}~@example.kr",
		"!#$%&'*+-/=?^_`{|}~@example.kr"},
	{LIT("<postmaster>"), 0, "postmaster", "postmaster"},
	{LIT("<PostMaster>"), 0, "postmaster", "postmaster"},
	{LIT("<PostMaster@Example.kr>"), 0, "PostMaster@example.kr", "postmaster@example.kr"},
	{LIT("<@relay.example:postmaster>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<abuse>"), ERR_SYNTAX, NULL, NULL},
	// quoted strings
	{LIT("<\"kim\"@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<\"kim min\"@example.kr>"), 0, "\"kim min\"@example.kr", "kim min@example.kr"},
	{LIT("<\"k\\im\"@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<\"a\\\"b\\\\c\"@example.kr>"), 0, "\"a\\\"b\\\\c\"@example.kr",
		"a\"b\\c@example.kr"},
	{LIT("<\"a@b>c\"@example.kr>"), 0, "\"a@b>c\"@example.kr", "a@b>c@example.kr"},
	{LIT("<\".kim\"@example.kr>"), 0, "\".kim\"@example.kr", ".kim@example.kr"},
	{LIT("<\"\"@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"kim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"kim\"x@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"kim\".x@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"ki\rm\"@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"ki\\\nm\"@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"ki\0m\"@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"ki\tm\"@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"ki\x7fm\"@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"kim@example.kr\">"), ERR_SYNTAX, NULL, NULL},
	{LIT("<\"postmaster\">"), ERR_SYNTAX, NULL, NULL},
	// dots, spaces, brackets
	{LIT("<.kim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim.@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<k..im@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("< kim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@example.kr >"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim @example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@example.kr"), ERR_SYNTAX, NULL, NULL},
	{LIT("kim@example.kr"), ERR_SYNTAX, NULL, NULL},
	{LIT("<<kim@example.kr>>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@other@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@exam ple.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@-example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@exam/ple.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<"), ERR_SYNTAX, NULL, NULL},
	{LIT(""), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim\0@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@example.kr\0>"), ERR_SYNTAX, NULL, NULL},
	// source routes are dropped
	{LIT("<@a.example:kim@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<@a.example,@b.example:kim@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<@[192.0.2.1]:kim@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<@[IPv6:2001:db8::1]:kim@example.kr>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<@a.example,b.example:kim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<@a.example kim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<@:kim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<@a.example:>"), ERR_SYNTAX, NULL, NULL},
	// literals
	{LIT("<kim@[192.0.2.1]>"), 0, "kim@[192.0.2.1]", "kim@[192.0.2.1]"},
	{LIT("<kim@[IPv6:2001:DB8:0::1]>"), 0, "kim@[IPv6:2001:db8::1]", "kim@[IPv6:2001:db8::1]"},
	{LIT("<kim@[ipv6:::ffff:192.0.2.1]>"), 0, "kim@[192.0.2.1]", "kim@[192.0.2.1]"},
	{LIT("<kim@[2001:db8::1]>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@[IPv6:192.0.2.1]>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@[192.0.2.256]>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@[192.0.2.1>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@[192.0.2.1].>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@[]>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@[x400:abc]>"), ERR_SYNTAX, NULL, NULL},
	// UTF-8
	{LIT("<김@example.kr>"), 0, "김@example.kr", "김@example.kr"},
	{LIT("<kim@예제.kr>"), 0, "kim@xn--2j5b21b.kr", "kim@xn--2j5b21b.kr"},
	{LIT("<kim@예제.kr.>"), 0, "kim@xn--2j5b21b.kr", "kim@xn--2j5b21b.kr"},
	{LIT("<\"김 민\"@예제.kr>"), 0, "\"김 민\"@xn--2j5b21b.kr", "김 민@xn--2j5b21b.kr"},
	{LIT("<kim@ｅｘａｍｐｌｅ．ｋｒ>"), 0, "kim@example.kr", "kim@example.kr"},
	{LIT("<k\xffim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<k\xc0\xafim@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<k\xc2\x85im@example.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<kim@exa\xffmple.kr>"), ERR_SYNTAX, NULL, NULL},
	// bounds
	{LIT("<" L64 "@example.kr>"), 0, L64 "@example.kr", L64 "@example.kr"},
	{LIT("<" L64 "x@example.kr>"), ERR_LIMIT, NULL, NULL},
	{LIT("<\"" L64 "x\"@example.kr>"), ERR_LIMIT, NULL, NULL},
	{LIT("<k@" LABEL63 ".kr>"), 0, "k@" LABEL63 ".kr", "k@" LABEL63 ".kr"},
	{LIT("<k@" LABEL63 "x.kr>"), ERR_SYNTAX, NULL, NULL},
	{LIT("<k@" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ">"), ERR_SYNTAX, NULL, NULL},
};

// A copy at the very end of its memory, so that a sanitizer sees reads behind it.
static struct str exact(struct str s)
{
	char *copy = malloc(s.len ? s.len : 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	return str_make(copy, s.len);
}

static void test_paths(void **state)
{
	char key[SMTP_ADDRESS_MAX];
	struct smtp_address a;
	size_t used;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct str input = exact(paths[i].input);
		int err = smtp_address_parse_path(input, &a, &used);

		if (err != paths[i].err)
			fail_msg("%.*s: %d, not %d", STR_ARG(input), err, paths[i].err);
		if (err) {
			assert_int_equal(used, 0);
			assert_string_equal(a.text, "");
			assert_false(a.null);
		} else {
			assert_int_equal(used, input.len);
			assert_string_equal(a.text, paths[i].text);
			assert_string_equal(smtp_address_key(&a, key), paths[i].key);
		}
		free((char *)input.data);
	}
}

// No beginning of a path is a path, and what follows a path is left alone.
static void test_path_ends_at_bracket(void **state)
{
	struct smtp_address a;
	size_t used;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (paths[i].err)
			continue;
		for (size_t len = 0; len < paths[i].input.len; len++)
			assert_int_not_equal(smtp_address_parse_path(
						     str_slice(paths[i].input, 0, len), &a, &used),
				0);
		char longer[400];
		int n = snprintf(longer, sizeof(longer), "%.*s SIZE=10>", STR_ARG(paths[i].input));

		assert_int_equal(
			smtp_address_parse_path(str_make(longer, (size_t)n), &a, &used), 0);
		assert_int_equal(used, paths[i].input.len);
	}
}

static void test_facts(void **state)
{
	struct smtp_address a;
	size_t used;

	assert_int_equal(smtp_address_parse_path(STR("<>"), &a, &used), 0);
	assert_true(a.null);
	assert_int_equal(smtp_address_parse_path(STR("<postmaster>"), &a, &used), 0);
	assert_true(a.postmaster && !a.null && !a.domain[0]);
	assert_int_equal(smtp_address_parse_path(STR("<kim@[192.0.2.1]>"), &a, &used), 0);
	assert_true(a.literal && a.ip.family == 4 && a.ip.octets[0] == 192);
	assert_int_equal(smtp_address_parse_path(STR("<kim@예제.kr>"), &a, &used), 0);
	assert_true(a.utf8 && !a.literal);
	assert_int_equal(smtp_address_parse_path(STR("<kim@example.kr>"), &a, &used), 0);
	assert_true(!a.utf8 && !a.literal && !a.postmaster);
}

static void test_mailboxes(void **state)
{
	static const struct {
		const char *input;
		const char *text; // NULL: refused
	} rows[] = {
		{"kim@example.kr", "kim@example.kr"},
		{"\"a b\"@Example.kr.", "\"a b\"@example.kr"},
		{"kim@[192.0.2.1]", "kim@[192.0.2.1]"},
		{"kim@예제.kr", "kim@xn--2j5b21b.kr"},
		{"<kim@example.kr>", NULL},
		{"postmaster", NULL},
		{"@a:kim@example.kr", NULL},
		{"kim@example.kr ", NULL},
		{"kim@example.kr>", NULL},
		{"", NULL},
	};
	struct smtp_address a;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = smtp_address_parse(str_from(rows[i].input), &a);

		assert_int_equal(err, rows[i].text ? 0 : ERR_SYNTAX);
		assert_string_equal(a.text, rows[i].text ? rows[i].text : "");
	}
}

static void test_hidden_domain(void **state)
{
	static const struct {
		const char *input;
		const char *domain; // NULL: none
	} rows[] = {
		{"kim@ours.example", NULL},
		{"kim.min+tag@ours.example", NULL},
		{"\"kim min\"@ours.example", NULL},
		{"user%other.example@ours.example", "other.example"},
		{"user%a.example%other.example@ours.example", "other.example"},
		{"\"user%other.example\"@ours.example", "other.example"},
		{"other.example!user@ours.example", "other.example"},
		{"other.example!b.example!user@ours.example", "other.example"},
		{"\"user@other.example\"@ours.example", "other.example"},
		{"\"user@other.example.\"@ours.example", "other.example"},
		{"\"<user@other.example>\"@ours.example", "other.example"},
		{"\"\\\"user@other.example\\\"\"@ours.example", "other.example"},
		{"\"@a.example,@b.example:user\"@ours.example", "a.example"},
		{"\"@a.example:user@other.example\"@ours.example", "a.example"},
		{"\"user@other.example@ours.example\"@ours.example", "ours.example"},
		{"user%localhost@ours.example", "localhost"},
		{"user%@ours.example", NULL},
		{"!user@ours.example", NULL},
		{"user%other.example@[192.0.2.1]", "other.example"},
	};
	struct smtp_address a;
	struct str domain;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(smtp_address_parse(str_from(rows[i].input), &a), 0);
		assert_int_equal(smtp_address_hidden_domain(&a, &domain), rows[i].domain != NULL);
		if (rows[i].domain && !str_equal(domain, str_from(rows[i].domain)))
			fail_msg("%s hides %.*s", rows[i].input, STR_ARG(domain));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_path_ends_at_bracket),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_hidden_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
