// SPDX-License-Identifier: ISC
// The client side of TLS: towards other mail servers.
#include "net/tls.h"

#include "base/ipaddr.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/net_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

struct tls_client {
	SSL_CTX *ctx;
};

static int trust(SSL_CTX *ctx, const struct config_tls *tls, struct error *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	unsigned count;

	if (tls->ca_file.content.len == 0 && tls->ca_path.len == 0) {
		SSL_CTX_set1_cert_store(ctx, tls_system_store());
		return 0;
	}
	if (tls->ca_file.content.len > 0 &&
		tls_store_add_pem(store, tls->ca_file.content, &count) != 0)
		return error_set(err, ERR_TLS, TEXT("%.*s holds no certificates in PEM form"),
			STR_ARG(tls->ca_file.path));
	if (tls->ca_path.len > 0) {
		char *path = str_dup(tls->ca_path);
		int result = tls_store_add_folder(store, path, &count);
		mem_free(path);
		if (result)
			return error_set(err, ERR_TLS,
				TEXT("%.*s: no certificates can be read in this folder"),
				STR_ARG(tls->ca_path));
	}
	return 0;
}

static int show_certificate(SSL_CTX *ctx, const struct config_tls *tls, struct error *err)
{
	struct config_certificate c = {
		.certificate = tls->client_certificate, .key = tls->client_key};
	struct tls_identity identity;

	if (tls->client_certificate.content.len == 0)
		return 0;
	int result = tls_identity_load(&c, &identity, err);
	if (result)
		return result;
	result = tls_identity_use(&identity, &tls->client_certificate, ctx, err);
	tls_identity_finish(&identity);
	return result;
}

int tls_client_create(const struct config_tls *tls, struct tls_client **out, struct error *err)
{
	struct tls_client *t = mem_alloc(sizeof(*t));
	int result;

	*out = NULL;
	t->ctx = tls_context_create(TLS_client_method(), tls->min, 1);
	result = trust(t->ctx, tls, err);
	if (!result)
		result = show_certificate(t->ctx, tls, err);
	if (result) {
		tls_client_destroy(t);
		return result;
	}
	*out = t;
	return 0;
}

void tls_client_destroy(struct tls_client *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	mem_free(t);
}

// The name is set also where it is not required, so that the facts say whether it would do.
SSL *tls_client_session(struct tls_client *t, const char *host, bool verify)
{
	SSL *ssl = SSL_new(t->ctx);
	struct ipaddr address;

	if (!ssl)
		fatal("out of memory (a TLS session)");
	SSL_set_verify(ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (host && ipaddr_parse(str_from(host), &address) == 0) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	} else if (host && *host) {
		SSL_set_tlsext_host_name(ssl, host);
		SSL_set1_host(ssl, host);
	}
	SSL_set_connect_state(ssl);
	ERR_clear_error();
	return ssl;
}
