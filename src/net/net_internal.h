// SPDX-License-Identifier: ISC
// What the files of this room share.
#ifndef PABAL_NET_INTERNAL_H
#define PABAL_NET_INTERNAL_H

#include "base/buf.h"
#include "config/config.h"
#include "net/tls.h"
#include "net/wheel.h"

#define WHEEL_TICK_MS 100
#define WHEEL_SLOTS   1024 // about 100 s a round; longer timers are passed by

// One a loop, and so it also holds what all streams of a loop share.
struct wheel {
	uv_timer_t timer;
	uv_idle_t turn; // active while a stream is in the waiting list
	uint64_t tick;	// the last one that was handled
	size_t count;	// timers that are set
	unsigned open_handles;
	bool destroyed;
	struct list slots[WHEEL_SLOTS];
	struct list firing;
	// of stream.c
	struct list waiting;   // streams with something to do before the loop waits
	struct list lingering; // streams without an owner that still send
	char *input;	       // STREAM_READ_SIZE octets, what was read last
};

#define STREAM_READ_SIZE ((size_t)64 * 1024)
void wheel_wake(struct wheel *w); // stream_run_waiting is called before the loop waits
void stream_run_waiting(struct wheel *w);
void stream_close_lingering(struct wheel *w);

// ---- tls*.c
// A certificate with its key and chain, read from the configuration.
struct tls_identity {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};
int tls_identity_load(
	const struct config_certificate *c, struct tls_identity *out, struct error *err);
void tls_identity_finish(struct tls_identity *id);
int tls_identity_use(const struct tls_identity *id, const struct config_file *file, SSL_CTX *ctx,
	struct error *err);
// What servers and clients have in common: versions, modes, no renegotiation. level: of security,
// for TLS 1.2 and newer; older versions work only on level 0.
SSL_CTX *tls_context_create(const SSL_METHOD *method, enum config_tls_version min, int level);
// Adds the certificates of a PEM text or of all files in a folder to the store.
int tls_store_add_pem(X509_STORE *store, struct str pem, unsigned *out_count);
int tls_store_add_folder(X509_STORE *store, const char *path, unsigned *out_count);
// The system's authorities, loaded once; borrowed.
X509_STORE *tls_system_store(void);
// error_set with OpenSSL's reason appended; empties OpenSSL's queue.
int tls_error(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
// DNS names of a certificate, the common name when it has none: calls each, lower case.
void tls_each_name(X509 *certificate, void (*visit)(void *arg, struct str name), void *arg);

#endif
