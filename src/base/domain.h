// SPDX-License-Identifier: ISC
// Domain names: one form for comparing, routing and storing.
#ifndef PABAL_BASE_DOMAIN_H
#define PABAL_BASE_DOMAIN_H

#include "base/str.h"

#define DOMAIN_MAX 255

// To lower-case A-labels without a trailing dot (IDNA 2008, libidn2). ERR_SYNTAX
// for what is no host name: empty labels, labels over 63, octets outside LDH
// after conversion ('_' is accepted), a name over 253 octets.
int domain_normalise(struct str domain, char out[DOMAIN_MAX + 1]);
// pattern "example.kr" matches itself, "*.example.kr" and ".example.kr" any name
// below it, "*" everything. Both normalised.
bool domain_matches(struct str pattern, struct str domain);

#endif
