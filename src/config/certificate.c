// SPDX-License-Identifier: ISC
// Looks into certificates and keys with OpenSSL before a server has to use them.
#include "config/config_internal.h"

#include "base/text.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Never asks on the terminal.
static int give_pass_phrase(char *out, int size, int writing, void *arg)
{
	const struct str *phrase = arg;
	if (phrase->len == 0 || phrase->len > (size_t)size)
		return -1;
	memcpy(out, phrase->data, phrase->len);
	return (int)phrase->len;
}

static BIO *open_text(struct str text)
{
	return text.len > INT32_MAX ? NULL : BIO_new_mem_buf(text.data, (int)text.len);
}

static X509 *read_certificate(struct str pem)
{
	struct str none = STR_EMPTY;
	BIO *bio = open_text(pem);
	X509 *x = bio ? PEM_read_bio_X509_AUX(bio, NULL, give_pass_phrase, &none) : NULL;
	BIO_free(bio);
	return x;
}

static EVP_PKEY *read_key(struct str pem, struct str pass_phrase)
{
	BIO *bio = open_text(pem);
	EVP_PKEY *key =
		bio ? PEM_read_bio_PrivateKey(bio, NULL, give_pass_phrase, &pass_phrase) : NULL;
	BIO_free(bio);
	return key;
}

static void check_dates(
	struct config_parser *p, const struct config_certificate *pair, const X509 *x)
{
	char text[64] = "";
	BIO *bio = BIO_new(BIO_s_mem());
	const ASN1_TIME *end = X509_get0_notAfter(x);
	if (bio && ASN1_TIME_print(bio, end) == 1) {
		int len = BIO_read(bio, text, sizeof text - 1);
		text[len > 0 ? len : 0] = '\0';
	}
	BIO_free(bio);
	struct str path = pair->certificate.path;
	int days = 0, seconds = 0;
	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		config_report(p, 'W', pair->where, TEXT("%.*s is not valid yet"), STR_ARG(path));
	if (X509_cmp_current_time(end) < 0)
		config_report(p, 'W', pair->where,
			TEXT("%.*s expired on %s: clients will refuse it"), STR_ARG(path), text);
	else if (ASN1_TIME_diff(&days, &seconds, NULL, end) == 1 && days < 7)
		config_report(p, 'W', pair->where, TEXT("%.*s expires on %s"), STR_ARG(path), text);
}

static void check_key(struct config_parser *p, const struct config_certificate *pair, X509 *x)
{
	const struct config_file *file = pair->key.path.len ? &pair->key : &pair->certificate;
	EVP_PKEY *key = read_key(file->content, pair->pass_phrase.content);
	struct str path = file->path;
	if (!key && str_search(file->content, STR("PRIVATE KEY-----")) < 0)
		config_report(p, 'E', pair->where,
			TEXT("%.*s has no private key: expected one there or in key"),
			STR_ARG(path));
	else if (!key && str_search(file->content, STR("ENCRYPTED")) >= 0)
		config_report(p, 'E', pair->where,
			TEXT("%.*s: the private key does not open: expected its pass phrase in "
			     "pass-phrase-file"),
			STR_ARG(path));
	else if (!key)
		config_report(p, 'E', pair->where, TEXT("%.*s: the private key is damaged"),
			STR_ARG(path));
	else if (X509_check_private_key(x, key) != 1)
		config_report(p, 'E', pair->where,
			TEXT("%.*s: the private key belongs to another certificate"),
			STR_ARG(path));
	else if (EVP_PKEY_get_security_bits(key) < 112)
		config_report(p, 'E', pair->where,
			TEXT("%.*s: the private key is too short: expected RSA 2048 or ECDSA P-256 "
			     "at least"),
			STR_ARG(path));
	EVP_PKEY_free(key);
}

void config_check_pair(struct config_parser *p, const struct config_certificate *pair)
{
	X509 *x = read_certificate(pair->certificate.content);
	if (!x)
		config_report(p, 'E', pair->where, TEXT("%.*s: expected a certificate in PEM form"),
			STR_ARG(pair->certificate.path));
	else {
		check_dates(p, pair, x);
		check_key(p, pair, x);
	}
	X509_free(x);
	ERR_clear_error();
}

void config_check_authorities(struct config_parser *p, struct str pem, struct config_place place)
{
	X509 *x = read_certificate(pem);
	if (!x)
		config_report(p, 'E', place, TEXT("ca-file: expected certificates in PEM form"));
	X509_free(x);
	ERR_clear_error();
}

bool config_certificate_covers(struct str pem, struct str hostname)
{
	X509 *x = read_certificate(pem);
	bool covers = x && X509_check_host(x, hostname.data, hostname.len, 0, NULL) == 1;
	X509_free(x);
	ERR_clear_error();
	return covers;
}
