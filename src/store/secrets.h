// SPDX-License-Identifier: ISC
// secrets.db: password hashes and SCRAM keys, owned by role auth alone (0600).
// Calls block and are short; auth makes them on its own thread or pool, one at a time.
#ifndef PABAL_STORE_SECRETS_H
#define PABAL_STORE_SECRETS_H

#include "base/buf.h"
#include "base/error.h"

struct secrets;
struct secret {
	char hash[256];        // crypt(3) or "$argon2id$…"; "" : none
	char scram[512];       // "SCRAM-SHA-256$4096:salt$stored:server"; "" : none
	uint64_t changed_ms;
};
// ERR_DENIED with words when another process has the lock or the file's rights are too wide.
int secrets_open(const char *path, bool create, struct secrets **out, struct error *err);
void secrets_close(struct secrets *s);
int secrets_get(struct secrets *s, struct str name, struct secret *out); // ERR_NOT_FOUND
int secrets_set(struct secrets *s, struct str name, const struct secret *secret);
int secrets_remove(struct secrets *s, struct str name);
int secrets_each(struct secrets *s, void (*each)(void *arg, struct str name), void *arg);

#endif
