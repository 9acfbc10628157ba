// SPDX-License-Identifier: ISC
#include "auth/source/stored.h"

#include "auth/password.h"
#include "base/buf.h"
#include "base/memory.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdio.h>

#define ITERATIONS_MAX 1000000 // about half a second; more is an attack or an error
#define STORED_MAX     1024

// ---- kinds of content
static int check_clear(const char *digest, struct str content, struct str password)
{
	(void)digest;
	if (!content.len || content.len != password.len)
		return ERR_DENIED;
	return mem_equal_secret(content.data, password.data, content.len) ? 0 : ERR_DENIED;
}

static int check_hash(const char *digest, struct str content, struct str password)
{
	char hash[STORED_MAX];
	int result;

	(void)digest;
	if (!str_copy(content, hash, sizeof hash))
		return ERR_UNSUPPORTED;
	result = password_check(password, hash);
	mem_wipe(hash, sizeof hash);
	return result;
}

// Without a scheme in front: what is no hash by its looks would be one to crypt(3) all the same.
static int check_bare(const char *digest, struct str content, struct str password)
{
	static const char set[] =
		"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	bool des = content.len == 13 && str_only(content, set);

	if (!des && !str_starts(content, STR("$")) && !str_starts(content, STR("_")))
		return ERR_UNSUPPORTED;
	return check_hash(digest, content, password);
}

// base64 of digest(password, salt) and the salt, which may be empty.
static int check_digest(const char *digest, struct str content, struct str password)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	size_t size = md ? (size_t)EVP_MD_get_size(md) : 0;
	EVP_MD_CTX *made = EVP_MD_CTX_new();
	unsigned char out[EVP_MAX_MD_SIZE];
	struct buf octets = BUF_INIT;
	int result = ERR_UNSUPPORTED;

	if (!md || !made || buf_add_base64_decoded(&octets, content) || buf_len(&octets) < size)
		goto out;
	struct str salt = str_skip(buf_str(&octets), size);
	if (EVP_DigestInit_ex(made, md, NULL) &&
		EVP_DigestUpdate(made, password.data, password.len) &&
		EVP_DigestUpdate(made, salt.data, salt.len) && EVP_DigestFinal_ex(made, out, NULL))
		result = mem_equal_secret(out, buf_str(&octets).data, size) ? 0 : ERR_DENIED;
	mem_wipe(out, sizeof out);
out:
	EVP_MD_CTX_free(made);
	buf_finish_wipe(&octets);
	return result;
}

// ---- SCRAM keys (RFC 5802 3)
struct keys {
	uint64_t iterations;
	struct str salt, stored, server; // base64
};

// a: behind the count; b: between the others. "4096:salt$stored:server", "4096,salt,stored,server".
static bool split_keys(struct str content, const char between[3], struct keys *out)
{
	struct str rest = content, count;

	return str_split(&rest, between[0], &count) && !str_to_u64(count, &out->iterations) &&
	       out->iterations && out->iterations <= ITERATIONS_MAX &&
	       str_split(&rest, between[1], &out->salt) && out->salt.len &&
	       str_split(&rest, between[2], &out->stored) && out->stored.len && rest.len &&
	       str_find(rest, between[2]) < 0 && (out->server = rest, true);
}

static bool read_keys(struct str content, struct keys *out)
{
	return split_keys(content, ":$:", out) || split_keys(content, ",,,", out);
}

static bool client_key(const EVP_MD *md, const struct keys *k, struct str password,
	unsigned char stored[EVP_MAX_MD_SIZE])
{
	unsigned char salted[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE];
	int size = EVP_MD_get_size(md);
	struct buf salt = BUF_INIT;
	bool made;

	made = !buf_add_base64_decoded(&salt, k->salt) &&
	       PKCS5_PBKDF2_HMAC(password.data, (int)password.len,
		       (const unsigned char *)buf_str(&salt).data, (int)buf_len(&salt),
		       (int)k->iterations, md, size, salted) &&
	       HMAC(md, salted, size, (const unsigned char *)"Client Key", 10, key, NULL) &&
	       EVP_Digest(key, (size_t)size, stored, NULL, md, NULL);
	buf_finish(&salt);
	mem_wipe(salted, sizeof salted);
	mem_wipe(key, sizeof key);
	return made;
}

