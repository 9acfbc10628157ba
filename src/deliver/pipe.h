// SPDX-License-Identifier: ISC
// Delivery by a program: the message on its standard input, what it says by its exit status. Blocking, in
// a process that already has the recipient's rights; any thread.
#ifndef PABAL_DELIVER_PIPE_H
#define PABAL_DELIVER_PIPE_H

#include "deliver/deliver.h"

#define PIPE_OUTPUT_MAX 1000 // octets of standard output and error that are kept

struct pipe_program {
	char *const *argv;     // argv[0] with its whole path; ends with NULL
	char *const *envp;
	const char *folder;    // to start in; "/" when it cannot be entered
	const char *address;   // of the fields put in front; NULL: none
	bool from_line;        // "From sender ..." in front
	bool seekable;         // standard input is a file (programs for dot-qmail look at it twice)
	bool qmail;            // exit statuses as qmail-local takes them, else sysexits
	uint64_t timeout_ms;
	uint64_t memory;       // octets each of its processes may take; 0: no limit
};

// Runs it and sets the result. It has its own session; past the time its whole process group is ended.
// Statuses: 0 delivered (qmail: 99, too); 75, 71, 74, 111 and what is not known, a signal and the end of
// the time are temporary; the rest is permanent with its own code. What it wrote goes, cleaned, into the
// text. *out_stop: qmail's 99 (nothing that follows is done); may be NULL.
void pipe_deliver(const struct pipe_program *p, struct deliver_job *job,
	struct deliver_recipient *r, bool *out_stop);

// What an exit status means. False: temporary and unknown.
bool pipe_status(int status, bool qmail, enum smtp_outcome *out_outcome, const char **out_enhanced);

#endif
