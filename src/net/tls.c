// SPDX-License-Identifier: ISC
// What servers and clients of TLS share: loading certificates and keys, contexts, the system's
// authorities, facts about a session, words for failures. Making certificates is in tls_make.c.
#include "net/tls.h"

#include "base/memory.h"
#include "base/text.h"
#include "net/net_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CIPHERS                                                                                    \
	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES" \
	":!aNULL:!eNULL:!MD5:!DSS:!PSK:!SRP:!CAMELLIA:!ARIA:@SECLEVEL=%d"
#define CLIENT_CIPHERS_SHOWN 6

int tls_error(struct error *err, const char *format, ...)
{
	unsigned long number = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(number);
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ERR_clear_error();
	return error_set(
		err, ERR_TLS, "%.400s: %.100s", text, reason ? reason : TEXT("no reason known"));
}

// ---- contexts
SSL_CTX *tls_context_create(const SSL_METHOD *method, enum config_tls_version min, int level)
{
	static const int versions[] = {
		[CONFIG_TLS_1_0] = TLS1_VERSION,
		[CONFIG_TLS_1_1] = TLS1_1_VERSION,
		[CONFIG_TLS_1_2] = TLS1_2_VERSION,
		[CONFIG_TLS_1_3] = TLS1_3_VERSION,
	};
	SSL_CTX *ctx = SSL_CTX_new(method);
	char ciphers[300];

	if (!ctx)
		fatal("cannot make a TLS context");
	// TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL 3 allows on level 0 only.
	snprintf(ciphers, sizeof(ciphers), CIPHERS, min < CONFIG_TLS_1_2 ? 0 : level);
	if (SSL_CTX_set_min_proto_version(ctx, versions[min]) != 1 ||
		SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
		fatal("cannot set versions and ciphers of TLS");
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_CLEANSE_PLAINTEXT |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 0);
	return ctx;
}

// ---- certificates and keys
static BIO *open_text(struct str text)
{
	BIO *bio = BIO_new_mem_buf(text.len ? text.data : "", (int)text.len);

	if (!bio)
		fatal("out of memory (a TLS file)");
	return bio;
}

// Never asks a terminal.
static int give_pass_phrase(char *out, int size, int writing, void *arg)
{
	const struct config_file *file = arg;
	struct str line = file->content, first;

	if (file->path.len == 0 && file->content.len == 0)
		return -1;
	if (!str_split(&line, '\n', &first))
		return -1;
	first = str_trim(first);
	if (first.len > (size_t)size)
		return -1;
	memcpy(out, first.data, first.len);
	return (int)first.len;
}

// The one place where private keys come in.
static EVP_PKEY *load_key(struct str pem, const struct config_file *pass_phrase)
{
	static const struct config_file none;
	BIO *bio = open_text(pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(
		bio, NULL, give_pass_phrase, (void *)(pass_phrase ? pass_phrase : &none));

	BIO_free(bio);
	return key;
}

static void load_chain(BIO *bio, STACK_OF(X509) * chain)
{
	X509 *next;

	while ((next = PEM_read_bio_X509(bio, NULL, give_pass_phrase, NULL)))
		sk_X509_push(chain, next);
	ERR_clear_error(); // ends with "no start line"
}

void tls_identity_finish(struct tls_identity *id)
{
	X509_free(id->leaf);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key);
	memset(id, 0, sizeof(*id));
}

// By what the file says: OpenSSL's reasons here are those of its many decoders.
static int explain_key_failure(
	const struct config_file *file, const struct config_file *phrase, struct error *err)
{
	bool sealed = str_search(file->content, STR("BEGIN ENCRYPTED PRIVATE KEY-----")) >= 0 ||
		      str_search(file->content, STR("Proc-Type: 4,ENCRYPTED")) >= 0;

	if (str_search(file->content, STR("PRIVATE KEY-----")) < 0) {
		ERR_clear_error();
		return error_set(err, ERR_TLS, TEXT("%.*s holds no private key in PEM form"),
			STR_ARG(file->path));
	}
	if (sealed && phrase->path.len == 0) {
		ERR_clear_error();
		return error_set(err, ERR_TLS,
			TEXT("the key in %.*s has a pass phrase, and none is configured"),
			STR_ARG(file->path));
	}
	if (sealed)
		return tls_error(err,
			TEXT("cannot read the key in %.*s with the pass phrase in %.*s"),
			STR_ARG(file->path), STR_ARG(phrase->path));
	return tls_error(err, TEXT("cannot read the key in %.*s"), STR_ARG(file->path));
}

