// SPDX-License-Identifier: ISC
// Which mailboxes are known to outlive a power cut, with every folder above them. Shared by the
// threads of one process; forgets when it is full, which costs a few syncs.
#ifndef PABAL_DELIVER_MAILDIR_KNOWN_H
#define PABAL_DELIVER_MAILDIR_KNOWN_H

#include <stdbool.h>

struct maildir_known;
struct maildir_known *maildir_known_create(void);
void maildir_known_destroy(struct maildir_known *k); // NULL is fine

// folder: open, of any kind. Another folder in its place is another one: it is told by when it was
// made. Where a file system does not say that, nothing is ever known.
bool maildir_known_has(struct maildir_known *k, int folder);
// To be called when everything above it and its own name were synced after it was opened.
void maildir_known_add(struct maildir_known *k, int folder);

#endif
