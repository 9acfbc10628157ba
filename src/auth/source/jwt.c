// SPDX-License-Identifier: ISC
#include "auth/source/jwt.h"

#include "base/text.h"

#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define SIGNATURE_OCTETS 1024 // 8192 bits

// ---- algorithms: by public keys only, so that no public key can be taken for a shared secret
struct auth_jwt_alg {
	const char *name;
	enum auth_jwk_kind kind;
	const EVP_MD *(*hash)(void); // NULL: EdDSA hashes itself
	bool pss;
	size_t half; // ECDSA: octets of r and of s
};

static const struct auth_jwt_alg algs[] = {
	{"RS256", AUTH_JWK_RSA, EVP_sha256, false, 0},
	{"RS384", AUTH_JWK_RSA, EVP_sha384, false, 0},
	{"RS512", AUTH_JWK_RSA, EVP_sha512, false, 0},
	{"PS256", AUTH_JWK_RSA, EVP_sha256, true, 0},
	{"PS384", AUTH_JWK_RSA, EVP_sha384, true, 0},
	{"PS512", AUTH_JWK_RSA, EVP_sha512, true, 0},
	{"ES256", AUTH_JWK_P256, EVP_sha256, false, 32},
	{"ES384", AUTH_JWK_P384, EVP_sha384, false, 48},
	{"EdDSA", AUTH_JWK_ED25519, NULL, false, 0},
};

static bool alg_fits(const struct auth_jwt_alg *alg, const struct auth_jwk *key)
{
	if (key->alg[0] && strcmp(key->alg, alg->name) != 0)
		return false;
	return alg->kind == key->kind ||
	       (alg->kind == AUTH_JWK_ED25519 && key->kind == AUTH_JWK_ED448);
}

// ---- reading
static struct str text_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? str_make(json_string_value(value), json_string_length(value))
				     : STR_EMPTY;
}

static json_t *read_object(struct str part)
{
	struct buf octets = {.limit = AUTH_JWT_OCTETS};
	json_t *object = NULL;

	if (auth_base64url_read(part, &octets) == 0)
		object = json_loadb(
			buf_str(&octets).data, buf_len(&octets), JSON_REJECT_DUPLICATES, NULL);
	buf_finish_wipe(&octets);
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

// RFC 8725 3.11: what was signed for another purpose is no access token. Many issuers say "JWT".
static bool is_type(struct str typ)
{
	struct str prefix = STR("application/");

	if (str_starts_nocase(typ, prefix))
		typ = str_skip(typ, prefix.len);
	return typ.len == 0 || str_equal_nocase(typ, STR("JWT")) ||
	       str_equal_nocase(typ, STR("at+jwt"));
}

static int read_header(const json_t *header, struct auth_jwt *out, struct error *err)
{
	struct str alg = text_of(header, "alg"), typ = text_of(header, "typ");

	for (size_t i = 0; i < ARRAY_SIZE(algs); i++)
		if (str_equal(alg, str_from(algs[i].name)))
			out->alg = &algs[i];
	if (!out->alg)
		return error_set(err, ERR_UNSUPPORTED,
			TEXT("the token's algorithm \"%.*s\" is not taken"),
			STR_ARG(str_slice(alg, 0, 20)));
	if (json_object_get(header, "crit"))
		return error_set(err, ERR_UNSUPPORTED, TEXT("the token needs extensions (crit)"));
	if (!is_type(typ))
		return error_set(err, ERR_UNSUPPORTED, TEXT("the token is of type \"%.*s\""),
			STR_ARG(str_slice(typ, 0, 40)));
	if (!str_copy(text_of(header, "kid"), out->kid, sizeof out->kid))
		return error_set(err, ERR_UNSUPPORTED, TEXT("the name of the token's key is too long"));
	return 0;
}

int auth_jwt_read(struct str token, struct auth_jwt *out, struct error *err)
{
	struct str rest = token, header, claims;
	json_t *object = NULL;
	int result;

	*out = (struct auth_jwt){.signature.limit = SIGNATURE_OCTETS};
	if (token.len <= AUTH_JWT_OCTETS && str_split(&rest, '.', &header) && rest.data &&
		str_split(&rest, '.', &claims) && rest.data && str_find(rest, '.') < 0)
		object = read_object(header);
	if (!object)
		return error_set(err, ERR_SYNTAX, TEXT("the token is not a signed JWT"));
	result = read_header(object, out, err);
	json_decref(object);
	if (result)
		return result;
	out->input = str_slice(token, 0, header.len + 1 + claims.len);
	out->claims = read_object(claims);
	if (out->claims && auth_base64url_read(rest, &out->signature) == 0)
		return 0;
	auth_jwt_finish(out);
	return error_set(err, ERR_SYNTAX, TEXT("the token is a malformed JWT"));
}

void auth_jwt_finish(struct auth_jwt *t)
{
	json_decref(t->claims);
	t->claims = NULL;
	buf_finish_wipe(&t->signature);
}

// ---- signatures
static bool verify_octets(
	const struct auth_jwt *t, EVP_PKEY *key, const unsigned char *signature, size_t len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *parameters;
	bool right = context &&
		     EVP_DigestVerifyInit(context, &parameters, t->alg->hash ? t->alg->hash() : NULL,
			     NULL, key) == 1;

	if (right && t->alg->pss) // RFC 7518 3.5: salt as long as the hash
		right = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
	right = right && EVP_DigestVerify(context, signature, len,
				 (const unsigned char *)t->input.data, t->input.len) == 1;
	EVP_MD_CTX_free(context);
	return right;
}

// RFC 7518 3.4: r and s beside each other; OpenSSL wants them in DER.
static bool verify_ecdsa(const struct auth_jwt *t, EVP_PKEY *key)
{
	const unsigned char *octets = (const unsigned char *)buf_str(&t->signature).data;
	int half = (int)t->alg->half, len;
	ECDSA_SIG *pair;
	BIGNUM *r, *s;
	unsigned char *der = NULL;
	bool right = false;

	if (buf_len(&t->signature) != 2 * t->alg->half)
		return false;
	pair = ECDSA_SIG_new();
	r = BN_bin2bn(octets, half, NULL);
	s = BN_bin2bn(octets + half, half, NULL);
	if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
		len = i2d_ECDSA_SIG(pair, &der);
		right = len > 0 && verify_octets(t, key, der, (size_t)len);
	} else {
		BN_free(r);
		BN_free(s);
	}
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	return right;
}

static bool verify_with(const struct auth_jwt *t, EVP_PKEY *key)
{
	struct str signature = buf_str(&t->signature);

	if (t->alg->half)
		return verify_ecdsa(t, key);
	return verify_octets(t, key, (const unsigned char *)signature.data, signature.len);
}

int auth_jwt_verify(const struct auth_jwt *t, const struct auth_jwk_set *keys, struct error *err)
{
	bool tried = false, right = false;

	for (size_t i = 0; i < keys->count && !right; i++) {
		const struct auth_jwk *k = &keys->keys[i];
		if (!alg_fits(t->alg, k) || (t->kid[0] && k->kid[0] && strcmp(t->kid, k->kid) != 0))
			continue;
		tried = true;
		right = verify_with(t, k->key);
	}
	ERR_clear_error();
	if (right)
		return 0;
	if (tried)
		return error_set(err, ERR_DENIED, TEXT("the token's signature is wrong"));
	return error_set(err, ERR_NOT_FOUND, TEXT("no known key fits the token (%s, kid \"%.80s\")"),
		t->alg->name, t->kid);
}
