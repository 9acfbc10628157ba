// SPDX-License-Identifier: ISC
// The verbs that need no file of their own.
#include "session/session_internal.h"

enum reply session_rset(struct session *s, struct str argument)
{
	session_reset(s);
	return REPLY_RESET;
}

enum reply session_noop(struct session *s, struct str argument)
{
	return REPLY_NOOP;
}

enum reply session_vrfy(struct session *s, struct str argument)
{
	return REPLY_VRFY; // RFC 5321 7.3
}

enum reply session_expn(struct session *s, struct str argument)
{
	return REPLY_EXPN;
}

enum reply session_help(struct session *s, struct str argument)
{
	return s->facts.server->help == CONFIG_HELP_SENDMAIL ? REPLY_HELP_NOT_IMPLEMENTED : REPLY_HELP;
}

enum reply session_quit(struct session *s, struct str argument)
{
	return REPLY_BYE;
}

enum reply session_lhlo(struct session *s, struct str argument)
{
	return REPLY_LHLO;
}

enum reply session_etrn(struct session *s, struct str argument)
{
	return REPLY_NOT_IMPLEMENTED;
}

// A browser that was made to talk to us must not get a message in between its header lines.
enum reply session_unknown(struct session *s, struct str line)
{
	static const struct str foreign[] = {
		{"GET ", 4}, {"POST ", 5}, {"PUT ", 4}, {"HEAD ", 5}, {"CONNECT ", 8}, {"OPTIONS ", 8},
	};

	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if (str_starts_nocase(line, foreign[i]))
			return REPLY_FOREIGN;
	return REPLY_UNKNOWN;
}
