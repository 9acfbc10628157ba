// SPDX-License-Identifier: ISC
#include "auth/application.h"

#include "base/memory.h"
#include "base/netlist.h"

#include <sodium.h>
#include <stdio.h>

#define LETTERS	 20
#define GROUP	 4
#define KEY_NAME STR("application-key")

static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz"; // no i, l, o: they look like digits
#define ALPHABET (sizeof alphabet - 1)

static int get_key(struct secrets *s, unsigned char key[32])
{
	size_t len = 0;
	int code = secrets_meta_get(s, KEY_NAME, key, 32, &len);

	return code == 0 && len != 32 ? ERR_CORRUPT : code;
}

// Keyed, and different for each account.
static void hash_of(const unsigned char key[32], struct str name, const char letters[LETTERS],
	unsigned char out[32])
{
	crypto_generichash_state state;

	if (sodium_init() < 0 || crypto_generichash_init(&state, key, 32, 32) < 0)
		fatal("libsodium does not work");
	crypto_generichash_update(&state, (const unsigned char *)letters, LETTERS);
	crypto_generichash_update(
		&state, (const unsigned char *)(name.len ? name.data : ""), name.len);
	crypto_generichash_final(&state, out, 32);
	mem_wipe(&state, sizeof state);
}

static char random_letter(void)
{
	unsigned char octet;

	do
		mem_random(&octet, 1);
	while (octet >= 256 / ALPHABET * ALPHABET); // each letter equally often
	return alphabet[octet % ALPHABET];
}

int auth_application_make(struct secrets *s, struct str name, char text[AUTH_APPLICATION_TEXT],
	unsigned char hash[32])
{
	unsigned char key[32];
	char letters[LETTERS], *at = text;
	int code = get_key(s, key);

	if (code == ERR_NOT_FOUND) {
		mem_random(key, sizeof key);
		code = secrets_meta_set(s, KEY_NAME, str_make(key, sizeof key));
	}
	if (code < 0)
		return code;
	for (unsigned i = 0; i < LETTERS; i++) {
		letters[i] = random_letter();
		if (i && i % GROUP == 0)
			*at++ = '-';
		*at++ = letters[i];
	}
	*at = '\0';
	hash_of(key, name, letters, hash);
	mem_wipe(key, sizeof key);
	mem_wipe(letters, sizeof letters);
	return 0;
}

// Does it look like one of ours?
static bool take_letters(struct str password, char letters[LETTERS])
{
	size_t count = 0;

	for (size_t i = 0; i < password.len; i++) {
		char c = char_lower(password.data[i]);
		if (c == '-' || c == ' ')
			continue;
		if (c < 'a' || c > 'z' || count == LETTERS)
			return false;
		letters[count++] = c;
	}
	return count == LETTERS;
}

struct search {
	const unsigned char *hash;
	bool found;
	struct secret_application application;
};

static void compare(void *arg, const struct secret_application *a)
{
	struct search *search = arg;

	if (!mem_equal_secret(a->hash, search->hash, sizeof a->hash))
		return;
	search->found = true;
	search->application = *a;
}

enum auth_application_result auth_application_check(struct secrets *s, struct str name,
	struct str password, const struct ipaddr *client, uint64_t now_ms,
	char label[SECRETS_LABEL_MAX + 1], char *note, size_t note_size)
{
	unsigned char key[32], hash[32];
	char letters[LETTERS], address[IPADDR_TEXT_MAX];
	struct search search = {.hash = hash};
	const struct secret_application *a = &search.application;
	bool possible = name.len && take_letters(password, letters) && get_key(s, key) == 0;

	if (possible) {
		hash_of(key, name, letters, hash);
		possible = secrets_application_each(s, name, compare, &search) == 0 && search.found;
	}
	mem_wipe(letters, sizeof letters);
	mem_wipe(key, sizeof key);
	mem_wipe(hash, sizeof hash);
	if (!possible)
		return AUTH_APPLICATION_NONE;
	memcpy(label, a->label, sizeof a->label);
	if (a->expires_ms && a->expires_ms <= now_ms)
		snprintf(note, note_size, "the application password \"%s\" has expired", a->label);
	else if (a->networks[0] && !netlist_has(str_from(a->networks), client))
		snprintf(note, note_size, "the application password \"%s\" may not be used from %s",
			a->label, ipaddr_format(client, address));
	else
		return AUTH_APPLICATION_RIGHT;
	return AUTH_APPLICATION_REFUSED;
}
