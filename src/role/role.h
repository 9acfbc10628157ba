// SPDX-License-Identifier: ISC
// One process of the family: what a role is (a row of the table in roles.c) and what its code
// works with. The frame in role.c receives what master hands over, confines the process and
// runs the loop; a role's own file only wires rooms together.
#ifndef PABAL_ROLE_ROLE_H
#define PABAL_ROLE_ROLE_H

#include "base/error.h"
#include "base/id.h"
#include "config/config.h"
#include "ipc/channel.h"

#include <uv.h>

struct role_context {
	const struct role *role;
	unsigned index;            // which of several (smtpd, sender)
	unsigned slot;             // for ids: unique among living processes of this node
	unsigned node;
	bool confined;             // started as root: own user, own root folder
	unsigned control_group;    // whose members may use the control socket, or CONTROL_NO_GROUP
	uv_loop_t *loop;
	struct ipc_channel *master;
	// The newest snapshot, and the tables behind it: each is swapped between two events. What
	// comes out of tables (config_client_rule, tables_alias …) must be copied to be kept longer.
	const struct config *config;
	struct id_source ids;
	void *state;               // the role's own, set in start
};

enum role_root { ROLE_ROOT_HOST, ROLE_ROOT_EMPTY, ROLE_ROOT_STATE /* Landlock on the state folder */ };
enum role_count { ROLE_ONE, ROLE_PER_CORE_SMTPD, ROLE_PER_CORE_SENDER };

// A row: who the process is, what it is handed, what it does.
struct role {
	const char *name;
	const char *user;          // NULL: stays what master is
	enum role_root root;
	enum role_count count;
	unsigned config_for;       // CONFIG_FOR_*: its part of the configuration
	bool keeps_root;           // `local`, `checker`: gives up in start what it does not need
	bool keeps_groups;         // `source`: the groups its user is in open sockets to it
	bool (*needed)(const struct config *c); // runs only while it is; NULL: always
	bool generations;          // `smtpd`: a reload starts a new set, the old one drains
	// What it loaded before confinement does not do for the new configuration: it is ended and
	// started again. NULL: it always does.
	bool (*anew)(const struct config *old, const struct config *now);
	const char *folder;        // name of a folder or socket descriptor handed over, or NULL
	const char *control;       // name of its control socket in the run folder, or NULL
	bool listeners;            // gets the listening sockets of the servers
	bool tickets;              // gets the TLS ticket secrets
	bool tables;               // gets client rules, lists of domains and aliases
	const char *const *peers;  // roles it has a channel to, NULL-terminated; each pair stands once
	                           // in either row

	// Called in this order. prepare: before confinement, everything that is loaded by name
	// (CA files, providers, time zone). start: after confinement; config, folder, control and
	// listener descriptors have been given by the calls below before it.
	int (*prepare)(struct role_context *c, struct error *err);
	int (*start)(struct role_context *c, struct error *err);

	// What master hands over; may come again while running (a peer was restarted, a socket
	// changed). Descriptors belong to the callee. NULL: not taken.
	void (*peer)(struct role_context *c, const char *peer_role, unsigned index, int fd);
	void (*listener)(struct role_context *c, unsigned server, unsigned listen, int fd);
	void (*control_socket)(struct role_context *c, int fd);
	void (*folder_given)(struct role_context *c, const char *name, int fd);
	void (*ticket_secrets)(struct role_context *c, const uint8_t current[32], const uint8_t previous[32]);
	void (*connected)(struct role_context *c, uint64_t request, int fd, const char *why);
	// A new snapshot is in c->config; old is freed after the call.
	void (*configured)(struct role_context *c, const struct config *old);
	// Take no new work, finish what runs within the time, then role_exit.
	void (*drain)(struct role_context *c, uint64_t within_ms);
};

extern const struct role roles[];
extern const size_t role_count;
const struct role *role_find(const char *name);

// Entry of a role process (`pabal role NAME`, descriptor 3 is the channel to master). Returns
// the exit status.
int role_main(int argc, char **argv);

// Ends the loop and the process with status 0.
void role_exit(struct role_context *c);
// Asks master for a connection to a configured destination; answered by role->connected.
void role_connect(struct role_context *c, uint64_t request, const char *kind, unsigned index);
// Events of this process also go to role queue for the history, over this channel; NULL: not now.
void role_set_history(struct role_context *c, struct ipc_channel *queue);

#endif
