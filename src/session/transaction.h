// SPDX-License-Identifier: ISC
// One message on its way in, from MAIL to the reply after its body. Owned by the session;
// nothing of it is kept between two messages.
#ifndef PABAL_SESSION_TRANSACTION_H
#define PABAL_SESSION_TRANSACTION_H

#include "base/arena.h"
#include "filter/stage.h"
#include "message/envelope.h"
#include "smtp/address.h"
#include "smtp/parameters.h"

struct body;

struct transaction {
	struct arena arena;                  // of everything recipients point to
	struct smtp_address sender;
	struct smtp_mail_parameters mail;
	struct smtp_address recipient;       // the one that is asked about
	struct smtp_rcpt_parameters rcpt;
	struct envelope_recipient *recipients;
	unsigned count, size;
	bool reserved;                       // in rates, at queue: to be given back if nothing comes of it
	bool local_size_free;                // a recipient takes any size
	uint64_t local_size;                 // else the largest that one of them takes
	struct str local_size_where;
	bool discard;                        // a rule throws the message away
	const char *rule;                    // that one
	char hold_reason[96];                // not "": all recipients are held
	char labels[64];
	struct body *body;                   // NULL before DATA or BDAT
};

struct transaction *transaction_create(size_t arena_limit);
// The body must be gone (it belongs to the host's spool too).
void transaction_destroy(struct transaction *t);
// Keeps t->recipient as accepted, once when it was said twice. hold_reason "" : not held. ERR_LIMIT.
int transaction_add_recipient(struct transaction *t, bool hold, const char *hold_reason);
void transaction_hold_all(struct transaction *t, const char *reason);

#endif
