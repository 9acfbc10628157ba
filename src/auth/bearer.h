// SPDX-License-Identifier: ISC
// What clients send with a bearer token: the responses of OAUTHBEARER and XOAUTH2. Pure.
#ifndef PABAL_AUTH_BEARER_H
#define PABAL_AUTH_BEARER_H

#include "auth/source.h"

struct auth_bearer {
	char user[AUTH_NAME_OCTETS]; // whom the client wants to be; "" : whoever the token's is
	struct str token;	     // part of the message
};
// RFC 7628 3.1 with the gs2-header of RFC 5801 4. ERR_SYNTAX, also without a token, with another
// scheme and when the client wants a channel binding; ERR_LIMIT.
int auth_bearer_read(struct str message, struct auth_bearer *out);
// "user=" user ^A "auth=Bearer " token ^A ^A, as Google and Microsoft document it.
int auth_bearer_read_old(struct str message, struct auth_bearer *out);

#endif
