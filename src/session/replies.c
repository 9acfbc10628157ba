// SPDX-License-Identifier: ISC
// The table of replies.
#include "session/replies.h"

#include "base/error.h"
#include "base/text.h"

#include <stddef.h>

static const struct reply_text texts[REPLY_COUNT] = {
	[REPLY_BYE] = {221, "2.0.0", NULL, TEXT_MARK("bye"), .close = true},
	[REPLY_RESET] = {250, "2.0.0", NULL, TEXT_MARK("forgotten")},
	[REPLY_NOOP] = {250, "2.0.0", NULL, TEXT_MARK("ok")},
	[REPLY_VRFY] = {252, "2.5.0", NULL, TEXT_MARK("not told; send the message and see")},
	[REPLY_HELP] = {214, "2.0.0", NULL, TEXT_MARK("commands are those of RFC 5321")},
	[REPLY_SENDER_OK] = {250, "2.1.0", NULL, TEXT_MARK("sender ok")},
	[REPLY_RECIPIENT_OK] = {250, "2.1.5", NULL, TEXT_MARK("recipient ok")},
	[REPLY_SEND_BODY] = {354, "", NULL, TEXT_MARK("send the message, end it with <CRLF>.<CRLF>")},
	[REPLY_CHUNK_OK] = {250, "2.0.0", NULL, TEXT_MARK("chunk ok")},
	[REPLY_ACCEPTED] = {250, "2.0.0", NULL, TEXT_MARK("accepted")},
	[REPLY_START_TLS] = {220, "2.0.0", NULL, TEXT_MARK("start TLS now")},
	[REPLY_AUTH_OK] = {235, "2.7.0", NULL, TEXT_MARK("logged in"), .is_auth = true},

	// RFC 4954 4 and 6
	[REPLY_AUTH_FAILED] = {535, "5.7.8", "auth-failed",
		TEXT_MARK("wrong name or password"), .is_auth = true},
	[REPLY_AUTH_UNAVAILABLE] = {454, "4.7.0", "auth-unavailable",
		TEXT_MARK("logins cannot be checked now; try again"), .is_auth = true},
	[REPLY_AUTH_CANCELLED] = {501, "5.7.0", "auth-cancelled",
		TEXT_MARK("login cancelled"), .is_auth = true},
	[REPLY_AUTH_UNASKED] = {501, "5.7.0", "auth-initial",
		TEXT_MARK("with this mechanism the server begins; send AUTH and its name alone"),
		.is_auth = true},
	[REPLY_AUTH_NOT_BASE64] = {501, "5.5.2", "auth-syntax",
		TEXT_MARK("this is not base64"), .is_auth = true},
	[REPLY_AUTH_LINE_LONG] = {500, "5.5.6", "auth-line",
		TEXT_MARK("line too long, or with a CR, LF or NUL of its own; login cancelled"),
		.is_auth = true},
	[REPLY_AUTH_MECHANISM] = {504, "5.5.4", "auth-mechanism",
		TEXT_MARK("mechanism not offered; EHLO lists them"), .is_auth = true},
	[REPLY_AUTH_TWICE] = {503, "5.5.1", "auth-twice", TEXT_MARK("you are logged in already")},
	[REPLY_AUTH_TOO_MANY] = {421, "4.7.0", "auth-tries",
		TEXT_MARK("too many failed logins; check the password, then connect again"), .close = true},

	[REPLY_AUTH_BLOCKED] = {421, "4.7.0", "auth-guess",
		TEXT_MARK("too many failed logins; wait a while, then connect again"), .close = true,
		.is_auth = true},

	// RFC 5321 4.1.4
	[REPLY_HELO_FIRST] = {503, "5.5.1", "sequence", TEXT_MARK("send EHLO or HELO first")},
	[REPLY_MAIL_FIRST] = {503, "5.5.1", "sequence", TEXT_MARK("send MAIL first")},
	[REPLY_RCPT_FIRST] = {503, "5.5.1", "sequence", TEXT_MARK("send MAIL and RCPT first")},
	[REPLY_MAIL_TWICE] = {503, "5.5.1", "sequence",
		TEXT_MARK("a message is begun already; finish it or send RSET")},
	[REPLY_IN_TRANSACTION] = {503, "5.5.1", "sequence",
		TEXT_MARK("not while a message is begun; finish it or send RSET")},
	[REPLY_CHUNKS_BEGUN] = {503, "5.5.1", "sequence",
		TEXT_MARK("the body is begun with BDAT; go on with BDAT or send RSET")},
	[REPLY_NO_RECIPIENTS] = {554, "5.5.1", "no-recipients",
		TEXT_MARK("no recipient was accepted")},
	[REPLY_TLS_TWICE] = {503, "5.5.1", "sequence", TEXT_MARK("TLS is active already")},
	[REPLY_TLS_NOT_HERE] = {502, "5.5.1", "tls-not-offered",
		TEXT_MARK("TLS is not offered here")},
	[REPLY_REHEARSAL] = {503, "5.5.1", "rehearsal",
		TEXT_MARK("this is a rehearsal: MAIL and RCPT are answered, nothing is carried out")},

	[REPLY_UNKNOWN] = {500, "5.5.1", "unknown-command", TEXT_MARK("command not known")},
	[REPLY_NOT_IMPLEMENTED] = {502, "5.5.1", "not-implemented",
		TEXT_MARK("command not implemented")},
	[REPLY_HELP_NOT_IMPLEMENTED] = {502, "5.3.0", "not-implemented",
		TEXT_MARK("HELP not implemented")},
	[REPLY_EXPN] = {502, "5.5.1", "not-implemented", TEXT_MARK("lists are not told")},
	[REPLY_LHLO] = {500, "5.5.1", "unknown-command", TEXT_MARK("this is SMTP; send EHLO")},
	[REPLY_FOREIGN] = {500, "5.5.1", "foreign-protocol",
		TEXT_MARK("this is SMTP, not what you speak"), .close = true},
	[REPLY_LINE_BARE] = {500, "5.5.2", "bare-line-end",
		TEXT_MARK("a line has a CR, LF or NUL of its own; lines end in CR LF only")},
	[REPLY_LINE_LONG] = {500, "5.5.6", "line-length", TEXT_MARK("line too long")},
	[REPLY_SYNTAX] = {501, "5.5.4", "syntax", TEXT_MARK("wrong syntax")},
	[REPLY_NEEDS_ARGUMENT] = {501, "5.5.4", "syntax", TEXT_MARK("an argument is missing")},
	[REPLY_TAKES_NO_ARGUMENT] = {501, "5.5.4", "syntax",
		TEXT_MARK("this command takes no argument")},
	[REPLY_TOO_LONG] = {501, "5.5.4", "syntax", TEXT_MARK("argument too long")},
	[REPLY_SENDER_BAD] = {501, "5.1.7", "syntax", TEXT_MARK("this is no sender address")},
	[REPLY_RECIPIENT_BAD] = {501, "5.1.3", "syntax", TEXT_MARK("this is no recipient address")},
	[REPLY_PARAMETER_UNKNOWN] = {555, "5.5.4", "syntax", TEXT_MARK("parameter not known")},
	[REPLY_PARAMETER_VALUE] = {501, "5.5.4", "syntax",
		TEXT_MARK("parameter with a wrong value, or twice")},
	[REPLY_BINARYMIME] = {555, "5.5.4", "syntax", TEXT_MARK("BODY=BINARYMIME is not offered")},
	[REPLY_NEEDS_SMTPUTF8] = {553, "5.6.7", "needs-smtputf8", // RFC 6531 3.5
		TEXT_MARK("an address beyond ASCII needs MAIL with SMTPUTF8")},
	// Where the octets of such a chunk end cannot be known: what follows must not be read as
	// commands, so the session ends.
	[REPLY_CHUNK_SYNTAX] = {501, "5.5.4", "chunk-syntax",
		TEXT_MARK("BDAT needs a number of octets"), .close = true},

	[REPLY_BODY_BARE] = {554, "5.6.0", "bare-line-end",
		TEXT_MARK("the message has a CR or LF of its own; lines end in CR LF only")},
	[REPLY_BODY_NUL] = {554, "5.6.0", "nul", TEXT_MARK("the message has a NUL octet")},
	[REPLY_BODY_LONG_LINE] = {554, "5.6.0", "body-line",
		TEXT_MARK("the message has a line that is too long")},
	[REPLY_BODY_TOO_LARGE] = {552, "5.3.4", "max-message-size",
		TEXT_MARK("the message is too large; EHLO tells the limit")},
	[REPLY_BODY_ENDLESS] = {552, "5.3.4", "max-message-size",
		TEXT_MARK("far too large a message; goodbye"), .close = true},
	[REPLY_BODY_END_UNSURE] = {421, "4.7.0", "bare-line-end",
		TEXT_MARK("where such a message ends is not sure; connect again"), .close = true},

	[REPLY_FULL] = {452, "4.3.1", "store-full", TEXT_MARK("no space now; try again later")},
	[REPLY_UNAVAILABLE] = {451, "4.3.0", "unavailable",
		TEXT_MARK("a part of this server does not answer now; try again later")},
	[REPLY_RECIPIENTS_FULL] = {452, "4.5.3", "max-recipients",
		TEXT_MARK("too many recipients; send the rest in another message")},
	[REPLY_TOO_MANY_ERRORS] = {421, "4.7.0", "max-errors",
		TEXT_MARK("too many errors; goodbye"), .close = true},
	[REPLY_TOO_MANY_COMMANDS] = {421, "4.7.0", "max-commands",
		TEXT_MARK("too many commands; connect again"), .close = true},
	[REPLY_TOO_OLD] = {421, "4.4.2", "session-timeout",
		TEXT_MARK("this session has lasted too long; connect again"), .close = true},
	[REPLY_TIMED_OUT] = {421, "4.4.2", "timeout",
		TEXT_MARK("too slow; connect again"), .close = true},
	[REPLY_SHUT_DOWN] = {421, "4.3.2", "shutdown",
		TEXT_MARK("the server restarts; connect again"), .close = true},
};

const struct reply_text *reply_text(enum reply reply)
{
	BUG_ON(reply >= REPLY_COUNT || !texts[reply].code);
	return &texts[reply];
}
