// SPDX-License-Identifier: ISC
// Runs an administration command: on the running server through its control socket, or, where the
// table of commands allows it, on the stopped server's own files.
#ifndef PABAL_COMMAND_CALLER_H
#define PABAL_COMMAND_CALLER_H

#include "command/options.h"
#include "control/control.h"

// arguments is borrowed. *out_done may be NULL; else owned by the caller.
int caller_run(const struct config *config, const char *command, json_t *arguments,
	control_on_row on_row, void *arg, json_t **out_done, struct error *err);
// Whether there is a server or a store of one to ask: before the first account there is none.
bool caller_has_store(const struct config *config);
// Prints "pabal: WORDS" and returns the exit status that fits the error.
int caller_failed(const struct error *err);
// A row as one line of JSON.
void caller_print_json(const json_t *row, void *unused);

#endif
