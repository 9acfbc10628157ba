// SPDX-License-Identifier: ISC
// The addresses of a field like From: (RFC 5322 3.4): lists, groups, display names, comments, quoted
// strings, folding, the obsolete forms of 4.4 and UTF-8 (RFC 6532).
#ifndef PABAL_MESSAGE_MAILBOXES_H
#define PABAL_MESSAGE_MAILBOXES_H

#include "smtp/address.h"

#define MAILBOXES_OCTETS_MAX 65536 // of a field
#define MAILBOXES_MAX	     1000  // addresses of a field

// Borrowed until it returns.
typedef void (*mailboxes_give)(void *arg, const struct smtp_address *address);

// value: of the field, folded or not. Each address is given in the order in which it is written, those
// of groups too. 0; ERR_SYNTAX when it is no list of addresses as a whole (then what was given counts
// for nothing); ERR_LIMIT when it is too large. A list without any address is no error.
int mailboxes_parse(struct str value, mailboxes_give give, void *arg);

#endif
