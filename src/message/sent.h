// SPDX-License-Identifier: ISC
// Who wrote to whom: out of mail that was sent, and out of the logs of other mail servers (Postfix,
// sendmail, Exim, qmail). For `pabal guard seed`; the octets are anybody's, so it is run without rights.
#ifndef PABAL_MESSAGE_SENT_H
#define PABAL_MESSAGE_SENT_H

#include "base/str.h"

// Addresses as text, checked by smtp/address.h; never both empty. Valid during the call.
typedef void (*sent_give)(void *arg, struct str from, struct str to);

#define SENT_HEADERS_MAX (256 * 1024) // octets of a mail that are looked at
#define SENT_RECIPIENTS	 1000	      // of one mail

// A mail with LF or CRLF line ends, or its beginning: each address of To, Cc and Bcc with the first
// of From (RFC 5322 3.4; comments and display names are skipped, quoted local parts are not told).
void sent_read_mail(struct str octets, sent_give give, void *arg);

// A log, line by line. from= is remembered by the name of the queue file until to= comes; the oldest of
// SENT_MESSAGES are forgotten. Lines of other programs are passed over.
#define SENT_MESSAGES 65536
struct sent_log;
struct sent_log *sent_log_create(void);
void sent_log_destroy(struct sent_log *l);
void sent_log_line(struct sent_log *l, struct str line, sent_give give, void *arg);

#endif
