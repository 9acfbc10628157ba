// SPDX-License-Identifier: ISC
// Channel bindings of TLS.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>

// Before TLS 1.3 the keys of two connections may be made the same by one in the middle, unless the
// extended master secret is used (RFC 7627).
static bool keys_are_unique(SSL *ssl)
{
	return SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1;
}

static void get_exporter(SSL *ssl, struct tls_binding *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (keys_are_unique(ssl) &&
		SSL_export_keying_material(ssl, out->octets, 32, label, sizeof label - 1,
			(const unsigned char *)"", 0, 1) == 1)
		out->len = 32;
}

// The first Finished message: the client's, in a resumed session the server's.
static void get_unique(SSL *ssl, bool server, struct tls_binding *out)
{
	bool resumed = SSL_session_reused(ssl) == 1;
	size_t len;

	if (SSL_version(ssl) >= TLS1_3_VERSION || !keys_are_unique(ssl))
		return;
	len = server == resumed ? SSL_get_finished(ssl, out->octets, sizeof out->octets)
				: SSL_get_peer_finished(ssl, out->octets, sizeof out->octets);
	out->len = len <= sizeof out->octets ? len : 0;
}

// With the hash of the certificate's own signature, and SHA-256 for MD5, SHA-1 and those without.
static const EVP_MD *hash_of(const X509 *certificate)
{
	int digest = NID_undef;

	if (X509_get_signature_info((X509 *)certificate, &digest, NULL, NULL, NULL) != 1 ||
		digest == NID_md5 || digest == NID_sha1 || digest == NID_undef)
		return EVP_sha256();
	return EVP_get_digestbynid(digest);
}

static void get_end_point(const X509 *certificate, struct tls_binding *out)
{
	const EVP_MD *hash = certificate ? hash_of(certificate) : NULL;
	unsigned len = 0;

	if (hash && (size_t)EVP_MD_get_size(hash) <= sizeof out->octets &&
		X509_digest(certificate, hash, out->octets, &len) == 1)
		out->len = len;
}

void tls_server_get_bindings(SSL *ssl, struct tls_bindings *out)
{
	*out = (struct tls_bindings){0};
	get_exporter(ssl, &out->exporter);
	get_unique(ssl, true, &out->unique);
	get_end_point(SSL_get_certificate(ssl), &out->end_point);
	ERR_clear_error();
}

void tls_client_get_bindings(SSL *ssl, struct tls_bindings *out)
{
	X509 *server = SSL_get1_peer_certificate(ssl);

	*out = (struct tls_bindings){0};
	get_exporter(ssl, &out->exporter);
	get_unique(ssl, false, &out->unique);
	get_end_point(server, &out->end_point);
	X509_free(server);
	ERR_clear_error();
}
