// SPDX-License-Identifier: ISC
// The guard: learns what is usual for one who may send (an account, or a client whose network may
// relay) and says when to slow, hold or suspend it. Pure: a state, an event with its time, settings;
// a verdict with its reasons. What is done about it is queue/guard.c's part; `test/guard` feeds the
// same functions with simulated lives and thefts.
//
// Time is milliseconds of the wall clock in the events; a clock that goes back is taken to stand.
#ifndef PABAL_POLICY_GUARD_H
#define PABAL_POLICY_GUARD_H

#include "base/buf.h"
#include "base/ipaddr.h"

enum guard_action { GUARD_NONE, GUARD_SLOW, GUARD_HOLD, GUARD_SUSPEND };
const char *guard_action_name(enum guard_action action); // "none", "slow", "hold", "suspend"

// What kind of sender it is: people, or lists and machines (caps are GUARD_BULK_FACTOR times as high,
// number and newness of recipients say nothing), or left alone.
enum guard_profile { GUARD_PROFILE_NORMAL, GUARD_PROFILE_BULK, GUARD_PROFILE_OFF, GUARD_PROFILES };
const char *guard_profile_name(enum guard_profile profile);  // "normal", "bulk", "off"
bool guard_profile_parse(struct str word, enum guard_profile *out); // "" is normal

#define GUARD_BULK_FACTOR 50
#define GUARD_STATE_MAX	  (16 * 1024) // octets of a state, in memory and written

// Why. Each has a count, what is usual, and the limit it passed.
enum guard_signal {
	GUARD_SIGNAL_VOLUME,    // recipients in a while
	GUARD_SIGNAL_FRESH,     // of them never written to before
	GUARD_SIGNAL_CREEP,     // such recipients beyond the usual, added up over days
	GUARD_SIGNAL_REFUSED,   // percent of recipients refused or bounced
	GUARD_SIGNAL_NETWORKS,  // networks it was used from, never seen before, in a day
	GUARD_SIGNAL_FOREIGN,   // percent of recipients written to from such a network
	GUARD_SIGNAL_HOUR,      // it never sends at this hour
	GUARD_SIGNAL_SAME,      // messages with the same octets
	GUARD_SIGNAL_CAP_MESSAGES,   // a day, the cap of the settings
	GUARD_SIGNAL_CAP_RECIPIENTS, // new recipients a day, the same
	GUARD_SIGNALS
};
const char *guard_signal_name(enum guard_signal signal);  // "new-recipients", stable
const char *guard_signal_words(enum guard_signal signal); // TEXT_MARK, for people

struct guard_reason {
	enum guard_signal signal;
	uint8_t points;           // 1 unusual, 2 very, 3 by itself reason enough
	uint32_t minutes;         // in which it was counted; 0: not a matter of time
	uint32_t count, usual, limit;
};

struct guard_verdict {
	enum guard_action action; // what is in force now
	bool stepped;             // it was less before this event
	bool learning;            // it is too new to be judged
	unsigned points, reason_count;
	struct guard_reason reasons[GUARD_SIGNALS];
};

struct guard_settings {
	enum guard_action most;   // that may be done; GUARD_NONE: only learn
	enum guard_profile profile;
	bool client;              // a network's client, not an account
	uint32_t messages;        // caps a day
	uint32_t recipients;      // new ones
	uint64_t learn_until_ms;  // everybody is only learned until then: a new installation
	uint64_t created_ms;      // of the account; 0: not known
};

// ---------------------------------------------------------------- state
// All zero is valid: somebody never seen. No pointers; bounded by GUARD_STATE_MAX.
#define GUARD_TENS	6  // of ten minutes
#define GUARD_HOURS	24
#define GUARD_NETWORKS	48
#define GUARD_BODIES	16
#define GUARD_CONTACTS	4096 // octets of one of the two filters
#define GUARD_CONTACTS_MOST 2000 // in one of them; then the older one is forgotten

