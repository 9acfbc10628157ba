// SPDX-License-Identifier: ISC
// Counts failed logins and says, before a password is looked at, whether it will be: by account and
// address together, by account, by address and by network, and how many different names an address
// or a network has tried. What is counted is bounded: of very many, those are forgotten first that
// were not seen for the longest time; a flood of addresses pushes out no accounts. Knows no clock,
// no mechanism and no answer.
#ifndef PABAL_AUTH_GUESS_H
#define PABAL_AUTH_GUESS_H

#include "auth/name.h"
#include "base/ipaddr.h"
#include "base/list.h"
#include "base/map.h"

#define AUTH_GUESS_ENTRIES 20000 // of each kind
#define AUTH_GUESS_NAMES   64	 // different names of an address that are told apart
#define AUTH_GUESS_WRONG   4	 // wrong passwords of a pair that are known again

// What has a limit.
enum auth_guess_scope {
	AUTH_GUESS_PAIR,	  // failures of an account from one address
	AUTH_GUESS_ADDRESS,	  // failures of an address (IPv4), of a /64 (IPv6)
	AUTH_GUESS_NAMES_ADDRESS, // names that failed from there
	AUTH_GUESS_NETWORK,	  // failures of a /24; an IPv6 network is its address
	AUTH_GUESS_NAMES_NETWORK,
	AUTH_GUESS_ACCOUNT,	  // failures of an account from everywhere
	AUTH_GUESS_SCOPES
};
// "account-address", "address", "names", "network", "network-names", "account": as in the log.
const char *auth_guess_scope_name(enum auth_guess_scope scope);

struct auth_guess_limits {
	uint64_t window_ms; // failures are counted together for so long, from the first one
	uint64_t block_ms;  // how long nothing is looked at once the limit is reached
	uint64_t most[AUTH_GUESS_SCOPES]; // 0: not limited; names: at most AUTH_GUESS_NAMES
};

enum auth_guess_kind { // of entries
	AUTH_GUESS_OF_PAIR,
	AUTH_GUESS_OF_ACCOUNT,
	AUTH_GUESS_OF_ADDRESS,
	AUTH_GUESS_OF_NETWORK,
	AUTH_GUESS_KINDS
};

struct auth_guess {
	struct auth_guess_limits limits;
	struct auth_guess_table {
		struct map entries;
		struct list by_age;
	} tables[AUTH_GUESS_KINDS];
};

// One attempt from the question to its end; part of the asker. All zero: nothing is under way.
struct auth_guess_attempt {
	bool open;
	bool repeated; // this pair had the same wrong password before: it is not counted again
	bool known;
	uint64_t hash;
	struct ipaddr client;
	char name[AUTH_NAME_MAX + 1];
};

// Why an attempt is not looked at.
struct auth_guess_refusal {
	enum auth_guess_scope scope;
	uint64_t count, left_ms;
};

void auth_guess_init(struct auth_guess *g, const struct auth_guess_limits *limits);
void auth_guess_finish(struct auth_guess *g);

// Whether the attempt may be looked at; if so, it counts as under way until one of the three ends
// below. hash: of name and password; the same one again is a program with an old password, not a
// guess. known: the account has logged in from this address before; then only what fails from this
// address counts, not what others do to the account or the network. client of family 0: not counted.
bool auth_guess_ask(struct auth_guess *g, struct auth_guess_attempt *a, struct str name,
	const struct ipaddr *client, uint64_t hash, bool known, uint64_t now_ms,
	struct auth_guess_refusal *out);
// How many the address has failed with this one; without an address: the account.
uint64_t auth_guess_failed(struct auth_guess *g, struct auth_guess_attempt *a, uint64_t now_ms);
// The pair starts anew, and the address gets one failure back, so that an address many log in from
// is not blocked by what a few of them mistype. The account's count stays: it is others who guess.
void auth_guess_succeeded(struct auth_guess *g, struct auth_guess_attempt *a);
void auth_guess_dropped(struct auth_guess *g, struct auth_guess_attempt *a); // not looked at after all

// What is blocked now, each scope of its own.
struct auth_guess_block {
	enum auth_guess_scope scope;
	struct str name;	// of pair and account
	struct ipnet network;	// of all but account
	uint64_t count, left_ms; // what reached the limit; until it is looked at again
};
uint64_t auth_guess_each(struct auth_guess *g, uint64_t now_ms,
	void (*each)(void *arg, const struct auth_guess_block *b), void *arg); // each may be NULL
// Forgets what was counted of a name (NULL: of none), or of everything within a network (NULL: none);
// both NULL: all. Returns how many blocks ended.
uint64_t auth_guess_clear(struct auth_guess *g, const struct str *name, const struct ipnet *network,
	uint64_t now_ms);

#endif
