// SPDX-License-Identifier: ISC
// Error numbers shared by every room, and an error that carries words for people.
#ifndef PABAL_BASE_ERROR_H
#define PABAL_BASE_ERROR_H

// Every fallible function returns 0 or one of these (negative).
enum {
	ERR_OK = 0,
	ERR_SYSTEM = -1,      // a system call failed; errno says which way
	ERR_MEMORY = -2,      // a bounded allocation was refused
	ERR_SYNTAX = -3,      // input does not follow its grammar
	ERR_LIMIT = -4,       // a length, count or size is over its bound
	ERR_NOT_FOUND = -5,
	ERR_EXISTS = -6,
	ERR_DENIED = -7,      // not allowed: rights, ownership, lock held by another
	ERR_CLOSED = -8,      // the other end is gone
	ERR_TIMEOUT = -9,
	ERR_CORRUPT = -10,    // stored data fails its check
	ERR_UNAVAILABLE = -11,// the service asked cannot answer now: try again later
	ERR_FULL = -12,       // no space on the device, or a queue at its bound
	ERR_UNSUPPORTED = -13,
	ERR_TLS = -14,
};

// Words for a number, from the text table; never NULL.
const char *err_text(int err);

// The number for an errno: ERR_FULL for ENOSPC/EDQUOT, ERR_DENIED for
// EACCES/EPERM, ERR_NOT_FOUND for ENOENT, ERR_SYSTEM for the others.
int err_from_errno(int number);

#define ERROR_TEXT_MAX 512

// An error a human must understand. Owned by the caller; no allocation.
struct error {
	int code;                   // one of ERR_*
	char text[ERROR_TEXT_MAX];  // one line, no newline, cut at the bound
};

// Fills err (may be NULL) and returns code, so that it can be returned at once.
// err->text may be among the arguments.
int error_set(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// As error_set with ERR_SYSTEM (ERR_FULL for ENOSPC/EDQUOT, ERR_DENIED for
// EACCES/EPERM, ERR_NOT_FOUND for ENOENT), ": " and the words of errno appended.
int error_system(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Our own bug: prints file, line and words to stderr and aborts. Never for
// anything a peer, a file or an administrator can cause.
#define BUG_ON(condition) \
	do { \
		if (__builtin_expect(!!(condition), 0)) \
			bug(__FILE__, __LINE__, #condition); \
	} while (0)
_Noreturn void bug(const char *file, int line, const char *what);

// The process cannot go on (out of memory, lost its master): prints and exits 70.
_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
