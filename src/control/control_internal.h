// SPDX-License-Identifier: ISC
// A call and where its answers go: a socket, or straight back into this process.
#ifndef PABAL_CONTROL_INTERNAL_H
#define PABAL_CONTROL_INTERNAL_H

#include "control/control.h"

#define CONTROL_VERSION 1 // of the protocol

struct control_way {
	// line: {"row":…}, {"done":…} or {"error":…}; stolen. last: the call ends with it.
	void (*give)(struct control_call *call, json_t *line, bool last);
	void (*when_read)(struct control_call *call, void (*go_on)(void *arg), void *arg);
	bool (*is_gone)(const struct control_call *call);
};

struct control_call {
	const struct control_way *way;
	unsigned uid;
	enum control_right right; // what the caller may do at most
};

// Fills uid and right from the other end of the socket; admins: a group, or CONTROL_NO_GROUP.
int control_peer_look(int socket, unsigned admins, struct control_call *out_call);

// Finds the handler and runs it; fails the call when there is none, or the caller has not the right
// that the table of commands asks for.
void control_run(struct control_call *call, const struct control_handler *handlers, size_t count,
	void *handler_arg, const char *command, const json_t *arguments);
// {"error":{"code":…,"text":…}}; what is no UTF-8 in text becomes "?".
json_t *control_line_error(const char *code, const char *text);

#endif
