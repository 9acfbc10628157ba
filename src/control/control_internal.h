// SPDX-License-Identifier: ISC
// A call and where its answers go: a socket, or straight back into this process.
#ifndef PABAL_CONTROL_INTERNAL_H
#define PABAL_CONTROL_INTERNAL_H

#include "control/control.h"

struct control_call {
	// line: {"row":…}, {"done":…} or {"error":…}; stolen. last: the call ends with it.
	void (*give)(struct control_call *call, json_t *line, bool last);
	unsigned uid;
};

// Finds the handler and runs it; fails the call when there is none.
void control_run(struct control_call *call, const struct control_handler *handlers, size_t count,
	void *handler_arg, const char *command, const json_t *arguments);

#endif
