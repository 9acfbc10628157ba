// SPDX-License-Identifier: ISC
// secrets.db: password hashes, SCRAM keys, sealed and application passwords, when each was used
// last; owned by role auth alone (0600). Calls block and are short; auth makes them on its own
// thread or pool, one at a time.
#ifndef PABAL_STORE_SECRETS_H
#define PABAL_STORE_SECRETS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/ipaddr.h"

#define SECRETS_KEY	   32	// octets of the key file
#define SECRETS_SEALED_MAX 640	// octets of a sealed password
#define SECRETS_META_MAX   4096 // octets of a value of secrets_meta_set
#define SECRETS_LABEL_MAX  64	// octets of the label of an application password
#define SECRETS_LIST_MAX   1000 // octets of a list of networks
#define SECRETS_OTP	   128	// octets of a state of one-time passwords, with the NUL

struct secrets;
struct secret {
	char hash[256];        // crypt(3) or "$argon2id$…"; "" : none
	char scram[512];       // "SCRAM-SHA-256$4096:salt$stored:server"; "" : none
	unsigned char sealed[SECRETS_SEALED_MAX]; // the password itself, as auth/seal.h makes it
	size_t sealed_len;     // 0: nothing recoverable is stored
	uint64_t changed_ms;
};
// ERR_DENIED with words when another process has the lock or the file's rights are too wide.
int secrets_open(const char *path, bool create, struct secrets **out, struct error *err);
void secrets_close(struct secrets *s);
int secrets_get(struct secrets *s, struct str name, struct secret *out); // ERR_NOT_FOUND
int secrets_set(struct secrets *s, struct str name, const struct secret *secret);
// With its one-time and application passwords, last uses and places. ERR_NOT_FOUND.
int secrets_remove(struct secrets *s, struct str name);
int secrets_each(struct secrets *s, void (*each)(void *arg, struct str name), void *arg);
// Names that have a password but no SCRAM keys: SCRAM cannot serve them yet. Whether they are
// enabled is known to the directory only. each may be NULL; *out_count is how many.
int secrets_without_scram(struct secrets *s, void (*each)(void *arg, struct str name), void *arg,
	uint64_t *out_count);

// ---- values of our own that must outlive a restart, as the secret that unknown names are derived from
int secrets_meta_get(struct secrets *s, struct str name, void *out, size_t size, size_t *out_len);
int secrets_meta_set(struct secrets *s, struct str name, struct str octets);

// ---- one-time passwords: a state of auth/otp.h an account
int secrets_otp_get(struct secrets *s, struct str name, char out[SECRETS_OTP]); // ERR_NOT_FOUND
int secrets_otp_set(struct secrets *s, struct str name, const char *state);
int secrets_otp_remove(struct secrets *s, struct str name); // ERR_NOT_FOUND
// Only when the state still is was; ERR_NOT_FOUND. On the disk when it returns 0.
int secrets_otp_replace(struct secrets *s, struct str name, const char *was, const char *next);

// ---- the key that recoverable passwords are sealed with: a file of its own beside the database
// ("legacy.key", 0600), so that a copy of one without the other is worth nothing. Made when it is
// missing and create is true (ERR_NOT_FOUND else). ERR_DENIED when others have rights on it.
int secrets_key(struct secrets *s, bool create, unsigned char out[SECRETS_KEY], struct error *err);

// ---- application passwords: any number an account, each with a label
struct secret_application {
	char label[SECRETS_LABEL_MAX + 1];
	unsigned char hash[32];
	char networks[SECRETS_LIST_MAX + 1]; // space-separated; "" : from everywhere
	uint64_t created_ms, expires_ms;     // 0: never
};
int secrets_application_add(struct secrets *s, struct str name, const struct secret_application *a); // ERR_EXISTS
int secrets_application_remove(struct secrets *s, struct str name, struct str label); // ERR_NOT_FOUND
// By label. each may call nothing of this file.
int secrets_application_each(struct secrets *s, struct str name,
	void (*each)(void *arg, const struct secret_application *a), void *arg);

// ---- when a password was right last
struct secret_use {
	struct str name, label; // label "": the password of the account itself
	uint64_t when_ms;
	struct ipaddr client;
};
int secrets_note_uses(struct secrets *s, const struct secret_use *uses, size_t count); // one transaction
// ERR_NOT_FOUND. client: "" when it is not known.
int secrets_last_use(struct secrets *s, struct str name, struct str label, uint64_t *out_ms,
	char client[IPADDR_TEXT_MAX]);

// ---- where accounts have logged in from
struct secret_place {
	struct str name, addresses; // addresses: space-separated, the latest first
	uint64_t last_ms;
};
// One transaction. The accounts that logged in longest ago are forgotten beyond most.
int secrets_places_set(struct secrets *s, const struct secret_place *places, size_t count, uint64_t most);
// The last most of them, the latest last. each may call nothing of this file.
int secrets_places_each(struct secrets *s, uint64_t most,
	void (*each)(void *arg, const struct secret_place *p), void *arg);

#endif
