// SPDX-License-Identifier: ISC
// A log of all that this program does to the files of one folder: each change with its octets,
// each sync with what it covers. The calls of libc are replaced by ours (record.c), for the code
// under test and for SQLite. What cannot be recorded ends the program.
#ifndef PABAL_CRASH_RECORD_H
#define PABAL_CRASH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_NAME_MAX 160
#define RECORD_NOTHING	UINT32_MAX

enum record_kind {
	RECORD_WRITE,	 // of a file: `len` octets at `offset`
	RECORD_TRUNCATE, // of a file: its size becomes `offset`
	RECORD_GROW,	 // of a file: its size becomes at least `offset`
	RECORD_ENTRY,	 // of a folder: `name` now means `target`, or RECORD_NOTHING
	RECORD_SYNC,	 // of a file or folder
	RECORD_SYNC_ALL,
};

// Files and folders are numbers in order of appearance; the folder itself is 0.
struct record {
	enum record_kind kind;
	uint32_t node; // what was changed or synced
	uint64_t offset;
	size_t len;
	unsigned char *data;
	uint32_t target;
	char name[RECORD_NAME_MAX];
	size_t covers; // of a sync: the records before this one were there when it began
};

struct record_log {
	struct record *records;
	size_t count, room;
	size_t first; // the records before describe what the folder held at the start
	uint32_t nodes;
	bool *is_folder; // by node
};

// What is in the folder is on the disk, and recording begins. path: absolute, without links.
// unnamed: the file system has O_TMPFILE.
void record_start(const char *path, bool unnamed);
// Records are numbered from 0; a moment is the number of records made before it.
size_t record_moment(void);
// The caller owns the result.
struct record_log *record_stop(void);
void record_log_destroy(struct record_log *log);

#endif