struct guard_counts {
	uint32_t messages, odd;                        // submitted; at an hour at which it never sends
	uint32_t recipients, fresh, foreign;           // fresh: never written to before
	uint32_t refused, finished;                    // what became of recipients
};
struct guard_network {
	uint64_t network;         // guard_network_of; 0: free
	uint32_t first_hour, last_hour, messages;
};
struct guard_body {
	uint64_t digest;
	uint32_t hour, count;
};
// Highest of a day, as it usually is.
struct guard_peaks {
	uint32_t ten, hour, day;  // recipients
	uint32_t fresh_ten, fresh_hour, fresh_day;
	uint32_t networks, same, messages;
};
struct guard_state {
	uint64_t first_ms, now_ms;
	uint64_t learn_until_ms;  // its recipients do not count as new until then
	uint64_t learning_ms;     // that, or what the settings said at the last event
	enum guard_profile profile; // kept here for a client; an account's is in the directory
	uint64_t allowed_until_ms; // an administrator said: let it
	enum guard_action action; // in force
	uint64_t action_ms;       // since
	uint64_t calm_ms;         // the last time there was a reason for it
	uint32_t since_hold;      // recipients submitted since it is held
	// now
	uint32_t ten, hour;       // numbers of the newest windows; of the clock
	struct guard_counts tens[GUARD_TENS], hours[GUARD_HOURS];
	struct guard_counts of_hour, of_day; // their sums
	uint32_t odd_for;         // the hour that odd is about
	bool odd;
	struct guard_body bodies[GUARD_BODIES];
	struct guard_network networks[GUARD_NETWORKS];
	uint32_t creep;           // sixteenths
	// learned
	uint32_t day;             // being gathered
	bool held_today;          // what came today is not learned
	struct guard_peaks today, usual;
	uint32_t days;            // learned
	uint32_t fresh_mean;      // a day, 1/256
	uint32_t refused_mean, finished_mean; // decayed sums
	uint16_t week[168];       // messages by hour of the week, decayed
	uint32_t contact_count;   // in contacts[0]
	uint8_t contacts[2][GUARD_CONTACTS];
};

// The network of an address, /24 or /48, as a number that is not 0.
uint64_t guard_network_of(const struct ipaddr *address);
const char *guard_network_format(uint64_t network, char out[IPADDR_TEXT_MAX + 4]); // "192.0.2.0/24"

// ---------------------------------------------------------------- events
// A recipient: a keyed hash of its address (the caller's key, the same for ever) with this bit set
// when it is one of ours, clear when not.
#define GUARD_OURS 1u

struct guard_message {
	uint64_t now_ms;
	uint64_t network;         // 0: says nothing (a client by rule)
	uint64_t digest;          // of the body
	const uint64_t *recipients;
	uint32_t recipient_count;
};
// A message is submitted: decides about it before it is stored. The verdict counts for this message.
void guard_submit(struct guard_state *s, const struct guard_message *m,
	const struct guard_settings *settings, struct guard_verdict *out);
// Recipients were refused (at RCPT, or bounced for good), or delivered. May step as well.
void guard_outcome(struct guard_state *s, uint64_t now_ms, uint32_t refused, uint32_t delivered,
	const struct guard_settings *settings, struct guard_verdict *out);
// What would be said now, without an event.
void guard_look(const struct guard_state *s, const struct guard_settings *settings,
	struct guard_verdict *out);

// An administrator: what it does is right until then. Ends whatever is in force.
void guard_allow(struct guard_state *s, uint64_t now_ms, uint64_t until_ms);
// It is only learned until then.
void guard_learn(struct guard_state *s, uint64_t now_ms, uint64_t until_ms);
// It writes to this one: from a sent folder, or mail that was released.
void guard_add_contact(struct guard_state *s, uint64_t recipient);
bool guard_knows(const struct guard_state *s, uint64_t recipient);

// ---------------------------------------------------------------- as octets
int guard_encode(const struct guard_state *s, struct buf *out);
// ERR_CORRUPT, ERR_UNSUPPORTED (a later version); *out is then all zero.
int guard_decode(struct str octets, struct guard_state *out);

#endif
