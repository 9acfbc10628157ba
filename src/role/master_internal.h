// SPDX-License-Identifier: ISC
// What the files of master share: the family, its sockets and its configuration.
#ifndef PABAL_ROLE_MASTER_INTERNAL_H
#define PABAL_ROLE_MASTER_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "control/control.h"
#include "net/tls.h"
#include "role/confine.h"
#include "role/master.h"

#define MASTER_ROLES_MAX 16
#define MASTER_PROCESSES_MAX 32 // of one role

struct master;

struct watched {                    // what a source looked like when it was read
	uint64_t device, inode, size, changed_ns, modified_ns;
};

// The files a configuration was read from, in the order they were asked for.
struct sources {
	struct buf paths;               // NUL-terminated, one after the other
	struct watched *looks;
	size_t count;
};

// Tables as the builder made them (config/tables.h): master never looks inside.
struct tables_file {
	int fd;                         // sealed memfd; -1: none
	size_t size;
	uint64_t generation;            // 0: none was made yet
};

// One configuration generation as master holds it: a sealed memfd a role and its own part.
struct snapshot {
	uint64_t generation;
	int fds[MASTER_ROLES_MAX];      // by index in roles[]
	size_t sizes[MASTER_ROLES_MAX];
	int own_fd;                     // master's own part
	void *mapping;
	size_t mapping_size;
	struct config *config;          // points into mapping
	struct tables_file tables;
};
void snapshot_destroy(struct snapshot *s);

// Builds a new generation in a child without rights. Exactly one callback: snapshot (owned by the
// callee) or NULL with the findings as text.
typedef void (*snapshot_done)(struct master *m, struct snapshot *s, const char *findings);
int snapshot_build(struct master *m, snapshot_done done, struct error *err);
bool snapshot_building(const struct master *m);
struct builder;

// Has the tables made that a configuration names, by a child that gets that configuration and
// these files and nothing else. Exactly one callback, in which *made (then owned by the callee, fd
// -1 on failure) and the files that were asked for (owned by the callee) are given; errors counts
// what is wrong with them, findings is its text. of need only live until the call returns.
typedef void (*tables_made)(struct master *m, struct tables_file *made, struct sources *asked,
	unsigned errors, const char *findings);
int snapshot_build_tables(struct master *m, const struct snapshot *of, tables_made done,
	struct builder **out, struct error *err);
// The callback will not come.
void snapshot_abandon(struct builder *b); // NULL is fine

enum child_state { CHILD_STARTING, CHILD_READY, CHILD_DRAINING };

// A process. Owned by the family's list until it was reaped.
struct child {
	struct list link;
	struct master *master;
	struct place *place;            // NULL: an older generation that drains
	const struct role *role;
	unsigned index;
	unsigned slot;
	uint64_t generation;
	pid_t pid;
	struct ipc_channel *channel;
	enum child_state state;
	bool hurried;                   // drains, and was told to end soon
	bool renewed;                   // ended for a new one with the new configuration
	unsigned unanswered;            // beats since it was heard last, in pulse.c
	unsigned drain_beats;           // until it must have ended; 0: no limit
	bool killed;                    // by us, and that was said
	uint64_t started_ms;            // monotonic
};

// Where a process of a role belongs; outlives the process.
struct place {
	const struct role *role;
	unsigned index;
	struct child *child;            // NULL: being waited for
	struct child *draining;         // the one before it, until child is ready
	unsigned restarts;
	uint64_t pause_ms;
	uv_timer_t timer;
	struct master *master;
};

struct socket_entry {               // a listening socket of a server block
	struct ipaddr address;
	uint16_t port;
	int fd;
	bool wanted;                    // while the sockets of a new generation are matched
};

struct public_socket {              // of role auth, for other programs
	char path[108];                 // "": none
	char group[64];                 // "": our own
	int fd;                         // -1: not open
};

struct master {
	uv_loop_t loop;
	bool as_root;
	bool stopping;
	bool serving;                   // every place was ready once
	int binary;                     // descriptor of our own program
	int state_lock;                 // the state folder, locked; -1: not yet
	char config_path[4096];
	struct snapshot *snapshot;
	struct builder *builder;
	uint64_t next_generation;
	struct tls_tickets tickets;
	uv_timer_t ticket_timer;

	struct list children;           // struct child.link
	struct place places[MASTER_ROLES_MAX * MASTER_PROCESSES_MAX];
	size_t place_count;

