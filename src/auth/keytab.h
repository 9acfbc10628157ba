// SPDX-License-Identifier: ISC
// Whose keys a keytab of Kerberos holds; the keys themselves are the library's affair. Pure.
#ifndef PABAL_AUTH_KEYTAB_H
#define PABAL_AUTH_KEYTAB_H

#include "base/str.h"

// Whether content, the octets of a keytab (version 0x502), has a key of SERVICE/HOST of any realm.
// Without case in the host. What cannot be read ends the search.
bool auth_keytab_has(struct str content, struct str service, struct str host);

#endif
