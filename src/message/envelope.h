// SPDX-License-Identifier: ISC
// What is known of a message beside its octets: who sent it, how it came, for whom it is.
#ifndef PABAL_MESSAGE_ENVELOPE_H
#define PABAL_MESSAGE_ENVELOPE_H

#include "base/str.h"

#define MESSAGE_DIGEST_SIZE 32 // SHA-256 of the stored body

// All strings are borrowed; they live as long as the one who filled the struct says.
struct envelope {
	uint64_t id;             // message id; 0 until committed
	struct str sender;       // address text; "" for <>
	struct str account;      // authenticated account, "" for none
	struct str client;       // address of the client as text
	struct str server;       // name of the server block
	struct str helo;
	struct str envid;        // xtext as given
	uint8_t ret;             // enum smtp_ret
	bool smtputf8;
	bool eightbit;
	bool bounce;             // a report of ours: failures of it go to the postmaster
	uint64_t session;        // id of the session it came in
	uint64_t received_ms;    // wall clock
	uint64_t size;           // octets of the stored body
	uint8_t digest[MESSAGE_DIGEST_SIZE];
	struct str headers;      // fields added in front (Received …), CRLF line ends; stored beside the body
	struct str edits;        // encoded edits of the body (message/edit.h); empty: none
	struct str labels;       // comma-separated, set by rules
};

struct envelope_recipient {
	uint64_t id;             // recipient id; 0 until committed
	struct str address;      // address text as accepted
	struct str domain;       // A-labels
	struct str orcpt;        // "rfc822;xtext" or ""
	uint8_t notify;          // SMTP_NOTIFY_* bits; 0: default
	bool hold;               // accepted, not to be tried until released
	struct str hold_reason;
};

#endif
