// SPDX-License-Identifier: ISC
// Reading who wrote to whom out of folders and logs: one child opens and reads files, another one without
// rights makes sense of them.
#ifndef PABAL_COMMAND_GUARD_SEED_H
#define PABAL_COMMAND_GUARD_SEED_H

#include "base/error.h"
#include "base/str.h"

// from "" when a mail does not say. Called for each pair, in the process that asked.
typedef int (*guard_seed_give)(void *arg, struct str from, struct str to, struct error *err);
// paths: logs (files), mail (files that begin with a header field) and folders with mail, Maildir or
// not, looked through with all that is below them. Fails with the first error.
int guard_seed_read(char *const *paths, unsigned count, guard_seed_give give, void *arg,
	struct error *err);

#endif
