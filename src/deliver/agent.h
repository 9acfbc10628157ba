// SPDX-License-Identifier: ISC
// Local delivery of one recipient, in a process that already has its rights: forward file, then the
// mailbox, by Maildir, mbox or program. What an alias names (a program or file) comes here as well.
#ifndef PABAL_DELIVER_AGENT_H
#define PABAL_DELIVER_AGENT_H

#include "config/config.h"
#include "deliver/deliver.h"
#include "deliver/maildir_known.h"
#include "deliver/safe.h"

// Whose rights this process has. Owned by the process; everything lives as long as it.
struct agent {
	const struct config *config;
	const char *user, *home;   // home "" : a virtual mailbox has none
	const char *state_maildir; // pattern: where no setting says anything
	struct safe_owner owner;
	bool does_aliases;         // it is alias-user's: programs and files that aliases name, and nothing else
	bool has_shell;            // it stands in /etc/shells: forward files may name programs and files
	struct maildir_known *known;
	struct quota *quota;
};

// Sets the result of r, or its children; what is for other rights than these is refused (temporary).
// Blocking.
void agent_deliver(const struct agent *a, struct deliver_job *job, struct deliver_recipient *r);

// How full the mailbox of an account is: counted anew, or as it was last known. One that is not there is
// empty, and so is what a program has. 0, or negative: errno says why.
int agent_usage(const struct agent *a, const char *address, const struct quota_limits *l, bool anew,
	struct quota_usage *out);

// ---- for its own files
void agent_into_mailbox(const struct agent *a, const struct config_delivery *d, struct deliver_job *job,
	struct deliver_recipient *r);
// path: absolute; one that ends in / is a Maildir.
void agent_into_file(const struct agent *a, const char *path, struct deliver_job *job,
	struct deliver_recipient *r);
enum agent_style { AGENT_SENDMAIL, AGENT_QMAIL };
// rest: what of the extension "default" in the name of a dot-qmail file stands for.
void agent_command(const struct agent *a, const char *command, enum agent_style style, struct str rest,
	struct deliver_job *job, struct deliver_recipient *r, bool *out_stop);
void agent_program(const struct agent *a, const struct config_list *program, struct deliver_job *job,
	struct deliver_recipient *r);
// False: there is no forward file, or it says nothing: into the mailbox. True: r has its result.
bool agent_forward(const struct agent *a, const struct config_delivery *d, struct deliver_job *job,
	struct deliver_recipient *r);

#endif
