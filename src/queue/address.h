// SPDX-License-Identifier: ISC
// What an address becomes: the one answer that RCPT, delivery, ownership of senders and
// `pabal address explain` are made of. doc/queue.md 10 has the order.
#ifndef PABAL_QUEUE_ADDRESS_H
#define PABAL_QUEUE_ADDRESS_H

#include "base/quota.h"
#include "queue/queue.h"

#define QUEUE_TARGETS_MAX   1000  // of one alias
#define QUEUE_EXPANSION_MAX 10000 // addresses on the way, and ends of one message

enum address_kind {
	ADDRESS_MAILBOX,    // of an account
	ADDRESS_USER,       // of this system
	ADDRESS_PROGRAM,    // address is "|command"
	ADDRESS_FILE,       // address is "/path"
	ADDRESS_HOST,       // of a domain of ours whose mailboxes another host has and knows
	ADDRESS_FOREIGN,    // of a domain that is not ours
	ADDRESS_POSTMASTER, // postmaster or abuse, of which nothing else is said: the setting
	ADDRESS_ERROR,      // status and words say why it is nothing
};

// One end of the way of an address.
struct address_end {
	enum address_kind kind;
	struct str address, domain; // as it is delivered to; of MAILBOX the name of the account
	struct str reached;         // key of the last address on the way, without its domain alias
	struct str detail;          // behind the separator, of a MAILBOX or USER reached without alias
	struct str groups;          // of MAILBOX, a space between
	struct quota_limits quota;  // of MAILBOX, as the account and its domain say
	struct str owner;           // return path for it, when a list on the way has an owner; "" : none
	bool by_rest;               // a catch-all was on the way
	const char *status;         // of ERROR: "5.1.1"
	struct str words;
};

// One step of the way, for explain.
struct address_step {
	unsigned depth;    // aliases before it
	struct str address;
	const char *what;  // TEXT_MARK: "alias", "domain alias", "mailbox of an account"
	struct str to;     // what it becomes; "" : it is an end
	struct str where;  // "store", "/etc/aliases:12", "deliver separator"
};

// Valid during the callback only. err: 0, or why nothing can be told now. No end: it leads to
// itself only (loops), or to too much (too_many). One that does not exist is an ERROR of 5.1.1.
struct address_answer {
	int err;
	const struct address_end *ends;
	unsigned end_count;
	const struct address_step *steps; // with ADDRESS_STEPS
	unsigned step_count;
	unsigned loops;   // times that it leads to itself, which is passed over
	bool too_many;
	bool unread;      // an included list cannot be read now; there are no ends then
	bool is_alias;    // it led over an alias
};
typedef void (*address_done)(void *arg, const struct address_answer *a);

enum {
	ADDRESS_STEPS = 1,       // tell them
	ADDRESS_OWNERS = 2,      // look for owner-NAME of lists
	ADDRESS_UNTIL_TWO = 4,   // two ends are enough, when one of them takes mail
	ADDRESS_KEY = 8,         // address is a key, so without quotes: in no form that an expansion made
};

// address: text of an accepted address, or of one that an expansion made (queue_address_child).
// domain: of it, normalised. done is called exactly once, perhaps before this returns.
void queue_address_resolve(struct queue *q, struct str address, struct str domain, unsigned flags,
	address_done done, void *arg);

// The text under which an end is kept as a recipient of its own, so that it becomes this end again.
// No address that comes from outside has the form of a program, a file or a user.
struct str queue_address_child(const struct address_end *e, char out[1200]);
// Has an address such a form? A program and a file have no domain.
bool queue_address_is_made(struct str address, struct str domain);

#endif
