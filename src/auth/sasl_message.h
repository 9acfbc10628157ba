// SPDX-License-Identifier: ISC
// The little of foreign mechanisms' messages that has to be known before the library sees them. Pure.
#ifndef PABAL_AUTH_SASL_MESSAGE_H
#define PABAL_AUTH_SASL_MESSAGE_H

#include "auth/source.h"

// client-first-message of SCRAM (RFC 5802 7), as far as the name.
struct auth_scram_first {
	char binding;			// 'n', 'y' or 'p'
	char binding_name[32];		// of 'p'
	char authzid[AUTH_NAME_OCTETS]; // unescaped; "" : none
	char name[AUTH_NAME_OCTETS];
};
int auth_scram_first_read(struct str message, struct auth_scram_first *out); // ERR_SYNTAX, ERR_LIMIT

// The response of CRAM-MD5 (RFC 2195): name, blank, 32 hexadecimal digits, which come out in lower
// case.
#define AUTH_CRAM_DIGEST 32
int auth_cram_response_read(struct str response, struct str *out_name,
	char out_digest[AUTH_CRAM_DIGEST + 1]); // ERR_SYNTAX

// The name of an account for what programs of Windows send: "DOMAIN\user" is user@DOMAIN when DOMAIN
// has a dot, else user. A name without "@" gets domain, unless that is "". ERR_LIMIT.
int auth_domain_name_read(struct str name, struct str domain, char out[AUTH_NAME_OCTETS]);

#endif
