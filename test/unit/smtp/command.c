// SPDX-License-Identifier: ISC
// Command lines and the arguments of each verb.
#include "smtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

// STR() for a constant table.
#define LIT(literal)                                                                               \
	{                                                                                          \
		"" literal, sizeof(literal) - 1                                                    \
	}

static void test_verbs(void **state)
{
	static const struct {
		struct str line;
		enum smtp_verb verb;
		const char *argument;
	} rows[] = {
		{LIT("MAIL FROM:<a>"), SMTP_MAIL, "FROM:<a>"},
		{LIT("mail  from:<a> "), SMTP_MAIL, "from:<a>"},
		{LIT("QUIT"), SMTP_QUIT, ""},
		{LIT("quit \t "), SMTP_QUIT, ""},
		{LIT("QUIT\t"), SMTP_QUIT, ""},
		{LIT("EHLO mail.example.kr"), SMTP_EHLO, "mail.example.kr"},
		{LIT("NOOP anything at all"), SMTP_NOOP, "anything at all"},
		{LIT("STARTTLS"), SMTP_STARTTLS, ""},
		{LIT("ETRN example.kr"), SMTP_ETRN, "example.kr"},
		{LIT("LHLO x"), SMTP_LHLO, "x"},
		{LIT("UNKNOWN"), SMTP_UNKNOWN, ""},
		{LIT("MAILFROM:<a>"), SMTP_UNKNOWN, ""},
		{LIT("MAI FROM:<a>"), SMTP_UNKNOWN, "FROM:<a>"},
		{LIT("MAIL\tFROM:<a>"), SMTP_UNKNOWN, ""},
		{LIT(" QUIT"), SMTP_UNKNOWN, "QUIT"},
		{LIT(""), SMTP_UNKNOWN, ""},
		{LIT("QUIT\0"), SMTP_UNKNOWN, ""},
		{LIT("GET / HTTP/1.1"), SMTP_UNKNOWN, "/ HTTP/1.1"},
	};
	struct smtp_command c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		smtp_command_parse(rows[i].line, &c);
		assert_string_equal(smtp_verb_name(c.verb), smtp_verb_name(rows[i].verb));
		assert_true(str_equal(c.argument, str_from(rows[i].argument)));
	}
	for (int v = 1; v < SMTP_VERBS; v++) {
		smtp_command_parse(str_from(smtp_verb_name((enum smtp_verb)v)), &c);
		assert_int_equal(c.verb, v);
	}
}

static void test_line_limits(void **state)
{
	const struct smtp_limits *l = &smtp_limits_default;

	assert_int_equal(smtp_command_line_limit(STR("NOOP x"), l), 512);
	assert_int_equal(smtp_command_line_limit(STR("MAI"), l), 512);
	// 100 octets of ENVID, 500 of AUTH= and the rest; 500 of ORCPT
	assert_true(
		smtp_command_line_limit(STR("mail from:"), l) >= 512 + 26 + 17 + 10 + 116 + 506);
	assert_true(smtp_command_line_limit(STR("RCPT TO:"), l) >= 512 + 507 + 29);
}

static void test_mail(void **state)
{
	static const struct {
		struct str argument;
		enum smtp_fault fault;
		const char *shown; // the address, or what is at fault
	} rows[] = {
		{LIT("FROM:<kim@example.kr>"), SMTP_FAULT_NONE, "kim@example.kr"},
		{LIT("from:<>"), SMTP_FAULT_NONE, ""},
		{LIT("FROM: <kim@example.kr> SIZE=10"), SMTP_FAULT_NONE, "kim@example.kr"},
		{LIT("FROM:<kim@example.kr>SIZE=10"), SMTP_FAULT_SYNTAX, "SIZE=10"},
		{LIT("FROM:kim@example.kr"), SMTP_FAULT_ADDRESS, "kim@example.kr"},
		{LIT("FROM:<kim@example.kr> SIZE=x"), SMTP_FAULT_PARAMETER_VALUE, "SIZE"},
		{LIT("FROM:<kim@example.kr> SIZE=1 SIZE=2"), SMTP_FAULT_PARAMETER_VALUE, "SIZE"},
		{LIT("FROM:<kim@example.kr> FOO=1"), SMTP_FAULT_PARAMETER_UNKNOWN, "FOO"},
		{LIT("FROM:<kim>"), SMTP_FAULT_ADDRESS, "<kim>"},
		{LIT("FROM:<postmaster>"), SMTP_FAULT_ADDRESS, "<postmaster>"},
		{LIT("FROM <kim@example.kr>"), SMTP_FAULT_SYNTAX, "FROM <kim@example.kr>"},
		{LIT("TO:<kim@example.kr>"), SMTP_FAULT_SYNTAX, "TO:<kim@example.kr>"},
		{LIT("FROM:"), SMTP_FAULT_ADDRESS, ""},
		{LIT(""), SMTP_FAULT_SYNTAX, ""},
		{LIT("FROM:<0123456789012345678901234567890123456789012345678901234567890"
		     "12345@example.kr>"),
			SMTP_FAULT_TOO_LONG, "<01"},
	};
	struct smtp_mail_parameters p;
	struct smtp_address a;
	struct str offending;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum smtp_fault fault =
			smtp_command_parse_mail(rows[i].argument, &a, &p, &offending);

		assert_int_equal(fault, rows[i].fault);
		if (!fault)
			assert_string_equal(a.text, rows[i].shown);
		else
			assert_true(str_starts(offending, str_from(rows[i].shown)));
	}
}

