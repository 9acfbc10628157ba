// SPDX-License-Identifier: ISC
// Writes a large body to its spool file off the loop: octets are gathered, written by a pool
// thread in order, and synced before the message may be submitted.
#ifndef PABAL_ROLE_SPOOL_WRITER_H
#define PABAL_ROLE_SPOOL_WRITER_H

#include "base/str.h"

#include <uv.h>

struct spool_writer;
// err of synced: the first thing that went wrong, ERR_FULL or ERR_SYSTEM. relieved: what was behind is
// written, more may come.
typedef void (*spool_writer_synced)(void *arg, int err);
typedef void (*spool_writer_relieved)(void *arg);

struct spool_writer *spool_writer_create(uv_loop_t *loop, int fd, spool_writer_synced synced,
	spool_writer_relieved relieved, void *arg); // takes fd
void spool_writer_add(struct spool_writer *w, struct str octets); // copies
bool spool_writer_behind(const struct spool_writer *w);           // 256 KiB or more wait
void spool_writer_sync(struct spool_writer *w);                   // after everything added
int spool_writer_fd(const struct spool_writer *w);
// No callback after this; the file is closed when the thread is done with it.
void spool_writer_destroy(struct spool_writer *w);

#endif
