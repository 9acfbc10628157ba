// SPDX-License-Identifier: ISC
// Reads constant databases (cdb, as of qmail, vpopmail and tcprules). It trusts nothing in the
// file: a broken one is ERR_CORRUPT. Files are read, not mapped: one that shrinks meanwhile
// is no signal.
#ifndef PABAL_BASE_CDB_H
#define PABAL_BASE_CDB_H

#include "base/buf.h"
#include "base/error.h"

struct cdb {
	int fd;
	struct str memory; // of cdb_open_memory
	uint64_t size;
	uint64_t end; // of the records
};

// at: a folder, or AT_FDCWD. Regular files only. ERR_NOT_FOUND, ERR_DENIED, ERR_CORRUPT,
// ERR_SYSTEM.
int cdb_open(struct cdb *c, int at, const char *path);
int cdb_open_fd(struct cdb *c, int fd); // takes fd, also when it fails
int cdb_open_memory(struct cdb *c, struct str octets); // which must outlive it
void cdb_close(struct cdb *c);

// The value of the first record with that key replaces what is in out. ERR_NOT_FOUND; ERR_LIMIT:
// over limit octets; ERR_CORRUPT; ERR_SYSTEM.
int cdb_find(const struct cdb *c, struct str key, size_t limit, struct buf *out);
// The records in the order they were written. *position: 0 at first. ERR_NOT_FOUND at the end,
// else as cdb_find; limit is for key and value each.
int cdb_next(
	const struct cdb *c, uint64_t *position, size_t limit, struct buf *key, struct buf *value);

#endif
