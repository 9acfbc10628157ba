// SPDX-License-Identifier: ISC
// The parent of the family: holds configuration, listening sockets and the ticket secret;
// starts, watches and restarts the roles. Parses nothing that comes from outside.
#ifndef PABAL_ROLE_MASTER_H
#define PABAL_ROLE_MASTER_H

#include "base/error.h"

#include <stdbool.h>

// Runs in the foreground until SIGTERM or SIGINT. Returns the exit status: 0, 64 for a bad
// command line, 78 for a configuration or machine that does not allow to serve (said on stderr).
int master_run(const char *config_path);

// Whether master would take the open file for its configuration: whose it is and who may write it,
// for a secret also who may read it. 0, or an error with words.
int snapshot_check_rights(int fd, const char *path, bool secret, struct error *err);
// The same of a file of client rules or domains, which may belong to somebody else.
int snapshot_check_table(int fd, const char *path, struct error *err);

// Entry of the configuration builder (`pabal builder PATH`), started by master.
int builder_main(int argc, char **argv);

#endif
