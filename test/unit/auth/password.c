// SPDX-License-Identifier: ISC
#include "auth/password.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/memory.h"

#include <crypt.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HANGUL "\xeb\xb9\x84\xeb\xb0\x80\xeb\xb2\x88\xed\x98\xb8"

static struct secret make(const char *password)
{
	struct secret secret;
	struct error err = {0};

	if (password_make(str_from(password), &secret, &err))
		fail_msg("%s", err.text);
	return secret;
}

static void what_was_made_checks(void **state)
{
	(void)state;
	static const char *const rows[] = {"a", "correct horse", " blanks ", HANGUL, "\"\\'%s"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct secret secret = make(rows[i]), again = make(rows[i]);
		uint64_t now = clock_wall_ms();
		assert_int_equal(strncmp(secret.hash, "$y$", 3), 0);
		assert_string_not_equal(secret.hash, again.hash); // salted
		assert_string_not_equal(secret.scram, again.scram);
		assert_true(secret.changed_ms <= now && secret.changed_ms + 60000 > now);
		assert_int_equal(password_check(str_from(rows[i]), secret.hash), 0);
		assert_int_equal(password_check(STR("wrong"), secret.hash), ERR_DENIED);
		assert_int_equal(password_check(STR(""), secret.hash), ERR_DENIED);
	}
}

