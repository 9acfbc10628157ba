// SPDX-License-Identifier: ISC
// What the files of this room share. A mail is a message in memory, an item one of its
// recipients, claimed in the store; a group are the items for one destination, a job what a
// deliverer was given. See doc/queue.md for the states on disk.
//
//   submit.c, claim.c ─▶ way.c ─▶ group.c ─▶ schedule.c ─▶ job.c ─▶ deliverers
//   store ◀─ settle.c ◀─ retry.c, bounce.c ◀─ job.c ◀─ deliverers
#ifndef PABAL_QUEUE_INTERNAL_H
#define PABAL_QUEUE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "config/limits.h"
#include "queue/queue.h"
#include "queue/rates.h"
#include "store/addresses.h"
#include "base/domain.h"
#include "smtp/address.h"
#include "smtp/reply.h"

#define QUEUE_WINDOW_ITEMS  20000             // recipients in memory
#define QUEUE_WINDOW_OCTETS (64u << 20)       // of messages in memory
#define QUEUE_GROUP_LEAST   50                // of one destination, however little room is left
#define QUEUE_CLAIM_ITEMS   1000              // at once
#define QUEUE_JOB_RECIPIENTS 100              // RFC 5321 4.5.3.1.8: every host takes that many
#define QUEUE_SENDER_JOBS   256               // outstanding, one process
#define QUEUE_LOCAL_JOBS    64
#define QUEUE_USER_JOBS     2                 // of one system user
#define QUEUE_CHILDREN_MAX  1000              // of one recipient
#define QUEUE_DEPTH_MAX     10                // of expansions
#define QUEUE_PAUSE_MS      1000              // after a failure of the store
#define QUEUE_RETURN_MS     60000             // for what could not be tried for reasons of ours
#define QUEUE_CRASHES_MAX   3                 // deliverers that end over one item

struct job;
struct group;

// ---------------------------------------------------------------- messages in memory
// Owned by its references: items, jobs and questions about its body.
struct mail {
	struct envelope envelope;   // strings behind the struct
	uint64_t spool;             // id of the spool file; 0: inline
	struct str body;            // inline octets; data NULL: not in memory
	char *loaded;               // owner of a body that was read from the store
	int fd;                     // of the spool file, while jobs need it; -1
	unsigned references;
	unsigned fd_users;
	size_t octets;              // as counted in the window
	struct list readers;        // jobs that wait for the body
	bool reading;
	bool counted;               // a body that is read is in octets
	bool passes_quota;          // labelled so
	struct queue *queue;
	struct map reached;         // what expansions of its recipients led to
	unsigned grown;             // recipients it has more than it came with, by expansions
};
// One reference is the caller's. body.data NULL: it is read when needed.
struct mail *queue_mail_create(struct queue *q, const struct envelope *e, uint64_t spool,
	struct str body);
void queue_mail_unref(struct mail *m);

// ---------------------------------------------------------------- recipients in memory
enum try_kind {
	TRY_NONE,       // no answer yet
	TRY_DELIVERED,
	TRY_TEMPORARY,
	TRY_PERMANENT,
	TRY_EXPANDED,   // into children
	TRY_RETURNED,   // not tried: due again at item->next_ms
	TRY_HELD,       // to be looked at by an administrator
};

enum item_place {
	ITEM_ROUTING,   // in q->routing, the directory is asked
	ITEM_WAITING,   // in group->items
	ITEM_TRYING,    // in job->items, or being settled
};

// One of the recipients an item was expanded into. Borrowed until the call returns.
struct queue_child {
	struct str address, domain, orcpt;
	uint8_t notify;
};

// What became of a try; made when there is something to remember.
struct outcome {
	unsigned code;             // SMTP, 0: none
	char status[12];           // "4.4.1"
	char text[SMTP_REPLY_TEXT_MAX];
	char remote[300];          // "host [address]"; "" : none
	bool relayed_dsn;          // the next hop takes over the duty to report
	bool own_network;          // ipc tried.blame 2
	struct item **children;    // of TRY_EXPANDED, owned
	unsigned child_count;
};

