// SPDX-License-Identifier: ISC
// The server side of TLS: one SSL_CTX a certificate (with a certificate of the other kind of key
// for the same names beside it), SNI, tickets. The first context is the default and owns the
// others, so that a session in use keeps all it needs when the server's configuration has gone.
#include "net/tls.h"

#include "base/memory.h"
#include "base/text.h"
#include "net/net_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <pthread.h>

#define SESSION_SECONDS	 7200
#define CERTIFICATES_MAX 1000

// Derived from a ticket secret; which octets are named in RFC 5077 4.
struct ticket_key {
	uint8_t name[16];
	uint8_t mac[32];
	uint8_t cipher[32];
};

struct names {
	char **items;
	size_t count;
};

struct served { // one certificate of the configuration
	struct tls_identity identity;
	struct names names;
	SSL_CTX *ctx; // of the first one: borrowed from tls_server
};

struct shared { // hangs on the default context and goes with it
	struct ticket_key current, previous;
	struct served *served;
	size_t count;
};

struct tls_server {
	SSL_CTX *ctx;
	struct shared *shared;
	char *name;
};

// Where a context (the owner) and a session (borrowed) point to struct shared; set once.
static int shared_index, session_index;

// ---- names
static void add_name(void *arg, struct str name)
{
	struct names *n = arg;

	n->items = mem_resize(n->items, (n->count + 1) * sizeof(n->items[0]));
	n->items[n->count++] = str_dup(name);
}

// pattern "*.example.kr" stands for one label (RFC 6125 6.4.3).
static bool name_matches(struct str pattern, struct str name)
{
	if (str_equal(pattern, name))
		return true;
	if (!str_starts(pattern, STR("*.")))
		return false;
	ptrdiff_t dot = str_find(name, '.');
	return dot > 0 && str_equal(str_skip(pattern, 1), str_skip(name, (size_t)dot));
}

static bool names_match(const struct names *names, struct str name)
{
	for (size_t i = 0; i < names->count; i++)
		if (name_matches(str_from(names->items[i]), name))
			return true;
	return false;
}

static bool names_cover(const struct names *names, const struct names *others)
{
	for (size_t i = 0; i < others->count; i++)
		if (!names_match(names, str_from(others->items[i])))
			return false;
	return true;
}

// ---- what the default context owns
static void free_shared(
	void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	struct shared *shared = data;

	if (!shared)
		return;
	for (size_t i = 0; i < shared->count; i++) {
		struct served *s = &shared->served[i];
		tls_identity_finish(&s->identity);
		for (size_t k = 0; k < s->names.count; k++)
			mem_free(s->names.items[k]);
		mem_free(s->names.items);
		if (i > 0)
			SSL_CTX_free(s->ctx);
	}
	mem_free(shared->served);
	mem_wipe(shared, sizeof(*shared));
	mem_free(shared);
}

static void make_indexes(void)
{
	shared_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_shared);
	session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (shared_index < 0 || session_index < 0)
		fatal("out of memory (TLS)");
}

// ---- tickets
static int derive(const uint8_t secret[32], struct str server_name, struct ticket_key *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, 32),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SALT, (char *)"pabal tls tickets", 17),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, (void *)server_name.data, server_name.len),
		OSSL_PARAM_construct_end(),
	};
	int good = ctx ? EVP_KDF_derive(ctx, (uint8_t *)out, sizeof(*out), params) : 0;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return good == 1 ? 0 : ERR_TLS;
}

static int start_ticket_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

// 1: good, 2: good and to be renewed, 0: no such key (full handshake), -1: failure.
static int ticket_key(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct shared *shared = SSL_get_ex_data(ssl, session_index);
	const struct ticket_key *key = &shared->current;

	if (encrypt) {
		memcpy(name, key->name, sizeof(key->name));
		if (RAND_bytes(iv, 16) != 1 ||
			EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1)
			return -1;
		return start_ticket_mac(mac, key) == 1 ? 1 : -1;
	}
	if (memcmp(name, key->name, sizeof(key->name)) != 0) {
		key = &shared->previous;
		if (memcmp(name, key->name, sizeof(key->name)) != 0)
			return 0;
	}
	if (start_ticket_mac(mac, key) != 1 ||
		EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1)
		return -1;
	return key == &shared->current ? 1 : 2;
}

void tls_server_set_tickets(struct tls_server *t, const struct tls_tickets *tickets)
{
	struct str name = str_from(t->name);

	if (derive(tickets->current, name, &t->shared->current) ||
		derive(tickets->previous, name, &t->shared->previous))
		fatal("cannot derive the keys of TLS tickets");
}

// ---- choices during the handshake
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
	const struct shared *shared = SSL_get_ex_data(ssl, session_index);
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char name[256];

	if (!asked || !shared || !str_copy(str_from(asked), name, sizeof(name)))
		return SSL_TLSEXT_ERR_NOACK;
	str_lower(name, strlen(name));
	for (size_t i = 0; i < shared->count; i++) {
		if (!names_match(&shared->served[i].names, str_from(name)))
			continue;
		SSL_set_SSL_CTX(ssl, shared->served[i].ctx);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK; // the first certificate: many clients ask for an MX name and
				     // check nothing
}

