// SPDX-License-Identifier: ISC
// Tokens: the examples of the standards, tokens signed here, and everything that must not pass.
#include "auth/bearer.h"
#include "auth/source/claims.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

// ---- the standards' own
#define RFC7515_CLAIMS                                                                             \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn" \
	"VlfQ"
#define RFC7515_RSA                                                                                \
	"{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"   \
	"Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7"   \
	"OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3q"   \
	"Co5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyu"   \
	"XpoQ\",\"e\":\"AQAB\"}"
#define RFC7515_EC                                                                                 \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","       \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define RFC7515_OCT                                                                                \
	"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4h"   \
	"cgUuTwjAzZr1Z9CAow\"}"
#define RFC7515_A1                                                                                 \
	"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC7515_CLAIMS                                     \
	".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC7515_A2                                                                                 \
	"eyJhbGciOiJSUzI1NiJ9." RFC7515_CLAIMS                                                         \
	".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5" \
	"jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1" \
	"L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYE" \
	"UipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define RFC7515_A3                                                                                 \
	"eyJhbGciOiJFUzI1NiJ9." RFC7515_CLAIMS                                                         \
	".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define RFC7519_6_1 "eyJhbGciOiJub25lIn0." RFC7515_CLAIMS "."

static struct auth_jwk_set *set_of(const char *keys)
{
	struct auth_jwk_set *set = NULL;
	struct buf json = BUF_INIT;
	struct error err = {0};

	buf_add_format(&json, "{\"keys\":[%s]}", keys);
	if (auth_jwk_set_read(buf_str(&json), &set, &err))
		fail_msg("%s: %s", keys, err.text);
	buf_finish(&json);
	return set;
}

// Reads and verifies; what of the two failed first.
static int take(struct str token, const struct auth_jwk_set *set)
{
	struct auth_jwt t;
	struct error err = {0};
	int result = auth_jwt_read(token, &t, &err);

	if (result == 0) {
		result = auth_jwt_verify(&t, set, &err);
		auth_jwt_finish(&t);
	}
	assert_true(result == 0 || err.text[0]);
	return result;
}