struct item {
	struct list link;
	struct mail *mail;
	struct group *group;       // of ITEM_WAITING
	struct job *job;           // of ITEM_TRYING
	enum item_place place;
	uint64_t id, parent;
	struct str address, domain, orcpt; // as accepted; behind the struct
	struct str hold_reason;
	struct quota_limits quota; // of the mailbox, as its account and domain say
	char *target;              // address it is delivered to, when that is another one
	struct str target_domain;  // of target
	uint8_t kind;              // enum ipc_target, of a try at local
	char *detail;              // of a subaddress; NULL: none
	uint8_t notify;
	bool delay_warned;
	bool hold;                 // new, to be inserted as held
	bool deleted;              // by an administrator; its row is gone or going
	bool held;                 // by an administrator; goes back to the store untried
	bool mapped;               // target was chosen by the postmaster setting
	uint8_t crashes;
	uint32_t tries, depth;
	uint64_t next_ms;          // of TRY_TEMPORARY, TRY_RETURNED
	// of the last try
	enum try_kind result;
	struct outcome *outcome;
	bool warn;                 // a delay report goes with this result
	bool expired;
};
struct item *queue_item_create(struct queue *q, struct mail *m, const struct envelope_recipient *r,
	uint64_t id);
// Leaves whatever list it is in.
void queue_item_destroy(struct queue *q, struct item *i);
struct item *queue_item_find(struct queue *q, uint64_t id);
struct outcome *queue_item_outcome(struct item *i); // makes it when missing
void queue_item_set_result(struct item *i, enum try_kind kind, const char *status,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
static inline struct str queue_item_target(const struct item *i)
{
	return i->target ? str_from(i->target) : i->address;
}
// Who is told what becomes of it: the sender, or who keeps the list that it is a member of.
struct str queue_item_sender(const struct item *i);
struct str queue_item_orcpt(const struct item *i); // "" for a member of a list
// Its address for people and reports: that of the alias where it is a program or a file.
struct str queue_item_words(const struct item *i, char space[SMTP_ADDRESS_MAX]);
bool queue_window_has_room(const struct queue *q, unsigned items, size_t octets);
// How many may be claimed: 0 until it is worth it. Their bodies stay in the store, so what the bodies
// of one destination take away does not stop them.
unsigned queue_window_claimable(const struct queue *q);

// ---------------------------------------------------------------- bodies
// Is the body, or the descriptor of its file, in memory?
bool queue_body_ready(const struct mail *m);
// Reads it for a job; queue_job_send or queue_settle_body follows, never before this returns.
void queue_body_read(struct queue *q, struct job *j);
// Reads a small one ahead of its job, as far as there is room.
void queue_body_prefetch(struct queue *q, struct mail *m);
void queue_body_use_file(struct job *j);     // keeps the descriptor until queue_body_leave_file
void queue_body_leave_file(struct job *j);
// The octets, or what a file begins with. scratch owns them then. *out_whole: is this all?
struct str queue_body_beginning(const struct mail *m, struct buf *scratch, bool *out_whole);

// ---------------------------------------------------------------- routes
enum route_kind { ROUTE_MX, ROUTE_HOST, ROUTE_LOCAL, ROUTE_REFUSE, ROUTE_USER };
struct route {
	enum route_kind kind;
	const struct config_route *config; // NULL: none says so
	unsigned number;                   // index in the configuration + 1; 0: none
};
#define ROUTE_KEY_MAX (DOMAIN_MAX + 4)
struct route queue_route_for(const struct config *c, struct str domain);
// Does every address of this domain of ours exist, as far as we say (`recipients any`)?
bool queue_takes_any(const struct config *c, struct str domain);
// What items of one destination have in common.
struct str queue_route_key(const struct route *r, struct str domain, char out[ROUTE_KEY_MAX]);
// To the mailbox of a system user: each is a destination of its own, so that one whose folder or
// program hangs holds up nobody else. domain is the user's name; "": alias-user (IPC_TARGET_PROGRAM, _FILE).
struct route queue_route_of_user(void);
// Is this postmaster or abuse of ours: <postmaster>, or of a local domain, or of an address of this host?
bool queue_is_role_address(const struct config *c, struct str address, struct str domain);
// "LOCAL@DOMAIN" with the local part in ASCII lower case; false when it does not fit.
bool queue_address_key(struct str address, struct str domain, char out[SMTP_ADDRESS_MAX]);

// ---------------------------------------------------------------- schedule
struct group {
	struct list link;          // in q->ready, q->stalled or a deliverer's list; or in none
	struct list items;
	char key[ROUTE_KEY_MAX];
	struct str domain;         // behind the kind in key: domain or pattern of the route
	enum route_kind kind;
	uint64_t hash;
	unsigned route;            // number in the current configuration
	unsigned waiting, in_flight;
	unsigned full_at;          // too many wait: as many as there was room left; 0: not
	unsigned limit, most;      // jobs at once: now, when all is well
	unsigned failures;         // of the destination since it last answered
	unsigned downs;            // times it was put down since it last answered
	uint64_t down_until_ms;    // monotonic; 0: it is not known to be down
	uint64_t seen_ms;          // monotonic, when it was last used
	char trouble[SMTP_REPLY_TEXT_MAX]; // what it said last
	char trouble_status[12];
	char trouble_remote[300];
	// how fast it drains
	uint64_t since_ms;
	unsigned ended;
};

struct deliverer {
	bool ready;
	enum queue_deliverer kind;
	unsigned index;
	unsigned jobs, most;
	struct list blocked;       // groups that wait for a job to end
};

// An item that is claimed in the store goes its way: to a group, a result, or back to the store.
void queue_item_enter(struct queue *q, struct item *i);
void queue_item_give_back(struct queue *q, struct item *i, uint64_t after_ms); // untried

void queue_group_join(struct queue *q, struct item *i, const struct route *r, struct str domain);
void queue_group_remove(struct group *g, struct item *i); // an item leaves before it was tried
bool queue_group_is_down(const struct group *g);
// Has it something that may be handed out, or put off, now?
bool queue_group_is_ready(const struct group *g);
void queue_group_offer(struct queue *q, struct group *g); // into the round, when it is ready
void queue_group_forget_if_idle(struct queue *q, struct group *g);
// A job of the group ended. answered: the destination itself said something.
enum group_answer { GROUP_ANSWERED, GROUP_FAILED, GROUP_UNKNOWN };
void queue_group_ended(struct queue *q, struct group *g, enum group_answer answer);
void queue_group_wake(struct queue *q, struct str domain); // domain "" : all; down ones are tried again
// When is there no more room for this destination? 0: there is; else when to come again, ms.
uint64_t queue_group_full_for(struct queue *q, struct str domain);
void queue_groups_reroute(struct queue *q);     // a new configuration
void queue_groups_clean(struct queue *q);       // forgets those without anything to remember
void queue_groups_return_all(struct queue *q);  // waiting items go back to the store
void queue_groups_forget(struct queue *q);      // frees all groups and their items

void queue_schedule_run(struct queue *q);       // hands out what can be handed out
void queue_deliverer_relieved(struct queue *q, struct deliverer *d);

// ---------------------------------------------------------------- jobs
enum job_state { JOB_READING, JOB_SENT, JOB_SETTLING };
struct job {
	struct list link;          // in mail->readers, q->settling or a commit
	uint64_t id;               // slot in the low 16 bits
	enum job_state state;
	struct queue *queue;
	struct mail *mail;
	struct group *group;       // NULL: not of a group
	struct deliverer *deliverer; // NULL: nobody was asked
	struct list items;
	unsigned count;
	char tls[100];
	uint32_t ms;
	bool fd_used;
	// the reports that go with the result, mostly one
	bool body_tried;           // for them
	struct item **reports;
	unsigned report_count;
	bool reports_claimed;      // else they are inserted as due
	bool alone;                // its commit failed together with others
};
// Takes items of group from the front that can go together.
struct job *queue_job_take(struct queue *q, struct group *g);
void queue_job_give(struct queue *q, struct job *j, struct group *g, struct deliverer *d);
void queue_job_send(struct queue *q, struct job *j, int body_err);
// A job without deliverer: its one item has a result already.
void queue_job_settle_item(struct queue *q, struct item *i);
void queue_job_destroy(struct queue *q, struct job *j); // and its items
void queue_jobs_give_back(struct queue *q, struct deliverer *d); // NULL: all
// All results of the job are there: by a unit test, and by whatever expands addresses later.
struct job *queue_job_find(struct queue *q, uint64_t id);
void queue_job_expand(struct queue *q, struct item *i, const struct queue_child *children,
	unsigned count);
// Nobody is delivered to under its address any more: another way that leads to it leads on or nowhere.
void queue_item_became_others(struct item *i);
void queue_job_ended(struct queue *q, struct job *j, enum group_answer answer);

// ---------------------------------------------------------------- results
void queue_settle(struct queue *q, struct job *j); // takes it; all items have results
void queue_settle_body(struct queue *q, struct job *j); // its body was read, or cannot be
void queue_settle_flush(struct queue *q);          // one batch of all results of a turn
void queue_settle_again(struct queue *q);          // after a failure of the store
unsigned queue_settle_open(const struct queue *q); // jobs not yet committed
void queue_settle_forget(struct queue *q);

// The pause after `tries` failed tries, scattered.
uint64_t queue_retry_pause(const struct config *c, unsigned tries);
uint64_t queue_retry_expiry(const struct config *c, const struct envelope *e);
// Turns a temporary failure into the next try or the end: result, next_ms, warn, expired.
void queue_retry_decide(struct queue *q, struct item *i, uint64_t now_ms);

// Does some result of this job have to be told to somebody?
bool queue_bounce_wanted(struct queue *q, struct job *j);
// It failed, and there is nobody left to tell: not a sender, and the postmaster does not get it either.
bool queue_bounce_is_stuck(const struct queue *q, const struct item *i);
// Makes j->reports out of the results. body: octets of the original, whole or its beginning.
void queue_bounce_make(struct queue *q, struct job *j, struct str body, bool whole);

// ---------------------------------------------------------------- taking from the store
void queue_claim_run(struct queue *q);
void queue_claim_due(struct queue *q, uint64_t next_ms); // something is due then
void queue_claim_freed(struct queue *q);

// ---------------------------------------------------------------- who exists
struct directory_entry {
	int err;                   // 0, ERR_NOT_FOUND, or why it cannot be told
	uint64_t id;
	bool enabled, locked;
	uint64_t expires_ms;       // 0: never
	uint32_t rights;
	struct quota_limits quota; // as the account and its domain say
	struct str name, networks, servers, act_as, reason, send_as, groups; // as of struct queue_account
	// of an address
	enum store_address_kind kind; // err is ERR_NOT_FOUND for what is no account
	struct str key;            // in the domain that its own is an alias of
	struct str targets;        // of an alias
};
// The texts of an entry, for copying: those of an account, and all.
#define DIRECTORY_ACCOUNT_TEXTS(e) &(e)->name, &(e)->networks, &(e)->servers, &(e)->act_as, &(e)->reason, \
	&(e)->send_as, &(e)->groups
#define DIRECTORY_TEXTS(e) {DIRECTORY_ACCOUNT_TEXTS(e)}
#define DIRECTORY_TEXT_COUNT 7
#define DIRECTORY_ALL_TEXTS(e) {DIRECTORY_ACCOUNT_TEXTS(e), &(e)->key, &(e)->targets}
#define DIRECTORY_ALL_COUNT 9
typedef void (*directory_done)(void *arg, const struct directory_entry *e);
struct directory;
struct directory *queue_directory_create(struct store *s);
void queue_directory_destroy(struct directory *d);
// done may be called before it returns.
void queue_directory_address(struct directory *d, struct str key, directory_done done, void *arg);
void queue_directory_account(struct directory *d, struct str name, directory_done done, void *arg);
void queue_directory_clear(struct directory *d); // an account changed
unsigned queue_directory_cached(const struct directory *d);

// ---------------------------------------------------------------- users of the system
struct users;
struct users *queue_users_create(void);
void queue_users_destroy(struct users *u);      // nobody asks any more
void queue_users_beat(struct queue *q);         // each second: who got no answer
void queue_users_lost(struct queue *q);         // role local is gone: nothing can be told
bool queue_users_asking(const struct users *u); // is an answer awaited?

// ---------------------------------------------------------------- how full mailboxes are
struct mailboxes;
struct mailboxes *queue_mailboxes_create(void);
void queue_mailboxes_destroy(struct mailboxes *m); // nobody asks any more
void queue_mailboxes_beat(struct queue *q);        // each second
void queue_mailboxes_lost(struct queue *q);        // role local is gone: nobody can count
void queue_mailboxes_flush(struct queue *q);       // to the store
void queue_mailboxes_stop(struct queue *q);
void queue_mailboxes_changed(struct queue *q);     // limits: what waits for room is tried
void queue_mailbox_wake(struct queue *q, struct str name); // the same of one, unless it is full
void queue_quota_changed(struct queue *q, struct str name); // of an account; "" : of others
bool queue_mailboxes_asking(const struct mailboxes *m); // is an answer, or the store, awaited?
// What holds for a mailbox of which its account and domain say this.
struct quota_limits queue_quota_in_force(const struct config *c, const struct quota_limits *said);
// Has it no room for a message of so many octets (0: for any)? As far as that is known; before it is
// said, role local counts again, and who waits 2 s in vain is let in. done with a turn of the loop.
typedef void (*queue_room_known)(void *arg, bool full);
void queue_mailbox_room(struct queue *q, struct str name, const struct quota_limits *limits,
	uint64_t octets, queue_room_known done, void *arg);
// Counted by role local now. err: 0, or why not. done as above.
typedef void (*queue_usage_known)(void *arg, int err, const struct quota_usage *usage);
void queue_mailbox_count(struct queue *q, struct str name, const struct quota_limits *limits,
	queue_usage_known done, void *arg);
// What the deliverer tells with the result of an item, which is set.
void queue_mailbox_told(struct queue *q, const struct item *i, const struct ipc_outcome *from);
#define QUEUE_WARNING_LABEL "quota-warning" // of a message that passes the quota

// ---------------------------------------------------------------- rates
void queue_rates_start(struct queue *q);             // reads what was counted
void queue_rates_beat(struct queue *q, bool clean);  // each second; clean: each minute
void queue_rates_write(struct queue *q);             // what changed, without a message

// ---------------------------------------------------------------- trouble
struct cause {
	char event[16], rule[120];
	uint64_t count, last_ms;
};
#define QUEUE_CAUSES 32
struct trouble {
	struct cause causes[QUEUE_CAUSES];
	unsigned cause_count;
	struct {
		char domain[DOMAIN_MAX + 1];
		char remote[300];
		uint64_t at_ms;
	} timeouts[3];             // unrelated ones, of port 25
	unsigned timeout_count;
	bool port25_blocked;
};
// What refuses and defers lately. rule is cut.
void queue_cause_add(struct queue *q, const char *event, struct str rule);
// Port 25: a try by MX ended with blame 2, or some host answered.
void queue_port25_failed(struct queue *q, struct str domain, const struct outcome *o);
void queue_port25_answered(struct queue *q);

// ---------------------------------------------------------------- events
void queue_log_result(const struct job *j, const struct item *i);
void queue_log_expired(const struct item *i, const char *why);
void queue_log_bounce(const struct mail *of, const struct item *report);
// A limit that was reached, and who says it.
void queue_log_limit(const struct item *i, const char *rule, const char *where, uint64_t count,
	uint64_t limit);
void queue_log_hold(const struct mail *m, const struct item *i, struct str reason);

// ---------------------------------------------------------------- the queue
struct queue {
	struct queue_options o;
	const struct config *config;
	struct id_source *ids;
	struct store *store;

	uv_idle_t turn;            // active while something is to be done before the loop waits
	uv_timer_t timer;          // the next claim
	uv_timer_t beat;           // each second: what failed, what can be forgotten
	unsigned beats;
	unsigned open_handles;
	bool turning;
	bool destroyed;

	// the window
	struct map items;          // 8 octets of the recipient id -> struct item
	size_t item_count;
	size_t octets;
	unsigned mails;            // in memory
	struct list routing;       // items

	// schedule
	struct map groups;         // key -> struct group
	struct list ready, stalled;
	unsigned saturated;        // groups without room
	struct deliverer deliverers[QUEUE_DELIVERERS][QUEUE_SENDERS_MAX];

	// jobs
	struct job **slots;
	unsigned slot_count;
	uint16_t *free_slots;
	unsigned free_count;
	uint64_t last_job;

	// results
	struct list settling;      // jobs for the next commit
	struct list failed;        // jobs whose commit failed
	unsigned settling_count, committing, reading;

	// claims
	bool claiming;
	uint64_t next_due_ms;      // wall clock; 0: nothing is due
	uint64_t claim_after_ms;   // monotonic
	bool releasing;            // what queue { hold } held is being let go

	struct directory *directory;
	struct guard *guard;
	struct rates *rates;
	bool rates_wanted;         // their counts could not be read yet
	struct users *users;
	struct mailboxes *mailboxes;
	struct trouble trouble;
	struct list answers;       // that are given with the next turn
	unsigned submitting;

	struct {
		uint64_t at_ms;        // monotonic
		int err;
	} space;

	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

void queue_turn(struct queue *q); // something is to be done before the loop waits
// A call of ours that has to come later than the call that asked for it.
struct answer {
	struct list link;
	void (*give)(struct queue *q, struct answer *a); // frees it
};
void queue_answer_later(struct queue *q, struct answer *a);
static inline bool queue_is_on_hold(const struct queue *q)
{
	return q->config->queue.hold;
}
void queue_release_own_holds(struct queue *q);
#define QUEUE_HOLD_REASON "queue hold"

// For admin.c: what is in memory follows what an administrator does to the rows. held: right after
// the batch was given to the store; deleted: when it is committed.
void queue_item_was_held(struct queue *q, uint64_t id);
void queue_item_was_deleted(struct queue *q, uint64_t id);
void queue_account_changed(struct queue *q, struct str name);

#endif
