// SPDX-License-Identifier: ISC
// What the files of this folder share: the store, its requests and its three threads.
// loop thread: requests in, completions out. commit thread: the connection. file thread: removes,
// opens and checks spool files.
#ifndef PABAL_STORE_STORE_INTERNAL_H
#define PABAL_STORE_STORE_INTERNAL_H

#include "base/arena.h"
#include "base/id.h"
#include "store/known.h"
#include "store/queries.h"
#include "store/sql.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define SPOOL_FOLDERS  256
#define STORE_LEASE_MS (60UL * 60 * 1000) // recorded with a claim; see doc/queue.md 4, leases

// ---------------------------------------------------------------- requests
struct request;
struct request_class {
	// Commit thread, inside a transaction. An error (ERR_*) fails the whole group; what is only
	// an answer (ERR_NOT_FOUND) is put into request->err and 0 returned.
	int (*run)(struct store *s, struct request *r);
	// Commit thread: the transaction was rolled back; run will be called again. NULL: nothing.
	void (*forget)(struct request *r);
	// Commit thread: the request failed for good. NULL: nothing.
	void (*failed)(struct store *s, struct request *r);
	// File thread, after the commit, when err is 0. NULL: nothing.
	void (*after)(struct store *s, struct request *r);
	// Loop thread: calls back and frees. NULL: a request of the store itself; not counted, and
	// owned by after().
	void (*complete)(struct store *s, struct request *r);
};

// First member of every request.
struct request {
	struct request *next;
	const struct request_class *class;
	size_t octets;	  // of the data, to bound a group
	int err;	  // what the completion tells
	bool again;	  // set by run: do it once more after this group (long listings)
	unsigned scanned; // rows read in this run
};

struct request_queue {
	struct request *first, *last;
};
void request_queue_add(struct request_queue *q, struct request *r);
struct request *request_queue_take(struct request_queue *q); // NULL: empty

void *request_create(size_t size, const struct request_class *class); // struct request comes first
// Loop thread: gives it to the commit thread.
void store_request(struct store *s, struct request *r);
// Loop thread: completes it with err (or 0: the answer is known) without doing it.
void store_refuse(struct store *s, struct request *r, int err);

// ---------------------------------------------------------------- the commit thread
struct totals {
	uint64_t messages, octets;
	uint64_t recipients[3]; // by enum recipient_state
};

// What a transaction does beside its rows; forgotten when it is rolled back.
struct effects {
	struct totals totals; // as they will be
	bool totals_changed;
	bool folders[SPOOL_FOLDERS]; // to be synced before the commit
	bool has_folders;
	uint64_t *unused; // spool files to be removed after the commit
	unsigned unused_count, unused_size;
};
void effects_move_recipient(struct effects *e, int from, int to); // -1: was not, will not be
void effects_remove_spool(struct effects *e, uint64_t spool);
void effects_need_folder(struct effects *e, uint64_t spool);

void *commit_thread(void *store);
void commit_thread_add(struct store *s, struct request *r); // any thread
int totals_write(struct store *s, const struct totals *t);
// Commit thread: has a row with this spool file? ERR_* when that cannot be known.
int commit_spool_used(struct store *s, uint64_t spool, bool *out_used);

// ---------------------------------------------------------------- the file thread
struct sweep {
	struct request request;
	unsigned folder; // the next one to look at
	uint64_t before; // only files with lower ids
	struct sweep_file {
		uint64_t id;
		bool temporary; // ID.new: never has a row
		bool used;	// a row names it
	} * files;		// of the folder before
	unsigned count, size;
};
extern const struct request_class sweep_class;

void *file_thread(void *store);
void file_thread_add(struct store *s, struct request *r);
void file_remove(struct store *s, uint64_t spool); // any thread: asks the file thread
// Blocks until the sweep has ended.
void file_sweep_wait(struct store *s);

// ---------------------------------------------------------------- the spool
unsigned spool_folder_of(uint64_t spool);
int spool_open_folders(struct store *s, bool create, struct error *err);
int spool_sync_folder(struct store *s, unsigned folder);
#define SPOOL_NAME_MAX (3 + ID_TEXT_MAX + 4)
const char *spool_name(uint64_t spool, bool temporary, char out[SPOOL_NAME_MAX]);

// ---------------------------------------------------------------- room kept on the disk
struct reserve {
	int fd;
	uint64_t size;
	uint64_t log_move; // the log is moved when it is larger: what it holds must fit the reserve
	bool whole;	   // else no new message is taken
};
bool reserve_give_up(struct store *s); // before reserve_open: frees the room; false: there is none
int reserve_open(struct store *s, struct error *err);
void reserve_finish(struct store *s);
// May a new message be taken? ERR_FULL, or ERR_SYSTEM when the log cannot be moved for long.
int reserve_check(struct store *s);
void reserve_use(struct store *s);     // the disk is full
void reserve_restore(struct store *s); // when there is room again

// ---------------------------------------------------------------- the directory
// Commit thread. 1: found and read into out, with its groups; 0: there is none.
int directory_find_account(struct store *s, enum query query, struct str name, struct arena *arena,
	struct store_account *out);
int directory_has_alias(struct store *s, struct str name); // 1: an alias has this name
// What the domain of an account, or a domain itself, says of quotas. 1: there is a row.
int mailboxes_read_domain(struct store *s, struct str name, struct quota_limits *out);

// ---------------------------------------------------------------- the store
struct store {
	// Loop thread.
	uv_loop_t *loop;   // NULL: only store_wait completes
	uv_async_t *async; // freed by the loop
	size_t pending;
	bool closing;
	struct request_queue ready; // done, about to be completed
	struct id_source spool_ids;
	struct known known;
	struct {
		bool told;	  // the last event said that it fails
		uint64_t told_ms; // monotonic
	} health;

	// Never change after store_open.
	unsigned node;
	int folder_fd, spool_fd;

	// Shared between loop and commit thread.
	pthread_mutex_t lock;
	pthread_cond_t work, completed;
	struct request_queue waiting, done;
	bool stop; // the commit thread ends when nothing waits
	bool failing;
	char trouble[256];

	// Commit thread.
	pthread_t commit_thread;
	struct sql *db;
	struct totals totals; // as committed
	struct effects effects;
	struct reserve reserve;
	bool bad_folders[SPOOL_FOLDERS]; // a sync of it failed in this group
	char words[256];		 // why the last transaction failed, or ""

	// File thread.
	pthread_t file_thread;
	pthread_mutex_t file_lock;
	pthread_cond_t file_work, sweep_ended;
	struct request_queue files;
	bool file_stop, swept_all;
	struct sweep sweep;
	atomic_ullong swept;
};

// Any thread but the loop: a request is ready to be completed. wake once a group.
void store_put_done(struct store *s, struct request *r);
void store_wake(struct store *s);

#endif
