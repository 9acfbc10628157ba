// SPDX-License-Identifier: ISC
// SCRAM keys (RFC 5802 3), as password.c makes them for new passwords, but with a salt that does not
// change.
#include "auth/sasl_keys.h"

#include "base/buf.h"
#include "base/memory.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ITERATIONS 4096 // what new passwords get: an unknown name must not differ
#define SALT	   16

static const struct hash {
	const char *name, *openssl;
	int size;
} hashes[] = {{"SHA-1", "SHA1", 20}, {"SHA-256", "SHA256", 32}, {"SHA-512", "SHA512", 64}};

static const struct hash *find_hash(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
		if (!strcmp(hashes[i].name, name))
			return &hashes[i];
	return NULL;
}

static void hmac(const EVP_MD *md, const unsigned char *key, int key_len, struct str text,
	unsigned char out[EVP_MAX_MD_SIZE])
{
	if (!HMAC(md, key, key_len, (const unsigned char *)text.data, text.len, out, NULL))
		fatal("HMAC does not work");
}

// One secret for many purposes: each has its own word. 64 octets.
static void derive(const unsigned char *secret, const char *purpose, const char *hash,
	struct str name, unsigned char out[EVP_MAX_MD_SIZE])
{
	struct buf text = BUF_INIT;

	if (buf_add_format(&text, "%s %s ", purpose, hash) || buf_add_str(&text, name))
		fatal("out of memory (SASL)");
	hmac(EVP_sha512(), secret, AUTH_SASL_SECRET, buf_str(&text), out);
	buf_finish(&text);
}

static int format(const struct hash *h, const unsigned char *salt, const unsigned char *stored,
	const unsigned char *server, char *out, size_t size)
{
	struct buf b = {.limit = size - 1};
	int err = buf_add_format(&b, "SCRAM-%s$%d:", h->name, ITERATIONS);

	err = err ? err : buf_add_base64(&b, str_make(salt, SALT));
	err = err ? err : buf_add_char(&b, '$');
	err = err ? err : buf_add_base64(&b, str_make(stored, (size_t)h->size));
	err = err ? err : buf_add_char(&b, ':');
	err = err ? err : buf_add_base64(&b, str_make(server, (size_t)h->size));
	if (!err && !str_copy(buf_str(&b), out, size))
		err = ERR_LIMIT;
	buf_finish_wipe(&b);
	return err;
}

int auth_sasl_keys_make(const char *hash, struct str password, struct str name,
	const unsigned char *secret, char *out, size_t size)
{
	const struct hash *h = find_hash(hash);
	const EVP_MD *md = h ? EVP_get_digestbyname(h->openssl) : NULL;
	unsigned char salt[EVP_MAX_MD_SIZE], salted[EVP_MAX_MD_SIZE], client[EVP_MAX_MD_SIZE],
		stored[EVP_MAX_MD_SIZE], server[EVP_MAX_MD_SIZE];

	if (!md)
		return ERR_UNSUPPORTED;
	derive(secret, "salt", hash, name, salt);
	if (!PKCS5_PBKDF2_HMAC(password.data, (int)password.len, salt, SALT, ITERATIONS, md, h->size,
		    salted))
		fatal("PBKDF2 does not work");
	hmac(md, salted, h->size, STR("Client Key"), client);
	hmac(md, salted, h->size, STR("Server Key"), server);
	if (!EVP_Digest(client, (size_t)h->size, stored, NULL, md, NULL))
		fatal("hashing does not work");
	int err = format(h, salt, stored, server, out, size);
	mem_wipe(salted, sizeof salted);
	mem_wipe(client, sizeof client);
	mem_wipe(stored, sizeof stored);
	mem_wipe(server, sizeof server);
	return err;
}

int auth_sasl_keys_derive(
	const char *hash, struct str name, const unsigned char *secret, char *out, size_t size)
{
	const struct hash *h = find_hash(hash);
	unsigned char salt[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE], server[EVP_MAX_MD_SIZE];

	if (!h)
		return ERR_UNSUPPORTED;
	derive(secret, "salt", hash, name, salt);
	derive(secret, "stored", hash, name, stored);
	derive(secret, "server", hash, name, server);
	int err = format(h, salt, stored, server, out, size);
	mem_wipe(stored, sizeof stored);
	mem_wipe(server, sizeof server);
	return err;
}

void auth_sasl_password_derive(struct str name, const unsigned char *secret, char *out, size_t size)
{
	unsigned char key[EVP_MAX_MD_SIZE];
	struct buf b = BUF_INIT;

	derive(secret, "password", "", name, key);
	if (buf_add_hex(&b, str_make(key, 32)) || !str_copy(buf_str(&b), out, size))
		fatal("out of memory (SASL)");
	buf_finish_wipe(&b);
	mem_wipe(key, sizeof key);
}

void auth_sasl_otp_derive(struct str name, const unsigned char *secret, char out[AUTH_OTP_TEXT])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; // as auth_otp_make has them
	unsigned char key[EVP_MAX_MD_SIZE];
	struct auth_otp otp = {.algorithm = "sha1"};

	derive(secret, "one-time", "", name, key);
	for (size_t i = 0; i < 10; i++)
		otp.seed[i] = letters[key[i] % (sizeof letters - 1)];
	otp.sequence = AUTH_OTP_FIRST - key[10] % 64U; // some were used
	memcpy(otp.last, key + 16, sizeof otp.last);
	auth_otp_format(&otp, out);
	mem_wipe(key, sizeof key);
	mem_wipe(&otp, sizeof otp);
}
