// SPDX-License-Identifier: ISC
#include "deliver/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_MS 1800000000000ull

static const char usual[] =
	"{\"access_token\": \"first\", \"refresh_token\": \"1//r=e+f\", \"client_id\": \"id\","
	" \"client_secret\": \"s&c\", \"token_uri\": \"https://login.example/token\","
	" \"scope\": \"https://mail.example/ offline_access\", \"expires_at\": 1800000300, \"note\": [1]}";

static void parse(const char *json, struct token *out)
{
	struct error err = {0};
	if (token_parse(str_from(json), out, &err))
		fail_msg("%s: %s", json, err.text);
}

static void test_file(void **state)
{
	struct token t, again;
	struct buf out = BUF_INIT;
	(void)state;
	parse(usual, &t);
	assert_string_equal(t.access, "first");
	assert_string_equal(t.endpoint, "https://login.example/token");
	assert_true(t.expires_ms == 1800000300000ull);
	assert_true(token_can_renew(&t));
	assert_true(token_is_fresh(&t, NOW_MS));
	assert_false(token_is_fresh(&t, NOW_MS + 300000 - TOKEN_EARLY_MS));
	token_render(&t, &out);
	parse(buf_cstr(&out), &again);
	assert_string_equal(again.refresh, t.refresh);
	assert_non_null(strstr(buf_cstr(&out), "\"note\""));
	token_finish(&again);
	token_finish(&t);
	buf_finish(&out);
	parse("{\"access_token\": \"only\"}", &t);
	assert_true(token_is_fresh(&t, NOW_MS)); // nobody knows better
	assert_false(token_can_renew(&t));
	token_finish(&t);
	parse("{\"refresh_token\": \"r\", \"token_endpoint\": \"HTTPS://x/\"}", &t);
	assert_false(token_is_fresh(&t, NOW_MS));
	assert_true(token_can_renew(&t));
	token_finish(&t);
}

static void test_bad_files(void **state)
{
	static const char *const files[] = {"", "{", "[]", "\"x\"", "{\"access_token\": 1}",
		"{\"access_token\": \"a b\"}", "{\"access_token\": \"a\\u0001b\"}", "{\"access_token\": \"\\u00e9\"}",
		"{\"token_endpoint\": \"http://login.example/\"}", "{\"token_endpoint\": \"file:///etc/passwd\"}",
		"{\"access_token\": \"a\", \"access_token\": \"b\"}", "{\"secret\": \"SECRET"};
	struct token t;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct error err = {0};
		assert_true(token_parse(str_from(files[i]), &t, &err) < 0);
		assert_true(err.text[0]);
		assert_null(strstr(err.text, "SECRET"));
		assert_null(t.file);
	}
}

static void test_question(void **state)
{
	struct token t;
	struct buf out = BUF_INIT;
	(void)state;
	parse(usual, &t);
	token_make_question(&t, &out);
	assert_string_equal(buf_cstr(&out),
		"grant_type=refresh_token&refresh_token=1%2F%2Fr%3De%2Bf&client_id=id&client_secret=s%26c&"
		"scope=https%3A%2F%2Fmail.example%2F%20offline_access");
	buf_finish(&out);
	token_finish(&t);
}

static void test_answers(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
		int result;
		const char *words;
	} rows[] = {
		{200, "{\"access_token\":\"second\",\"expires_in\":3600}", 0, ""},
		{200, "{\"access_token\":\"second\",\"expires_in\":3600,\"refresh_token\":\"r2\"}", 0, ""},
		{200, "{\"access_token\":\"second\"}", 0, ""},
		{200, "{\"access_token\":\"\"}", ERR_SYNTAX, "no access token"},
		{200, "{\"access_token\":\"a b\"}", ERR_SYNTAX, "no access token"},
		{200, "<html>", ERR_SYNTAX, "no access token"},
		{200, "", ERR_SYNTAX, "no access token"},
		{400, "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS700082: expired\"}", ERR_DENIED,
			"said 400 invalid_grant: AADSTS700082: expired"},
		{400, "{\"error\":\"x\",\"error_description\":\"not 1//r=e+f, please\"}", ERR_DENIED, "said 400 x"},
		{503, "<html>", ERR_DENIED, "said 503"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct token t;
		struct error err = {0};
		parse(usual, &t);
		assert_int_equal(token_take_answer(&t, rows[i].status, str_from(rows[i].body), NOW_MS, &err),
			rows[i].result);
		if (!strstr(err.text, rows[i].words) || strstr(err.text, "1//r"))
			fail_msg("%s: %s", rows[i].body, err.text);
		assert_string_equal(t.access, rows[i].result ? "first" : "second");
		assert_string_equal(t.refresh, i == 1 ? "r2" : "1//r=e+f");
		assert_true(t.expires_ms == (rows[i].result ? 1800000300000ull : i == 2 ? 0 : NOW_MS + 3600000));
		token_finish(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
