// SPDX-License-Identifier: ISC
// Decides: facts in, a verdict with its rule out. Pure and immediate: when something is not
// known yet the verdict is NEED with the set of facts to fetch, and the session asks again.
// `pabal explain` runs the same functions.
#ifndef PABAL_POLICY_POLICY_H
#define PABAL_POLICY_POLICY_H

#include "config/config.h"
#include "config/tables.h"
#include "smtp/address.h"
#include "smtp/parameters.h"
#include "policy/senders.h"
#include "smtp/reply.h"

enum policy_kind {
	POLICY_ALLOW,
	POLICY_HOLD,     // accept, but do not send until released
	POLICY_DEFER,    // 4yz
	POLICY_REFUSE,   // 5yz
	POLICY_DROP,     // reply, then close
	POLICY_DISCARD,  // accept and throw away; only by a named rule
	POLICY_NEED,     // fetch `need`, then ask again
};

// Facts that take a question to another role. Bits of `need` and of `known`.
enum {
	POLICY_FACT_CONNECTIONS = 1, // counts of open connections (queue)
	POLICY_FACT_ACCOUNT = 2,     // the account's state and rights now (queue)
	POLICY_FACT_RECIPIENT = 4,   // whether the local recipient exists (queue)
	POLICY_FACT_SPACE = 8,       // free space of the store (queue, with the account's answer or the message)
	POLICY_FACT_HOSTNAME = 16,   // the client's checked name (resolver)
	POLICY_FACT_SENDER = 32,     // whose the addresses in authors are (queue)
	POLICY_FACT_RATE = 64,       // room in every rate in force, reserved for this transaction (queue)
	POLICY_FACT_GUARD = 128,     // what the guard does to this account or client (smtpd knows)
};

enum policy_existence { POLICY_EXISTS_NO, POLICY_EXISTS_YES, POLICY_EXISTS_UNKNOWN,
	POLICY_EXISTS_NOWHERE }; // an alias that leads to itself, or to nobody
enum policy_account { POLICY_ACCOUNT_NONE, POLICY_ACCOUNT_ENABLED, POLICY_ACCOUNT_DISABLED,
	POLICY_ACCOUNT_UNKNOWN, POLICY_ACCOUNT_LOCKED, POLICY_ACCOUNT_EXPIRED };

struct policy_limits; // policy/limits.h
// A rate that is in force, and the block that says so.
struct policy_rate {
	const struct config_rate *rate; // NULL: none
	const struct config_limit *by;
};

struct policy_facts {
	const struct config *config;
	const struct config_server *server;
	const struct policy_limits *limits; // in force for all this; NULL: put together for each question
	unsigned known;                    // POLICY_FACT_* that are filled

	struct ipaddr client;
	struct ipaddr local;               // our end of the connection; family 0: not known
	const struct client_rule *client_rule; // what is said of this client, or NULL: policy_client_rule
	bool client_by_name;               // its name could change that, and is not known yet
	struct str client_name;            // HOSTNAME: checked both ways, lower case; "" : it has none
	uint32_t connections_address, connections_network, connections_all;
	uint32_t minute_address, minute_network, minute_all; // begun in this minute

	bool tls;
	struct str account;                // authenticated account, "" for none
	enum policy_account account_state;
	bool account_may_submit, account_may_relay;
	bool login_untrusted; // it may relay, but not by the mechanism that it logged in with
	// Where the account may be used: lines "WHO<tab>words" (networks; names of server blocks), all of
	// which must fit; "" : everywhere. WHO says it: "account", "group staff".
	struct str account_networks, account_servers;
	struct str account_reason;         // why it is locked, for the log
	uint8_t guard_action;              // enum guard_action
	uint32_t guard_slow_ms;            // of GUARD_SLOW
	struct str account_groups;         // words; those that limits are looked up by
	bool store_full;                   // below the free space that is kept: no new mail

	const struct smtp_address *sender;    // from MAIL on
	const struct smtp_mail_parameters *mail;
	const struct smtp_address *recipient; // at RCPT
	enum policy_existence recipient_exists;
	bool recipient_full;                  // its mailbox has no room for this message
	uint64_t local_size;                  // the largest message that its mailbox takes, 0: any
	struct str local_size_where;          // who says that
	// Of RATE: the one that has no room (rate NULL: all have), what it stands at, when it begins anew.
	struct policy_rate rate_full;
	uint64_t rate_count, rate_left_ms;
	bool rate_uncertain;                  // nobody could tell
	struct str authors;                   // as whom it is sent, an LF between, "" for <>: the sender at
	                                      // MAIL; behind the body the addresses of From:, then Sender:
	unsigned author_count;                // of them of From:
	struct str owners;                    // an octet of enum policy_owner for each of them
	unsigned recipients_so_far;           // accepted in this transaction
	unsigned messages_so_far;             // in this connection
};

struct policy_verdict {
	enum policy_kind kind;
	unsigned need;
	const char *rule;      // stable name: "relay-denied", "client-denied", "max-recipients"…
	char rule_text[160];   // where it was written, "clients pabal.conf:12" ("" when it is built in)
	bool local;            // at RCPT: the recipient is ours
	struct smtp_reply reply; // of DEFER, REFUSE, DROP: says why and what to do about it; code 0 of a
	                         // DROP: closed without a word
	uint32_t delay_ms;     // wait before the reply
	char labels[64];
	char hold_reason[96];
	uint64_t count, limit; // of a limit that was reached, for the log; limit 0: it was none
};

// Is there somebody whom the guard watches: an account, or a client that may relay by its address?
bool policy_is_guarded(const struct policy_facts *f);

// The functions of each step. Every one is total: any facts give a verdict.
void policy_connect(const struct policy_facts *f, struct policy_verdict *v);
void policy_auth(const struct policy_facts *f, struct policy_verdict *v);   // may AUTH be tried now?
void policy_mail(const struct policy_facts *f, struct policy_verdict *v);
void policy_rcpt(const struct policy_facts *f, struct policy_verdict *v);
void policy_data(const struct policy_facts *f, struct policy_verdict *v);
void policy_body(const struct policy_facts *f, struct policy_verdict *v); // its authors are known
// Does policy_body want to see the addresses of From: and Sender:?
bool policy_wants_authors(const struct policy_facts *f);
// Whether this session has the right to relay, and the rule that gives or denies it.
bool policy_may_relay(const struct policy_facts *f, const char **out_rule);
// What is said to EHLO needs nothing but the limits of who has logged in.
void policy_hello(const struct policy_facts *f, struct policy_verdict *v);
// Looks up what the configuration and its tables say of the client of f, by its name too when
// that is known. False: nothing, it is allowed. *out_by_name: the name could change the answer.
bool policy_client_rule(const struct policy_facts *f, struct client_rule *out, bool *out_by_name);

#endif
