// SPDX-License-Identifier: ISC
// Lists of networks as text: words with a space between, as "192.0.2.0/24 2001:db8::1".
#ifndef PABAL_BASE_NETLIST_H
#define PABAL_BASE_NETLIST_H

#include "base/buf.h"
#include "base/ipaddr.h"

// Reads words parted by blanks or commas and appends them in their usual form. "any" is every
// address. ERR_SYNTAX: *bad (may be NULL) is the word that is no network.
int netlist_parse(struct str words, struct buf *out, struct str *bad);
bool netlist_has(struct str list, const struct ipaddr *address);

#endif
