// SPDX-License-Identifier: ISC
// The queue: takes messages, commits them, knows who exists, routes, schedules, bounces and counts.
// Role queue wires it to channels; commands with the server stopped use queue/admin.h alone.
#ifndef PABAL_QUEUE_QUEUE_H
#define PABAL_QUEUE_QUEUE_H

#include "base/id.h"
#include "config/config.h"
#include "ipc/messages.h"
#include "store/history.h"
#include "store/store.h"

#include <uv.h>

enum queue_deliverer { QUEUE_SENDER, QUEUE_LOCAL, QUEUE_DELIVERERS };
#define QUEUE_SENDERS_MAX 32

struct queue;
struct queue_options {
	uv_loop_t *loop;
	struct store *store;
	struct history *history;      // may be NULL
	const struct config *config;
	struct id_source *ids;
	// Hand a job to a deliverer that is ready. fd: spool file or -1, borrowed. Not 0: it could not be
	// handed over; its recipients are due again after a pause.
	int (*try)(void *arg, enum queue_deliverer kind, unsigned index, const struct ipc_try *t, int fd);
	// Ask role local whether a name is a user of the system; queue_user_answered follows. Not 0: it
	// cannot be asked now. NULL: there are none.
	int (*ask_user)(void *arg, uint64_t request, struct str name);
	// Ask role local how full a mailbox is; queue_usage_answered follows. Not 0: it cannot be asked now.
	int (*ask_usage)(void *arg, const struct ipc_usage_query *m);
	// An account changed: tell auth and smtpd.
	void (*account_changed)(void *arg, struct str name);
	// The guard slows, holds or suspends a subject ("account NAME", "client ADDRESS"), or stops to:
	// tell smtpd. action: enum guard_action. May be NULL.
	void (*guard_changed)(void *arg, struct str subject, uint8_t action, uint32_t slow_ms);
	void *arg;
};
struct queue *queue_create(const struct queue_options *o);
// Stops handing out work; open claims are given back; done is called when the store is idle.
void queue_stop(struct queue *q, void (*done)(void *arg), void *arg);
// After queue_stop is done, and before the store is closed. Memory is freed from the loop.
void queue_destroy(struct queue *q);
// Waiting recipients are routed anew. config must live until the next call or the end.
void queue_set_config(struct queue *q, const struct config *config);

// ---- deliverers come and go. gone: its open jobs are due again at once (may deliver twice what was
// in flight, loses nothing).
void queue_deliverer_ready(struct queue *q, enum queue_deliverer kind, unsigned index);
void queue_deliverer_gone(struct queue *q, enum queue_deliverer kind, unsigned index);
void queue_tried(struct queue *q, enum queue_deliverer kind, unsigned index, struct str frame_body);

// ---- questions and work of smtpd. Answers are by callback, exactly once, never before the call returns.
typedef void (*queue_submitted)(void *arg, int err, uint64_t message);
// fd: of the spool file when m->spool is set (taken).
void queue_submit(struct queue *q, const struct ipc_submit *m, int fd, queue_submitted done, void *arg);
struct queue_recipient {
	uint8_t exists;            // of ipc recipient_answer
	struct str account;        // whose mailbox it is, when it is one and no other
	bool full;                 // its mailbox has no room for a message of so many octets (0: not declared)
	uint64_t local_size;       // octets of one message that it takes, 0: any
	const char *local_size_where; // who says that
};
typedef void (*queue_recipient_known)(void *arg, const struct queue_recipient *r);
void queue_recipient(struct queue *q, struct str key, uint64_t octets, queue_recipient_known done,
	void *arg);
// Is the name a user of the system that gets mail here (`system-users`)? exists as in ipc
// user_answer. May be called before it returns; remembered for a minute.
typedef void (*queue_user_known)(void *arg, uint8_t exists);
void queue_user(struct queue *q, struct str name, queue_user_known done, void *arg);
void queue_user_answered(struct queue *q, uint64_t request, uint8_t exists);
void queue_usage_answered(struct queue *q, const struct ipc_usage_answer *m);
typedef void (*queue_senders_known)(void *arg, struct str owners);
// authors, owners: as in ipc sender_query and sender_answer. Of more than POLICY_AUTHORS_MAX the rest
// is not told.
void queue_senders(struct queue *q, struct str account, struct str authors, queue_senders_known done,
	void *arg);
// What may be done with an account now. Texts live as long as the call.
struct queue_account {
	uint8_t state;             // of ipc account_answer
	uint32_t rights;           // ACCOUNT_MAY_*, its groups considered
	struct str name;
	struct str networks, servers; // limits, as queue/rights.h writes them
	struct str act_as, reason; // reason: why it is locked
	struct str send_as, groups; // as whom it may send; a space between
};
typedef void (*queue_account_known)(void *arg, const struct queue_account *a);
void queue_account(struct queue *q, struct str name, queue_account_known done, void *arg);
// Rates (queue/rates.h), for worker, which is unique to a channel. Answers at once.
void queue_rate_query(struct queue *q, unsigned worker, const struct ipc_rate_query *m,
	struct ipc_rate_answer *out);
void queue_rate_release(struct queue *q, uint64_t session);
void queue_rate_worker_gone(struct queue *q, unsigned worker);
int queue_spool_open(struct queue *q, uint64_t *out_spool, int *out_fd, struct error *err);
// All of what guard_changed told, for an smtpd that is new.
typedef void (*queue_guard_state)(void *arg, struct str subject, uint8_t action, uint32_t slow_ms);
void queue_guard_states(struct queue *q, queue_guard_state each, void *arg);
// A recipient was refused at RCPT; the guard counts it.
void queue_note_refused_recipient(struct queue *q, struct str account, struct str client);
// A command was refused somewhere: counted by rule for "queue status".
void queue_note_refusal(struct queue *q, struct str rule);
// 0, or ERR_FULL below the configured free space (452 4.3.1).
int queue_has_space(struct queue *q);

#endif