	struct socket_entry *sockets;
	size_t socket_count;
	int control_fds[MASTER_ROLES_MAX];
	struct public_socket public, next_public; // next: while a new configuration is tried
	int log_fd;                     // -1: stderr
	uint8_t log_sink;
	struct control_server *control;
	int control_fd;
	unsigned control_group;         // who may use it and the roles' ones, or CONTROL_NO_GROUP

	uv_timer_t beat_timer;
	uint64_t beat_ms;               // monotonic: the last beat

	uv_timer_t watch_timer;
	struct sources watched;         // of the last build, also of one that was refused
	struct follower *follower;      // of the tables' files, in follow.c
	bool change_seen;               // wait for one quiet look before rebuilding
	bool rebuild_again;             // something changed while a build was running
	uint64_t last_reload_ms;        // wall clock
	char last_reload[512];          // findings of the last one that failed, "" when it went well
	struct control_call *reload_call; // waits until the new generation is in force
	bool reload_taken;              // the build went well; roles take it over now
	uv_timer_t reload_timer;

	uv_signal_t signals[5];
	uv_timer_t stop_timer;
	uint64_t started_ms;            // wall clock
	char dns_mode[64];
	unsigned stop_step;             // of stop_order in family.c
	int status;                     // exit status when it ends without being asked
};

// ---- family.c
void family_make_places(struct master *m);
void family_start(struct master *m);                   // every place without a child
void family_new_generation(struct master *m, const struct config *before); // after m->snapshot was swapped
void family_reap(struct master *m);                    // after SIGCHLD
void family_stop(struct master *m);                    // step by step; ends the loop
bool family_ready(const struct master *m);
bool family_needs(const struct place *p);              // by the configuration in force
bool family_in_force(const struct master *m);          // whoever runs has the current generation
struct child *family_child(const struct master *m, const char *role, unsigned index);

// ---- sockets.c
int sockets_open_all(struct master *m, const struct config *config, struct error *err);
int sockets_open_control(struct master *m, struct error *err);
void sockets_close_unwanted(struct master *m);
int sockets_make_folders(struct master *m, const struct config *config, struct error *err);
int sockets_open_log(struct master *m, const struct config *config, struct error *err);
void sockets_hand_over(struct master *m, struct child *c); // listeners, control, folders, log, tickets
void sockets_send_log(struct master *m, struct child *c);
void sockets_send_listeners(struct master *m, struct child *c);
void sockets_close_all(struct master *m);

// ---- public_socket.c
// Opens what config wants, if that is another one; m->public stays as it is until take or abandon.
int public_socket_prepare(struct master *m, const struct config *config, struct error *err);
void public_socket_abandon(struct master *m);
void public_socket_take(struct master *m);             // removes the one before, tells role auth
void public_socket_send(struct master *m, struct child *c);
void public_socket_close(struct master *m);

// ---- follow.c: tables are made, made anew when a file of theirs changes, and handed on
// The tables of a new configuration, s. Exactly one callback, not before the call returns: s with
// its tables, or NULL when it cannot be used (s is destroyed then). findings: of both.
void follow_complete(struct master *m, struct snapshot *s, const char *findings, snapshot_done done);
bool follow_completing(const struct master *m);
void follow_start(struct master *m); // looks at the files from now on
void follow_configured(struct master *m); // m->snapshot is another one
void follow_send(struct child *c, bool with_config);
json_t *follow_status(const struct master *m); // a row for `pabal status`

// ---- watch.c
void watch_start(struct master *m);
void watch_source_add(struct sources *s, const char *path); // looks at it: before it is opened
bool watch_look_again(struct sources *s); // whether one differs from the last look, which this replaces
void watch_sources(struct master *m, struct sources *s); // takes them, in place of those before
void watch_sources_finish(struct sources *s);

// ---- pulse.c: roles that hang are killed
void pulse_start(struct master *m);
void pulse_beat(struct master *m, uint64_t now_ms);    // one look at all; called by a timer
void pulse_answered(struct child *c);
void pulse_expect_end(struct child *c, uint64_t within_ms); // it was told to drain

// ---- reload, in master.c
void master_reload(struct master *m, const char *why);
void master_child_changed(struct master *m);           // one became ready or ended

// ---- status.c
extern const struct control_handler master_handlers[];
extern const size_t master_handler_count;

// ---- notify.c: systemd's readiness protocol; does nothing without NOTIFY_SOCKET
void notify_system(const char *state);

#endif
