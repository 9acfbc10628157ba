// SPDX-License-Identifier: ISC
// SHA-256 of a body as it streams by.
#ifndef PABAL_MESSAGE_DIGEST_H
#define PABAL_MESSAGE_DIGEST_H

#include "message/envelope.h"

struct digest;
struct digest *digest_create(void);           // fatal when the library has no SHA-256
void digest_destroy(struct digest *d);
void digest_restart(struct digest *d);
void digest_update(struct digest *d, struct str octets);
void digest_result(struct digest *d, uint8_t out[MESSAGE_DIGEST_SIZE]); // then restart before reuse
void digest_of(struct str octets, uint8_t out[MESSAGE_DIGEST_SIZE]);

#endif
