// SPDX-License-Identifier: ISC
// The queue's store: messages, recipients, and the directory of accounts, behind one
// asynchronous interface. One thread owns the connection; requests are done in the order given,
// those that wait while a commit is on its way to the disk go into the next one (group commit).
// doc/queue.md names the states and steps this interface moves between.
#ifndef PABAL_STORE_STORE_H
#define PABAL_STORE_STORE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/quota.h"
#include "message/envelope.h"

#include <uv.h>

#define STORE_INLINE_BODY_MAX (64 * 1024) // larger bodies are files in the spool

struct store;

struct store_options {
	const char *folder;   // holds queue.db and spool/; or NULL when folder_fd is given
	int folder_fd;        // used, not taken, when folder is NULL
	unsigned node;        // 0..15
	bool create;          // make what is missing
};

// Opens with an EXCLUSIVE lock (ERR_DENIED with words when another process has it), migrates an
// older schema after copying it, refuses a newer one with words. loop may be NULL for commands
// that use store_wait. After open no file is opened by an absolute name.
int store_open(uv_loop_t *loop, const struct store_options *options, struct store **out,
	struct error *err);
// Finishes what was requested, checkpoints, closes. All completions have been called before it returns.
// Claims asked for meanwhile are refused (ERR_CLOSED). Not from a completion. The loop must turn
// once more before uv_loop_close.
void store_close(struct store *s);
// Runs requests and completions until none is left (commands with the server stopped, tests).
void store_wait(struct store *s);

// ---------------------------------------------------------------- batches: atomic units
// A batch is applied whole or not at all. Everything is copied into it.
struct store_batch;
struct store_batch *store_batch_create(void);
void store_batch_destroy(struct store_batch *b); // of one that was never given to store_apply

enum recipient_state {
	RECIPIENT_DUE,     // waits for next_try_ms
	RECIPIENT_CLAIMED, // this node is trying it (owner, lease)
	RECIPIENT_HELD,    // waits for an administrator
};

// How the body is given: inline (<= STORE_INLINE_BODY_MAX) or a spool file of that name.
struct store_body {
	struct str octets;
	uint64_t spool;    // id of the spool file; 0: inline
};

struct store_new_recipient {
	const struct envelope_recipient *recipient;
	uint64_t id;            // chosen by the caller
	bool claimed;           // inserted as claimed: the caller tries it at once
	uint64_t next_try_ms;
	uint32_t depth;         // of expansions; 0 for accepted from outside
	uint64_t parent;        // recipient it was expanded from; 0: none
};

// envelope->id must be set.
void store_batch_add_message(struct store_batch *b, const struct envelope *envelope,
	uint64_t expires_ms, const struct store_body *body, const struct store_new_recipient *recipients,
	unsigned recipient_count);
// One more recipient of a stored message (a child of an expansion), in the batch that finishes
// its parent, before that line: a child whose parent is gone (deleted meanwhile) is not added.
void store_batch_add_recipient(struct store_batch *b, uint64_t message,
	const struct store_new_recipient *recipient);
// The recipient ended (delivered, bounced, deleted): its row goes, and with the last one the
// message, and then its spool file.
void store_batch_finish_recipient(struct store_batch *b, uint64_t message, uint64_t recipient);
struct store_retry {
	uint64_t next_try_ms;
	uint32_t tries;
	bool delay_warned;
	struct str status;  // "4.4.1"
	struct str reply;   // last words of the remote host or ours
	struct str remote;  // host, "" for none
};
// A failed try: back to due.
void store_batch_retry_recipient(struct store_batch *b, uint64_t recipient, const struct store_retry *r);
// A claim given back untried: due again at next_try_ms, nothing counted.
void store_batch_return_recipient(struct store_batch *b, uint64_t recipient, uint64_t next_try_ms);
// A recipient that is being tried keeps its claim; its retry or return then ends in held.
void store_batch_hold_recipient(struct store_batch *b, uint64_t recipient, struct str reason);
// Also "try now" for one that is due. For one that is claimed only the hold is taken off.
void store_batch_release_recipient(struct store_batch *b, uint64_t recipient, uint64_t next_try_ms);
// value 0 removes it.
void store_batch_set_counter(struct store_batch *b, struct str name, uint64_t window, uint64_t value);

