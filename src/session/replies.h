// SPDX-License-Identifier: ISC
// Every reply of the dialogue that is not a verdict of policy, from one table.
#ifndef PABAL_SESSION_REPLIES_H
#define PABAL_SESSION_REPLIES_H

#include <stdbool.h>

enum reply {
	REPLY_NONE, // nothing to say now: it was said, or an answer is awaited
	// done
	REPLY_BYE,
	REPLY_RESET,
	REPLY_NOOP,
	REPLY_VRFY,
	REPLY_HELP,
	REPLY_SENDER_OK,
	REPLY_RECIPIENT_OK,
	REPLY_SEND_BODY,
	REPLY_CHUNK_OK,
	REPLY_ACCEPTED,
	REPLY_START_TLS,
	REPLY_AUTH_OK,
	// login
	REPLY_AUTH_FAILED,
	REPLY_AUTH_UNAVAILABLE,
	REPLY_AUTH_CANCELLED,
	REPLY_AUTH_NOT_BASE64,
	REPLY_AUTH_LINE_LONG,
	REPLY_AUTH_MECHANISM,
	REPLY_AUTH_TWICE,
	REPLY_AUTH_TOO_MANY,
	// order
	REPLY_HELO_FIRST,
	REPLY_MAIL_FIRST,
	REPLY_RCPT_FIRST,
	REPLY_MAIL_TWICE,
	REPLY_IN_TRANSACTION,
	REPLY_CHUNKS_BEGUN,
	REPLY_NO_RECIPIENTS,
	REPLY_TLS_TWICE,
	REPLY_TLS_NOT_HERE,
	// form
	REPLY_UNKNOWN,
	REPLY_NOT_IMPLEMENTED,
	REPLY_HELP_NOT_IMPLEMENTED,
	REPLY_EXPN,
	REPLY_LHLO,
	REPLY_FOREIGN,
	REPLY_LINE_BARE,
	REPLY_LINE_LONG,
	REPLY_SYNTAX,
	REPLY_NEEDS_ARGUMENT,
	REPLY_TAKES_NO_ARGUMENT,
	REPLY_TOO_LONG,
	REPLY_SENDER_BAD,
	REPLY_RECIPIENT_BAD,
	REPLY_PARAMETER_UNKNOWN,
	REPLY_PARAMETER_VALUE,
	REPLY_BINARYMIME,
	REPLY_NEEDS_SMTPUTF8,
	REPLY_CHUNK_SYNTAX,
	// body
	REPLY_BODY_BARE,
	REPLY_BODY_NUL,
	REPLY_BODY_LONG_LINE,
	REPLY_BODY_TOO_LARGE,
	REPLY_BODY_ENDLESS,
	REPLY_BODY_END_UNSURE,
	// ourselves
	REPLY_FULL,
	REPLY_UNAVAILABLE,
	REPLY_RECIPIENTS_FULL,
	REPLY_TOO_MANY_ERRORS,
	REPLY_TIMED_OUT,
	REPLY_SHUT_DOWN,
	REPLY_COUNT
};

struct reply_text {
	unsigned code;
	const char *enhanced; // "" : none
	const char *rule;     // name in events; NULL of good replies
	const char *text;     // English, to be looked up
	bool close;           // the session ends with it
	bool is_auth;         // reported as event auth, not as refuse
};

const struct reply_text *reply_text(enum reply reply);

#endif
