// SPDX-License-Identifier: ISC
// Names of users in filters and distinguished names, so that they are values and nothing else.
// Pure.
#ifndef PABAL_AUTH_SOURCE_LDAP_TEXT_H
#define PABAL_AUTH_SOURCE_LDAP_TEXT_H

#include "base/buf.h"
#include "base/error.h"

#define AUTH_LDAP_TEXT_MAX 8192 // octets of a filled template

// As a value in a filter (RFC 4515 3), or as an attribute's value in a DN (RFC 4514 2.4). ERR_LIMIT
// when out's bound would be passed.
int auth_ldap_escape_filter(struct buf *out, struct str value);
int auth_ldap_escape_dn(struct buf *out, struct str value);

struct auth_ldap_names {
	struct str user, name, domain; // %u %n %d
	struct str dn;		       // %D
};
void auth_ldap_names_set(struct auth_ldap_names *n, struct str user);

// Which letters a template has: "und", or "undD" where the user's DN is known. ERR_SYNTAX with
// words for another one.
int auth_ldap_template_check(struct str template, const char *letters, struct error *err);
// True when the template holds one of these letters behind a "%".
bool auth_ldap_template_has(struct str template, const char *letters);
// Fills a template that was checked; "%%" is "%". ERR_LIMIT.
int auth_ldap_template_fill(struct str template, const struct auth_ldap_names *names,
	int (*escape)(struct buf *out, struct str value), struct buf *out);

#endif
