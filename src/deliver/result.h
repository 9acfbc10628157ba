// SPDX-License-Identifier: ISC
// What became of a recipient, in words.
#ifndef PABAL_DELIVER_RESULT_H
#define PABAL_DELIVER_RESULT_H

#include "deliver/deliver.h"

// text is cut at SMTP_REPLY_TEXT_MAX.
void deliver_set_result(struct deliver_recipient *r, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *text);
void deliver_set_format(struct deliver_recipient *r, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *format, ...) __attribute__((format(printf, 5, 6)));
// What the machine can recover from is tried again; errno says what went wrong: EDQUOT 4.2.2, ENOSPC
// 4.3.1, all else 4.2.0.
void deliver_set_errno(struct deliver_recipient *r, const char *what);
// Over the limit that quota_admit told: 452 4.2.2 with the numbers in r->usage.
void deliver_set_full(struct deliver_recipient *r);
// The address that Delivered-To tells, and that a loop is known by.
const char *deliver_shown_address(const struct deliver_recipient *r);
void deliver_set_delivered(struct deliver_recipient *r);

#endif