static void standards(void **state)
{
	struct auth_jwk_set *rsa = set_of(RFC7515_RSA), *ec = set_of(RFC7515_EC),
			    *both = set_of(RFC7515_OCT "," RFC7515_RSA "," RFC7515_EC);
	char changed[] = RFC7515_A3;

	(void)state;
	assert_int_equal(both->count, 2); // the shared secret is no key of ours
	assert_int_equal(take(STR(RFC7515_A2), rsa), 0);
	assert_int_equal(take(STR(RFC7515_A3), ec), 0);
	assert_int_equal(take(STR(RFC7515_A2), both), 0);
	assert_int_equal(take(STR(RFC7515_A3), both), 0);
	assert_int_equal(take(STR(RFC7515_A2), ec), ERR_NOT_FOUND);
	assert_int_equal(take(STR(RFC7515_A3), rsa), ERR_NOT_FOUND);
	assert_int_equal(take(STR(RFC7515_A1), both), ERR_UNSUPPORTED);
	assert_int_equal(take(STR(RFC7519_6_1), both), ERR_UNSUPPORTED);
	for (size_t i = 0; i + 1 < sizeof changed; i += 3) { // every octet counts
		char was = changed[i];
		changed[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(take(str_from(changed), both), 0);
		changed[i] = was;
	}
	auth_jwk_set_destroy(rsa);
	auth_jwk_set_destroy(ec);
	auth_jwk_set_destroy(both);
}

// RFC 8037 A.4 signs a text that is no set of claims; its key is read here, and its signature
// verified by what lies below.
static void edwards(void **state)
{
	struct auth_jwk_set *set = set_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
					  "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}");
	struct str input =
		STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
	struct buf signature = BUF_INIT;
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	(void)state;
	assert_int_equal(auth_base64url_read(STR("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhij"
						 "cNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
				 &signature),
		0);
	assert_int_equal(set->keys[0].kind, AUTH_JWK_ED25519);
	assert_int_equal(EVP_DigestVerifyInit(context, NULL, NULL, NULL, set->keys[0].key), 1);
	assert_int_equal(
		EVP_DigestVerify(context, (const unsigned char *)buf_str(&signature).data,
			buf_len(&signature), (const unsigned char *)input.data, input.len),
		1);
	EVP_MD_CTX_free(context);
	buf_finish(&signature);
	auth_jwk_set_destroy(set);
}

static void base64url(void **state)
{
	static const struct {
		const char *text, *octets;
	} rows[] = {{"", ""}, {"Zg", "f"}, {"Zm8", "fo"}, {"Zm9v", "foo"}, {"_-8", "\xff\xef"},
		{"Zg==", NULL}, {"Zh", NULL}, {"Zm9", NULL}, {"Z", NULL}, {"Zm9vY", NULL},
		{"Zm 9v", NULL}, {"/+8", NULL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf out = BUF_INIT;
		int result = auth_base64url_read(str_from(rows[i].text), &out);
		assert_int_equal(result, rows[i].octets ? 0 : ERR_SYNTAX);
		if (rows[i].octets)
			assert_string_equal(buf_cstr(&out), rows[i].octets);
		buf_finish(&out);
	}
}

// ---- tokens made here
static void add_base64url(struct buf *out, struct str octets)
{
	struct buf text = BUF_INIT;

	buf_add_base64(&text, octets);
	for (size_t i = 0; i < buf_len(&text); i++) {
		char c = buf_str(&text).data[i];
		if (c != '=')
			buf_add_char(out, c == '+' ? '-' : c == '/' ? '_' : c);
	}
	buf_finish(&text);
}

static EVP_PKEY *make_key(const char *kind)
{
	if (!strcmp(kind, "RSA"))
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	if (!strcmp(kind, "P-256") || !strcmp(kind, "P-384") || !strcmp(kind, "P-521"))
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

static void add_number(struct buf *out, EVP_PKEY *key, const char *parameter, size_t octets)
{
	unsigned char data[1100];
	BIGNUM *n = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(key, parameter, &n), 1);
	octets = octets ? octets : (size_t)BN_num_bytes(n);
	assert_int_equal(BN_bn2binpad(n, data, (int)octets), octets);
	add_base64url(out, str_make(data, octets));
	BN_free(n);
}

// members: more of the key, each with a comma before it.
static void add_jwk(struct buf *out, EVP_PKEY *key, const char *kind, const char *members)
{
	size_t octets = !strcmp(kind, "P-256") ? 32 : !strcmp(kind, "P-384") ? 48 : 66;

	buf_add_format(out, "%s", buf_len(out) ? "," : "");
	if (!strcmp(kind, "RSA")) {
		buf_add_text(out, "{\"kty\":\"RSA\",\"n\":\"");
		add_number(out, key, "n", 0);
		buf_add_text(out, "\",\"e\":\"");
		add_number(out, key, "e", 0);
	} else if (kind[0] == 'P') {
		buf_add_format(out, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"", kind);
		add_number(out, key, "qx", octets);
		buf_add_text(out, "\",\"y\":\"");
		add_number(out, key, "qy", octets);
	} else {
		unsigned char data[64];
		size_t len = sizeof data;
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, data, &len), 1);
		buf_add_format(out, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"",
			strcmp(kind, "ED448") ? "Ed25519" : "Ed448");
		add_base64url(out, str_make(data, len));
	}
	buf_add_format(out, "\"%s}", members);
}

static void add_signature(struct buf *out, EVP_PKEY *key, const char *alg)
{
	const EVP_MD *hash = strstr(alg, "256")	  ? EVP_sha256()
			     : strstr(alg, "384") ? EVP_sha384()
			     : strstr(alg, "512") ? EVP_sha512()
						  : NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *parameters;
	unsigned char data[1100], pair[200];
	size_t len = sizeof data, half = !strcmp(alg, "ES256") ? 32 : 48;

	assert_int_equal(EVP_DigestSignInit(context, &parameters, hash, NULL, key), 1);
	if (alg[0] == 'P')
		assert_true(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
			    EVP_PKEY_CTX_set_rsa_pss_saltlen(
				    parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
	assert_int_equal(EVP_DigestSign(context, data, &len,
				 (const unsigned char *)buf_str(out).data, buf_len(out)),
		1);
	EVP_MD_CTX_free(context);
	buf_add_char(out, '.');
	if (strncmp(alg, "ES", 2) == 0) {
		const unsigned char *at = data;
		ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &at, (long)len);
		assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(s), pair, (int)half), half);
		assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(s), pair + half, (int)half), half);
		ECDSA_SIG_free(s);
		add_base64url(out, str_make(pair, 2 * half));
	} else {
		add_base64url(out, str_make(data, len));
	}
}

