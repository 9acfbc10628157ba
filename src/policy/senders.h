// SPDX-License-Identifier: ISC
// As whom an account may send: its own addresses, and what it was granted. queue asks, who knows
// where addresses lead; what follows from the answer is policy_mail's and policy_body's.
#ifndef PABAL_POLICY_SENDERS_H
#define PABAL_POLICY_SENDERS_H

#include "smtp/address.h"

// One octet for each address that was asked about.
enum policy_owner {
	POLICY_OWNER_NO = 'n',
	POLICY_OWNER_SELF = 's',    // one of its own addresses
	POLICY_OWNER_GRANTED = 'g', // send-as
	POLICY_OWNER_UNKNOWN = '?', // cannot be told now
};

#define POLICY_AUTHORS_MAX 100 // addresses of one message that are looked at

// What is known of one address.
struct policy_author {
	const struct smtp_address *address; // may be <>
	struct str target;     // key that it leads to, and to nothing else; "" : several, or nothing
	struct str groups;     // of the account target, names with a space between
	bool by_rest;          // it leads there by a catch-all
};

// account: key of the account (a bare name is one of default_domain). send_as: words of the account,
// "kim@example.kr" (a key), "@example.kr", "group:staff", "<>".
enum policy_owner policy_owner_of(struct str account, struct str default_domain, struct str send_as,
	const struct policy_author *author);

// Whether a word can be one of send-as: in the form in which it is kept (out), or false.
#define POLICY_SEND_AS_MAX (SMTP_ADDRESS_MAX + 8)
bool policy_send_as_parse(struct str word, char out[POLICY_SEND_AS_MAX]);

#endif