int tls_identity_load(
	const struct config_certificate *c, struct tls_identity *out, struct error *err)
{
	const struct config_file *key_file =
		c->key.path.len || c->key.content.len ? &c->key : &c->certificate;
	BIO *bio = open_text(c->certificate.content);
	int result;

	memset(out, 0, sizeof(*out));
	ERR_clear_error();
	out->chain = sk_X509_new_null();
	out->leaf = PEM_read_bio_X509_AUX(bio, NULL, give_pass_phrase, NULL);
	if (out->leaf)
		load_chain(bio, out->chain);
	BIO_free(bio);
	if (!out->leaf) {
		ERR_clear_error();
		result = error_set(err, ERR_TLS, TEXT("%.*s holds no certificate in PEM form"),
			STR_ARG(c->certificate.path));
		goto failed;
	}
	out->key = load_key(key_file->content, &c->pass_phrase);
	if (!out->key) {
		result = explain_key_failure(key_file, &c->pass_phrase, err);
		goto failed;
	}
	if (X509_check_private_key(out->leaf, out->key) != 1) {
		ERR_clear_error();
		result = error_set(err, ERR_TLS,
			TEXT("the key in %.*s does not belong to the certificate in %.*s"),
			STR_ARG(key_file->path), STR_ARG(c->certificate.path));
		goto failed;
	}
	return 0;
failed:
	tls_identity_finish(out);
	return result;
}

int tls_identity_use(const struct tls_identity *id, const struct config_file *file, SSL_CTX *ctx,
	struct error *err)
{
	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(ctx, id->leaf, id->key, id->chain, 1) != 1)
		return tls_error(
			err, TEXT("cannot use the certificate in %.*s"), STR_ARG(file->path));
	return 0;
}

static void visit_lower(ASN1_STRING *name, void (*visit)(void *arg, struct str name), void *arg)
{
	char text[256];
	struct str s = str_make(ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name));

	// A name with a NUL inside is a forgery, and is no name here.
	if (str_find(s, '\0') >= 0 || s.len == 0 || !str_copy(s, text, sizeof(text)))
		return;
	str_lower(text, s.len);
	visit(arg, str_from(text));
}

void tls_each_name(X509 *certificate, void (*visit)(void *arg, struct str name), void *arg)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	unsigned found = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS)
			continue;
		visit_lower(name->d.dNSName, visit, arg);
		found++;
	}
	GENERAL_NAMES_free(names);
	if (found > 0)
		return;
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at >= 0)
		visit_lower(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), visit, arg);
}

// ---- authorities
int tls_store_add_pem(X509_STORE *store, struct str pem, unsigned *out_count)
{
	BIO *bio = open_text(pem);
	X509 *next;

	*out_count = 0;
	ERR_clear_error();
	while ((next = PEM_read_bio_X509(bio, NULL, give_pass_phrase, NULL))) {
		X509_STORE_add_cert(store, next);
		X509_free(next);
		(*out_count)++;
	}
	BIO_free(bio);
	unsigned long number = ERR_peek_last_error();
	bool good = *out_count > 0 && ERR_GET_REASON(number) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return good ? 0 : ERR_CORRUPT;
}

static bool is_certificate_name(const char *name)
{
	struct str s = str_from(name);

	return str_ends_nocase(s, STR(".pem")) || str_ends_nocase(s, STR(".crt")) ||
	       str_ends_nocase(s, STR(".cer")) || str_ends_nocase(s, STR(".0"));
}

// All at once: after confinement no file can be opened by name.
int tls_store_add_folder(X509_STORE *store, const char *path, unsigned *out_count)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char file[4096];

	*out_count = 0;
	if (!folder)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
	while ((entry = readdir(folder))) {
		if (!is_certificate_name(entry->d_name) ||
			snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >=
				(int)sizeof(file))
			continue;
		if (X509_STORE_load_file(store, file) == 1)
			(*out_count)++;
	}
	closedir(folder);
	ERR_clear_error();
	return *out_count > 0 ? 0 : ERR_NOT_FOUND;
}

