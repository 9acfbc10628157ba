// SPDX-License-Identifier: ISC
#include "auth/source/jwk.h"

#include "base/memory.h"
#include "base/text.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#define RSA_BITS_LEAST	 2048 // RFC 7518 3.3
#define RSA_BITS_MOST	 8192
#define NUMBER_OCTETS	 2048 // of one parameter
#define EXPONENT_OCTETS	 8

// ---- base64url
static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int auth_base64url_read(struct str text, struct buf *out)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < text.len; i++) {
		int value = digit(text.data[i]);
		if (value < 0)
			return ERR_SYNTAX;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		if (buf_add_char(out, (char)(bits >> held & 0xff)))
			return ERR_LIMIT;
	}
	// Two spellings of one text would be two tokens with one signature.
	return text.len % 4 == 1 || bits & ((1U << held) - 1) ? ERR_SYNTAX : 0;
}

// ---- members
static struct str text_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? str_make(json_string_value(value), json_string_length(value))
				     : STR_EMPTY;
}

static bool read_number(const json_t *object, const char *name, struct buf *out)
{
	struct str text = text_of(object, name);

	out->limit = NUMBER_OCTETS;
	return text.len && auth_base64url_read(text, out) == 0;
}

// Keys for encryption, and those that only sign, are not for us (RFC 7517 4.2, 4.3).
static bool is_for_verifying(const json_t *object)
{
	const json_t *use = json_object_get(object, "use"), *ops = json_object_get(object, "key_ops"),
		     *one;
	size_t i;

	if (use && !str_equal(text_of(object, "use"), STR("sig")))
		return false;
	if (!ops)
		return true;
	json_array_foreach((json_t *)ops, i, one)
		if (json_is_string(one) && strcmp(json_string_value(one), "verify") == 0)
			return true;
	return false;
}

// ---- keys
static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!parameters || !context || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(parameters);
	return key;
}

static BIGNUM *number_of(const struct buf *octets)
{
	return BN_bin2bn((const unsigned char *)buf_str(octets).data, (int)buf_len(octets), NULL);
}

static EVP_PKEY *rsa_from(const struct buf *modulus, const struct buf *exponent)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *n = number_of(modulus), *e = number_of(exponent);
	EVP_PKEY *key = NULL;

	if (builder && n && e && BN_num_bits(n) >= RSA_BITS_LEAST &&
		BN_num_bits(n) <= RSA_BITS_MOST && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
		key = make_key("RSA", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	BN_free(e);
	return key;
}

static EVP_PKEY *read_rsa(const json_t *object, enum auth_jwk_kind *kind)
{
	struct buf modulus = BUF_INIT, exponent = BUF_INIT;
	EVP_PKEY *key = NULL;

	*kind = AUTH_JWK_RSA;
	if (read_number(object, "n", &modulus) && read_number(object, "e", &exponent) &&
		buf_len(&exponent) <= EXPONENT_OCTETS)
		key = rsa_from(&modulus, &exponent);
	buf_finish(&modulus);
	buf_finish(&exponent);
	return key;
}

static EVP_PKEY *ec_from(const char *group, struct str point)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	// A point that is not on the curve makes no key.
	if (builder &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
		OSSL_PARAM_BLD_push_octet_string(
			builder, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len))
		key = make_key("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static EVP_PKEY *read_ec(const json_t *object, enum auth_jwk_kind *kind)
{
	static const struct {
		const char *curve, *group;
		size_t octets;
		enum auth_jwk_kind kind;
	} curves[] = {{"P-256", "prime256v1", 32, AUTH_JWK_P256},
		{"P-384", "secp384r1", 48, AUTH_JWK_P384}};
	struct buf x = BUF_INIT, y = BUF_INIT, point = BUF_INIT;
	EVP_PKEY *key = NULL;
	bool read = read_number(object, "x", &x) && read_number(object, "y", &y);

	for (size_t i = 0; i < ARRAY_SIZE(curves) && read; i++) {
		if (!str_equal(text_of(object, "crv"), str_from(curves[i].curve)) ||
			buf_len(&x) != curves[i].octets || buf_len(&y) != curves[i].octets)
			continue;
		buf_add_char(&point, POINT_CONVERSION_UNCOMPRESSED);
		buf_add_str(&point, buf_str(&x));
		buf_add_str(&point, buf_str(&y));
		*kind = curves[i].kind;
		key = ec_from(curves[i].group, buf_str(&point));
	}
	buf_finish(&x);
	buf_finish(&y);
	buf_finish(&point);
	return key;
}

// RFC 8037
static EVP_PKEY *read_okp(const json_t *object, enum auth_jwk_kind *kind)
{
	bool larger = str_equal(text_of(object, "crv"), STR("Ed448"));
	struct buf x = BUF_INIT;
	EVP_PKEY *key = NULL;

	*kind = larger ? AUTH_JWK_ED448 : AUTH_JWK_ED25519;
	if ((larger || str_equal(text_of(object, "crv"), STR("Ed25519"))) &&
		read_number(object, "x", &x))
		key = EVP_PKEY_new_raw_public_key_ex(NULL, larger ? "ED448" : "ED25519", NULL,
			(const unsigned char *)buf_str(&x).data, buf_len(&x));
	buf_finish(&x);
	return key;
}

static const struct {
	const char *kty;
	EVP_PKEY *(*read)(const json_t *object, enum auth_jwk_kind *kind);
} kinds[] = {{"RSA", read_rsa}, {"EC", read_ec}, {"OKP", read_okp}}; // "oct" is a shared secret

static bool read_key(const json_t *object, struct auth_jwk *out)
{
	*out = (struct auth_jwk){0};
	if (!json_is_object(object) || !is_for_verifying(object) ||
		!str_copy(text_of(object, "kid"), out->kid, sizeof out->kid) ||
		!str_copy(text_of(object, "alg"), out->alg, sizeof out->alg))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_equal(text_of(object, "kty"), str_from(kinds[i].kty)))
			out->key = kinds[i].read(object, &out->kind);
	ERR_clear_error(); // of this thread, where others look for theirs
	return out->key;
}

int auth_jwk_set_read(struct str json, struct auth_jwk_set **out, struct error *err)
{
	struct auth_jwk_set *set;
	json_error_t why;
	json_t *root = NULL, *one;
	size_t i;

	if (json.len > AUTH_JWK_SET_OCTETS)
		return error_set(err, ERR_LIMIT, TEXT("the key set is too long"));
	root = json_loadb(json.len ? json.data : "", json.len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return error_set(err, ERR_SYNTAX, TEXT("the key set is not JSON: %s"), why.text);
	set = mem_alloc(sizeof *set);
	json_array_foreach(json_object_get(root, "keys"), i, one)
		if (set->count < AUTH_JWK_MAX && read_key(one, &set->keys[set->count]))
			set->count++;
	json_decref(root);
	if (set->count) {
		*out = set;
		return 0;
	}
	mem_free(set);
	return error_set(err, ERR_SYNTAX, TEXT("no key for signatures is in the key set"));
}

void auth_jwk_set_destroy(struct auth_jwk_set *set)
{
	for (size_t i = 0; set && i < set->count; i++)
		EVP_PKEY_free(set->keys[i].key);
	mem_free(set);
}