static void the_same_password_typed_in_another_way(void **state)
{
	(void)state;
	static const struct {
		const char *made, *typed;
		int result;
	} rows[] = {
		{"\xc3\xa9t\xc3\xa9", "e\xcc\x81te\xcc\x81", 0},               // composed or not
		{HANGUL, "\xe1\x84\x87\xe1\x85\xb5\xe1\x84\x86\xe1\x85\xb5\xe1\x86\xaf"
			"\xe1\x84\x87\xe1\x85\xa5\xe1\x86\xab\xe1\x84\x92\xe1\x85\xa9", 0},
		{"a b", "a\xc2\xa0" "b", 0},                                    // no-break space
		{"abc", "\xef\xbd\x81\xef\xbd\x82\xef\xbd\x83", 0},             // full width
		{"abc", "ABC", ERR_DENIED},
		{"a b", "ab", ERR_DENIED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct secret secret = make(rows[i].made);
		assert_int_equal(password_check(str_from(rows[i].typed), secret.hash), rows[i].result);
	}
}

static void what_is_no_password(void **state)
{
	(void)state;
	char long_one[AUTH_PASSWORD_MAX + 2];
	struct secret secret;
	struct error err = {0};

	memset(long_one, 'x', sizeof long_one);
	const struct {
		struct str password;
		int result;
	} rows[] = {
		{STR(""), ERR_LIMIT},
		{{long_one, AUTH_PASSWORD_MAX}, 0},
		{{long_one, AUTH_PASSWORD_MAX + 1}, ERR_LIMIT},
		{STR("a\tb"), ERR_SYNTAX},
		{STR("a\nb"), ERR_SYNTAX},
		{STR("a\0b"), ERR_SYNTAX},
		{STR("a\x7f"), ERR_SYNTAX},
		{STR("\xc2\x85"), ERR_SYNTAX},
		{STR("\xff"), ERR_SYNTAX},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		err.text[0] = '\0';
		assert_int_equal(password_make(rows[i].password, &secret, &err), rows[i].result);
		assert_int_equal(err.text[0] != '\0', rows[i].result != 0);
	}
	// What is cut by a NUL or by a bound is not the shorter password.
	secret = make("a");
	assert_int_equal(password_check(STR("a\0b"), secret.hash), ERR_DENIED);
	assert_int_equal(password_make(str_make(long_one, AUTH_PASSWORD_MAX), &secret, &err), 0);
	assert_int_equal(password_check(str_make(long_one, AUTH_PASSWORD_MAX), secret.hash), 0);
	assert_int_equal(password_check(str_make(long_one, AUTH_PASSWORD_MAX + 1), secret.hash), ERR_DENIED);
}

static void hashes_made_elsewhere(void **state)
{
	(void)state;
	static const char *const settings[] = {"$6$", "$5$", "$2b$", "$7$", "$gy$"};
	char argon2[crypto_pwhash_STRBYTES];
	struct crypt_data *data = mem_alloc(sizeof *data);

	// From the text that defines the SHA-crypt hashes.
	assert_int_equal(password_check(STR("Hello world!"),
		"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		char salt[CRYPT_GENSALT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE];
		assert_non_null(crypt_gensalt_rn(settings[i], 0, "0123456789abcdef", 16, salt, sizeof salt));
		// As it came, not prepared: so other programs do it.
		snprintf(hash, sizeof hash, "%s", crypt_r("e\xcc\x81 secret", salt, data));
		assert_int_equal(password_check(STR("e\xcc\x81 secret"), hash), 0);
		assert_int_equal(password_check(STR("e secret"), hash), ERR_DENIED);
	}
	assert_int_equal(crypto_pwhash_str(argon2, "secret", 6, crypto_pwhash_OPSLIMIT_MIN,
		crypto_pwhash_MEMLIMIT_MIN), 0);
	assert_int_equal(password_check(STR("secret"), argon2), 0);
	assert_int_equal(password_check(STR("Secret"), argon2), ERR_DENIED);
	mem_free(data);
}

static void hashes_that_nobody_knows(void **state)
{
	(void)state;
	static const char *const rows[] = {"", "*", "!", "x", "*0", "*1", "$", "$y$", "$nothing$", "$99$salt$hash",
		"{SSHA}abc", "plain text"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_not_equal(password_check(STR("secret"), rows[i]), 0);
		assert_int_not_equal(password_check(str_from(rows[i]), rows[i]), 0);
	}
	assert_int_equal(password_check(STR("secret"), "*"), ERR_UNSUPPORTED);
	assert_int_equal(password_check(STR("secret"), "$argon2id$v=19$broken"), ERR_DENIED);
}

static void a_dummy_costs_the_same(void **state)
{
	(void)state;
	static const char *const passwords[] = {"wrong", "\xef\xbd\x97rong", "e\xcc\x81", "a\001b", "\xff", ""};
	struct secret secret = make("right");

	for (size_t i = 0; i < ARRAY_SIZE(passwords); i++) {
		unsigned long begin = password_operations(), between;
		assert_int_equal(password_check(str_from(passwords[i]), secret.hash), ERR_DENIED);
		between = password_operations();
		password_check_dummy(str_from(passwords[i]));
		assert_int_equal(password_operations() - between, between - begin);
	}
}

// ---- SCRAM: computed here step by step (RFC 5802 2.2), first against the example of RFC 7677 3
static void hmac(const void *key, size_t len, const void *text, size_t text_len, unsigned char out[32])
{
	assert_non_null(HMAC(EVP_sha256(), key, (int)len, text, text_len, out, NULL));
}

static void salted(const char *password, struct str salt, unsigned rounds, unsigned char out[32])
{
	unsigned char u[32];
	struct buf first = BUF_INIT;

	buf_add_str(&first, salt);
	buf_add(&first, "\0\0\0\1", 4);
	hmac(password, strlen(password), buf_str(&first).data, buf_len(&first), u);
	memcpy(out, u, 32);
	for (unsigned i = 1; i < rounds; i++) {
		hmac(password, strlen(password), u, 32, u);
		for (int k = 0; k < 32; k++)
			out[k] ^= u[k];
	}
	buf_finish(&first);
}

static void scram_keys(void **state)
{
	(void)state;
	static const char auth_message[] =
		"n=user,r=rOprNGfwEbeRWgbNEkqO,"
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	unsigned char s[32], key[32], stored[32], signature[32];
	struct buf salt = BUF_INIT, text = BUF_INIT;
	struct str rest, part;

	buf_add_base64_decoded(&salt, STR("W22ZaJ0SNY7soEsUEjb6gQ=="));
	salted("pencil", buf_str(&salt), 4096, s);
	hmac(s, 32, "Server Key", 10, key);
	hmac(key, 32, auth_message, strlen(auth_message), signature);
	buf_add_base64(&text, str_make(signature, 32));
	assert_string_equal(buf_cstr(&text), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

	struct secret secret = make("pencil");
	rest = str_from(secret.scram);
	assert_true(str_split(&rest, '$', &part) && str_equal(part, STR("SCRAM-SHA-256")));
	assert_true(str_split(&rest, ':', &part) && str_equal(part, STR("4096")));
	assert_true(str_split(&rest, '$', &part));
	buf_clear(&salt);
	assert_int_equal(buf_add_base64_decoded(&salt, part), 0);
	assert_int_equal(buf_len(&salt), 16);
	salted("pencil", buf_str(&salt), 4096, s);
	hmac(s, 32, "Client Key", 10, key);
	SHA256(key, 32, stored);
	hmac(s, 32, "Server Key", 10, key);
	buf_clear(&text);
	buf_add_base64(&text, str_make(stored, 32));
	buf_add_char(&text, ':');
	buf_add_base64(&text, str_make(key, 32));
	assert_true(str_equal(rest, buf_str(&text)));
	buf_finish(&salt);
	buf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_made_checks),
		cmocka_unit_test(the_same_password_typed_in_another_way),
		cmocka_unit_test(what_is_no_password),
		cmocka_unit_test(hashes_made_elsewhere),
		cmocka_unit_test(hashes_that_nobody_knows),
		cmocka_unit_test(a_dummy_costs_the_same),
		cmocka_unit_test(scram_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
