// SPDX-License-Identifier: ISC
// What the files of remote delivery share:
//   remote.c   the outside, jobs that are done, the configuration
//   try.c      one job: host after host until every recipient has its result
//   pool.c     destinations: their hosts, and connections that are kept for the next job
#ifndef PABAL_DELIVER_REMOTE_INTERNAL_H
#define PABAL_DELIVER_REMOTE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "deliver/connection.h"
#include "deliver/hosts.h"
#include "deliver/remote.h"

// Shared by a destination and the tries that go through it.
struct plan {
	unsigned users;
	uint64_t until_ms;
	struct hosts_plan hosts;
};

// Exists while a try or a connection belongs to it, and a while longer.
struct destination {
	struct remote *r;
	char *key;                   // 'm' domain, or 'r' pattern of the route
	unsigned users;              // tries and connections
	struct list idle;            // sessions, the last used first
	unsigned idle_count, idle_most;
	struct plan *plan;           // NULL: to be looked up
	struct hosts_search *search;
	struct list waiting;         // tries, for the search
	struct list unused;          // of remote.unused
};

// A connection, from its opening to its end.
struct pooled {
	struct list link;            // of destination.idle
	struct list age;             // of remote.idle, the oldest first
	struct destination *d;
	struct connection *c;        // NULL: a socket that was asked for
	struct try *t;               // NULL: idle
	struct wheel_timer timer;    // kept for so long, or the deadline of the try
	uint64_t generation;         // of the configuration
	uint64_t request;            // of the socket or a token
	uint64_t sent, most;         // messages
	struct ipaddr address;       // family 0: a socket
	bool sending;                // the message of t
};

struct try {
	struct list link;            // of remote.tries, then remote.finished
	struct list wait;            // of destination.waiting
	struct remote *r;
	struct destination *d;
	struct deliver_job *job;
	struct pooled *s;           // NULL between two
	struct plan *plan;           // the hosts this try goes through; NULL: none yet
	unsigned address;            // now, in plan
	unsigned tried;              // bits
	unsigned connects, network_failures;
	struct ipaddr had;           // address of the kept connection this try began with
	bool fresh;                  // a kept connection had died: only a new one will do
	bool plain;                  // TLS with this address did not work
	unsigned blame;              // of failure
	struct smtp_result failure;  // why the best of the attempts so far failed
	char failed_remote[300];
	struct smtp_client_message message;
	struct smtp_client_recipient recipients[]; // those of the job that are open, in its order
};

struct remote {
	struct remote_options o;
	const struct config *config;
	uint64_t generation;
	struct hosts_own own;
	struct tls_client *tls;      // NULL: cannot be made
	struct map destinations;
	struct map requests;         // of sockets and tokens
	uint64_t last_request;
	struct list idle;            // sessions
	struct list unused;          // destinations without users, the oldest first
	unsigned session_count, idle_count, unused_count;
	struct list tries, finished;
	uv_check_t check;            // hands finished jobs over,
	uv_idle_t turn;              // and keeps the loop from sleeping before
	unsigned open_handles;
	bool destroyed;
};

// ---- remote.c
const struct config_route *remote_route(const struct remote *r, const struct deliver_job *job);
void remote_finished(struct try *t); // later: done

// ---- pool.c
struct destination *pool_destination(struct remote *r, const struct deliver_job *job); // one user more
void pool_release(struct destination *d);                // one user less
void pool_forget_plans(struct remote *r);
void pool_forget_unused(struct remote *r);
void pool_wait_for_plan(struct try *t);                  // then try_go_on
void plan_release(struct plan *p);
struct pooled *pool_take_idle(struct destination *d);   // NULL: none
struct pooled *pooled_create(struct try *t);           // takes its place in t
void pooled_start_deadline(struct pooled *s);          // for the message of its try
void pooled_destroy(struct pooled *s);                 // without a word
void pooled_keep(struct pooled *s);                    // its try is done with it
void pooled_quit(struct pooled *s);
void pool_close_idle(struct remote *r);

// ---- try.c
struct try *try_create(struct remote *r, struct deliver_job *job);
void try_destroy(struct try *t);
void try_begin(struct try *t);
void try_go_on(struct try *t, const struct hosts_plan *failed); // failed NULL: destination.plan is there
void try_socket(struct pooled *s, int fd, const char *why);

#endif
