// SPDX-License-Identifier: ISC
// Parameters of MAIL and RCPT, and xtext.
#include "smtp/parameters.h"

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

#define C10  "0123456789"
#define C100 C10 C10 C10 C10 C10 C10 C10 C10 C10 C10

// Everything that was read, as one line.
static const char *show_mail(const struct smtp_mail_parameters *p, char out[400])
{
	static const char *const ret[] = {"-", "full", "hdrs"};
	char size[24] = "-";

	if (p->has_size)
		sprintf(size, "%llu", (unsigned long long)p->size);
	sprintf(out, "%s %d %s %s %s %s", size, p->body, p->smtputf8 ? "utf8" : "-", ret[p->ret],
		p->envid[0] ? p->envid : "-", p->has_auth ? "auth" : "-");
	return out;
}

static void test_mail(void **state)
{
	static const struct {
		struct str input;
		int err;
		const char *shown; // or the keyword at fault
	} rows[] = {
		{LIT(""), 0, "- 0 - - - -"},
		{LIT(" "), 0, "- 0 - - - -"},
		{LIT(" SIZE=0"), 0, "0 0 - - - -"},
		{LIT(" size=1234  BODY=8bitmime SMTPUTF8"), 0, "1234 1 utf8 - - -"},
		{LIT(" SIZE=18446744073709551615"), 0, "18446744073709551615 0 - - - -"},
		{LIT(" SIZE=99999999999999999999"), 0, "18446744073709551615 0 - - - -"},
		{LIT(" SIZE=000000000000000000001"), ERR_SYNTAX, "SIZE"},
		{LIT(" SIZE="), ERR_SYNTAX, "SIZE"},
		{LIT(" SIZE"), ERR_SYNTAX, "SIZE"},
		{LIT(" SIZE=-1"), ERR_SYNTAX, "SIZE"},
		{LIT(" SIZE=1 SIZE=1"), ERR_EXISTS, "SIZE"},
		{LIT(" BODY=7BIT"), 0, "- 0 - - - -"},
		{LIT(" BODY=BINARYMIME"), 0, "- 2 - - - -"},
		{LIT(" BODY=9BIT"), ERR_SYNTAX, "BODY"},
		{LIT(" SMTPUTF8=yes"), ERR_SYNTAX, "SMTPUTF8"},
		{LIT(" RET=FULL ENVID=QQ314159"), 0, "- 0 - full QQ314159 -"},
		{LIT(" RET=hdrs"), 0, "- 0 - hdrs - -"},
		{LIT(" RET=ALL"), ERR_SYNTAX, "RET"},
		{LIT(" ENVID=a+2Bb+20c"), 0, "- 0 - - a+2Bb+20c -"},
		{LIT(" ENVID=a+0Ab"), ERR_SYNTAX, "ENVID"},
		{LIT(" ENVID=a+2b"), ERR_SYNTAX, "ENVID"},
		{LIT(" ENVID=a+"), ERR_SYNTAX, "ENVID"},
		{LIT(" ENVID=+00"), ERR_SYNTAX, "ENVID"},
		{LIT(" ENVID=" C100), 0, "- 0 - - " C100 " -"},
		{LIT(" ENVID=" C100 "x"), ERR_LIMIT, "ENVID"},
		{LIT(" AUTH=<>"), 0, "- 0 - - - auth"},
		{LIT(" AUTH=e+3Dmc2@example.com"), 0, "- 0 - - - auth"},
		{LIT(" AUTH=a+b"), ERR_SYNTAX, "AUTH"},
		{LIT(" X-NEW=1"), ERR_UNSUPPORTED, "X-NEW"},
		{LIT(" NOTIFY=NEVER"), ERR_UNSUPPORTED, "NOTIFY"},
		{LIT(" -NEW=1"), ERR_SYNTAX, "-NEW"},
		{LIT(" =1"), ERR_SYNTAX, ""},
		{LIT(" RET=FULL=HDRS"), ERR_SYNTAX, "RET"},
		{LIT(" SI\0ZE=1"), ERR_SYNTAX, "SI\0ZE"},
		{LIT("SIZE=1"), ERR_SYNTAX, ""},
		{LIT("\tSIZE=1"), ERR_SYNTAX, ""},
	};
	struct smtp_mail_parameters p;
	struct str offending;
	char shown[400];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = smtp_mail_parameters_parse(rows[i].input, &p, &offending);

		if (err != rows[i].err)
			fail_msg("%s: %d", rows[i].input.data, err);
		if (err)
			assert_memory_equal(offending.data, rows[i].shown, offending.len);
		else
			assert_string_equal(show_mail(&p, shown), rows[i].shown);
	}
}

