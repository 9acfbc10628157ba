// SPDX-License-Identifier: ISC
#include "auth/otp.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <stdio.h>

#define SEED_LEN 10
#define LOCK	 "00000000000000000000"

static const struct algorithm {
	const char *name;
	bool little_endian; // its words are sent so (RFC 2289 A)
} algorithms[] = {{"sha1", true}, {"md5", false}};

static const struct algorithm *find_algorithm(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (!strcmp(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

// ---- a new state
// Hashes and folds to 64 bits.
static void hash(const struct algorithm *a, struct str text, unsigned char out[AUTH_OTP_HASH])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!EVP_Digest(text.data, text.len, digest, &len, EVP_get_digestbyname(a->name), NULL))
		fatal("hashing does not work (%s)", a->name);
	for (unsigned i = AUTH_OTP_HASH; i < len; i++)
		digest[i % AUTH_OTP_HASH] ^= digest[i];
	for (unsigned i = 0; i < AUTH_OTP_HASH; i++)
		out[i] = digest[a->little_endian ? i ^ 3U : i];
	mem_wipe(digest, sizeof digest);
}

static void make_seed(char out[AUTH_OTP_SEED_MAX + 1])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char octets[SEED_LEN];

	mem_random(octets, sizeof octets);
	for (size_t i = 0; i < SEED_LEN; i++)
		out[i] = letters[octets[i] % (sizeof letters - 1)];
	out[SEED_LEN] = '\0';
}

static int check_phrase(struct str phrase, struct error *err)
{
	if (phrase.len < AUTH_OTP_PHRASE_MIN || phrase.len > AUTH_OTP_PHRASE_MAX)
		return error_set(err, ERR_SYNTAX,
			TEXT("a pass phrase for one-time passwords has %d to %d characters"),
			AUTH_OTP_PHRASE_MIN, AUTH_OTP_PHRASE_MAX);
	for (size_t i = 0; i < phrase.len; i++)
		if (phrase.data[i] < ' ' || phrase.data[i] > '~')
			return error_set(err, ERR_SYNTAX,
				TEXT("a pass phrase for one-time passwords is of ASCII characters"));
	return 0;
}

int auth_otp_compute(const char *algorithm, struct str seed, struct str phrase, unsigned sequence,
	unsigned char out[AUTH_OTP_HASH])
{
	const struct algorithm *a = find_algorithm(algorithm);
	struct buf first = BUF_INIT;

	if (!a || !EVP_get_digestbyname(a->name))
		return ERR_UNSUPPORTED;
	if (buf_add_str(&first, seed) || buf_add_str(&first, phrase))
		fatal("out of memory (one-time passwords)");
	hash(a, buf_str(&first), out);
	while (sequence--)
		hash(a, str_make(out, AUTH_OTP_HASH), out);
	buf_finish_wipe(&first);
	return 0;
}

int auth_otp_make(const char *algorithm, struct str phrase, struct auth_otp *out, struct error *err)
{
	int result = check_phrase(phrase, err);

	if (result)
		return result;
	*out = (struct auth_otp){.sequence = AUTH_OTP_FIRST};
	make_seed(out->seed);
	if (!str_copy(str_from(algorithm), out->algorithm, sizeof out->algorithm) ||
		auth_otp_compute(algorithm, str_from(out->seed), phrase, out->sequence, out->last))
		return error_set(err, ERR_UNSUPPORTED,
			TEXT("\"%s\" is no algorithm of one-time passwords; sha1 and md5 are"), algorithm);
	return 0;
}

// ---- as text
static int read_number(struct str text, unsigned *out)
{
	unsigned n = 0;

	if (text.len == 0 || text.len > 4)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return ERR_SYNTAX;
		n = n * 10 + (unsigned)(text.data[i] - '0');
	}
	*out = n;
	return 0;
}

static bool is_seed(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!((text.data[i] >= 'a' && text.data[i] <= 'z') ||
			    (text.data[i] >= '0' && text.data[i] <= '9')))
			return false;
	return text.len > 0 && text.len <= AUTH_OTP_SEED_MAX;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_hash(struct str text, unsigned char out[AUTH_OTP_HASH])
{
	if (text.len != 2 * AUTH_OTP_HASH)
		return ERR_SYNTAX;
	for (size_t i = 0; i < AUTH_OTP_HASH; i++) {
		int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
		if (high < 0 || low < 0)
			return ERR_SYNTAX;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}

int auth_otp_read(const char *text, struct auth_otp *out)
{
	struct str rest = str_from(text), algorithm, sequence, seed, last;

	*out = (struct auth_otp){0};
	if (!str_split(&rest, '\t', &algorithm) || !str_split(&rest, '\t', &sequence) ||
		!str_split(&rest, '\t', &seed) || !str_split(&rest, '\t', &last))
		return ERR_SYNTAX;
	if (!str_copy(algorithm, out->algorithm, sizeof out->algorithm) ||
		!find_algorithm(out->algorithm) || read_number(sequence, &out->sequence) ||
		out->sequence == 0 || !is_seed(seed) || read_hash(last, out->last))
		return ERR_SYNTAX;
	return str_copy(seed, out->seed, sizeof out->seed) ? 0 : ERR_SYNTAX;
}

void auth_otp_format(const struct auth_otp *otp, char out[AUTH_OTP_TEXT])
{
	char hex[2 * AUTH_OTP_HASH + 1];

	for (size_t i = 0; i < AUTH_OTP_HASH; i++)
		snprintf(hex + 2 * i, 3, "%02x", otp->last[i]);
	snprintf(out, AUTH_OTP_TEXT, "%s\t%04u\t%s\t%s\t" LOCK, otp->algorithm, otp->sequence,
		otp->seed, hex);
	mem_wipe(hex, sizeof hex);
}

// ---- what may follow
bool auth_otp_follows(const struct auth_otp *was, const struct auth_otp *next)
{
	if (strcmp(was->seed, next->seed) != 0)
		return true;
	return !strcmp(was->algorithm, next->algorithm) && next->sequence + 1 == was->sequence;
}

unsigned auth_otp_left(const struct auth_otp *otp)
{
	return otp->sequence - 1;
}
