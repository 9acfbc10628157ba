// SPDX-License-Identifier: ISC
// Account names in the one form in which they are compared, stored and asked for.
#ifndef PABAL_AUTH_NAME_H
#define PABAL_AUTH_NAME_H

#include "base/domain.h"

#define AUTH_NAME_MAX (64 + 1 + DOMAIN_MAX)

// Local part in ASCII lower case, "@", domain as domain_normalise gives it. A name without "@" gets
// default_domain; it stays as it is where that is empty. ERR_SYNTAX for what cannot be a name:
// empty parts, control octets, not UTF-8, a local part over 64 octets.
int auth_name_key(struct str name, struct str default_domain, char out[AUTH_NAME_MAX + 1]);
// Whether the local part of a key form is what everybody would write. Directories and databases
// compare without regard to case, width and blanks: what they take for kim may be none of our kim.
bool auth_name_is_usual(struct str key);

#endif