// alg: of the header; signs: what really is done.
static void make_token(struct buf *out, EVP_PKEY *key, const char *alg, const char *signs,
	const char *members, const char *claims)
{
	struct buf header = BUF_INIT;

	buf_clear(out);
	buf_add_format(&header, "{\"alg\":\"%s\"%s}", alg, members);
	add_base64url(out, buf_str(&header));
	buf_add_char(out, '.');
	add_base64url(out, str_from(claims));
	add_signature(out, key, signs);
	buf_finish(&header);
}

static void algorithms(void **state)
{
	static const struct {
		const char *kind, *alg, *signs, *jwk;
		int result;
	} rows[] = {
		{"RSA", "RS256", "RS256", "", 0},
		{"RSA", "RS384", "RS384", "", 0},
		{"RSA", "RS512", "RS512", "", 0},
		{"RSA", "PS256", "PS256", "", 0},
		{"RSA", "PS384", "PS384", "", 0},
		{"RSA", "PS512", "PS512", "", 0},
		{"P-256", "ES256", "ES256", "", 0},
		{"P-384", "ES384", "ES384", "", 0},
		{"ED25519", "EdDSA", "EdDSA", "", 0},
		{"ED448", "EdDSA", "EdDSA", "", 0},
		{"RSA", "RS256", "RS256", ",\"alg\":\"RS256\",\"use\":\"sig\"", 0},
		{"RSA", "RS256", "RS256", ",\"key_ops\":[\"verify\"]", 0},
		{"RSA", "RS256", "RS256", ",\"alg\":\"PS256\"", ERR_NOT_FOUND},
		{"RSA", "RS256", "RS512", "", ERR_DENIED},
		{"RSA", "PS256", "RS256", "", ERR_DENIED},
		{"RSA", "RS256", "PS256", "", ERR_DENIED},
		{"RSA", "ES256", "RS256", "", ERR_NOT_FOUND},
		{"P-384", "ES256", "ES384", "", ERR_NOT_FOUND},
		{"P-256", "EdDSA", "ES256", "", ERR_NOT_FOUND},
		{"RSA", "HS256", "RS256", "", ERR_UNSUPPORTED},
		{"RSA", "none", "RS256", "", ERR_UNSUPPORTED},
		{"RSA", "None", "RS256", "", ERR_UNSUPPORTED},
		{"RSA", "rs256", "RS256", "", ERR_UNSUPPORTED},
		{"RSA", "RS1", "RS256", "", ERR_UNSUPPORTED},
		{"RSA", "", "RS256", "", ERR_UNSUPPORTED},
	};
	struct buf token = BUF_INIT, jwk = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EVP_PKEY *key = make_key(rows[i].kind);
		struct auth_jwk_set *set;
		buf_clear(&jwk);
		add_jwk(&jwk, key, rows[i].kind, rows[i].jwk);
		set = set_of(buf_cstr(&jwk));
		make_token(&token, key, rows[i].alg, rows[i].signs, "", "{}");
		if (take(buf_str(&token), set) != rows[i].result)
			fail_msg("%s %s %s", rows[i].kind, rows[i].alg, rows[i].jwk);
		auth_jwk_set_destroy(set);
		EVP_PKEY_free(key);
	}
	buf_finish(&token);
	buf_finish(&jwk);
}

// A public key is no secret: what is "signed" with its octets is signed by anybody.
static void hmac_with_the_public_key(void **state)
{
	EVP_PKEY *key = make_key("RSA");
	struct buf token = BUF_INIT, jwk = BUF_INIT;
	unsigned char mac[64], *der = NULL;
	unsigned len = sizeof mac;
	int der_len = i2d_PUBKEY(key, &der);
	struct auth_jwk_set *set;

	(void)state;
	add_jwk(&jwk, key, "RSA", "");
	set = set_of(buf_cstr(&jwk));
	add_base64url(&token, STR("{\"alg\":\"HS256\"}"));
	buf_add_text(&token, ".e30");
	HMAC(EVP_sha256(), der, der_len, (const unsigned char *)buf_str(&token).data,
		buf_len(&token), mac, &len);
	buf_add_char(&token, '.');
	add_base64url(&token, str_make(mac, len));
	assert_int_equal(take(buf_str(&token), set), ERR_UNSUPPORTED);
	OPENSSL_free(der);
	auth_jwk_set_destroy(set);
	EVP_PKEY_free(key);
	buf_finish(&token);
	buf_finish(&jwk);
}

