// SPDX-License-Identifier: ISC
// ESMTP parameters of MAIL and RCPT (RFC 1870, 3461, 4954, 6152, 6531).
#ifndef PABAL_SMTP_PARAMETERS_H
#define PABAL_SMTP_PARAMETERS_H

#include "base/error.h"
#include "base/str.h"

#define SMTP_ENVID_MAX 100  // xtext octets (RFC 3461 4.4)
#define SMTP_ORCPT_MAX 500  // "type;xtext" octets (RFC 3461 4.2)

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
// Bits of NOTIFY; 0: parameter absent.
enum { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

struct smtp_mail_parameters {
	bool has_size;
	uint64_t size;               // octets declared
	enum smtp_body body;
	bool smtputf8;
	enum smtp_ret ret;
	char envid[SMTP_ENVID_MAX + 1]; // as given (xtext); ""
	bool has_auth;               // AUTH= was given (RFC 4954 5); value is not trusted and not kept
};

struct smtp_rcpt_parameters {
	unsigned notify;
	char orcpt[SMTP_ORCPT_MAX + 1]; // "rfc822;xtext" as given; ""
};

// What follows a path: " SIZE=10 BODY=8BITMIME", also nothing. *out_offending names
// the keyword at fault, borrowed. ERR_UNSUPPORTED: a keyword not known here,
// ERR_EXISTS: one given twice, ERR_SYNTAX and ERR_LIMIT: its value.
int smtp_mail_parameters_parse(struct str s, struct smtp_mail_parameters *out,
	struct str *out_offending);
int smtp_rcpt_parameters_parse(struct str s, struct smtp_rcpt_parameters *out,
	struct str *out_offending);

// xtext of RFC 3461 4.
bool smtp_xtext_valid(struct str s);
int smtp_xtext_encode(struct str s, char *out, size_t out_size); // ERR_LIMIT
int smtp_xtext_decode(struct str s, char *out, size_t out_size); // ERR_SYNTAX, ERR_LIMIT

#endif
