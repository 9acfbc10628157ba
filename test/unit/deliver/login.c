// SPDX-License-Identifier: ISC
#include "base/memory.h"
#include "deliver/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#if __has_include(<gsasl.h>)
#include <gsasl.h>
#define HAVE_GSASL 1
#endif

// Of constants.
#define WORD(text) {text, sizeof text - 1}
#define PASSWORD STR("pencil")

static struct login *make(const char *user, struct str password)
{
	struct login_options o = {.user = user, .password = password, .host = "smart.example", .port = 587};
	struct login *l = login_create(&o);
	login_set_secured(l, "tls-exporter", STR_EMPTY);
	return l;
}

static void assert_choice(struct login *l, const char *offered, const char *expected)
{
	struct error err = {0};
	const char *name = login_choose(l, offered, &err);
	if (!name)
		fail_msg("%s: %s", offered, err.text);
	assert_string_equal(name, expected);
}

static void assert_no_choice(struct login *l, const char *offered, const char *words)
{
	struct error err = {0};
	assert_null(login_choose(l, offered, &err));
	if (!strstr(err.text, words))
		fail_msg("%s: %s", offered, err.text);
}

static void assert_start(struct login *l, const char *expected)
{
	struct buf out = BUF_INIT;
	bool has = login_start(l, &out);
	assert_int_equal(has, expected != NULL);
	if (expected)
		assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void assert_answer(struct login *l, const char *challenge, const char *expected)
{
	struct buf out = BUF_INIT;
	struct error err = {0};
	if (login_answer(l, str_from(challenge), &out, &err))
		fail_msg("%s: %s", challenge, err.text);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void assert_no_answer(struct login *l, const char *challenge, const char *words)
{
	struct buf out = BUF_INIT;
	struct error err = {0};
	assert_true(login_answer(l, str_from(challenge), &out, &err) < 0);
	if (!strstr(err.text, words))
		fail_msg("%s: %s", challenge, err.text);
	buf_finish(&out);
}

// ---- which mechanism
static void test_strongest_first(void **state)
{
	static const char *const order[] = {"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"};
	char offered[256] = "GSSAPI";
	struct login *l = make("kim", PASSWORD);
	(void)state;
	login_set_secured(l, "tls-exporter", STR("binding"));
	assert_no_choice(l, "", "does not offer");
	assert_no_choice(l, "GSSAPI EXTERNAL OAUTHBEARER NTLM",
		"offers GSSAPI EXTERNAL OAUTHBEARER NTLM; with these settings of the route it can be "
		"SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS");
	for (size_t i = ARRAY_SIZE(order); i-- > 0;) {
		snprintf(offered + strlen(offered), sizeof offered - strlen(offered), " %s", order[i]);
		assert_choice(l, offered, order[i]);
	}
	login_destroy(l);
}

static void test_no_binding_no_plus(void **state)
{
	struct login *l = make("kim", PASSWORD);
	(void)state;
	assert_choice(l, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN", "SCRAM-SHA-256");
	login_destroy(l);
}

static void test_nothing_bare_without_tls(void **state)
{
	struct login_options o = {.user = "kim", .password = PASSWORD, .host = "smart.example"};
	struct login *l = login_create(&o);
	(void)state;
	assert_no_choice(l, "PLAIN LOGIN", "without TLS");
	assert_choice(l, "PLAIN LOGIN CRAM-MD5", "CRAM-MD5");
	login_destroy(l);
	o = (struct login_options){.user = "kim", .has_token = true, .host = "smart.example"};
	l = login_create(&o);
	assert_no_choice(l, "PLAIN XOAUTH2 OAUTHBEARER", "without TLS");
	login_set_secured(l, "tls-exporter", STR_EMPTY);
	assert_choice(l, "PLAIN XOAUTH2", "XOAUTH2");
	assert_choice(l, "PLAIN XOAUTH2 OAUTHBEARER", "OAUTHBEARER");
	assert_no_choice(l, "PLAIN LOGIN", "it can be OAUTHBEARER XOAUTH2");
	login_destroy(l);
}

// A refusal is followed by another mechanism only where the setting lists one.
static void test_after_a_refusal(void **state)
{
	static const struct str wanted[] = {WORD("SCRAM-SHA-256"), WORD("LOGIN"), WORD("PLAIN")};
	struct login_options o = {.user = "kim", .password = PASSWORD, .host = "smart.example"};
	struct login *l = make("kim", PASSWORD);
	(void)state;
	assert_choice(l, "PLAIN SCRAM-SHA-256", "SCRAM-SHA-256");
	assert_int_equal(login_refused(l, 535), LOGIN_GIVE_UP);
	login_destroy(l);

	o.wanted = wanted;
	o.wanted_count = ARRAY_SIZE(wanted);
	l = login_create(&o);
	login_set_secured(l, "tls-exporter", STR("binding"));
	assert_choice(l, "PLAIN LOGIN SCRAM-SHA-256-PLUS CRAM-MD5 SCRAM-SHA-256", "SCRAM-SHA-256");
	assert_int_equal(login_refused(l, 454), LOGIN_GIVE_UP);
	login_destroy(l);
	l = login_create(&o);
	login_set_secured(l, "tls-exporter", STR("binding"));
	assert_choice(l, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", "SCRAM-SHA-256");
	assert_int_equal(login_refused(l, 535), LOGIN_NEXT);
	assert_choice(l, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", "LOGIN");
	assert_int_equal(login_refused(l, 504), LOGIN_NEXT);
	assert_choice(l, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", "PLAIN");
	assert_int_equal(login_refused(l, 535), LOGIN_NEXT);
	assert_no_choice(l, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", "can be SCRAM-SHA-256 PLAIN LOGIN");
	login_destroy(l);
}

// ---- the small ones
static void test_plain(void **state)
{
	struct login *l = make("kim", STR("secret"));
	struct buf out = BUF_INIT;
	(void)state;
	assert_choice(l, "PLAIN", "PLAIN");
	assert_true(login_start(l, &out));
	assert_true(str_equal(buf_str(&out), STR("\0kim\0secret")));
	buf_clear(&out);
	assert_int_equal(login_answer(l, STR_EMPTY, &out, NULL), 0);
	assert_true(str_equal(buf_str(&out), STR("\0kim\0secret")));
	assert_no_answer(l, "", "without end");
	assert_int_equal(login_accepted(l, NULL), 0);
	assert_true(login_is_secret(l, STR("535 what is secret?")));
	assert_false(login_is_secret(l, STR("535 no")));
	buf_finish(&out);
	login_destroy(l);
}

static void test_login(void **state)
{
	struct login *l = make("kim", STR("secret"));
	(void)state;
	assert_choice(l, "LOGIN", "LOGIN");
	assert_start(l, NULL);
	assert_answer(l, "Username:", "kim");
	assert_answer(l, "Password:", "secret");
	assert_no_answer(l, "More:", "without end");
	login_destroy(l);
}

// The example of RFC 2195 2
static void test_cram_md5(void **state)
{
	struct login *l = make("tim", STR("tanstaaftanstaaf"));
	(void)state;
	assert_choice(l, "CRAM-MD5", "CRAM-MD5");
	assert_start(l, NULL);
	assert_answer(l, "<1896.697170952@postoffice.reston.mci.net>", "tim b913a602c7eda7a495b4e6e7334d3890");
	assert_no_answer(l, "<again>", "without end");
	assert_start(l, NULL);
	assert_no_answer(l, "", "empty");
	login_destroy(l);
}

static void test_external(void **state)
{
	static const struct str wanted[] = {WORD("EXTERNAL")};
	struct login_options o = {.user = "", .host = "smart.example", .certificate = true, .wanted = wanted,
		.wanted_count = 1};
	struct login *l = login_create(&o);
	(void)state;
	assert_no_choice(l, "EXTERNAL PLAIN", "without TLS");
	login_set_secured(l, "tls-exporter", STR("binding"));
	assert_choice(l, "EXTERNAL PLAIN", "EXTERNAL");
	assert_start(l, "");
	assert_answer(l, "", "");
	login_destroy(l);
}

static void test_tokens(void **state)
{
	struct login_options o = {.user = "kim=a,b@example.kr", .has_token = true, .host = "smart.example",
		.port = 587};
	struct login *l = login_create(&o);
	(void)state;
	login_set_secured(l, "tls-exporter", STR_EMPTY);
	assert_choice(l, "OAUTHBEARER", "OAUTHBEARER");
	assert_true(login_needs_token(l));
	login_set_token(l, STR("old"));
	assert_start(l, "n,a=kim=3Da=2Cb@example.kr,\001host=smart.example\001port=587\001auth=Bearer old\001\001");
	assert_answer(l, "{\"status\":\"invalid_token\"}", "\001");
	assert_no_answer(l, "{}", "without end");
	assert_int_equal(login_refused(l, 535), LOGIN_NEW_TOKEN);
	login_set_token(l, STR("new"));
	assert_true(login_is_secret(l, STR("a new one")));
	assert_start(l, "n,a=kim=3Da=2Cb@example.kr,\001host=smart.example\001port=587\001auth=Bearer new\001\001");
	assert_int_equal(login_refused(l, 535), LOGIN_GIVE_UP); // once
	login_destroy(l);

	o.user = "kim@example.kr";
	l = login_create(&o);
	login_set_secured(l, "tls-exporter", STR_EMPTY);
	assert_choice(l, "XOAUTH2", "XOAUTH2");
	login_set_token(l, STR("ya29.token"));
	assert_start(l, "user=kim@example.kr\001auth=Bearer ya29.token\001\001");
	assert_answer(l, "", "user=kim@example.kr\001auth=Bearer ya29.token\001\001"); // was too long before
	assert_answer(l, "{\"status\":\"401\"}", "");
	login_destroy(l);
}

// ---- SCRAM
struct vector {
	const char *mechanism, *nonce, *first, *server_first, *final, *server_final;
};

static const struct vector rfc5802 = {"SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL",
	"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
	"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="};
static const struct vector rfc7677 = {"SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO",
	"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="};

static struct login *make_scram(const char *nonce, const char *mechanism)
{
	struct login_options o = {.user = "user", .password = PASSWORD, .host = "smart.example",
		.nonce = nonce};
	struct login *l = login_create(&o);
	login_set_secured(l, "tls-exporter", STR_EMPTY);
	assert_choice(l, mechanism, mechanism);
	return l;
}

static void test_scram_vectors(void **state)
{
	static const struct vector *const vectors[] = {&rfc5802, &rfc7677};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = vectors[i];
		struct login *l = make_scram(v->nonce, v->mechanism);
		struct error err = {0};
		assert_start(l, v->first);
		assert_int_equal(login_accepted(l, &err), ERR_DENIED);
		assert_answer(l, v->server_first, v->final);
		assert_int_equal(login_accepted(l, &err), ERR_DENIED);
		assert_non_null(strstr(err.text, "has not proved"));
		assert_answer(l, v->server_final, "");
		assert_int_equal(login_accepted(l, &err), 0);
		assert_no_answer(l, "", "without end");
		login_destroy(l);
	}
}

static void test_scram_server_must_prove(void **state)
{
	static const struct {
		const char *final, *words;
	} rows[] = {
		{"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "does not know the password"}, // of another password
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "no SCRAM"},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=", "does not know the password"},
		{"e=invalid-proof", "the host says invalid-proof"},
		{"", "no SCRAM"},
		{"v=", "does not know the password"},
		{"x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "no SCRAM"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct login *l = make_scram(rfc7677.nonce, rfc7677.mechanism);
		assert_start(l, rfc7677.first);
		assert_answer(l, rfc7677.server_first, rfc7677.final);
		assert_no_answer(l, rows[i].final, rows[i].words);
		assert_int_equal(login_accepted(l, NULL), ERR_DENIED);
		login_destroy(l);
	}
}

static void test_scram_first_messages(void **state)
{
	static const struct {
		const char *message, *words;
	} rows[] = {
		{"", "no SCRAM"},
		{"r=abc", "no SCRAM"},
		{"r=abcd,s=QSXCR+Q6sek8bf92", "no SCRAM"},
		{"r=abcd,s=QSXCR+Q6sek8bf92,i=", "no SCRAM"},
		{"r=abcd,s=QSXCR+Q6sek8bf92,i=-1", "no SCRAM"},
		{"r=abcd,s=QSXCR+Q6sek8bf92,i=99999999999999999999", "no SCRAM"},
		{"r=abcd,s=,i=4096", "no SCRAM"},
		{"r=abcd,s=not base64,i=4096", "no SCRAM"},
		{"m=x,r=abcd,s=QSXCR+Q6sek8bf92,i=4096", "no SCRAM"},
		{"e=other-error", "no SCRAM"},
		{"r=abc,s=QSXCR+Q6sek8bf92,i=4096", "nonce"},
		{"r=xabcd,s=QSXCR+Q6sek8bf92,i=4096", "nonce"},
		{"r=abcd,s=QSXCR+Q6sek8bf92,i=4095", "rounds"},
		{"r=abcd,s=QSXCR+Q6sek8bf92,i=600001", "600001 rounds"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct login *l = make_scram("abc", "SCRAM-SHA-256");
		assert_start(l, "n,,n=user,r=abc");
		assert_no_answer(l, rows[i].message, rows[i].words);
		login_destroy(l);
	}
}

static void test_scram_header(void **state)
{
	static const struct {
		bool binds;
		const char *offered, *first;
	} rows[] = {
		{false, "SCRAM-SHA-256", "n,,n=u=3Ds=2Cer,r=abc"},
		{true, "SCRAM-SHA-256", "y,,n=u=3Ds=2Cer,r=abc"}, // somebody may have taken -PLUS away
		{true, "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=u=3Ds=2Cer,r=abc"},
		{false, "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "n,,n=u=3Ds=2Cer,r=abc"},
	};
	struct login_options o = {.user = "u=s,er", .password = PASSWORD, .host = "smart.example",
		.nonce = "abc"};
	static const struct str wanted[] = {WORD("SCRAM-SHA-256")};
	struct login *l;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		l = login_create(&o);
		login_set_secured(l, "tls-exporter", rows[i].binds ? STR("binding") : STR_EMPTY);
		assert_non_null(login_choose(l, rows[i].offered, NULL));
		assert_start(l, rows[i].first);
		login_destroy(l);
	}
	// The administrator wants none of it.
	o.wanted = wanted;
	o.wanted_count = 1;
	l = login_create(&o);
	login_set_secured(l, "tls-exporter", STR("binding"));
	assert_choice(l, "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "SCRAM-SHA-256");
	assert_start(l, "n,,n=u=3Ds=2Cer,r=abc");
	login_destroy(l);
}

// Widths and compositions of the same password are the same (RFC 4013).
static void test_scram_prepares_passwords(void **state)
{
	static const char *const same[] = {"\xc3\xa9\xe2\x85\xab", "e\xcc\x81XII"};
	struct buf answers[2] = {BUF_INIT, BUF_INIT};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct login_options o = {.user = "user", .password = str_from(same[i]),
			.host = "smart.example", .nonce = "abc"};
		struct login *l = login_create(&o);
		login_set_secured(l, "tls-exporter", STR_EMPTY);
		assert_choice(l, "SCRAM-SHA-256", "SCRAM-SHA-256");
		assert_start(l, "n,,n=user,r=abc");
		assert_int_equal(login_answer(l, STR("r=abcd,s=QSXCR+Q6sek8bf92,i=4096"), &answers[i], NULL), 0);
		login_destroy(l);
	}
	assert_true(str_equal(buf_str(&answers[0]), buf_str(&answers[1])));
	buf_finish(&answers[0]);
	buf_finish(&answers[1]);
}

// ---- against the server of another library
#ifdef HAVE_GSASL
struct gsasl_world {
	const char *password, *exporter;
};

static int on_gsasl(Gsasl *g, Gsasl_session *s, Gsasl_property p)
{
	const struct gsasl_world *w = gsasl_callback_hook_get(g);
	if (p == GSASL_PASSWORD)
		return gsasl_property_set(s, p, w->password);
#if GSASL_VERSION_NUMBER >= 0x020200
	if (p == GSASL_CB_TLS_EXPORTER && w->exporter)
		return gsasl_property_set(s, p, w->exporter);
#endif
	if (p == GSASL_CB_TLS_UNIQUE)
		return GSASL_NO_CALLBACK;
	return p == GSASL_VALIDATE_SIMPLE ? GSASL_AUTHENTICATION_ERROR : GSASL_NO_CALLBACK;
}

// 0: both are content. 1: the server is not. 2: we are not.
static int talk_to_gsasl(const char *mechanism, struct gsasl_world *w, const char *offered)
{
	Gsasl *g;
	Gsasl_session *s;
	struct login *l = make("kim", PASSWORD);
	struct buf out = BUF_INIT;
	char *said = NULL;
	size_t len = 0;
	int step, result = 0;
	assert_int_equal(gsasl_init(&g), GSASL_OK);
	gsasl_callback_hook_set(g, w);
	gsasl_callback_set(g, on_gsasl);
	assert_int_equal(gsasl_server_start(g, mechanism, &s), GSASL_OK);
	login_set_secured(l, "tls-exporter", STR("01234567890123456789012345678901"));
	assert_choice(l, offered, mechanism);
	bool has = login_start(l, &out);
	step = gsasl_step(s, has ? buf_str(&out).data : NULL, buf_len(&out), &said, &len);
	while (step == GSASL_NEEDS_MORE || (step == GSASL_OK && len)) {
		bool last = step == GSASL_OK;
		buf_clear(&out);
		int err = login_answer(l, str_make(said, len), &out, NULL);
		gsasl_free(said);
		said = NULL;
		len = 0;
		if (err)
			result = 2;
		if (err || last)
			break;
		step = gsasl_step(s, buf_str(&out).data, buf_len(&out), &said, &len);
	}
	gsasl_free(said);
	if (!result && step != GSASL_OK)
		result = 1;
	if (!result && login_accepted(l, NULL))
		result = 2;
	gsasl_finish(s);
	gsasl_done(g);
	buf_finish(&out);
	login_destroy(l);
	return result;
}

static void test_gsasl(void **state)
{
	struct gsasl_world right = {.password = "pencil"}, wrong = {.password = "pen"};
	(void)state;
	assert_int_equal(talk_to_gsasl("SCRAM-SHA-256", &right, "SCRAM-SHA-256"), 0);
	assert_int_equal(talk_to_gsasl("SCRAM-SHA-256", &wrong, "SCRAM-SHA-256"), 1);
	assert_int_equal(talk_to_gsasl("SCRAM-SHA-1", &right, "SCRAM-SHA-1"), 0);
	assert_int_equal(talk_to_gsasl("CRAM-MD5", &right, "CRAM-MD5"), 0);
	assert_int_equal(talk_to_gsasl("CRAM-MD5", &wrong, "CRAM-MD5"), 1);
#if GSASL_VERSION_NUMBER >= 0x020200
	// The library has bindings in base64.
	right.exporter = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
	assert_int_equal(talk_to_gsasl("SCRAM-SHA-256-PLUS", &right, "SCRAM-SHA-256-PLUS"), 0);
	struct gsasl_world middle = {.password = "pencil",
		.exporter = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDI="};
	assert_int_equal(talk_to_gsasl("SCRAM-SHA-256-PLUS", &middle, "SCRAM-SHA-256-PLUS"), 1);
#endif
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strongest_first),
		cmocka_unit_test(test_no_binding_no_plus),
		cmocka_unit_test(test_nothing_bare_without_tls),
		cmocka_unit_test(test_after_a_refusal),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_cram_md5),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_scram_vectors),
		cmocka_unit_test(test_scram_server_must_prove),
		cmocka_unit_test(test_scram_first_messages),
		cmocka_unit_test(test_scram_header),
		cmocka_unit_test(test_scram_prepares_passwords),
#ifdef HAVE_GSASL
		cmocka_unit_test(test_gsasl),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
