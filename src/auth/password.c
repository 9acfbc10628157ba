// SPDX-License-Identifier: ISC
// crypt(3) and argon2id hashes, SCRAM-SHA-256 keys (RFC 5802, RFC 7677).
#include "auth/password.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <uninorm.h>
#include <unistr.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define COST		 "$y$" // yescrypt with libxcrypt's cost 5: about 20 ms and 16 MiB
#define COST_COUNT	 5
#define SCRAM_ITERATIONS 4096 // RFC 7677 4
#define SCRAM_SALT	 16
#define INPUT_MAX	 4096 // octets looked at, before preparing

_Static_assert(AUTH_PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt(3) takes it");

static atomic_ulong operations;

unsigned long password_operations(void)
{
	return atomic_load(&operations);
}

// ---- preparing
static bool is_blank(ucs4_t c) // RFC 3454 C.1.2
{
	return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200b) || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

static bool is_control(ucs4_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

// RFC 4013 2.1: blanks become a space before normalising. Returns the octets in out, or an error.
static int map_blanks(struct str in, uint8_t *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < in.len;) {
		ucs4_t c;
		int step = u8_mbtouc(&c, (const uint8_t *)in.data + i, in.len - i);
		int made = u8_uctomb(out + used, is_blank(c) ? ' ' : c, (ptrdiff_t)(size - used));
		if (is_control(c))
			return ERR_SYNTAX;
		if (made < 0)
			return ERR_LIMIT;
		used += (size_t)made;
		i += (size_t)step;
	}
	return (int)used;
}

// ERR_SYNTAX, ERR_LIMIT. out is NUL-terminated.
int password_prepare(struct str in, char out[AUTH_PASSWORD_MAX + 1])
{
	uint8_t mapped[INPUT_MAX];
	size_t len = 0;
	int used, err = 0;

	if (in.len == 0 || in.len > sizeof mapped)
		return ERR_LIMIT;
	if (!str_is_utf8(in))
		return ERR_SYNTAX;
	used = map_blanks(in, mapped, sizeof mapped);
	if (used < 0) {
		mem_wipe(mapped, sizeof mapped);
		return used;
	}
	uint8_t *normal = u8_normalize(UNINORM_NFKC, mapped, (size_t)used, NULL, &len);
	if (!normal)
		fatal("out of memory (a password)");
	if (len == 0 || len > AUTH_PASSWORD_MAX)
		err = ERR_LIMIT;
	else if (!str_copy(str_make(normal, len), out, AUTH_PASSWORD_MAX + 1))
		err = ERR_SYNTAX;
	mem_wipe(normal, len);
	free(normal);
	mem_wipe(mapped, sizeof mapped);
	return err;
}

// The forms to try, in order; at least one. What cannot be prepared is tried as it came. When that
// cannot be right (empty, too long, a NUL) *out_possible is false: it is hashed all the same, for
// its cost.
static int forms_of(struct str password, char forms[2][AUTH_PASSWORD_MAX + 1], bool *out_possible)
{
	char raw[AUTH_PASSWORD_MAX + 1];
	struct str cut = str_slice(password, 0, AUTH_PASSWORD_MAX);
	bool whole = password.len && cut.len == password.len && str_find(password, '\0') < 0;
	int count = password_prepare(password, forms[0]) == 0;

	if (cut.len)
		memcpy(raw, cut.data, cut.len);
	raw[cut.len] = '\0';
	*out_possible = whole || count;
	if (count == 0 || (whole && strcmp(raw, forms[0]) != 0))
		memcpy(forms[count++], raw, cut.len + 1);
	mem_wipe(raw, sizeof raw);
	return count;
}

// ---- hashing
struct work { // large: not on a thread's stack
	struct crypt_data data;
	char forms[2][AUTH_PASSWORD_MAX + 1];
};

static const char *hash_with(struct work *w, const char *password, const char *setting)
{
	const char *hash = crypt_r(password, setting, &w->data);

	atomic_fetch_add(&operations, 1);
	return hash && hash[0] != '*' ? hash : NULL;
}

static bool hashes_equal(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && mem_equal_secret(a, b, strlen(a));
}

static int check_crypt(struct work *w, const char *password, const char *hash)
{
	const char *made = hash_with(w, password, hash);

	if (!made)
		return ERR_UNSUPPORTED;
	return hashes_equal(made, hash) ? 0 : ERR_DENIED;
}

static int check_argon2(struct work *w, const char *password, const char *hash)
{
	(void)w;
	atomic_fetch_add(&operations, 1);
	return crypto_pwhash_str_verify(hash, password, strlen(password)) == 0 ? 0 : ERR_DENIED;
}

static void work_destroy(struct work *w)
{
	mem_wipe(w, sizeof *w);
	mem_free(w);
}

static void prepare_sodium(void)
{
	if (sodium_init() < 0)
		fatal("libsodium does not work");
}

int password_check(struct str password, const char *hash)
{
	static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;
	struct work *w = mem_alloc(sizeof *w);
	int (*check)(struct work *, const char *, const char *) =
		str_starts(str_from(hash), STR("$argon2id$")) ? check_argon2 : check_crypt;
	bool possible;
	int count = forms_of(password, w->forms, &possible), result = ERR_DENIED;

	pthread_once(&sodium_once, prepare_sodium);
	for (int i = 0; i < count && result == ERR_DENIED; i++)
		result = check(w, w->forms[i], hash);
	work_destroy(w);
	return result || possible ? result : ERR_DENIED;
}

// ---- what unknown names cost
static char dummy_setting[CRYPT_GENSALT_OUTPUT_SIZE];
static pthread_once_t dummy_once = PTHREAD_ONCE_INIT;

static void make_setting(char out[CRYPT_GENSALT_OUTPUT_SIZE])
{
	char octets[16];

	mem_random(octets, sizeof octets);
	if (!crypt_gensalt_rn(
		    COST, COST_COUNT, octets, sizeof octets, out, CRYPT_GENSALT_OUTPUT_SIZE))
		fatal("this system's libcrypt has no yescrypt");
}

static void make_dummy(void)
{
	make_setting(dummy_setting);
}

void password_check_dummy(struct str password)
{
	struct work *w = mem_alloc(sizeof *w);
	bool possible;
	int count = forms_of(password, w->forms, &possible);

	pthread_once(&dummy_once, make_dummy);
	for (int i = 0; i < count; i++)
		(void)hash_with(w, w->forms[i], dummy_setting);
	work_destroy(w);
}

// ---- making
static void hmac(const unsigned char key[32], const char *text, unsigned char out[32])
{
	if (!HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, strlen(text), out, NULL))
		fatal("HMAC-SHA-256 does not work");
}

