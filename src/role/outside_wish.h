// SPDX-License-Identifier: ISC
// What an administrator asks for on the private socket of smtpd (session/outside.h): the PROXY header
// and the wishes in it. A pure parser.
#ifndef PABAL_ROLE_OUTSIDE_WISH_H
#define PABAL_ROLE_OUTSIDE_WISH_H

#include "net/proxy.h"

struct outside_wish {
	struct proxy_header header; // version 2, with addresses
	struct str server;          // name of a server block, when named; points into octets
	struct str account;         // when logged_in: no NUL, UTF-8, below SMTP_ADDRESS_MAX
	bool named, tls, logged_in, explain, vouched;
	bool brief;                 // explain with few facts
};

// Reads the header that octets begin with. 0: *out is filled, *used octets belong to it.
// ERR_NOT_FOUND: more octets are needed. ERR_SYNTAX, ERR_LIMIT: *why says what is wrong.
int outside_wish_read(struct str octets, struct outside_wish *out, size_t *used, const char **why);

#endif
