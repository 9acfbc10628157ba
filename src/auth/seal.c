// SPDX-License-Identifier: ISC
// nonce, then a secretbox under a key of its own for each name. The length is hidden: what is
// sealed is always as long as the longest password.
#include "auth/seal.h"

#include "base/memory.h"
#include "base/text.h"

#include <sodium.h>

#define PLAIN  (AUTH_PASSWORD_MAX + 1)
#define SEALED (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + PLAIN)

_Static_assert(SEALED <= SECRETS_SEALED_MAX, "the longest password fits");
_Static_assert(SECRETS_KEY == crypto_generichash_KEYBYTES, "the key of keys");

static int key_of(struct secrets *s, bool create, struct str name,
	unsigned char out[crypto_secretbox_KEYBYTES], struct error *err)
{
	unsigned char master[SECRETS_KEY];
	int code = secrets_key(s, create, master, err);

	if (code < 0)
		return code;
	if (sodium_init() < 0 || crypto_generichash(out, crypto_secretbox_KEYBYTES,
					 (const unsigned char *)(name.len ? name.data : ""), name.len,
					 master, sizeof master) < 0)
		fatal("libsodium does not work");
	mem_wipe(master, sizeof master);
	return 0;
}

int auth_seal_put(struct secrets *s, struct str name, struct str password, struct secret *secret,
	struct error *err)
{
	unsigned char key[crypto_secretbox_KEYBYTES];
	char plain[PLAIN] = {0};
	int code = password_prepare(password, plain);

	if (code < 0)
		return error_set(err, code,
			TEXT("a password has 1 to %d octets of UTF-8 without control characters"),
			AUTH_PASSWORD_MAX);
	code = key_of(s, true, name, key, err);
	if (code == 0) {
		mem_random(secret->sealed, crypto_secretbox_NONCEBYTES);
		crypto_secretbox_easy(secret->sealed + crypto_secretbox_NONCEBYTES,
			(const unsigned char *)plain, sizeof plain, secret->sealed, key);
		secret->sealed_len = SEALED;
	}
	mem_wipe(key, sizeof key);
	mem_wipe(plain, sizeof plain);
	return code;
}

int auth_seal_take(struct secrets *s, struct str name, const struct secret *secret,
	char out[AUTH_PASSWORD_MAX + 1], struct error *err)
{
	unsigned char key[crypto_secretbox_KEYBYTES];
	bool good;
	int code;

	if (secret->sealed_len == 0)
		return error_set(err, ERR_NOT_FOUND, TEXT("no recoverable password is stored"));
	code = key_of(s, false, name, key, err);
	if (code < 0)
		return code;
	good = secret->sealed_len == SEALED &&
	       crypto_secretbox_open_easy((unsigned char *)out,
		       secret->sealed + crypto_secretbox_NONCEBYTES,
		       SEALED - crypto_secretbox_NONCEBYTES, secret->sealed, key) == 0 &&
	       out[PLAIN - 1] == '\0';
	mem_wipe(key, sizeof key);
	if (good)
		return 0;
	mem_wipe(out, PLAIN);
	return error_set(err, ERR_CORRUPT,
		TEXT("the recoverable password was sealed with another key; store it again"));
}
