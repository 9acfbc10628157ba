// SPDX-License-Identifier: ISC
// SCRAM as a client (RFC 5802, RFC 7677), with channel binding, and with the proof of the server.
#include "base/memory.h"
#include "base/text.h"
#include "deliver/login_internal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <uninorm.h>

#define MESSAGE_OCTETS 4096 // of a server
#define SALT_OCTETS    1024

// ---- SASLprep (RFC 4013), as far as it changes passwords people have: NFKC, blanks are spaces
static void prepare(struct str text, struct buf *out)
{
	size_t len = 0;
	uint8_t *normal = NULL;

	if (!str_is_ascii(text) && str_is_utf8(text))
		normal = u8_normalize(UNINORM_NFKC, (const uint8_t *)text.data, text.len, NULL, &len);
	(void)buf_reserve(out, (normal ? len : text.len) + 1); // never moved: wiped where it lies
	if (normal) {
		buf_add(out, normal, len);
		mem_wipe(normal, len);
	} else {
		buf_add_str(out, text);
	}
	free(normal);
}

// RFC 5802 5.1: saslname
static void add_name(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '=')
			buf_add_text(out, "=3D");
		else if (name.data[i] == ',')
			buf_add_text(out, "=2C");
		else
			buf_add_char(out, name.data[i]);
	}
}

static void make_nonce(struct login *l)
{
	unsigned char random[24];
	struct buf text = BUF_INIT;

	if (l->nonce[0]) {
		snprintf(l->scram.nonce, sizeof l->scram.nonce, "%s", l->nonce);
		return;
	}
	mem_random(random, sizeof random);
	buf_add_base64(&text, str_make(random, sizeof random));
	(void)str_copy(buf_str(&text), l->scram.nonce, sizeof l->scram.nonce);
	buf_finish(&text);
}

// RFC 5802 6: y says "I could bind, but you offered no -PLUS": a server that did notices that
// somebody took it away.
static void make_header(struct login *l)
{
	struct buf *h = &l->scram.header;

	if (l->mechanism->plus)
		buf_add_format(h, "p=%s,,", l->binding_name);
	else
		buf_add_text(h, login_may_bind(l) && !l->plus_offered ? "y,," : "n,,");
}

bool login_scram_start(struct login *l, struct buf *out)
{
	struct scram *s = &l->scram;
	struct buf name = BUF_INIT;

	login_scram_finish(l);
	make_nonce(l);
	make_header(l);
	buf_add_text(&s->bare, "n=");
	prepare(str_from(l->user), &name);
	add_name(&s->bare, buf_str(&name));
	buf_finish(&name);
	buf_add_format(&s->bare, ",r=%s", s->nonce);
	buf_add_str(out, buf_str(&s->header));
	buf_add_str(out, buf_str(&s->bare));
	if (l->mechanism->plus)
		buf_add_str(&s->header, buf_str(&l->binding));
	return true;
}

void login_scram_finish(struct login *l)
{
	buf_finish(&l->scram.bare);
	buf_finish(&l->scram.header);
	mem_wipe(&l->scram, sizeof l->scram);
}

// ---- the server's first message
struct first_message {
	struct str nonce;
	unsigned iterations;
	struct buf salt;
};

// "r=…" with the letter given.
static bool take(struct str *rest, char letter, struct str *out)
{
	struct str part;

	if (!str_split(rest, ',', &part) || part.len < 2 || part.data[0] != letter || part.data[1] != '=')
		return false;
	*out = str_skip(part, 2);
	return true;
}

static int read_first(const struct login *l, struct str message, struct first_message *out,
	struct error *err)
{
	struct str nonce = str_from(l->scram.nonce), salt, count;
	uint64_t n;

	if (message.len > MESSAGE_OCTETS || !take(&message, 'r', &out->nonce) ||
		!take(&message, 's', &salt) || !take(&message, 'i', &count) ||
		str_to_u64(count, &n) || buf_add_base64_decoded(&out->salt, salt) ||
		!buf_len(&out->salt) || buf_len(&out->salt) > SALT_OCTETS)
		return error_set(err, ERR_SYNTAX, TEXT("the host's message is no SCRAM message"));
	if (!str_starts(out->nonce, nonce) || out->nonce.len == nonce.len)
		return error_set(err, ERR_DENIED, TEXT("the host's nonce does not begin with ours"));
	if (n < LOGIN_ITERATIONS_LEAST || n > LOGIN_ITERATIONS_MOST)
		return error_set(err, ERR_LIMIT,
			TEXT("the host wants %llu rounds of hashing; %d to %d are done here"),
			(unsigned long long)n, LOGIN_ITERATIONS_LEAST, LOGIN_ITERATIONS_MOST);
	out->iterations = (unsigned)n;
	return 0;
}

