// SPDX-License-Identifier: ISC
// Tokens that strangers send: read and verified against the keys of the standards, whose private
// halves are printed there; what is read by itself, as a key set, as an answer of introspection and
// as a message of either mechanism.
#include "fuzz.h"
#include "auth/bearer.h"
#include "auth/source/claims.h"

#define KEYS                                                                                       \
	"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"                                            \
	"\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"                                       \
	"\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\","         \
	"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"

static const struct auth_claims_rule rule = {
	{"https://id.kr", 13}, {"pabal", 5}, {"email", 5}, 1000000};

static void check_answer(const struct auth_answer *a)
{
	CHECK(a->verdict <= AUTH_CANNOT);
	CHECK((a->verdict == AUTH_YES) == (a->account[0] != '\0'));
	CHECK(a->verdict == AUTH_YES || a->reason[0]);
}

static void read_token(struct str data, const struct auth_jwk_set *keys)
{
	struct error err = {0};
	struct auth_answer a = {0};
	struct auth_jwt t;

	if (auth_jwt_read(data, &t, &err)) {
		CHECK(err.text[0]);
		return;
	}
	CHECK(t.input.data == data.data && t.input.len < data.len);
	int result = auth_jwt_verify(&t, keys, &err);
	CHECK(result == 0 || result == ERR_NOT_FOUND || result == ERR_DENIED);
	auth_claims_of_token(&t, &rule, &a);
	check_answer(&a);
	auth_jwt_finish(&t);
}

static void read_answer(struct str data)
{
	struct auth_answer a = {0};
	uint64_t end_s;

	auth_claims_introspected(data, &rule, &a, &end_s);
	check_answer(&a);
}

static void read_keys(struct str data)
{
	struct auth_jwk_set *set = NULL;
	struct error err = {0};

	if (auth_jwk_set_read(data, &set, &err) == 0)
		CHECK(set->count > 0 && set->count <= AUTH_JWK_MAX);
	else
		CHECK(!set && err.text[0]);
	auth_jwk_set_destroy(set);
}

static void read_message(struct str data, int (*read)(struct str message, struct auth_bearer *out))
{
	struct auth_bearer b;

	if (read(data, &b))
		return;
	CHECK(b.token.len > 0 && b.token.len <= AUTH_SECRET_OCTETS && !has_control(b.token));
	CHECK(b.token.data >= data.data && b.token.data + b.token.len < data.data + data.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth_jwk_set *keys;
	struct str copy = exact_copy(str_make(data, size));

	if (!keys)
		CHECK(auth_jwk_set_read(STR(KEYS), &keys, NULL) == 0);
	read_token(copy, keys);
	read_answer(copy);
	read_keys(copy);
	read_message(copy, auth_bearer_read);
	read_message(copy, auth_bearer_read_old);
	free((char *)copy.data);
	return 0;
}
