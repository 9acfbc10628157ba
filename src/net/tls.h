// SPDX-License-Identifier: ISC
// TLS contexts made from the configuration (OpenSSL 3), and what is known of a session.
#ifndef PABAL_NET_TLS_H
#define PABAL_NET_TLS_H

#include "base/error.h"
#include "config/config.h"

#include <openssl/ssl.h>

struct tls_tickets { // shared by all workers and generations; see tls_server_create
	uint8_t current[32];
	uint8_t previous[32];
};

// A server's contexts: certificates of both kinds (ECDSA, RSA), chosen by SNI among several
// names. The ticket keys are derived from the secrets and the server's name, so that services do
// not resume each other's sessions. Session id context and verify mode are set on every SSL_CTX.
struct tls_server;
int tls_server_create(const struct config_tls *tls, struct str server_name,
	const struct tls_tickets *tickets, struct tls_server **out, struct error *err);
void tls_server_destroy(struct tls_server *t); // sessions in use keep what they need
void tls_server_set_tickets(struct tls_server *t, const struct tls_tickets *tickets);
// A new session for an accepted connection; fatal when memory ends.
SSL *tls_server_session(struct tls_server *t);

// A client's context: CA file or the system's, min version, client certificate. verify: the
// name is checked by the session.
struct tls_client;
int tls_client_create(const struct config_tls *tls, struct tls_client **out, struct error *err);
void tls_client_destroy(struct tls_client *t);
// host: for SNI and, when verify, for the certificate's name (RFC 6125). host must be an A-label name.
SSL *tls_client_session(struct tls_client *t, const char *host, bool verify);

struct tls_facts {
	char version[16];     // "TLSv1.3"
	char cipher[64];
	int bits;
	bool verified;        // the peer's certificate was checked and is good
	bool resumed;
	char peer_subject[256]; // "" without a certificate
	char peer_fingerprint[65]; // SHA-256 hex, "" without
	char peer_mailboxes[512]; // e-mail addresses of its certificate (SAN), with blanks between
};
void tls_get_facts(SSL *ssl, struct tls_facts *out);

// What both ends of a TLS connection know and nobody between them (RFC 5056): a proof that holds
// it is good on this connection only. Length 0: this connection has none of the kind.
struct tls_binding {
	uint8_t octets[64];
	size_t len;
};
struct tls_bindings {
	struct tls_binding exporter;  // tls-exporter (RFC 9266)
	struct tls_binding unique;    // tls-unique (RFC 5929 3): TLS 1.2
	struct tls_binding end_point; // tls-server-end-point (RFC 5929 4)
};
void tls_server_get_bindings(SSL *ssl, struct tls_bindings *out); // of the server's end
void tls_client_get_bindings(SSL *ssl, struct tls_bindings *out);
// The words of the last failure on this thread, in terms an administrator can use
// ("no shared cipher: the other side has only ...").
void tls_describe_failure(SSL *ssl, int ssl_error, char *out, size_t out_size);
// Makes a key (P-256) and a self-signed certificate for host, both PEM. days of validity.
int tls_make_self_signed(struct str host, unsigned days, struct buf *out_certificate,
	struct buf *out_key, struct error *err);
// Days until the first of the certificates ends (negative: it has ended), and its subject names.
int tls_certificate_days(struct str pem, int *out_days, char *out_names, size_t out_size);
// Loads providers, ciphers and the system's CA store, so that nothing is opened after confinement.
void tls_prepare(void);

#endif
