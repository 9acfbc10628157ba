// SPDX-License-Identifier: ISC
#include "auth/otp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// RFC 2289 C
static void the_examples_of_the_standard(void **state)
{
	static const struct {
		const char *algorithm, *phrase, *seed;
		unsigned sequence;
		const char *hex;
	} rows[] = {
		{"md5", "This is a test.", "test", 0, "9e876134d90499dd"},
		{"md5", "This is a test.", "test", 1, "7965e05436f5029f"},
		{"md5", "This is a test.", "test", 99, "50fe1962c4965880"},
		{"sha1", "This is a test.", "test", 0, "bb9e6ae1979d8ff4"},
		{"sha1", "This is a test.", "test", 1, "63d936639734385b"},
		{"sha1", "This is a test.", "test", 99, "87fec7768b73ccf9"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned char out[AUTH_OTP_HASH];
		char hex[2 * AUTH_OTP_HASH + 1];
		assert_int_equal(auth_otp_compute(rows[i].algorithm, str_from(rows[i].seed),
					 str_from(rows[i].phrase), rows[i].sequence, out),
			0);
		for (size_t k = 0; k < AUTH_OTP_HASH; k++)
			snprintf(hex + 2 * k, 3, "%02x", out[k]);
		assert_string_equal(hex, rows[i].hex);
	}
}

static void a_state_is_read_as_it_was_written(void **state)
{
	struct auth_otp otp, again;
	struct error err;
	char text[AUTH_OTP_TEXT], once_more[AUTH_OTP_TEXT];

	(void)state;
	assert_int_equal(auth_otp_make("sha1", STR("ten letter"), &otp, &err), 0);
	assert_int_equal(auth_otp_left(&otp), 499);
	auth_otp_format(&otp, text);
	assert_int_equal(auth_otp_read(text, &again), 0);
	auth_otp_format(&again, once_more);
	assert_string_equal(text, once_more);
	assert_memory_equal(otp.last, again.last, sizeof otp.last);
	assert_int_equal(auth_otp_make("sha1", STR("ten letter"), &again, &err), 0);
	assert_string_not_equal(otp.seed, again.seed);
}

static void what_is_no_phrase_is_refused(void **state)
{
	static const struct {
		const char *algorithm, *phrase;
		int err;
	} rows[] = {{"sha1", "nine lett", ERR_SYNTAX}, {"sha1", "", ERR_SYNTAX},
		{"md4", "long enough", ERR_UNSUPPORTED}, {"", "long enough", ERR_UNSUPPORTED},
		{"sha1-and-a-half", "long enough", ERR_UNSUPPORTED},
		{"sha1", "a phrase that is so long that nobody would ever want to type it in", ERR_SYNTAX},
		{"md5", "with a\ttab in it", ERR_SYNTAX}, {"md5", "with an \xc3\xa4", ERR_SYNTAX}};
	struct auth_otp otp;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(auth_otp_make(rows[i].algorithm, str_from(rows[i].phrase), &otp, &err),
			rows[i].err);
}

static void what_is_no_state_is_refused(void **state)
{
#define LOCK "\t00000000000000000000"
	static const char *const rows[] = {"", "\t\t\t\t", "sha1", "sha1\t0500\tseed",
		"sha1\t0500\tseed\t001122334455667" LOCK, "sha1\t0500\tseed\t00112233445566778" LOCK,
		"sha1\t0500\tseed\t001122334455667g" LOCK, "md4\t0500\tseed\t0011223344556677" LOCK,
		"sha1\t0000\tseed\t0011223344556677" LOCK, "sha1\t10000\tseed\t0011223344556677" LOCK,
		"sha1\t-500\tseed\t0011223344556677" LOCK, "sha1\t\tseed\t0011223344556677" LOCK,
		"sha1\t0500\t\t0011223344556677" LOCK, "sha1\t0500\tse ed\t0011223344556677" LOCK,
		"sha1\t0500\tSeed\t0011223344556677" LOCK,
		"sha1\t0500\tseventeenletterss\t0011223344556677" LOCK};
	struct auth_otp otp;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(auth_otp_read(rows[i], &otp), ERR_SYNTAX);
	assert_int_equal(auth_otp_read("sha1\t0500\tseed\t0011223344556677" LOCK, &otp), 0);
}

static void nothing_used_comes_back(void **state)
{
	static const struct {
		struct auth_otp next;
		bool follows;
	} rows[] = {{{"sha1", 99, "abc", {1}}, true}, {{"sha1", 100, "abc", {1}}, false},
		{{"sha1", 98, "abc", {1}}, false}, {{"sha1", 499, "abc", {1}}, false},
		{{"md5", 99, "abc", {1}}, false}, {{"sha1", 499, "abd", {1}}, true},
		{{"md5", 499, "abd", {1}}, true}};
	const struct auth_otp was = {"sha1", 100, "abc", {2}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(auth_otp_follows(&was, &rows[i].next), rows[i].follows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard),
		cmocka_unit_test(a_state_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_phrase_is_refused),
		cmocka_unit_test(what_is_no_state_is_refused),
		cmocka_unit_test(nothing_used_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