X509_STORE *tls_system_store(void)
{
	static X509_STORE *store; // loaded once, before confinement; never changed after
	const char *const paths[] = {getenv(X509_get_default_cert_file_env()),
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		X509_get_default_cert_file(), "/etc/ssl/cert.pem"};

	if (store)
		return store;
	store = X509_STORE_new();
	if (!store)
		fatal("out of memory (certificate store)");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i] && X509_STORE_load_file(store, paths[i]) == 1)
			break;
	ERR_clear_error();
	return store;
}

void tls_prepare(void)
{
	static const char *const digests[] = {"SHA256", "SHA1", "SHA384", "SHA512"};
	uint8_t octet;

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
				 OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
		NULL);
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++)
		EVP_MD_free(EVP_MD_fetch(NULL, digests[i], NULL));
	EVP_KDF_free(EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL));
	EVP_MAC_free(EVP_MAC_fetch(NULL, "HMAC", NULL));
	SSL_CTX_free(tls_context_create(TLS_server_method(), CONFIG_TLS_1_2, 2));
	SSL_CTX_free(tls_context_create(TLS_client_method(), CONFIG_TLS_1_2, 1));
	tls_system_store();
	RAND_bytes(&octet, 1);
	ERR_clear_error();
}

// ---- facts
// Those with a NUL or a blank inside are no addresses.
static void list_mailboxes(X509 *certificate, struct tls_facts *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t used = 0, size = sizeof(out->peer_mailboxes);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_EMAIL)
			continue;
		struct str text = str_make(ASN1_STRING_get0_data(name->d.rfc822Name),
			(size_t)ASN1_STRING_length(name->d.rfc822Name));
		if (text.len == 0 || str_find(text, '\0') >= 0 || str_find(text, ' ') >= 0 ||
			used + text.len + 2 > size)
			continue;
		used += (size_t)snprintf(out->peer_mailboxes + used, size - used, "%s%.*s",
			used ? " " : "", STR_ARG(text));
	}
	GENERAL_NAMES_free(names);
}

static void describe_peer(X509 *certificate, struct tls_facts *out)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	BIO *bio = BIO_new(BIO_s_mem());

	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
			   XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		int n = BIO_read(bio, out->peer_subject, sizeof(out->peer_subject) - 1);
		out->peer_subject[n > 0 ? n : 0] = '\0';
	}
	BIO_free(bio);
	if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1 || len != 32)
		return;
	for (size_t i = 0; i < len; i++) {
		out->peer_fingerprint[2 * i] = digits[digest[i] >> 4];
		out->peer_fingerprint[2 * i + 1] = digits[digest[i] & 15];
	}
	out->peer_fingerprint[64] = '\0';
}

void tls_get_facts(SSL *ssl, struct tls_facts *out)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	X509 *peer = SSL_get1_peer_certificate(ssl);

	memset(out, 0, sizeof(*out));
	snprintf(out->version, sizeof(out->version), "%s", SSL_get_version(ssl));
	if (cipher) {
		snprintf(out->cipher, sizeof(out->cipher), "%s", SSL_CIPHER_get_name(cipher));
		out->bits = SSL_CIPHER_get_bits(cipher, NULL);
	}
	out->resumed = SSL_session_reused(ssl) == 1;
	if (!peer)
		return;
	out->verified = SSL_get_verify_result(ssl) == X509_V_OK;
	describe_peer(peer, out);
	list_mailboxes(peer, out);
	X509_free(peer);
}

// ---- words for failures
struct words {
	int reason;
	const char *text;
};

