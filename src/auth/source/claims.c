// SPDX-License-Identifier: ISC
#include "auth/source/claims.h"

#include "base/text.h"

#include <jansson.h>

static struct str text_of(const json_t *claims, const char *name)
{
	const json_t *value = json_object_get(claims, name);

	return json_is_string(value) ? str_make(json_string_value(value), json_string_length(value))
				     : STR_EMPTY;
}

static bool refuse(struct auth_answer *out, enum auth_verdict verdict, const char *words)
{
	auth_answer_set(out, verdict, "%s", words);
	return false;
}

// ---- times (RFC 7519 2: seconds, perhaps with a fraction)
static bool check_times(
	const json_t *claims, bool needs_end, uint64_t now_s, struct auth_answer *out)
{
	const json_t *end = json_object_get(claims, "exp"), *start = json_object_get(claims, "nbf");
	double now = (double)now_s;

	if (needs_end && !end)
		return refuse(out, AUTH_NO, TEXT("the token does not say when it ends (exp)"));
	if ((end && !json_is_number(end)) || (start && !json_is_number(start)))
		return refuse(out, AUTH_NO, TEXT("the token's times are no numbers"));
	if (end && !(json_number_value(end) + AUTH_CLAIMS_LEEWAY_S > now))
		return refuse(out, AUTH_NO, TEXT("the token is expired"));
	if (start && !(json_number_value(start) - AUTH_CLAIMS_LEEWAY_S <= now))
		return refuse(out, AUTH_NO, TEXT("the token is not valid yet"));
	return true;
}

static uint64_t end_of(const json_t *claims)
{
	double end = json_number_value(json_object_get(claims, "exp"));

	return end > 0 && end < 1e15 ? (uint64_t)end : 0;
}

// ---- by whom, for whom
static bool is_issuer(const json_t *claims, const struct auth_claims_rule *r, struct auth_answer *out)
{
	struct str issuer = text_of(claims, "iss");

	if (!r->issuer.len || str_equal(issuer, r->issuer))
		return true;
	if (!issuer.len)
		return refuse(out, AUTH_UNKNOWN, TEXT("the token names no issuer"));
	auth_answer_set(out, AUTH_UNKNOWN, TEXT("the token's issuer is \"%.*s\""),
		STR_ARG(str_slice(issuer, 0, 100)));
	return false;
}

static bool is_for_us(const json_t *claims, const struct auth_claims_rule *r, struct auth_answer *out)
{
	const json_t *audience = json_object_get(claims, "aud"), *one;
	size_t i;

	if (!r->audience.len || str_equal(text_of(claims, "aud"), r->audience))
		return true;
	json_array_foreach((json_t *)audience, i, one)
		if (json_is_string(one) &&
			str_equal(str_make(json_string_value(one), json_string_length(one)),
				r->audience))
			return true;
	return refuse(out, AUTH_NO,
		audience ? TEXT("the token is for another audience")
			 : TEXT("the token names no audience"));
}

// ---- whose
static void name_account(
	const json_t *claims, const char *claim, struct auth_answer *out)
{
	struct str account = text_of(claims, claim);

	if (!account.len)
		auth_answer_set(out, AUTH_NO, TEXT("the token has no claim \"%.60s\""), claim);
	else if (strcmp(claim, "email") == 0 &&
		 json_is_false(json_object_get(claims, "email_verified")))
		auth_answer_set(out, AUTH_NO, TEXT("the issuer has not verified the token's email"));
	else if (!str_copy(account, out->account, sizeof out->account))
		auth_answer_set(out, AUTH_NO, TEXT("the claim \"%.60s\" is too long"), claim);
	else
		auth_answer_set(out, AUTH_YES, "%s", "");
}

static void check_all(const json_t *claims, const char *claim, bool needs_end,
	const struct auth_claims_rule *r, struct auth_answer *out)
{
	if (is_issuer(claims, r, out) && is_for_us(claims, r, out) &&
		check_times(claims, needs_end, r->now_s, out))
		name_account(claims, claim, out);
}

static bool read_claim(const struct auth_claims_rule *r, char claim[256], struct auth_answer *out)
{
	return str_copy(r->account_claim.len ? r->account_claim : STR("email"), claim, 256) ||
	       refuse(out, AUTH_CANNOT, TEXT("account-claim is too long"));
}

bool auth_claims_of_another(
	const struct auth_jwt *t, const struct auth_claims_rule *r, struct auth_answer *out)
{
	return !is_issuer((const json_t *)t->claims, r, out);
}

void auth_claims_of_token(
	const struct auth_jwt *t, const struct auth_claims_rule *r, struct auth_answer *out)
{
	char claim[256];

	if (read_claim(r, claim, out))
		check_all((const json_t *)t->claims, claim, true, r, out);
}

void auth_claims_introspected(struct str json, const struct auth_claims_rule *r,
	struct auth_answer *out, uint64_t *out_end_s)
{
	json_t *claims = json_loadb(
		json.len ? json.data : "", json.len, JSON_REJECT_DUPLICATES, NULL);
	char claim[256];

	*out_end_s = 0;
	if (!json_is_boolean(json_object_get(claims, "active"))) {
		auth_answer_set(out, AUTH_CANNOT, "%s",
			TEXT("the introspection endpoint's answer does not say whether the token is "
			     "active"));
	} else if (!json_is_true(json_object_get(claims, "active"))) {
		auth_answer_set(out, AUTH_UNKNOWN, "%s", TEXT("the token is not active"));
	} else if (read_claim(r, claim, out)) {
		check_all(claims, claim, false, r, out);
		*out_end_s = end_of(claims);
	}
	json_decref(claims);
}
