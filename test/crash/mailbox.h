// SPDX-License-Identifier: ISC
// Deliveries into mailboxes by several threads, and the check of what a power cut left of them.
#ifndef PABAL_CRASH_MAILBOX_H
#define PABAL_CRASH_MAILBOX_H

#include "cut.h"

// folder, seed and lies of cut are given. True: nothing was wrong.
bool mailbox_run(struct cut *cut);

#endif
