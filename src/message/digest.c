// SPDX-License-Identifier: ISC
// SHA-256 by OpenSSL. Nothing here depends on the octets, so a failure means that
// the library cannot work at all: the process ends.
#include "message/digest.h"

#include "base/error.h"
#include "base/memory.h"

#include <openssl/evp.h>

struct digest {
	EVP_MD *md; // fetched once: a fetch a message would cost more than a small body
	EVP_MD_CTX *context;
};

struct digest *digest_create(void)
{
	struct digest *d = mem_alloc(sizeof(*d));

	d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	d->context = EVP_MD_CTX_new();
	if (!d->md || !d->context)
		fatal("the crypto library has no SHA-256");
	digest_restart(d);
	return d;
}

void digest_destroy(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->context);
	EVP_MD_free(d->md);
	mem_free(d);
}

void digest_restart(struct digest *d)
{
	if (EVP_DigestInit_ex2(d->context, d->md, NULL) != 1)
		fatal("SHA-256 cannot be started");
}

void digest_update(struct digest *d, struct str octets)
{
	if (octets.len > 0 && EVP_DigestUpdate(d->context, octets.data, octets.len) != 1)
		fatal("SHA-256 failed");
}

void digest_result(struct digest *d, uint8_t out[MESSAGE_DIGEST_SIZE])
{
	if (EVP_DigestFinal_ex(d->context, out, NULL) != 1)
		fatal("SHA-256 failed");
}

void digest_of(struct str octets, uint8_t out[MESSAGE_DIGEST_SIZE])
{
	if (EVP_Digest(octets.len ? octets.data : "", octets.len, out, NULL, EVP_sha256(), NULL) !=
		1)
		fatal("SHA-256 failed");
}
