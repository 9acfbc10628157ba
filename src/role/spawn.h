// SPDX-License-Identifier: ISC
// Starting our own binary again as another process of the family.
#ifndef PABAL_ROLE_SPAWN_H
#define PABAL_ROLE_SPAWN_H

#include "base/error.h"

#include <sys/types.h>

// A descriptor of the program that is running, also after the file was replaced by an update.
int spawn_open_binary(int *out_fd, struct error *err);
// Runs it with argv; *out_socket is our end of its channel (descriptor 3 there). The caller owns
// the socket and reaps the process.
int spawn_process(int binary, const char *const argv[], pid_t *out_pid, int *out_socket, struct error *err);

#endif
