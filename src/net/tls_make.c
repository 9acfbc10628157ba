// SPDX-License-Identifier: ISC
// Making a self-signed certificate for the first start, and looking at certificates for status.
#include "net/tls.h"

#include "base/text.h"
#include "net/net_internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <stdio.h>

static int add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	int good = extension && X509_add_ext(certificate, extension, -1);

	X509_EXTENSION_free(extension);
	return good;
}

static int set_serial(X509 *certificate)
{
	uint64_t serial = 0;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return 0;
	return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1);
}

static int fill(X509 *certificate, const char *host, unsigned days, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	char alternative[300];

	snprintf(alternative, sizeof(alternative), "DNS:%s", host);
	return X509_set_version(certificate, 2) && set_serial(certificate) &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
	       X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, NULL) &&
	       X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_UTF8, (const unsigned char *)host, -1, -1, 0) &&
	       X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
	       add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_extension(certificate, NID_subject_alt_name, alternative) &&
	       X509_sign(certificate, key, EVP_sha256());
}

static int add_bio(struct buf *out, BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	return len > 0 ? buf_add(out, data, (size_t)len) : ERR_TLS;
}

static int write_pem(
	X509 *certificate, EVP_PKEY *key, struct buf *out_certificate, struct buf *out_key)
{
	BIO *first = BIO_new(BIO_s_mem());
	BIO *second = BIO_new(BIO_s_secmem());
	int result = ERR_TLS;

	if (first && second && PEM_write_bio_X509(first, certificate) == 1 &&
		PEM_write_bio_PKCS8PrivateKey(second, key, NULL, NULL, 0, NULL, NULL) == 1) {
		result = add_bio(out_certificate, first);
		if (!result)
			result = add_bio(out_key, second);
	}
	BIO_free(first);
	BIO_free(second);
	return result;
}

int tls_make_self_signed(struct str host, unsigned days, struct buf *out_certificate,
	struct buf *out_key, struct error *err)
{
	EVP_PKEY *key = NULL;
	X509 *certificate = NULL;
	char name[256];
	int result = ERR_TLS;

	// Only what a host name may hold: the name becomes part of OpenSSL's extension syntax.
	if (host.len == 0 || host.len > 253 || !str_copy(host, name, sizeof(name)) ||
		!str_only(
			host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"))
		return error_set(err, ERR_SYNTAX, TEXT("%.*s is no host name"), STR_ARG(host));
	if (days > 36500)
		return error_set(
			err, ERR_LIMIT, TEXT("a certificate cannot be valid for %u days"), days);
	ERR_clear_error();
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	if (key && certificate && fill(certificate, name, days, key))
		result = write_pem(certificate, key, out_certificate, out_key);
	if (result)
		result = tls_error(err, TEXT("cannot make a certificate for %s"), name);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return result;
}

struct joined {
	char *out;
	size_t size, used;
};

static void join_name(void *arg, struct str name)
{
	struct joined *j = arg;
	size_t need = name.len + (j->used ? 2 : 0);

	if (j->used + need >= j->size)
		return; // those that fit are enough for people
	j->used += (size_t)snprintf(
		j->out + j->used, j->size - j->used, "%s%.*s", j->used ? ", " : "", STR_ARG(name));
}

int tls_certificate_days(struct str pem, int *out_days, char *out_names, size_t out_size)
{
	BIO *bio = BIO_new_mem_buf(pem.len ? pem.data : "", (int)pem.len);
	struct joined joined = {out_names, out_size, 0};
	unsigned found = 0;
	X509 *certificate;

	if (!bio)
		fatal("out of memory (a certificate)");
	*out_days = 0;
	if (out_size > 0)
		out_names[0] = '\0';
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, (void *)""))) {
		int days = 0, seconds = 0;
		ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate));
		if (seconds < 0)
			days--; // has ended today
		if (found == 0)
			tls_each_name(certificate, join_name, &joined);
		if (found++ == 0 || days < *out_days)
			*out_days = days;
		X509_free(certificate);
	}
	BIO_free(bio);
	ERR_clear_error();
	return found > 0 ? 0 : ERR_CORRUPT;
}