static int check_scram(const char *digest, struct str content, struct str password)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	unsigned char made[EVP_MAX_MD_SIZE];
	struct buf stored = BUF_INIT;
	int result = ERR_UNSUPPORTED;
	struct keys k;

	if (md && read_keys(content, &k) && !buf_add_base64_decoded(&stored, k.stored) &&
		buf_len(&stored) == (size_t)EVP_MD_get_size(md) &&
		client_key(md, &k, password, made))
		result = mem_equal_secret(made, buf_str(&stored).data, buf_len(&stored))
				 ? 0
				 : ERR_DENIED;
	mem_wipe(made, sizeof made);
	buf_finish_wipe(&stored);
	return result;
}

// ---- schemes
static const struct scheme {
	const char *name;
	int (*check)(const char *digest, struct str content, struct str password);
	const char *digest;
} schemes[] = {
	{"PLAIN", check_clear, NULL},
	{"CLEAR", check_clear, NULL},
	{"CLEARTEXT", check_clear, NULL},
	{"CRYPT", check_hash, NULL},
	{"DES-CRYPT", check_hash, NULL},
	{"MD5-CRYPT", check_hash, NULL},
	{"BLF-CRYPT", check_hash, NULL},
	{"SHA256-CRYPT", check_hash, NULL},
	{"SHA512-CRYPT", check_hash, NULL},
	{"ARGON2ID", check_hash, NULL},
	{"SHA", check_digest, "SHA1"},
	{"SHA1", check_digest, "SHA1"},
	{"SSHA", check_digest, "SHA1"},
	{"SHA256", check_digest, "SHA256"},
	{"SSHA256", check_digest, "SHA256"},
	{"SHA512", check_digest, "SHA512"},
	{"SSHA512", check_digest, "SHA512"},
	{"SMD5", check_digest, "MD5"},
	{"SCRAM-SHA-1", check_scram, "SHA1"},
	{"SCRAM-SHA-256", check_scram, "SHA256"},
	{"SCRAM-SHA-512", check_scram, "SHA512"},
};

static const struct scheme bare = {"", check_bare, NULL};

static const struct scheme *named(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (str_equal_nocase(name, str_from(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

// NULL: a scheme that is not known.
static const struct scheme *scheme_of(struct str stored, struct str *content)
{
	ptrdiff_t end;

	*content = stored;
	if (str_starts(stored, STR("{"))) {
		end = str_find(stored, '}');
		*content = str_skip(stored, (size_t)(end + 1));
		return end < 0 ? NULL : named(str_slice(stored, 1, (size_t)end));
	}
	if (!str_starts(stored, STR("SCRAM-")))
		return &bare;
	end = str_find(stored, '$');
	*content = str_skip(stored, (size_t)(end + 1));
	return end < 0 ? NULL : named(str_slice(stored, 0, (size_t)end));
}

int auth_stored_check(struct str stored, struct str password)
{
	struct str content;
	const struct scheme *s = scheme_of(stored, &content);

	if (!password.len || password.len > AUTH_SECRET_OCTETS)
		return ERR_DENIED;
	return s ? s->check(s->digest, content, password) : ERR_UNSUPPORTED;
}

static bool give_keys(const struct scheme *s, struct str content, struct auth_answer *out)
{
	struct keys k;

	if (!read_keys(content, &k))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(out->scram); i++) {
		char *slot = out->scram[i];
		if (slot[0])
			continue;
		int n = snprintf(slot, sizeof out->scram[i], "%s$%u:%.*s$%.*s:%.*s", s->name,
			(unsigned)k.iterations, STR_ARG(k.salt), STR_ARG(k.stored),
			STR_ARG(k.server));
		if (n > 0 && (size_t)n < sizeof out->scram[i])
			return true;
		mem_wipe(slot, sizeof out->scram[i]);
		return false;
	}
	return false;
}

bool auth_stored_give(struct str stored, struct auth_answer *out)
{
	struct str content;
	const struct scheme *s = scheme_of(stored, &content);

	if (s && s->check == check_scram)
		return give_keys(s, content, out);
	if (s && s->check == check_clear && content.len && !out->clear[0])
		return str_copy(content, out->clear, sizeof out->clear);
	return false;
}
