// SPDX-License-Identifier: ISC
// What was asked of the store, in order, and what it has to hold after any first part of that.
// Everything about a message follows from its number.
#ifndef PABAL_CRASH_TRUTH_H
#define PABAL_CRASH_TRUTH_H

#include "store/store.h"

#define TRUTH_ASKS	 1200
#define TRUTH_MESSAGES	 800
#define TRUTH_RECIPIENTS 2000
#define TRUTH_ACCOUNTS	 6
#define TRUTH_TOGETHER	 8 // recipients in one request

enum ask_kind {
	ASK_ADD,   // a message with recipients
	ASK_CLASH, // the same, with the id of one that is there: refused
	ASK_FINISH,
	ASK_BOUNCE, // finish, and a new message, in one batch
	ASK_EXPAND, // finish, and children in its place
	ASK_RETRY,
	ASK_RETURN,
	ASK_HOLD,
	ASK_RELEASE,
	ASK_CLAIM,
	ASK_ACCOUNT_ADD,
	ASK_ACCOUNT_ENABLE,
	ASK_ACCOUNT_DISABLE,
	ASK_ACCOUNT_REMOVE,
	ASK_RESTART, // not a request: the store was opened here
};

struct ask {
	enum ask_kind kind;
	unsigned recipient;    // moved or finished
	unsigned message;      // added, or that of the recipient
	size_t size;	       // of the body that is added
	unsigned first, count; // recipients that are added
	enum recipient_state begin[TRUTH_TOGETHER];
	uint64_t when; // next try
	unsigned account;
	unsigned claimed[TRUTH_TOGETHER], claimed_count; // of ASK_CLAIM, when done
	size_t asked, done;				 // moments (record.h); done 0: not yet
	int err;
};

struct truth_recipient {
	bool there, hold, any_time; // any_time: next_ms was set by a clock
	unsigned message, tries;
	enum recipient_state state;
	uint64_t next_ms;
};

struct truth {
	struct truth_recipient recipients[TRUTH_RECIPIENTS];
	size_t sizes[TRUTH_MESSAGES]; // of bodies; 0: the message is not there
	enum { ACCOUNT_NONE, ACCOUNT_ENABLED, ACCOUNT_DISABLED } accounts[TRUTH_ACCOUNTS];
};

struct history {
	struct ask asks[TRUTH_ASKS]; // number n is asks[n - 1]
	unsigned count;
	unsigned messages, recipients; // numbers given out
};

void truth_apply(struct truth *t, const struct ask *a);
// After the first `count` requests and a start of the store.
void truth_after(struct truth *t, const struct history *h, unsigned count);
// Its batch writes its number into the counter "asked".
bool ask_is_counted(const struct ask *a);
int ask_expected(const struct truth *before, const struct ask *a); // the error it ends with

uint64_t truth_message_id(unsigned message);
uint64_t truth_recipient_id(unsigned recipient);
unsigned truth_message_of(uint64_t id);
unsigned truth_recipient_of(uint64_t id);
struct str truth_account_name(unsigned account); // static
// Owned by this file, until the next call.
struct str truth_body(unsigned message, size_t size);

#endif