// RFC 5802 3: the keys that let us check a proof and prove ourselves without the password.
static void make_scram(const char *password, char *out, size_t size)
{
	unsigned char salt[SCRAM_SALT], salted[32], client[32], stored[32], server[32];
	char salt64[32], stored64[64], server64[64];

	mem_random(salt, sizeof salt);
	if (!PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, sizeof salt, SCRAM_ITERATIONS,
		    EVP_sha256(), sizeof salted, salted))
		fatal("PBKDF2 does not work");
	hmac(salted, "Client Key", client);
	hmac(salted, "Server Key", server);
	SHA256(client, sizeof client, stored);
	EVP_EncodeBlock((unsigned char *)salt64, salt, sizeof salt);
	EVP_EncodeBlock((unsigned char *)stored64, stored, sizeof stored);
	EVP_EncodeBlock((unsigned char *)server64, server, sizeof server);
	snprintf(out, size, "SCRAM-SHA-256$%d:%s$%s:%s", SCRAM_ITERATIONS, salt64, stored64,
		server64);
	mem_wipe(salted, sizeof salted);
	mem_wipe(client, sizeof client);
	mem_wipe(server, sizeof server);
	mem_wipe(server64, sizeof server64);
}

int password_make_scram(struct str password, char *out, size_t size)
{
	char form[AUTH_PASSWORD_MAX + 1];
	int err = password_prepare(password, form);

	if (err == 0)
		make_scram(form, out, size);
	mem_wipe(form, sizeof form);
	return err;
}

bool password_hash_known(const char *hash)
{
	static const char letters[] =
		"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	if (str_starts(str_from(hash), STR("$argon2id$")))
		return true;
	// Any two letters are a salt of the oldest form; what has its form as a whole is a hash.
	if (hash[0] != '$' && (strlen(hash) != 13 || strspn(hash, letters) != 13))
		return false;
	switch (crypt_checksalt(hash)) {
	case CRYPT_SALT_OK:
	case CRYPT_SALT_METHOD_LEGACY:
	case CRYPT_SALT_TOO_CHEAP:
		return true;
	default:
		return false;
	}
}

int password_make(struct str password, struct secret *out, struct error *err)
{
	struct work *w = mem_alloc(sizeof *w);
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	int result = password_prepare(password, w->forms[0]);

	memset(out, 0, sizeof *out);
	if (result == ERR_LIMIT) {
		error_set(err, result, TEXT("a password has 1 to %d octets"), AUTH_PASSWORD_MAX);
	} else if (result) {
		error_set(err, result, TEXT("a password is UTF-8 without control characters"));
	} else {
		make_setting(setting);
		const char *hash = hash_with(w, w->forms[0], setting);
		if (!hash || !str_copy(str_from(hash), out->hash, sizeof out->hash))
			result = error_set(err, ERR_SYSTEM, TEXT("cannot hash the password"));
		else
			make_scram(w->forms[0], out->scram, sizeof out->scram);
		out->changed_ms = clock_wall_ms();
	}
	work_destroy(w);
	return result;
}