static void names_of_keys(void **state)
{
	static const struct {
		const char *header;
		bool by_first;
		int result;
	} rows[] = {
		{",\"kid\":\"one\"", true, 0},
		{",\"kid\":\"one\"", false, ERR_DENIED}, // the other key's signature
		{",\"kid\":\"two\"", false, 0},
		{",\"kid\":\"three\"", true, ERR_NOT_FOUND},
		{"", true, 0}, // no name: whichever fits
		{"", false, 0},
		{",\"crit\":[\"b64\"],\"b64\":false", true, ERR_UNSUPPORTED},
		{",\"typ\":\"at+jwt\"", true, 0},
		{",\"typ\":\"application/at+JWT\"", true, 0},
		{",\"typ\":\"JWT\"", true, 0},
		{",\"typ\":\"logout+jwt\"", true, ERR_UNSUPPORTED},
		{",\"alg\":\"none\"", true, ERR_SYNTAX}, // twice
		// What the token itself says of its key is never looked at.
		{",\"kid\":\"one\",\"jku\":\"https://evil.test/\",\"jwk\":{}", true, 0},
	};
	EVP_PKEY *one = make_key("P-256"), *two = make_key("P-256");
	struct buf token = BUF_INIT, jwk = BUF_INIT;
	struct auth_jwk_set *set;

	(void)state;
	add_jwk(&jwk, one, "P-256", ",\"kid\":\"one\"");
	add_jwk(&jwk, two, "P-256", ",\"kid\":\"two\"");
	set = set_of(buf_cstr(&jwk));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_token(&token, rows[i].by_first ? one : two, "ES256", "ES256", rows[i].header,
			"{}");
		if (take(buf_str(&token), set) != rows[i].result)
			fail_msg("%s", rows[i].header);
	}
	auth_jwk_set_destroy(set);
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
	buf_finish(&token);
	buf_finish(&jwk);
}

static void no_tokens(void **state)
{
	static const char *const rows[] = {"", ".", "..", "...", "a.b.c", "e30.e30", "e30.e30.",
		"e30.e30.e30.e30", "e30.e30.e30.e30.e30", "eyJhbGciOiJFUzI1NiJ9..",
		"eyJhbGciOiJFUzI1NiJ9.e30", "eyJhbGciOiJFUzI1NiJ9.W10.AAAA",
		"eyJhbGciOiJFUzI1NiJ9.e30.A", "eyJhbGciOiJFUzI1NiJ9=.e30.AAAA",
		"eyJhbGciOiJFUzI1NiJ9.e30.", "W10.e30.AAAA"};
	struct auth_jwk_set *set = set_of(RFC7515_EC);
	static char lengthy[AUTH_JWT_OCTETS + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_not_equal(take(str_from(rows[i]), set), 0);
	memset(lengthy, 'A', sizeof lengthy - 1);
	lengthy[40] = lengthy[80] = '.';
	assert_int_equal(take(str_from(lengthy), set), ERR_SYNTAX);
	auth_jwk_set_destroy(set);
}

static void key_sets_without_a_key(void **state)
{
	static const char *const rows[] = {"", "{}", "[]", "{\"keys\":[]}", "{\"keys\":{}}",
		"{\"keys\":[" RFC7515_OCT "]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", // 17 bits
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}]}",
		// not on the curve
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
		"\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
		"\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":"
		"\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
		"{\"keys\":[1,\"a\",null]}"};
	struct auth_jwk_set *set = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = {0};
		if (auth_jwk_set_read(str_from(rows[i]), &set, &err) != ERR_SYNTAX || !err.text[0])
			fail_msg("%s", rows[i]);
	}
	assert_null(set);
}

// ---- claims
#define NOW 1000000
#define GOOD "\"iss\":\"https://id.kr\",\"aud\":\"pabal\",\"email\":\"kim@example.kr\""
static const struct auth_claims_rule rule = {
	{"https://id.kr", 13}, {"pabal", 5}, {"email", 5}, NOW};

