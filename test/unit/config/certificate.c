// SPDX-License-Identifier: ISC
// Certificates and keys of all kinds of wrong, made here.
#include "build.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

struct made {
	char *certificate, *key, *locked_key;
};

static char *take_text(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	char *text = str_dup(str_make(data, (size_t)len));
	BIO_free(bio);
	return text;
}

static struct made make(EVP_PKEY *key, long from, long to)
{
	struct made m;
	X509 *x = X509_new();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), to);
	X509_set_pubkey(x, key);
	X509_EXTENSION *san =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mail.example.kr");
	X509_add_ext(x, san, -1);
	X509_EXTENSION_free(san);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, x);
	m.certificate = take_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	m.key = take_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), "open sesame", 11, NULL, NULL);
	m.locked_key = take_text(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return m;
}

static void finish(struct made *m)
{
	free(m->certificate);
	free(m->key);
	free(m->locked_key);
}

#define DAY (24 * 3600L)

static void test_certificates(void **state)
{
	struct made good = make(EVP_EC_gen("P-256"), -DAY, 90 * DAY),
		    other = make(EVP_RSA_gen(2048), -DAY, 90 * DAY),
		    old = make(EVP_EC_gen("P-256"), -9 * DAY, -DAY),
		    soon = make(EVP_EC_gen("P-256"), -DAY, 2 * DAY),
		    future = make(EVP_EC_gen("P-256"), DAY, 9 * DAY),
		    weak = make(EVP_RSA_gen(1024), -DAY, 90 * DAY);
	char both[8192];
	snprintf(both, sizeof both, "%s%s", good.certificate, good.key);
	const struct memory_file files[] = {
		{"/t/main", NULL, false},
		{"/t/good", good.certificate, true},
		{"/t/good.key", good.key, false},
		{"/t/good.open", good.key, true},
		{"/t/good.locked", good.locked_key, false},
		{"/t/both", both, false},
		{"/t/both.open", both, true},
		{"/t/other", other.certificate, true},
		{"/t/other.key", other.key, false},
		{"/t/old", old.certificate, true},
		{"/t/old.key", old.key, false},
		{"/t/soon", soon.certificate, true},
		{"/t/soon.key", soon.key, false},
		{"/t/future", future.certificate, true},
		{"/t/future.key", future.key, false},
		{"/t/weak", weak.certificate, true},
		{"/t/weak.key", weak.key, false},
		{"/t/pass", "open sesame\n", false},
		{"/t/wrong", "open barley\n", false},
		{"/t/empty", "\n", false},
		{"/t/nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n", false},
	};
	static const struct {
		const char *tls, *finding; // its beginning; "": none
	} cases[] = {
		{"certificate \"good\" key \"good.key\"", ""},
		{"certificate \"both\"", ""},
		{"certificate \"good\"\nkey \"good.key\"\ncertificate \"other\"; key \"other.key\"",
			""},
		{"certificate \"good\" key \"good.locked\" pass-phrase-file \"pass\"", ""},
		{"certificate \"good\" key \"good.locked\" pass-phrase-file \"wrong\"",
			"E /t/good.locked: the private key does not open: expected its pass phrase "
			"in pass-phrase-file"},
		{"certificate \"good\" key \"good.locked\"",
			"E /t/good.locked: the private key does not open: expected its pass phrase "
			"in pass-phrase-file"},
		{"certificate \"good\" key \"good.locked\" pass-phrase-file \"empty\"",
			"E /t/empty: expected a password or pass phrase in its first line"},
		{"certificate \"good\" key \"good.open\"", "E /t/good.open can be read by others"},
		{"certificate \"both.open\"", "E /t/both.open can be read by others"},
		{"certificate \"both.open\" key \"good.key\"",
			"E /t/both.open can be read by others"},
		{"certificate \"good.key\"", "E /t/good.key: expected a certificate in PEM form"},
		{"certificate \"nonsense\"", "E /t/nonsense: expected a certificate in PEM form"},
		{"certificate \"good\" key \"nonsense\"",
			"E /t/nonsense has no private key: expected one there or in key"},
		{"certificate \"good\" key \"other.key\"",
			"E /t/other.key: the private key belongs to another certificate"},
		{"certificate \"weak\" key \"weak.key\"",
			"E /t/weak.key: the private key is too short"},
		{"certificate \"old\" key \"old.key\"", "W /t/old expired on "},
		{"certificate \"soon\" key \"soon.key\"", "W /t/soon expires on "},
		{"certificate \"future\" key \"future.key\"", "W /t/future is not valid yet"},
		{"certificate \"good\" key \"missing\"", "E cannot open /t/missing"},
		{"certificate \"both\" ca-file \"good\"", ""},
		{"certificate \"both\" ca-file \"nonsense\"",
			"E ca-file: expected certificates in PEM form"},
		{"certificate \"both\" client-certificate \"good\" client-key \"good.key\"", ""},
		{"certificate \"both\" client-certificate \"both\"", ""},
		{"certificate \"both\" client-key \"good.key\"",
			"E client-key: expected client-certificate as well"},
		{"certificate \"both\" client-certificate \"good\" client-key \"other.key\"",
			"E /t/other.key: the private key belongs to another certificate"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_file with_main[ARRAY_SIZE(files)];
		struct config_findings findings = {0};
		char text[1024];
		snprintf(text, sizeof text, START "tls { %s }", cases[i].tls);
		memcpy(with_main, files, sizeof files);
		with_main[0].text = text;
		struct config *c = build_files(with_main, ARRAY_SIZE(files), &findings);
		struct buf got = BUF_INIT;
		for (size_t j = 0; j < findings.count; j++)
			buf_add_format(&got, "%c %.*s\n", findings.items[j].severity,
				STR_ARG(findings.items[j].text));
		bool as_expected = cases[i].finding[0] ? findings.count == 1 &&
								 str_starts(buf_str(&got),
									 str_from(cases[i].finding))
						       : findings.count == 0;
		if (!as_expected)
			fail_msg("%s:\n%s", cases[i].tls, buf_cstr(&got));
		config_findings_finish(&findings);
		buf_finish(&got);
		config_destroy(c);
	}
	struct made *all[] = {&good, &other, &old, &soon, &future, &weak};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		finish(all[i]);
}

// A server's own block takes what it does not set from the global one.
static void test_inheritance(void **state)
{
	struct made a = make(EVP_EC_gen("P-256"), -DAY, 90 * DAY),
		    b = make(EVP_EC_gen("P-256"), -DAY, 90 * DAY);
	const struct memory_file files[] = {
		{"/t/main",
			"hostname \"elsewhere.kr\" postmaster \"a@b.kr\" domains \"b.kr\"\n"
			"server \"x\" { listen \"*:1\" tls { request-client-certificate yes } }\n"
			"server \"y\" { listen \"*:2\" tls { certificate \"b\" key \"b.key\" } }\n"
			"tls { certificate \"a\" key \"a.key\" min 1.3 }\n",
			false},
		{"/t/a", a.certificate, false}, {"/t/a.key", a.key, false},
		{"/t/b", b.certificate, false}, {"/t/b.key", b.key, false}};
	struct config_findings findings = {0};
	struct config *c = build_files(files, ARRAY_SIZE(files), &findings);
	assert_non_null(c);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.items[0].severity, 'N');
	assert_str(findings.items[0].text,
		"no certificate of the global tls block names \"elsewhere.kr\"");
	const struct config_tls *x = config_server_tls(c, &c->servers[0]),
				*y = config_server_tls(c, &c->servers[1]);
	assert_int_equal(x->min, CONFIG_TLS_1_3);
	assert_true(x->request_client_certificate);
	assert_int_equal(x->certificate_count, 1);
	assert_str(x->certificates[0].certificate.path, "/t/a");
	assert_str(y->certificates[0].key.content, b.key);
	assert_int_equal(y->min, CONFIG_TLS_1_3);
	assert_false(y->request_client_certificate);
	config_findings_finish(&findings);
	config_destroy(c);
	finish(&a);
	finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates), cmocka_unit_test(test_inheritance)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