// err: 0, ERR_FULL, ERR_SYSTEM, ERR_CORRUPT; ERR_EXISTS for an id that is there already. Exactly one call a batch, on the loop.
typedef void (*store_done)(void *arg, int err);
// Takes the batch. The completion means: on stable storage.
void store_apply(struct store *s, struct store_batch *b, store_done done, void *arg);
size_t store_pending(const struct store *s); // requests not yet completed

// ---------------------------------------------------------------- reading the queue
// A recipient with what is needed to try it. Valid during the callback only.
struct store_recipient {
	uint64_t id, message;
	struct str address, domain, orcpt;
	uint8_t notify;
	enum recipient_state state;
	struct str hold_reason;
	uint64_t next_try_ms;
	uint32_t tries, depth;
	bool delay_warned;
	struct str status, reply, remote;  // of the last try
};
struct store_message {
	struct envelope envelope;
	uint64_t expires_ms;
	uint64_t spool;      // id of the spool file; 0: inline
};

// Claims up to limit recipients that are due at now_ms, oldest first, and calls `each` for every one
// (on the loop, after the claim is committed), then done. At most 1000. *out_next: when the next one is due, 0: none.
typedef void (*store_each_due)(void *arg, const struct store_message *m, const struct store_recipient *r);
typedef void (*store_due_done)(void *arg, int err, unsigned count, uint64_t next_due_ms);
void store_claim_due(struct store *s, uint64_t now_ms, unsigned limit, store_each_due each,
	store_due_done done, void *arg);
// The body of a message: inline octets, or fd of the spool file opened for reading (-1 else; the
// callback owns it). ERR_NOT_FOUND, ERR_CORRUPT (the digest differs).
typedef void (*store_body_done)(void *arg, int err, struct str octets, int fd);
void store_read_body(struct store *s, uint64_t message, store_body_done done, void *arg);

// Selection of recipients for listings and administration; zero fields do not select.
struct store_filter {
	uint64_t message;        // or recipient id
	struct str sender, recipient, domain, account; // exact keys; domain: of the recipient; sender "<>": none
	struct str client;       // exact; account "<>": of nobody who logged in
	bool any_state;
	enum recipient_state state;
	uint64_t after;          // recipient id: paging, ascending
	unsigned limit;          // at most 1000; fewer rows than that: the end
};
// last_recipient: of the page, `after` for the next one; 0: no row.
typedef void (*store_list_done)(void *arg, int err, unsigned count, uint64_t last_recipient);
void store_list(struct store *s, const struct store_filter *f, store_each_due each,
	store_list_done done, void *arg);
// Numbers for status: recipients by state, messages, oldest received_ms, octets.
struct store_totals {
	uint64_t messages, due, claimed, held, oldest_received_ms, next_due_ms, octets;
};
typedef void (*store_totals_done)(void *arg, int err, const struct store_totals *t);
void store_count(struct store *s, store_totals_done done, void *arg);

// Every counter, at start.
typedef void (*store_each_counter)(void *arg, struct str name, uint64_t window, uint64_t value);
void store_counter_list(struct store *s, store_each_counter each, store_done done, void *arg);

// ---------------------------------------------------------------- directory (no secrets)
enum { ACCOUNT_MAY_SUBMIT = 1, ACCOUNT_MAY_RELAY = 2, ACCOUNT_RIGHTS_ALL = 3 };
#define STORE_GROUPS_MAX 8    // of one account
#define STORE_WORDS_MAX	 4000 // octets of networks, servers, act_as, send_as

