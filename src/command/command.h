// SPDX-License-Identifier: ISC
// The subcommands of `pabal`: one table, one file a subcommand.
#ifndef PABAL_COMMAND_COMMAND_H
#define PABAL_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

// Exit statuses, as sysexits has them.
enum {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,      // it was done and the answer is no
	COMMAND_DEFERRED = 2,    // and the answer is not now, or cannot be told
	COMMAND_USAGE = 64,
	COMMAND_UNAVAILABLE = 69,
	COMMAND_CONFIGURATION = 78,
};

struct command {
	const char *name;
	const char *arguments;   // for the usage, a line each form
	const char *help;        // TEXT_MARK, one line
	int (*run)(int argc, char **argv); // argv[0] is the name
};
extern const struct command commands[];
extern const size_t command_count;

int command_main(int argc, char **argv);

// Prints "usage: pabal NAME ARGUMENTS" for each form to stderr and returns COMMAND_USAGE.
int command_usage(const char *name);

int command_address(int argc, char **argv);
int command_domain(int argc, char **argv);
int command_auth(int argc, char **argv);
int command_account(int argc, char **argv);
int command_guard(int argc, char **argv);
int command_limits(int argc, char **argv);
int command_check(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_queue(int argc, char **argv);
int command_quota(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_status(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_trace(int argc, char **argv);
int command_manual(int argc, char **argv);

#endif
