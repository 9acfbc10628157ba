// SPDX-License-Identifier: ISC
// Administration commands: one table says who answers, which right is needed and whether the
// command also works with the server stopped. The socket, the command line and (later) the
// console are three fronts of it.
//
// On the wire: one JSON object a line. Request {"version":1,"command":"queue list",
// "arguments":{…}}; answers {"row":{…}} any number of times, then {"done":{…}} or
// {"error":{"code":"not-found","text":"…"}}, then the server closes.
#ifndef PABAL_CONTROL_CONTROL_H
#define PABAL_CONTROL_CONTROL_H

#include "base/error.h"

#include <stdbool.h>
#include <jansson.h>
#include <uv.h>

#define CONTROL_GROUP "pabal-admin" // whose members may give commands

enum control_right { CONTROL_NOTHING, CONTROL_READ, CONTROL_OPERATE, CONTROL_ADMIN }; // each has those before

struct control_command {
	const char *name;        // "queue list"
	const char *role;        // who answers: "master", "queue", "auth", "resolver"
	enum control_right right;
	bool offline;            // works with the server stopped, on the store itself
	const char *help;        // TEXT_MARK
};
extern const struct control_command control_commands[];
extern const size_t control_command_count;
const struct control_command *control_command_find(const char *name);

// One call being answered: made by the socket server, or by the command line when offline.
struct control_call;
// The json is stolen. Exactly one done or fail ends the call; after it the call is gone.
void control_row(struct control_call *call, json_t *row);
void control_done(struct control_call *call, json_t *summary); // NULL: {}
void control_fail(struct control_call *call, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
unsigned control_peer_uid(const struct control_call *call); // for the event that says who did it
// For an answer of many rows: go_on is called when few of them wait to be read, at once or from the
// loop, also when the caller is gone. Not twice at a time, and no other call of this call meanwhile.
void control_when_read(struct control_call *call, void (*go_on)(void *arg), void *arg);
// True when nobody reads what is said; the call still must be ended.
bool control_is_gone(const struct control_call *call);
// Overwrites every text in value: a request can hold a password. NULL is fine.
void control_wipe(json_t *value);

// What a role can answer. arguments is borrowed until the call ends.
struct control_handler {
	const char *name; // of the command
	void (*run)(struct control_call *call, const json_t *arguments, void *arg);
};

// Serves a listening Unix socket. Root, the user of this process and, once told, the members of one
// group may give every command; whoever else comes as far as the socket is refused. At most 64 calls at once, requests at
// most 64 KiB, 60 s to send one. A caller that reads slowly does not hold up the loop: it may leave
// 16 MiB unread, and is closed after 10 minutes in which it read nothing.
struct control_server;
struct control_server *control_server_create(uv_loop_t *loop, int listen_fd,
	const struct control_handler *handlers, size_t count, void *arg);
// The group whose members may give commands as well; CONTROL_NO_GROUP, as at first: none.
#define CONTROL_NO_GROUP ((unsigned)-1)
void control_server_admit(struct control_server *s, unsigned group);
// For other sockets of administrators: whether the other end is one, as above.
bool control_peer_is_admin(int socket, unsigned group);
// Open calls are answered "shutting down". A handler that still has one ends it as ever, at any
// time; what it says goes nowhere.
void control_server_destroy(struct control_server *s);

// ---- clients
// The answer as it comes in. row may be NULL. Borrowed json.
typedef void (*control_on_row)(const json_t *row, void *arg);
// Blocking: connects to FOLDER/ROLE.sock, sends, reads. Returns 0 with *out_done (owned by the
// caller), ERR_CLOSED when nobody serves there (server stopped), ERR_UNAVAILABLE when the server
// ends in mid answer, or the error with the words of the server. timeout_ms for each wait.
int control_request(const char *run_folder, const char *command, json_t *arguments,
	control_on_row on_row, void *arg, unsigned timeout_ms, json_t **out_done, struct error *err);
// Runs a handler in this process (server stopped): the same results as control_request once
// the loop has run dry.
int control_local(uv_loop_t *loop, const struct control_handler *handlers, size_t count, void *handler_arg,
	const char *command, json_t *arguments, control_on_row on_row, void *arg, json_t **out_done,
	struct error *err);

#endif
