// SPDX-License-Identifier: ISC
// Paths and mailboxes of RFC 5321 4.1.2, with RFC 6531 for UTF-8.
#ifndef PABAL_SMTP_ADDRESS_H
#define PABAL_SMTP_ADDRESS_H

#include "base/domain.h"
#include "base/error.h"
#include "base/ipaddr.h"

#define SMTP_LOCAL_MAX 64    // octets of a local part, unquoted (RFC 5321 4.5.3.1.1)
#define SMTP_ADDRESS_MAX 320 // local@domain and NUL

// A parsed path. Source routes are read and dropped (RFC 5321 4.1.2, app. C).
struct smtp_address {
	bool null;          // <>
	bool postmaster;    // <postmaster> without a domain
	bool utf8;          // local part or domain had octets over 127
	bool literal;       // domain is an address literal; ip is set
	char local[SMTP_LOCAL_MAX + 1];   // unquoted, as given; NUL-terminated, holds no NUL
	char domain[DOMAIN_MAX + 1];      // A-labels, lower case; "[192.0.2.1]" for a literal
	struct ipaddr ip;
	// local@domain fit for a reply, a header or a command of ours (quoted again
	// where it must be); "" for <>, "postmaster" for <postmaster>.
	char text[SMTP_ADDRESS_MAX];
};

// Parses "<...>" at the start of s; *out_used: octets up to and with ">".
// ERR_SYNTAX, ERR_LIMIT. Control octets and NUL are syntax errors even quoted.
int smtp_address_parse_path(struct str s, struct smtp_address *out, size_t *out_used);
// Parses a bare mailbox "local@domain" that fills s (configuration, command line).
int smtp_address_parse(struct str s, struct smtp_address *out);
// The form used as a key: local part in ASCII lower case, "@", domain.
const char *smtp_address_key(const struct smtp_address *a, char out[SMTP_ADDRESS_MAX]);
// What the local part hides: the domain a naive relay would send to for
// "user%other.org", "other.org!user", "user@other.org" (quoted), "@a,@b:user".
// False when it hides none. Used so that no form is relayed as if it were local.
bool smtp_address_hidden_domain(const struct smtp_address *a, struct str *out_domain);

#endif
