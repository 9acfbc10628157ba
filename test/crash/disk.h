// SPDX-License-Identifier: ISC
// What a disk may hold after a power cut at any moment of a log of changes (record.h). For sure
// it holds what a completed sync covers. Of everything else any part may be there: any entry of a
// folder, any sector of a write, whatever the order in which they were made; only what changed
// the same entry or the same sector twice did so in order.
#ifndef PABAL_CRASH_DISK_H
#define PABAL_CRASH_DISK_H

#include "record.h"

// Syncs that this disk reports and does not do: the checks must notice.
enum {
	LIE_FOLDERS = 1,  // spool/XX and the like
	LIE_FILES = 2,	  // of the spool, of mailboxes
	LIE_DATABASE = 4, // queue.db
	LIE_LOG = 8,	  // queue.db-wal
};

struct disk;
struct disk *disk_create(const struct record_log *log, unsigned lies);
void disk_destroy(struct disk *d);
// To a later moment.
void disk_advance(struct disk *d, size_t moment);

// What is on the disk of the changes that no sync covers.
struct disk_choice {
	unsigned entries, octets; // percent of the changes
	unsigned sector;	  // 0: a write is there whole or not at all
	bool garbage;		  // where a file grew and its octets are missing: anything
	uint64_t seed;
};
// Makes path, which is missing or empty or of an earlier call, what would be found on the disk.
void disk_write(const struct disk *d, const struct disk_choice *choice, const char *path);

// xorshift: the same numbers everywhere.
uint64_t disk_random(uint64_t *seed);

#endif