// ALPN for SMTP (RFC 8314 has none; some clients offer "smtp"). What we do not know is not refused.
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\4smtp";

	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in,
		    in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

// A bad client certificate does not end the handshake: the facts tell what it was worth.
static int note_only(int good, X509_STORE_CTX *ctx)
{
	return 1;
}

// ---- making it
static int trust(SSL_CTX *ctx, const struct config_tls *tls, struct error *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	unsigned count;

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
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
		SSL_CTX_add_client_CA(ctx, X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)));
	return 0;
}

// Sessions of other servers, and those that were checked against other authorities, are not
// resumed.
static void set_session_context(SSL_CTX *ctx, const struct config_tls *tls, struct str server_name)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned len = 0;
	uint8_t asks = tls->request_client_certificate;

	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		fatal("cannot use SHA-256");
	EVP_DigestUpdate(md, server_name.data, server_name.len);
	EVP_DigestUpdate(md, &asks, 1);
	EVP_DigestUpdate(md, tls->ca_file.content.data, tls->ca_file.content.len);
	EVP_DigestUpdate(md, tls->ca_path.data, tls->ca_path.len);
	EVP_DigestFinal_ex(md, digest, &len);
	EVP_MD_CTX_free(md);
	SSL_CTX_set_session_id_context(
		ctx, digest, len < SSL_MAX_SID_CTX_LENGTH ? len : SSL_MAX_SID_CTX_LENGTH);
}

static int prepare_context(
	SSL_CTX *ctx, const struct config_tls *tls, struct str server_name, struct error *err)
{
	set_session_context(ctx, tls, server_name);
	SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
	SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	if (!tls->request_client_certificate)
		return 0;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, note_only);
	return trust(ctx, tls, err);
}

static int key_kind(const struct served *s)
{
	return EVP_PKEY_get_base_id(s->identity.key);
}

// The certificate itself, and beside it the first one of each other kind of key that is good for
// all of its names.
static int fill_context(
	struct shared *shared, size_t at, const struct config_tls *tls, struct error *err)
{
	struct served *own = &shared->served[at];
	int kinds[8] = {key_kind(own)};
	size_t kind_count = 1;
	int result =
		tls_identity_use(&own->identity, &tls->certificates[at].certificate, own->ctx, err);

	for (size_t i = 0; i < shared->count && !result; i++) {
		struct served *other = &shared->served[i];
		bool has = false;
		for (size_t k = 0; k < kind_count; k++)
			has = has || kinds[k] == key_kind(other);
		if (has || kind_count == ARRAY_SIZE(kinds) ||
			!names_cover(&other->names, &own->names))
			continue;
		kinds[kind_count++] = key_kind(other);
		result = tls_identity_use(
			&other->identity, &tls->certificates[i].certificate, own->ctx, err);
	}
	return result;
}

static int load_all(struct tls_server *t, const struct config_tls *tls, struct error *err)
{
	struct shared *shared = t->shared;
	int result = 0;

	shared->served = mem_array(tls->certificate_count, sizeof(shared->served[0]));
	for (size_t i = 0; i < tls->certificate_count && !result; i++) {
		struct served *s = &shared->served[i];
		s->ctx = i == 0 ? t->ctx : tls_context_create(TLS_server_method(), tls->min, 2);
		shared->count = i + 1;
		result = tls_identity_load(&tls->certificates[i], &s->identity, err);
		if (!result)
			tls_each_name(s->identity.leaf, add_name, &s->names);
		if (!result)
			result = prepare_context(s->ctx, tls, str_from(t->name), err);
	}
	for (size_t i = 0; i < shared->count && !result; i++)
		result = fill_context(shared, i, tls, err);
	return result;
}

int tls_server_create(const struct config_tls *tls, struct str server_name,
	const struct tls_tickets *tickets, struct tls_server **out, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_server *t;
	int result;

	*out = NULL;
	if (tls->certificate_count == 0)
		return error_set(
			err, ERR_TLS, TEXT("server %.*s has no certificate"), STR_ARG(server_name));
	if (tls->certificate_count > CERTIFICATES_MAX)
		return error_set(
			err, ERR_LIMIT, TEXT("more than %u certificates"), CERTIFICATES_MAX);
	pthread_once(&once, make_indexes);
	t = mem_alloc(sizeof(*t));
	t->name = str_dup(server_name);
	t->ctx = tls_context_create(TLS_server_method(), tls->min, 2);
	t->shared = mem_alloc(sizeof(*t->shared));
	SSL_CTX_set_ex_data(t->ctx, shared_index, t->shared);
	tls_server_set_tickets(t, tickets);
	result = load_all(t, tls, err);
	if (result) {
		tls_server_destroy(t);
		return result;
	}
	*out = t;
	return 0;
}

void tls_server_destroy(struct tls_server *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	mem_free(t->name);
	mem_free(t);
}

SSL *tls_server_session(struct tls_server *t)
{
	SSL *ssl = SSL_new(t->ctx);

	if (!ssl || SSL_set_ex_data(ssl, session_index, t->shared) != 1)
		fatal("out of memory (a TLS session)");
	SSL_set_accept_state(ssl);
	return ssl;
}
