// SPDX-License-Identifier: ISC
// A message is appended to an mbox in three synced steps: a sign that says where it stands, the message
// behind it, and the From line over the sign. Whatever ends the process or the machine in between leaves
// the sign as the last beginning of a message, and the next delivery cuts it off; a message of others
// behind it has a From line of its own, and then nothing is cut.
#ifndef PABAL_DELIVER_MBOX_TORN_H
#define PABAL_DELIVER_MBOX_TORN_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define MBOX_FROM_LEAST 32 // octets of a From line that has room for the sign

// The sign for a message at this offset, as long as the From line that will stand there.
void mbox_torn_sign(uint64_t offset, char *out, size_t len);
// fd: locked, of this size. *out_size: the size without a torn message at its end; the same when there
// is none. The last 256 MiB are looked at, backwards. ERR_SYSTEM: errno.
int mbox_torn_find(int fd, uint64_t size, uint64_t *out_size);

#endif