// ---- keys
struct keys {
	unsigned char salted[64], client[64], stored[64], server[64], signature[64];
};

static bool hmac(const EVP_MD *hash, const unsigned char *key, size_t len, struct str text,
	unsigned char *out)
{
	unsigned used;

	return HMAC(hash, key, (int)len, (const unsigned char *)text.data, text.len, out, &used) != NULL;
}

static bool make_keys(struct login *l, const EVP_MD *hash, const struct first_message *m,
	struct str auth_message, struct keys *k)
{
	struct buf password = BUF_INIT;
	size_t len = l->scram.hash_len;
	struct str p, salt = buf_str(&m->salt);

	prepare(buf_str(&l->password), &password);
	p = buf_str(&password);
	bool done = PKCS5_PBKDF2_HMAC(p.data, (int)p.len, (const unsigned char *)salt.data,
			(int)salt.len, (int)m->iterations, hash, (int)len, k->salted) == 1 &&
		hmac(hash, k->salted, len, STR("Client Key"), k->client) &&
		EVP_Digest(k->client, len, k->stored, NULL, hash, NULL) == 1 &&
		hmac(hash, k->stored, len, auth_message, k->signature) &&
		hmac(hash, k->salted, len, STR("Server Key"), k->server) &&
		hmac(hash, k->server, len, auth_message, l->scram.server_signature);
	buf_finish_wipe(&password);
	return done;
}

static int answer_first(struct login *l, struct str message, struct buf *out, struct error *err)
{
	struct scram *s = &l->scram;
	const EVP_MD *hash = EVP_get_digestbyname(l->mechanism->hash);
	struct first_message m = {0};
	struct buf final = BUF_INIT, all = BUF_INIT;
	struct keys k = {0};
	int result = hash ? read_first(l, message, &m, err)
			  : error_set(err, ERR_UNSUPPORTED, TEXT("this OpenSSL has no %s"), l->mechanism->hash);

	if (result)
		goto out;
	s->hash_len = (size_t)EVP_MD_get_size(hash);
	buf_add_text(&final, "c=");
	buf_add_base64(&final, buf_str(&s->header));
	buf_add_text(&final, ",r=");
	buf_add_str(&final, m.nonce);
	buf_add_str(&all, buf_str(&s->bare));
	buf_add_char(&all, ',');
	buf_add_str(&all, message);
	buf_add_char(&all, ',');
	buf_add_str(&all, buf_str(&final));
	if (!make_keys(l, hash, &m, buf_str(&all), &k)) {
		result = error_set(err, ERR_UNSUPPORTED, TEXT("this OpenSSL refuses %s"), l->mechanism->hash);
		goto out;
	}
	for (size_t i = 0; i < s->hash_len; i++)
		k.client[i] ^= k.signature[i];
	buf_add_str(out, buf_str(&final));
	buf_add_text(out, ",p=");
	buf_add_base64(out, str_make(k.client, s->hash_len));
out:
	mem_wipe(&k, sizeof k);
	buf_finish(&m.salt);
	buf_finish(&final);
	buf_finish(&all);
	return result;
}

// ---- the server's last message
static int check_final(struct login *l, struct str message, struct error *err)
{
	struct scram *s = &l->scram;
	struct str value;
	struct buf signature = BUF_INIT;
	int result = 0;

	if (str_starts(message, STR("e="))) {
		value = str_slice(message, 2, 80); // RFC 5802 7: server-error-value
		if (!str_only(value, "abcdefghijklmnopqrstuvwxyz0123456789-"))
			value = STR("other-error");
		return error_set(err, ERR_DENIED, TEXT("the host says %.*s"), STR_ARG(value));
	}
	if (message.len > MESSAGE_OCTETS || !take(&message, 'v', &value) ||
		buf_add_base64_decoded(&signature, value))
		result = error_set(err, ERR_SYNTAX, TEXT("the host's message is no SCRAM message"));
	else if (buf_len(&signature) != s->hash_len ||
		!mem_equal_secret(buf_str(&signature).data, s->server_signature, s->hash_len))
		result = error_set(err, ERR_DENIED,
			TEXT("the host does not know the password: its signature is wrong"));
	buf_finish(&signature);
	s->proved = !result;
	return result;
}

int login_scram_answer(struct login *l, struct str challenge, struct buf *out, struct error *err)
{
	unsigned step = l->scram.step++;

	if (step == 0)
		return answer_first(l, challenge, out, err);
	if (step == 1)
		return check_final(l, challenge, err);
	return error_set(err, ERR_SYNTAX, TEXT("the host asks without end"));
}