static const struct words failure_words[] = {
	{SSL_R_UNSUPPORTED_PROTOCOL, TEXT_MARK("no common TLS version: the other side only has "
					       "versions that are not allowed here (setting min)")},
	{SSL_R_VERSION_TOO_LOW, TEXT_MARK("no common TLS version: the other side only has versions "
					  "that are not allowed here (setting min)")},
	{SSL_R_WRONG_SSL_VERSION, TEXT_MARK("no common TLS version: the other side only has "
					    "versions that are not allowed here (setting min)")},
	{SSL_R_NO_PROTOCOLS_AVAILABLE, TEXT_MARK("no TLS version is allowed by the settings")},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
		TEXT_MARK("no common TLS version: the other side refuses ours")},
	{SSL_R_WRONG_VERSION_NUMBER,
		TEXT_MARK("the other side sent plain text where TLS should begin")},
	{SSL_R_HTTP_REQUEST,
		TEXT_MARK("the other side sent plain text (HTTP) where TLS should begin")},
	{SSL_R_HTTPS_PROXY_REQUEST,
		TEXT_MARK("the other side sent plain text (HTTP) where TLS should begin")},
	{SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
		TEXT_MARK("no shared signature algorithm: the other side cannot use our kind of "
			  "certificate")},
	{SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
		TEXT_MARK("no shared signature algorithm: the other side cannot use our kind of "
			  "certificate")},
	{SSL_R_NO_SUITABLE_KEY_SHARE, TEXT_MARK("no shared key exchange group")},
	{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, TEXT_MARK("the other side found no cipher, version "
							"or certificate in common with us")},
	{SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY,
		TEXT_MARK("the other side finds our ciphers too weak")},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA,
		TEXT_MARK("the other side does not trust our certificate (unknown authority)")},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
		TEXT_MARK("the other side does not accept our certificate")},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
		TEXT_MARK("the other side does not accept our certificate (bad certificate)")},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
		TEXT_MARK("the other side says that our certificate has expired")},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED,
		TEXT_MARK("the other side says that our certificate is revoked")},
	{SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
		TEXT_MARK("the other side cannot use our kind of certificate")},
	{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
		TEXT_MARK("the other side requires a client certificate")},
	{SSL_R_TLSV1_ALERT_ACCESS_DENIED, TEXT_MARK("the other side denies access")},
	{SSL_R_TLSV1_UNRECOGNIZED_NAME,
		TEXT_MARK("the other side does not know the server name that was asked for")},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING,
		TEXT_MARK("the other side closed the connection during the handshake")},
	{SSL_R_DH_KEY_TOO_SMALL, TEXT_MARK("the other side's Diffie-Hellman group is too small")},
};

static bool describe_no_cipher(SSL *ssl, char *out, size_t out_size)
{
	STACK_OF(SSL_CIPHER) *ciphers = SSL_get_client_ciphers(ssl);
	char names[300] = "";
	size_t used = 0;

	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers) && i < CLIENT_CIPHERS_SHOWN; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.40s",
			i ? ", " : "", SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)));
	if (used == 0)
		return false;
	snprintf(out, out_size, TEXT("no shared cipher: the other side has only %s%s"), names,
		sk_SSL_CIPHER_num(ciphers) > CLIENT_CIPHERS_SHOWN ? ", ..." : "");
	return true;
}

static const char *find_words(int reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(failure_words); i++)
		if (failure_words[i].reason == reason)
			return TEXT(failure_words[i].text);
	return NULL;
}

void tls_describe_failure(SSL *ssl, int ssl_error, char *out, size_t out_size)
{
	int number = errno;
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);
	const char *words = ERR_GET_LIB(code) == ERR_LIB_SSL ? find_words(reason) : NULL;

	if (code && ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		snprintf(out, out_size, TEXT("the certificate is not good: %s"),
			X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
	} else if (reason == SSL_R_NO_SHARED_CIPHER && ERR_GET_LIB(code) == ERR_LIB_SSL) {
		if (!describe_no_cipher(ssl, out, out_size))
			snprintf(out, out_size, "%s", TEXT("no shared cipher"));
	} else if (words) {
		snprintf(out, out_size, "%s", words);
	} else if (code) {
		const char *plain = ERR_reason_error_string(code);
		snprintf(out, out_size, TEXT("TLS: %s (%08lx)"),
			plain ? plain : TEXT("no reason known"), code);
	} else if (ssl_error == SSL_ERROR_SYSCALL && number != 0 && number != ECONNRESET &&
		   number != EPIPE) {
		snprintf(out, out_size, "%s", strerror(number));
	} else {
		snprintf(out, out_size, "%s",
			TEXT("the other side closed the connection during the handshake"));
	}
	ERR_clear_error();
}