static void test_rcpt(void **state)
{
	static const struct {
		struct str input;
		int err;
		unsigned notify;
		const char *orcpt;
	} rows[] = {
		{LIT(""), 0, 0, ""},
		{LIT(" NOTIFY=NEVER"), 0, SMTP_NOTIFY_NEVER, ""},
		{LIT(" NOTIFY=SUCCESS,failure,DELAY"), 0,
			SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, ""},
		{LIT(" NOTIFY=SUCCESS,SUCCESS"), 0, SMTP_NOTIFY_SUCCESS, ""},
		{LIT(" NOTIFY=NEVER,SUCCESS"), ERR_SYNTAX, 0, ""},
		{LIT(" NOTIFY=SUCCESS,NEVER"), ERR_SYNTAX, 0, ""},
		{LIT(" NOTIFY="), ERR_SYNTAX, 0, ""},
		{LIT(" NOTIFY=SUCCESS,"), ERR_SYNTAX, 0, ""},
		{LIT(" NOTIFY=,SUCCESS"), ERR_SYNTAX, 0, ""},
		{LIT(" NOTIFY=ALWAYS"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=rfc822;Kim@example.kr NOTIFY=DELAY"), 0, SMTP_NOTIFY_DELAY,
			"rfc822;Kim@example.kr"},
		{LIT(" ORCPT=rfc822;Kim+2Bx@example.kr"), 0, 0, "rfc822;Kim+2Bx@example.kr"},
		{LIT(" ORCPT=utf-8;김@example.kr"), 0, 0, "utf-8;김@example.kr"},
		{LIT(" ORCPT=rfc822;김@example.kr"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=utf-8;\xff"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=Kim@example.kr"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=;x"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=rfc822;"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=rfc822;a+b"), ERR_SYNTAX, 0, ""},
		{LIT(" ORCPT=rfc822;x ORCPT=rfc822;x"), ERR_EXISTS, 0, ""},
		{LIT(" ORCPT=x;" C100 C100 C100 C100 C100), ERR_LIMIT, 0, ""},
		{LIT(" SIZE=1"), ERR_UNSUPPORTED, 0, ""},
	};
	struct smtp_rcpt_parameters p;
	struct str offending;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = smtp_rcpt_parameters_parse(rows[i].input, &p, &offending);

		if (err != rows[i].err)
			fail_msg("%s: %d", rows[i].input.data, err);
		if (err)
			continue;
		assert_int_equal(p.notify, rows[i].notify);
		assert_string_equal(p.orcpt, rows[i].orcpt);
	}
}

static void test_xtext(void **state)
{
	char encoded[3 * 255 + 1], decoded[256], all[256];
	size_t len = 0;

	for (int c = 1; c < 256; c++)
		all[len++] = (char)c;
	assert_int_equal(smtp_xtext_encode(str_make(all, len), encoded, sizeof(encoded)), 0);
	assert_true(smtp_xtext_valid(str_from(encoded)));
	assert_int_equal(smtp_xtext_decode(str_from(encoded), decoded, sizeof(decoded)), 0);
	assert_memory_equal(decoded, all, len);

	assert_int_equal(smtp_xtext_encode(STR("a+=b c"), encoded, sizeof(encoded)), 0);
	assert_string_equal(encoded, "a+2B+3Db+20c");
	assert_int_equal(smtp_xtext_encode(STR("abc"), encoded, 3), ERR_LIMIT);
	assert_int_equal(smtp_xtext_encode(STR("abc"), encoded, 4), 0);
	assert_int_equal(smtp_xtext_encode(STR("a+"), encoded, 4), ERR_LIMIT);
	assert_int_equal(smtp_xtext_encode(STR(""), encoded, 0), ERR_LIMIT);
	assert_int_equal(smtp_xtext_decode(STR("abc"), encoded, 3), ERR_LIMIT);
	assert_int_equal(smtp_xtext_decode(STR("a+00"), encoded, sizeof(encoded)), ERR_SYNTAX);
	assert_int_equal(smtp_xtext_decode(STR("a=b"), encoded, sizeof(encoded)), ERR_SYNTAX);
	assert_false(smtp_xtext_valid(STR("a+2b")));
	assert_false(smtp_xtext_valid(STR("a b")));
	assert_true(smtp_xtext_valid(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
