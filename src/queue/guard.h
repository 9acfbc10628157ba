// SPDX-License-Identifier: ISC
// The guard at work: each message of an account, or of a client that relays by rule, goes through
// policy/guard.h before it is committed; what it says is done here: slow, hold, suspend, tell.
// States of those who sent lately are in memory, all others in the store; a message never waits for
// the store because of the guard.
//
//   guard.c: subjects and events   guard_step.c: what is done   guard_mail.c: who is told
//   guard_hold.c: held mail of a subject, page by page   admin_guard.c: commands
#ifndef PABAL_QUEUE_GUARD_H
#define PABAL_QUEUE_GUARD_H

#include "policy/guard.h"
#include "queue/queue_internal.h"

#include <jansson.h>

#define GUARD_HOLD_REASON "guard: unusual sending"
#define GUARD_LOCK_REASON "guard: unusual sending"
#define GUARD_EXAMPLES	  5
#define GUARD_EXAMPLE_MAX 100 // octets

struct guard;
struct guard_wait;

// What is remembered of one who sends. Owned by the guard.
struct guard_subject {
	struct list link;          // in guard.used, most recent first
	struct list dirty;         // in guard.dirty, or in none
	struct guard *guard;
	struct str name;           // "account kim@example.org", "client 192.0.2.7"; behind the struct
	bool loaded;               // else what the store has is on its way, and events wait in early
	bool is_account;           // of our directory
	enum guard_profile profile;
	uint64_t created_ms;
	struct guard_state state;
	struct buf early;          // struct early of guard.c, one behind the other
	uint64_t written_ms;       // monotonic
	uint8_t told;              // enum guard_action that smtpd knows of
	uint64_t incident;         // 0: none
	uint64_t incident_ms;
	enum guard_action incident_most;
	uint64_t reported_ms[GUARD_SUSPEND + 1]; // wall clock, by action
	char examples[GUARD_EXAMPLES][GUARD_EXAMPLE_MAX + 1]; // recipients lately
	unsigned next_example;
	unsigned users;            // callers that wait: it stays in memory
	struct list waiting;       // struct guard_wait
};

struct guard {
	struct queue *queue;
	struct map subjects;       // name -> struct guard_subject
	struct list used, dirty;
	uint64_t installed_ms;     // when the guard first ran on this store
	uint64_t learn_until_ms;   // `guard learn --all`
	uint8_t key[16];           // of the hashes of recipients
	struct list sweeps;        // of guard_hold.c
	unsigned writing;
};

// Reads what it needs at once: nobody is served before it is there.
struct guard *guard_create(struct queue *q);
void guard_destroy(struct guard *g);
bool guard_is_on(const struct guard *g);
// Decides about a message that is about to be committed. True: all of it is held.
bool guard_take_submission(struct guard *g, const struct ipc_submit *m,
	const struct envelope_recipient *recipients, unsigned count);
// A recipient came to its end: delivered, or refused for good.
void guard_take_result(struct guard *g, const struct item *i);
void guard_take_refusal(struct guard *g, struct str account, struct str client);
void guard_beat(struct guard *g);                  // once a second: writes what changed a while ago
void guard_write_all(struct guard *g);             // at once, for a listing or the end
void guard_configured(struct guard *g);
void guard_write_own(struct guard *g);             // installed_ms, learn_until_ms

void guard_drop(struct guard *g, struct str account); // it was removed

// ---- subjects
struct guard_settings guard_settings_of(const struct guard_subject *s);
// What is really done: no more than the settings say.
enum guard_action guard_in_force(const struct guard_subject *s);
uint64_t guard_hash(const struct guard *g, struct str address, struct str domain);
void guard_mark(struct guard_subject *s);          // its state changed
// Finds it, or reads it from the store. done comes at once, or later; NULL: it cannot be read.
typedef void (*guard_found)(void *arg, struct guard_subject *s);
void guard_find(struct guard *g, struct str name, guard_found done, void *arg);
struct guard_subject *guard_get(struct guard *g, struct str name); // NULL: not in memory

// ---- guard_step.c
// After each event: v says what is in force now, and whether it is more than before.
void guard_act(struct guard_subject *s, const struct guard_verdict *v);
void guard_tell_state(struct guard_subject *s);    // smtpd, when it changed
// An administrator let it go on: the incident ends, the account is unlocked.
void guard_end_incident(struct guard_subject *s);
// The evidence, for the incident's row and `guard show`.
json_t *guard_evidence_json(const struct guard_subject *s, const struct guard_verdict *v);

// ---- guard_mail.c
void guard_report(struct guard_subject *s, const struct guard_verdict *v);

// ---- guard_hold.c
enum guard_sweep_kind { GUARD_SWEEP_HOLD, GUARD_SWEEP_RELEASE, GUARD_SWEEP_DISCARD, GUARD_SWEEP_RETURN };
typedef void (*guard_swept)(void *arg, int err, uint64_t count);
// HOLD: what is not yet tried, of the last day. The others: all that the guard held.
void guard_sweep(struct guard *g, struct str subject, enum guard_sweep_kind kind, guard_swept done,
	void *arg);
void guard_sweeps_go_on(struct guard *g); // with each beat
void guard_sweeps_end(struct guard *g);
// The rows of a subject; false: the name is none.
bool guard_filter(struct str subject, struct store_filter *out);

#endif
