// SPDX-License-Identifier: ISC
// Certificates for tests: made on the spot, in memory.
#ifndef PABAL_TEST_NET_FIXTURE_H
#define PABAL_TEST_NET_FIXTURE_H

#include "base/buf.h"
#include "base/memory.h"
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture_identity {
	EVP_PKEY *key;
	X509 *certificate;
	struct buf certificate_pem, key_pem;
};

static struct str fixture_pem(BIO *bio, struct buf *out)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	buf_add(out, data, (size_t)len);
	buf_cstr(out);
	BIO_free(bio);
	return buf_str(out);
}

static void fixture_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

// kind: "EC" or "RSA". names: "DNS:a,DNS:b", or NULL for an authority. issuer NULL: signs itself.
__attribute__((unused)) static struct fixture_identity fixture_make(const char *kind,
	const char *common_name, const char *names, const struct fixture_identity *issuer, int days)
{
	struct fixture_identity id = {0};
	static long serial;
	X509_NAME *subject;
	BIO *bio;

	id.key = strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	id.certificate = X509_new();
	assert_non_null(id.key);
	X509_set_version(id.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.certificate), ++serial);
	X509_time_adj_ex(X509_getm_notBefore(id.certificate), days < 0 ? days - 1 : -1, 0, NULL);
	X509_time_adj_ex(X509_getm_notAfter(id.certificate), days, 30, NULL);
	subject = X509_get_subject_name(id.certificate);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(
		id.certificate, issuer ? X509_get_subject_name(issuer->certificate) : subject);
	X509_set_pubkey(id.certificate, id.key);
	fixture_extension(
		id.certificate, NID_basic_constraints, names ? "CA:FALSE" : "critical,CA:TRUE");
	if (names)
		fixture_extension(id.certificate, NID_subject_alt_name, names);
	assert_true(X509_sign(id.certificate, issuer ? issuer->key : id.key, EVP_sha256()) > 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, id.certificate);
	fixture_pem(bio, &id.certificate_pem);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PKCS8PrivateKey(bio, id.key, NULL, NULL, 0, NULL, NULL);
	fixture_pem(bio, &id.key_pem);
	return id;
}

__attribute__((unused)) static void fixture_finish(struct fixture_identity *id)
{
	X509_free(id->certificate);
	EVP_PKEY_free(id->key);
	buf_finish(&id->certificate_pem);
	buf_finish(&id->key_pem);
	memset(id, 0, sizeof(*id));
}

__attribute__((unused)) static struct config_certificate fixture_configured(
	const struct fixture_identity *id)
{
	return (struct config_certificate){
		.certificate = {STR("/tls/certificate.pem"), buf_str(&id->certificate_pem)},
		.key = {STR("/tls/key.pem"), buf_str(&id->key_pem)},
	};
}

#endif