static const struct {
	const char *claims;
	enum auth_verdict verdict;
	const char *told; // account of YES, else part of the reason
} claim_rows[] = {
	{GOOD ",\"exp\":1000001", AUTH_YES, "kim@example.kr"},
	{GOOD ",\"exp\":1000000.5", AUTH_YES, "kim@example.kr"},
	{GOOD ",\"exp\":999941,\"nbf\":1000060", AUTH_YES, "kim@example.kr"}, // clocks differ
	{GOOD ",\"exp\":999940", AUTH_NO, "expired"},
	{GOOD ",\"exp\":-1", AUTH_NO, "expired"},
	{GOOD ",\"exp\":\"1000001\"", AUTH_NO, "no numbers"},
	{GOOD ",\"exp\":1000001,\"nbf\":1000061", AUTH_NO, "not valid yet"},
	{GOOD ",\"exp\":1000001,\"nbf\":\"now\"", AUTH_NO, "no numbers"},
	{"\"iss\":\"https://id.kr/\",\"aud\":\"pabal\",\"email\":\"a@b.kr\",\"exp\":1000001",
		AUTH_UNKNOWN, "issuer is \"https://id.kr/\""},
	{"\"aud\":\"pabal\",\"email\":\"a@b.kr\",\"exp\":1000001", AUTH_UNKNOWN, "no issuer"},
	{"\"iss\":[\"https://id.kr\"],\"aud\":\"pabal\",\"email\":\"a@b.kr\",\"exp\":1000001",
		AUTH_UNKNOWN, "no issuer"},
	{"\"iss\":\"https://id.kr\",\"aud\":\"other\",\"email\":\"a@b.kr\",\"exp\":1000001", AUTH_NO,
		"another audience"},
	{"\"iss\":\"https://id.kr\",\"aud\":[\"x\",\"pabal\"],\"email\":\"a@b.kr\",\"exp\":1000001",
		AUTH_YES, "a@b.kr"},
	{"\"iss\":\"https://id.kr\",\"aud\":[\"x\",[\"pabal\"]],\"email\":\"a@b.kr\",\"exp\":1000001",
		AUTH_NO, "another audience"},
	{"\"iss\":\"https://id.kr\",\"email\":\"a@b.kr\",\"exp\":1000001", AUTH_NO, "no audience"},
	{"\"iss\":\"https://id.kr\",\"aud\":\"pabal\",\"email\":42,\"exp\":1000001", AUTH_NO,
		"no claim \"email\""},
	{GOOD ",\"email_verified\":false,\"exp\":1000001", AUTH_NO, "not verified"},
	{GOOD ",\"email_verified\":true,\"exp\":1000001", AUTH_YES, "kim@example.kr"},
};

static void compare(size_t i, const struct auth_answer *a)
{
	const char *told = a->verdict == AUTH_YES ? a->account : a->reason;

	if (a->verdict != claim_rows[i].verdict || !strstr(told, claim_rows[i].told))
		fail_msg("%s: %d %s", claim_rows[i].claims, (int)a->verdict, told);
}

static void claims_of_tokens(void **state)
{
	EVP_PKEY *key = make_key("ED25519");
	struct buf token = BUF_INIT, claims = BUF_INIT;

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(claim_rows); i++) {
		struct auth_answer a = {0};
		struct auth_jwt t;
		struct error err = {0};
		bool last = i == ARRAY_SIZE(claim_rows);
		buf_clear(&claims);
		buf_add_format(&claims, "{%s}", last ? GOOD : claim_rows[i].claims);
		make_token(&token, key, "EdDSA", "EdDSA", "", buf_cstr(&claims));
		assert_int_equal(auth_jwt_read(buf_str(&token), &t, &err), 0);
		auth_claims_of_token(&t, &rule, &a);
		if (last)
			assert_true(a.verdict == AUTH_NO && strstr(a.reason, "(exp)"));
		else
			compare(i, &a);
		auth_jwt_finish(&t);
	}
	EVP_PKEY_free(key);
	buf_finish(&token);
	buf_finish(&claims);
}

static void introspected(void **state)
{
	static const struct {
		const char *json;
		enum auth_verdict verdict;
		const char *told;
		uint64_t end_s;
	} rows[] = {
		{"{\"active\":true," GOOD "}", AUTH_YES, "kim@example.kr", 0},
		{"{\"active\":true," GOOD ",\"exp\":1000100}", AUTH_YES, "kim@example.kr", 1000100},
		{"{\"active\":true,\"iss\":\"https://id.kr\",\"aud\":\"pabal\",\"username\":\"kim\"}", AUTH_NO,
			"email", 0},
		{"{\"active\":false}", AUTH_UNKNOWN, "not active", 0},
		{"{\"active\":false," GOOD "}", AUTH_UNKNOWN, "not active", 0},
		{"{\"active\":\"true\"," GOOD "}", AUTH_CANNOT, "does not say", 0},
		{"{\"active\":1," GOOD "}", AUTH_CANNOT, "does not say", 0},
		{"{" GOOD "}", AUTH_CANNOT, "does not say", 0},
		{"{\"active\":false,\"active\":true," GOOD "}", AUTH_CANNOT, "does not say", 0},
		{"", AUTH_CANNOT, "does not say", 0},
		{"[true]", AUTH_CANNOT, "does not say", 0},
		{"<html>", AUTH_CANNOT, "does not say", 0},
	};
	struct buf json = BUF_INIT;
	uint64_t end_s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_answer a = {0};
		auth_claims_introspected(str_from(rows[i].json), &rule, &a, &end_s);
		if (a.verdict != rows[i].verdict || end_s != rows[i].end_s ||
			!strstr(a.verdict == AUTH_YES ? a.account : a.reason, rows[i].told))
			fail_msg("%s: %s", rows[i].json, a.reason);
	}
	for (size_t i = 0; i < ARRAY_SIZE(claim_rows); i++) {
		struct auth_answer a = {0};
		buf_clear(&json);
		buf_add_format(&json, "{\"active\":true,%s}", claim_rows[i].claims);
		auth_claims_introspected(buf_str(&json), &rule, &a, &end_s);
		compare(i, &a);
	}
	buf_finish(&json);
}

