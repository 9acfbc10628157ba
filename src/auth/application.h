// SPDX-License-Identifier: ISC
// Application passwords: made here, never chosen, so a fast keyed hash is enough. Each can be bound
// to networks and to a time. They serve PLAIN and LOGIN; no SCRAM keys are kept for them.
#ifndef PABAL_AUTH_APPLICATION_H
#define PABAL_AUTH_APPLICATION_H

#include "store/secrets.h"

#define AUTH_APPLICATION_TEXT 32 // "abcd-efgh-jkmn-pqrs-tuvw" and its end: 20 of 23 letters, 90 bits

// A new password and its hash for that account. The key of the hash is made at first use.
int auth_application_make(struct secrets *s, struct str name, char text[AUTH_APPLICATION_TEXT],
	unsigned char hash[32]);

enum auth_application_result {
	AUTH_APPLICATION_NONE,	  // it is no application password of this account
	AUTH_APPLICATION_RIGHT,
	AUTH_APPLICATION_REFUSED, // it is, but not from there or not any more: note says why
};
// Dashes, blanks and the case of letters do not matter. label: of the one that fits. Costs a
// microsecond and the look into the store only for what has the form of one.
enum auth_application_result auth_application_check(struct secrets *s, struct str name,
	struct str password, const struct ipaddr *client, uint64_t now_ms,
	char label[SECRETS_LABEL_MAX + 1], char *note, size_t note_size);

#endif
