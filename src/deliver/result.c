// SPDX-License-Identifier: ISC
#include "deliver/result.h"

#include "base/text.h"
#include "base/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void deliver_set_result(struct deliver_recipient *r, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *text)
{
	r->result.outcome = outcome;
	r->result.code = code;
	snprintf(r->result.enhanced, sizeof r->result.enhanced, "%s", enhanced);
	snprintf(r->result.text, sizeof r->result.text, "%s", text);
}

void deliver_set_format(struct deliver_recipient *r, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *format, ...)
{
	char text[SMTP_REPLY_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	deliver_set_result(r, outcome, code, enhanced, text);
}

void deliver_set_errno(struct deliver_recipient *r, const char *what)
{
	int why = errno;
	char text[SMTP_REPLY_TEXT_MAX];
	const char *enhanced = why == EDQUOT ? "4.2.2" : why == ENOSPC ? "4.3.1" : "4.2.0";
	snprintf(text, sizeof text, TEXT("mailbox of %s: %s: %s"), r->address, what, strerror(why));
	deliver_set_result(
		r, SMTP_TEMPORARY, why == ENOSPC || why == EDQUOT ? 452 : 451, enhanced, text);
}

void deliver_set_full(struct deliver_recipient *r)
{
	char now[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX], text[SMTP_REPLY_TEXT_MAX];
	const struct quota_limits *l = &r->quota;
	if (l->octets && (r->usage.octets >= l->octets || !l->messages ||
		r->usage.messages < l->messages))
		snprintf(text, sizeof text,
			TEXT("mailbox-full: the mailbox of %s has no room for this message: %s of %s are used"),
			r->address, unit_format_size_short(r->usage.octets, now),
			unit_format_size_short(l->octets, most));
	else
		snprintf(text, sizeof text, TEXT("mailbox-full: the mailbox of %s holds %llu messages of %llu"),
			r->address, (unsigned long long)r->usage.messages, (unsigned long long)l->messages);
	deliver_set_result(r, SMTP_TEMPORARY, 452, "4.2.2", text);
}

void deliver_set_delivered(struct deliver_recipient *r)
{
	deliver_set_result(r, SMTP_DELIVERED, 250, "2.1.5", TEXT("delivered to the mailbox"));
}

const char *deliver_shown_address(const struct deliver_recipient *r)
{
	return r->kind == IPC_TARGET_PROGRAM || r->kind == IPC_TARGET_FILE ? r->original : r->address;
}
