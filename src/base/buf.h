// SPDX-License-Identifier: ISC
// A growable run of octets with a bound, also usable as a byte queue.
#ifndef PABAL_BASE_BUF_H
#define PABAL_BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

// Owned by whoever holds the struct. All zero is a valid empty buffer without a
// bound. start moves as octets are consumed; memory is freed when all are gone
// and the buffer is larger than a page, so idle connections cost nothing.
struct buf {
	char *data;
	size_t start; // first octet not yet consumed
	size_t end;   // one past the last octet
	size_t size;  // allocated
	size_t limit; // most octets held at once; 0: no bound
};

#define BUF_INIT ((struct buf){0})

static inline struct str buf_str(const struct buf *b)
{
	return (struct str){b->data ? b->data + b->start : "", b->end - b->start};
}

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

void buf_finish(struct buf *b);      // frees; the struct is empty and usable again
void buf_finish_wipe(struct buf *b); // the same for secrets
void buf_clear(struct buf *b);       // empties, keeps the memory
void buf_release(struct buf *b);     // empties and gives the memory back
// Each returns 0, or ERR_LIMIT when the bound would be passed (nothing is added).
int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_str(struct buf *b, struct str s);
int buf_add_text(struct buf *b, const char *text);
int buf_add_char(struct buf *b, char c);
int buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_add_vformat(struct buf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
int buf_add_base64(struct buf *b, struct str s);
// Decodes strict base64 with padding (RFC 4648 4); ERR_SYNTAX leaves b as it was.
int buf_add_base64_decoded(struct buf *b, struct str s);
int buf_add_hex(struct buf *b, struct str s); // lower case
// Room for len octets; NULL when the bound forbids. buf_commit tells how many were used.
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
void buf_consume(struct buf *b, size_t len);
// NUL-terminates behind the content (not counted) and returns the content.
const char *buf_cstr(struct buf *b);

#endif