// ---- what clients send
#define MESSAGE(text) {"" text, sizeof(text) - 1}

static void messages(void **state)
{
	static const struct {
		bool old;
		struct str message;
		int result;
		const char *user, *token;
	} rows[] = {
		{false, MESSAGE("n,a=kim@example.kr,\1host=mail\1port=587\1auth=Bearer a.b-c_~+/=\1\1"),
			0, "kim@example.kr", "a.b-c_~+/="},
		{false, MESSAGE("n,,\1auth=Bearer t\1\1"), 0, "", "t"},
		{false, MESSAGE("y,,\1auth=bearer  t\1\1"), 0, "", "t"},
		{false, MESSAGE("n,a=k=2Ci=3Dm,\1auth=Bearer t\1\1"), 0, "k,i=m", "t"},
		{false, MESSAGE("n,a=k=2ci,\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,a=,\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,kim,\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,a=k\0m,\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("p=tls-exporter,,\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Bearer t\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Bearer t"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Bearer t\1\1x"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Bearer t\1auth=Bearer u\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Bearer \1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Basic t\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth=Bearer t u\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1auth\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1=x\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,\1\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("n,,"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE("\1"), ERR_SYNTAX, NULL, NULL},
		{false, MESSAGE(""), ERR_SYNTAX, NULL, NULL},
		{true, MESSAGE("user=kim@example.kr\1auth=Bearer t\1\1"), 0, "kim@example.kr", "t"},
		{true, MESSAGE("auth=Bearer t\1\1"), 0, "", "t"},
		{true, MESSAGE("user=k\0m\1auth=Bearer t\1\1"), ERR_SYNTAX, NULL, NULL},
		{true, MESSAGE("user=kim\1auth=Bearer t\1"), ERR_SYNTAX, NULL, NULL},
		{true, MESSAGE("user=kim\1\1"), ERR_SYNTAX, NULL, NULL},
		{true, MESSAGE(""), ERR_SYNTAX, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_bearer b;
		struct str message = rows[i].message;
		int result;
		result = rows[i].old ? auth_bearer_read_old(message, &b)
				     : auth_bearer_read(message, &b);
		if (result != rows[i].result)
			fail_msg("%zu: %d", i, result);
		if (result)
			continue;
		assert_string_equal(b.user, rows[i].user);
		assert_true(str_equal(b.token, str_from(rows[i].token)));
	}
}

static void long_tokens(void **state)
{
	struct buf message = BUF_INIT;
	struct auth_bearer b;

	(void)state;
	for (size_t len = AUTH_SECRET_OCTETS; len <= AUTH_SECRET_OCTETS + 1; len++) {
		buf_clear(&message);
		buf_add_text(&message, "n,,\1auth=Bearer ");
		for (size_t i = 0; i < len; i++)
			buf_add_char(&message, 'a');
		buf_add_text(&message, "\1\1");
		assert_int_equal(auth_bearer_read(buf_str(&message), &b),
			len > AUTH_SECRET_OCTETS ? ERR_LIMIT : 0);
	}
	buf_finish(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(standards), cmocka_unit_test(edwards),
		cmocka_unit_test(base64url), cmocka_unit_test(algorithms),
		cmocka_unit_test(hmac_with_the_public_key), cmocka_unit_test(names_of_keys),
		cmocka_unit_test(no_tokens), cmocka_unit_test(key_sets_without_a_key),
		cmocka_unit_test(claims_of_tokens), cmocka_unit_test(introspected),
		cmocka_unit_test(messages), cmocka_unit_test(long_tokens)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