// Rights that several accounts share.
struct store_group {
	struct str name;
	uint32_t rights, stated;       // as of an account
	struct str networks, servers;
	uint64_t created_ms, changed_ms;
};
// Lists are words with a space between; "" : not said here. What an account does not say, its
// groups say (queue/rights.h puts it together).
struct store_account {
	uint64_t id;
	struct str name;     // address key form, "kim@example.kr"
	bool enabled;
	uint32_t rights;     // ACCOUNT_MAY_* that it has, of those in stated
	// As of struct quota_limits that are written down: 0: not said here.
	uint64_t quota, quota_soft;                   // octets
	uint64_t quota_messages, quota_messages_soft;
	uint64_t created_ms, changed_ms;
	uint32_t stated;     // ACCOUNT_MAY_* it gives or takes itself
	uint64_t expires_ms; // 0: never
	bool locked;
	struct str lock_reason;
	struct str networks; // "192.0.2.0/24 2001:db8::/32"
	struct str servers;  // names of server blocks
	struct str group_names;
	struct str act_as;   // key names it may act as (authzid)
	struct str send_as;  // as whom it may send: address keys, "@domain", "group:NAME", "<>"
	const struct store_group *groups; // those of group_names that there are; given back, never taken
	unsigned group_count;
	struct quota_limits domain_quota; // what its domain says; given back, never taken
};
typedef void (*store_account_done)(void *arg, int err, const struct store_account *a); // ERR_NOT_FOUND
void store_account_get(struct store *s, struct str name, store_account_done done, void *arg);
// The account an address belongs to: its own name. Aliases are in store/addresses.h.
void store_address_get(struct store *s, struct str key, store_account_done done, void *arg);
typedef void (*store_each_account)(void *arg, const struct store_account *a);
void store_account_list(struct store *s, struct str after, unsigned limit, store_each_account each,
	store_done done, void *arg);
// ERR_EXISTS / ERR_NOT_FOUND.
void store_account_add(struct store *s, const struct store_account *a, store_done done, void *arg);
void store_account_set_enabled(struct store *s, struct str name, bool enabled, store_done done, void *arg);
// Changes the fields named: STORE_SET_*. ERR_NOT_FOUND; ERR_UNSUPPORTED: there is no such group;
// ERR_EXISTS, ERR_LIMIT of a word that is added, ERR_DENIED of one to be removed that is not there.
enum { STORE_SET_SUBMIT = 1, STORE_SET_RELAY = 2, STORE_SET_NETWORKS = 4, STORE_SET_SERVERS = 8,
	STORE_SET_GROUPS = 16, STORE_SET_EXPIRES = 32, STORE_SET_LOCK = 64, STORE_SET_ACT_AS = 128,
	STORE_ADD_SEND_AS = 256, STORE_REMOVE_SEND_AS = 512 }; // send_as: one word
void store_account_set(struct store *s, const struct store_account *values, unsigned fields,
	store_done done, void *arg);
void store_account_remove(struct store *s, struct str name, store_done done, void *arg);

typedef void (*store_each_group)(void *arg, const struct store_group *g);
void store_group_list(struct store *s, store_each_group each, store_done done, void *arg); // at most 1000
// ERR_EXISTS / ERR_NOT_FOUND. set: SUBMIT, RELAY, NETWORKS and SERVERS can be changed.
void store_group_add(struct store *s, const struct store_group *g, store_done done, void *arg);
void store_group_set(struct store *s, const struct store_group *values, unsigned fields,
	store_done done, void *arg);
// ERR_DENIED: an account is in it.
void store_group_remove(struct store *s, struct str name, store_done done, void *arg);

// ---------------------------------------------------------------- spool files
// An unnamed file in the spool folder (a named temporary one where O_TMPFILE is missing), open
// for writing; *out_spool names it. Blocking but short: makes one inode.
int store_spool_create(struct store *s, uint64_t *out_spool, int *out_fd, struct error *err);
// Gives it its name and remembers its folder for the sync that precedes the group's commit.
// The writer has synced the octets. The queue checks size before.
// Followed by store_apply of the batch with its row; if that fails the store removes the file.
// ERR_UNAVAILABLE: of an earlier process, while its leavings are being removed.
int store_spool_link(struct store *s, uint64_t spool, int fd, struct error *err);
// A body that will not be linked after all: needed where the file had to have a name; close fd too.
void store_spool_discard(struct store *s, uint64_t spool);
// Spool files without a row, left by a crash: removed in the background after open. Counted here.
uint64_t store_spool_swept(const struct store *s);
// Octets free and percent free on the store's disk.
int store_disk_free(struct store *s, uint64_t *out_octets, unsigned *out_percent);

#endif
