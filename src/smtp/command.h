// SPDX-License-Identifier: ISC
// One command line: verb and arguments. Grammar only: whether a verb is allowed
// now is the session's question.
#ifndef PABAL_SMTP_COMMAND_H
#define PABAL_SMTP_COMMAND_H

#include "smtp/address.h"
#include "smtp/limits.h"
#include "smtp/parameters.h"

enum smtp_verb {
	SMTP_UNKNOWN, SMTP_HELO, SMTP_EHLO, SMTP_LHLO, SMTP_STARTTLS, SMTP_AUTH, SMTP_MAIL, SMTP_RCPT,
	SMTP_DATA, SMTP_BDAT, SMTP_RSET, SMTP_NOOP, SMTP_VRFY, SMTP_EXPN, SMTP_HELP, SMTP_QUIT,
	SMTP_ETRN, SMTP_VERBS
};

struct smtp_command {
	enum smtp_verb verb;
	struct str argument; // everything behind the verb and its space(s), trimmed at the end
};

// Never fails: what is no verb is SMTP_UNKNOWN. "MAIL FROM:<a>" gives argument "FROM:<a>".
void smtp_command_parse(struct str line, struct smtp_command *out);
const char *smtp_verb_name(enum smtp_verb verb);
// The bound for the line that starts with input: limits.command_line, and more for
// MAIL and RCPT by what the extensions add (RFC 1870 3, 3461 4, 4954 5, 6531 3.4).
size_t smtp_command_line_limit(struct str input, const struct smtp_limits *limits);

// What a parse of arguments found wrong, as the reply to give.
enum smtp_fault {
	SMTP_FAULT_NONE,
	SMTP_FAULT_SYNTAX,             // 501 5.5.4
	SMTP_FAULT_ADDRESS,            // 501 5.1.3 (recipient) or 5.1.7 (sender)
	SMTP_FAULT_PARAMETER_UNKNOWN,  // 555 5.5.4
	SMTP_FAULT_PARAMETER_VALUE,    // 501 5.5.4
	SMTP_FAULT_TOO_LONG,           // 501 5.5.4 / 500 5.5.6
};

// "FROM:<a@b> SIZE=10 …". offending: what to name in the reply, borrowed.
enum smtp_fault smtp_command_parse_mail(struct str argument, struct smtp_address *out_sender,
	struct smtp_mail_parameters *out, struct str *out_offending);
enum smtp_fault smtp_command_parse_rcpt(struct str argument, struct smtp_address *out_recipient,
	struct smtp_rcpt_parameters *out, struct str *out_offending);
// "1234 LAST": chunk size in octets (RFC 3030 2).
enum smtp_fault smtp_command_parse_bdat(struct str argument, uint64_t *out_size, bool *out_last);
// "PLAIN dGVzdA==": mechanism in upper case; initial.data NULL when absent, "=" is empty (RFC 4954 4).
enum smtp_fault smtp_command_parse_auth(struct str argument, char out_mechanism[21],
	struct str *out_initial);
// Domain or address literal of HELO/EHLO; tolerant as servers are (RFC 5321 4.1.4), but
// only printable octets without spaces, at most 255.
enum smtp_fault smtp_command_parse_helo(struct str argument, struct str *out_name);

#endif
