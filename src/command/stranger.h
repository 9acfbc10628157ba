// SPDX-License-Identifier: ISC
// The other end of session/outside.h: asks the running server what somebody would be told.
#ifndef PABAL_COMMAND_STRANGER_H
#define PABAL_COMMAND_STRANGER_H

#include "base/buf.h"
#include "base/error.h"
#include "base/ipaddr.h"
#include "config/config.h"

#include <jansson.h>

struct stranger; // a dialogue under way

struct stranger_wish {
	struct ipaddr client;
	struct ipaddr local;   // family 0: the first address of the server block
	struct str server;     // "" : the usual one
	struct str account;    // "" : not logged in
	bool tls, vouched;
	bool brief;            // facts are of no matter
};

struct stranger_answer {
	unsigned code;         // 0: it was closed without a word
	json_t *seen;          // borrowed until the next answer
};

// Connects and reads the banner. Blocking; each answer has 30 s. ERR_CLOSED: no server runs there;
// ERR_DENIED: it does not talk to this user; else words why.
int stranger_open(const struct config *c, const struct stranger_wish *w, struct stranger **out,
	struct stranger_answer *banner, struct error *err);
void stranger_close(struct stranger *o); // NULL is fine
// Sends lines (each with its CRLF), answers are then read one by one.
int stranger_send(struct stranger *o, struct str lines, struct error *err);
// ERR_UNAVAILABLE: the server has ended the dialogue.
int stranger_read(struct stranger *o, struct stranger_answer *out, struct error *err);

// The octets of the header, for tests.
int stranger_header(const struct stranger_wish *w, struct buf *out);

#endif
