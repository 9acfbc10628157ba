// SPDX-License-Identifier: ISC
// Delivery status notifications: RFC 3464 in a multipart/report (RFC 6522), RFC 3461 rules.
#ifndef PABAL_MESSAGE_REPORT_H
#define PABAL_MESSAGE_REPORT_H

#include "message/envelope.h"
#include "base/buf.h"

enum report_action { REPORT_FAILED, REPORT_DELAYED, REPORT_DELIVERED, REPORT_RELAYED, REPORT_EXPANDED };

struct report_recipient {
	struct str address;
	struct str orcpt;        // as given, xtext
	enum report_action action;
	struct str status;       // "5.1.1"
	struct str remote;       // "mx.example.org", "" when no remote host answered
	struct str diagnostic;   // the remote reply "550 5.1.1 no such user" or our words
	uint64_t last_try_ms;
	uint64_t will_retry_until_ms; // of delayed; 0: none
};

struct report {
	const struct envelope *original;   // headers, sender, envid, ret, smtputf8
	struct str original_body;          // stored body or its beginning
	bool body_complete;                // original_body is all of it
	const struct report_recipient *recipients;
	unsigned recipient_count;
	struct str hostname;
	struct str to;                     // who gets it: the sender, or the postmaster
	uint64_t id;                       // message id of the report
	uint64_t wall_ms;
};

// Appends a whole RFC 5322 message with CRLF line ends; UTF-8 forms (RFC 6533) when the
// original was SMTPUTF8. RET=FULL includes the body up to 64 KiB, else headers only.
// Words for people in English; every line at most 998 octets. ERR_LIMIT.
int report_write(struct buf *out, const struct report *r);

#endif