static void test_rcpt(void **state)
{
	static const struct {
		struct str argument;
		enum smtp_fault fault;
		const char *text;
	} rows[] = {
		{LIT("TO:<kim@example.kr>"), SMTP_FAULT_NONE, "kim@example.kr"},
		{LIT("to: <Postmaster>"), SMTP_FAULT_NONE, "postmaster"},
		{LIT("TO:<kim@example.kr> NOTIFY=NEVER"), SMTP_FAULT_NONE, "kim@example.kr"},
		{LIT("TO:<>"), SMTP_FAULT_ADDRESS, ""},
		{LIT("TO:<kim@example.kr> SIZE=1"), SMTP_FAULT_PARAMETER_UNKNOWN, ""},
		{LIT("TO:<kim@example.kr> NOTIFY"), SMTP_FAULT_PARAMETER_VALUE, ""},
		{LIT("TO:<kim@example.kr>,<min@example.kr>"), SMTP_FAULT_SYNTAX, ""},
		{LIT("FROM:<kim@example.kr>"), SMTP_FAULT_SYNTAX, ""},
	};
	struct smtp_rcpt_parameters p;
	struct smtp_address a;
	struct str offending;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum smtp_fault fault =
			smtp_command_parse_rcpt(rows[i].argument, &a, &p, &offending);

		assert_int_equal(fault, rows[i].fault);
		if (!fault)
			assert_string_equal(a.text, rows[i].text);
	}
}

static void test_bdat(void **state)
{
	static const struct {
		const char *argument;
		enum smtp_fault fault;
		uint64_t size;
		bool last;
	} rows[] = {
		{"0", SMTP_FAULT_NONE, 0, false},
		{"1234", SMTP_FAULT_NONE, 1234, false},
		{"1234 LAST", SMTP_FAULT_NONE, 1234, true},
		{"0  last", SMTP_FAULT_NONE, 0, true},
		{"18446744073709551615", SMTP_FAULT_NONE, UINT64_MAX, false},
		{"18446744073709551616", SMTP_FAULT_TOO_LONG, 0, false},
		{"000000000000000000001", SMTP_FAULT_TOO_LONG, 0, false},
		{"", SMTP_FAULT_SYNTAX, 0, false},
		{"-1", SMTP_FAULT_SYNTAX, 0, false},
		{"12x", SMTP_FAULT_SYNTAX, 0, false},
		{"LAST", SMTP_FAULT_SYNTAX, 0, false},
		{"12 FIRST", SMTP_FAULT_SYNTAX, 0, false},
		{"12 LAST LAST", SMTP_FAULT_SYNTAX, 0, false},
	};
	uint64_t size;
	bool last;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum smtp_fault fault =
			smtp_command_parse_bdat(str_from(rows[i].argument), &size, &last);

		assert_int_equal(fault, rows[i].fault);
		if (fault)
			continue;
		assert_true(size == rows[i].size);
		assert_int_equal(last, rows[i].last);
	}
}

static void test_auth(void **state)
{
	static const struct {
		const char *argument;
		enum smtp_fault fault;
		const char *mechanism;
		const char *initial; // NULL: absent
	} rows[] = {
		{"PLAIN", SMTP_FAULT_NONE, "PLAIN", NULL},
		{"plain dGVzdA==", SMTP_FAULT_NONE, "PLAIN", "dGVzdA=="},
		{"SCRAM-SHA-256-PLUS =", SMTP_FAULT_NONE, "SCRAM-SHA-256-PLUS", ""},
		{"LOGIN  dXNlcg==", SMTP_FAULT_NONE, "LOGIN", "dXNlcg=="},
		{"", SMTP_FAULT_SYNTAX, "", NULL},
		{"PLAIN dGVz dA==", SMTP_FAULT_SYNTAX, "", NULL},
		{"PLAIN d*", SMTP_FAULT_SYNTAX, "", NULL},
		{"PL=AIN", SMTP_FAULT_SYNTAX, "", NULL},
		{"A23456789012345678901", SMTP_FAULT_TOO_LONG, "", NULL},
	};
	char mechanism[21];
	struct str initial;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum smtp_fault fault =
			smtp_command_parse_auth(str_from(rows[i].argument), mechanism, &initial);

		assert_int_equal(fault, rows[i].fault);
		if (fault)
			continue;
		assert_string_equal(mechanism, rows[i].mechanism);
		assert_int_equal(initial.data != NULL, rows[i].initial != NULL);
		assert_true(str_equal(initial, str_from(rows[i].initial)));
	}
}

static void test_helo(void **state)
{
	struct str name;

	assert_int_equal(smtp_command_parse_helo(STR("mail.example.kr"), &name), SMTP_FAULT_NONE);
	assert_true(str_equal(name, STR("mail.example.kr")));
	assert_int_equal(smtp_command_parse_helo(STR("[192.0.2.1]"), &name), SMTP_FAULT_NONE);
	assert_int_equal(smtp_command_parse_helo(STR("desktop_7!"), &name), SMTP_FAULT_NONE);
	assert_int_equal(smtp_command_parse_helo(STR(""), &name), SMTP_FAULT_SYNTAX);
	assert_int_equal(smtp_command_parse_helo(STR("a b"), &name), SMTP_FAULT_SYNTAX);
	assert_int_equal(smtp_command_parse_helo(STR("a\tb"), &name), SMTP_FAULT_SYNTAX);
	assert_int_equal(smtp_command_parse_helo(STR("a\0b"), &name), SMTP_FAULT_SYNTAX);
	assert_int_equal(smtp_command_parse_helo(STR("예제.kr"), &name), SMTP_FAULT_SYNTAX);
	char longest[256];

	memset(longest, 'a', sizeof(longest));
	assert_int_equal(smtp_command_parse_helo(str_make(longest, 255), &name), SMTP_FAULT_NONE);
	assert_int_equal(
		smtp_command_parse_helo(str_make(longest, 256), &name), SMTP_FAULT_TOO_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_line_limits),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_helo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
