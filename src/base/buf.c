// SPDX-License-Identifier: ISC
// Growable octets. Growing copies and wipes what it leaves behind, so that a
// buffer with a secret leaves no trace of it on the heap.
#include "base/buf.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>

#define FIRST_SIZE 256
#define KEPT_SIZE  4096 // an empty buffer larger than this is freed

static bool within_limit(const struct buf *b, size_t len)
{
	size_t held = buf_len(b);

	return b->limit == 0 || (held <= b->limit && len <= b->limit - held);
}

// Makes room for len octets behind the content, whatever the bound says.
static void make_room(struct buf *b, size_t len)
{
	size_t held = buf_len(b);
	size_t needed;
	size_t size;
	char *data;

	if (b->data && len <= b->size - b->end)
		return;
	if (__builtin_add_overflow(held, len, &needed) || needed > SIZE_MAX / 2)
		fatal("out of memory (a buffer of %zu and %zu octets)", held, len);
	// Moving what is held costs no more than what was consumed since the
	// last move, so a long queue does not move at each octet.
	if (b->data && needed <= b->size && b->start >= held) {
		memmove(b->data, b->data + b->start, held);
		b->start = 0;
		b->end = held;
		return;
	}
	size = needed > FIRST_SIZE ? needed : FIRST_SIZE;
	if (size < b->size * 2 && b->size < SIZE_MAX / 4)
		size = b->size * 2;
	data = mem_alloc(size);
	if (held)
		memcpy(data, b->data + b->start, held);
	mem_wipe(b->data, b->size);
	mem_free(b->data);
	b->data = data;
	b->size = size;
	b->start = 0;
	b->end = held;
}

void buf_release(struct buf *b)
{
	mem_free(b->data);
	b->data = NULL;
	b->start = b->end = b->size = 0;
}

void buf_finish(struct buf *b)
{
	buf_release(b);
}

void buf_finish_wipe(struct buf *b)
{
	mem_wipe(b->data, b->size);
	buf_release(b);
}

void buf_clear(struct buf *b)
{
	b->start = b->end = 0;
}

char *buf_reserve(struct buf *b, size_t len)
{
	if (!within_limit(b, len))
		return NULL;
	make_room(b, len);
	return b->data + b->end;
}

void buf_commit(struct buf *b, size_t len)
{
	BUG_ON(len > b->size - b->end);
	b->end += len;
}

void buf_consume(struct buf *b, size_t len)
{
	BUG_ON(len > buf_len(b));
	b->start += len;
	if (b->start < b->end)
		return;
	if (b->size > KEPT_SIZE)
		buf_release(b);
	else
		buf_clear(b);
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	char *to;

	if (len == 0)
		return 0;
	to = buf_reserve(b, len);
	if (!to)
		return ERR_LIMIT;
	memcpy(to, data, len);
	buf_commit(b, len);
	return 0;
}

int buf_add_str(struct buf *b, struct str s)
{
	return buf_add(b, s.data, s.len);
}

int buf_add_text(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

int buf_add_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_add_format(struct buf *b, const char *format, ...)
{
	va_list args;
	int err;

	va_start(args, format);
	err = buf_add_vformat(b, format, args);
	va_end(args);
	return err;
}

int buf_add_vformat(struct buf *b, const char *format, va_list args)
{
	va_list again;
	int wanted;

	va_copy(again, args);
	wanted = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (wanted < 0 || !within_limit(b, (size_t)wanted))
		return ERR_LIMIT;
	make_room(b, (size_t)wanted + 1); // and the NUL
	vsnprintf(b->data + b->end, (size_t)wanted + 1, format, args);
	buf_commit(b, (size_t)wanted);
	return 0;
}

const char *buf_cstr(struct buf *b)
{
	make_room(b, 1);
	b->data[b->end] = '\0';
	return b->data + b->start;
}

// ---- base64 (RFC 4648 4) and hexadecimal

static const char base64_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int buf_add_base64(struct buf *b, struct str s)
{
	size_t len = s.len / 3 * 4 + (s.len % 3 ? 4 : 0);
	char *to;

	if (s.len > SIZE_MAX / 4 || !(to = buf_reserve(b, len)))
		return ERR_LIMIT;
	for (size_t i = 0; i < s.len; i += 3, to += 4) {
		size_t n = s.len - i < 3 ? s.len - i : 3;
		uint32_t bits = 0;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)s.data[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			to[k] = k <= n ? base64_letters[bits >> (18 - 6 * k) & 63] : '=';
	}
	buf_commit(b, len);
	return 0;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Four letters to one to three octets; the number of octets, or ERR_SYNTAX.
static int base64_quantum(const char in[4], bool last, char out[3])
{
	int n = in[3] != '=' ? 3 : in[2] != '=' ? 2 : 1;
	uint32_t bits = 0;

	if (n < 3 && !last)
		return ERR_SYNTAX;
	for (int k = 0; k < 4; k++) {
		int value = k <= n ? base64_value(in[k]) : 0;
		if (value < 0)
			return ERR_SYNTAX;
		bits = bits << 6 | (uint32_t)value;
	}
	// Left-over bits must be zero (RFC 4648 3.5): one text for one content.
	if (n < 3 && (bits & (n == 2 ? 0xffu : 0xffffu)))
		return ERR_SYNTAX;
	for (int k = 0; k < n; k++)
		out[k] = (char)(bits >> (16 - 8 * k) & 0xff);
	return n;
}

int buf_add_base64_decoded(struct buf *b, struct str s)
{
	size_t padding = 0;
	size_t len = 0;
	char *to;

	if (s.len % 4)
		return ERR_SYNTAX;
	while (padding < 2 && padding < s.len && s.data[s.len - 1 - padding] == '=')
		padding++;
	to = buf_reserve(b, s.len / 4 * 3 - padding);
	if (!to)
		return ERR_LIMIT;
	for (size_t i = 0; i < s.len; i += 4) {
		char octets[3];
		int n = base64_quantum(s.data + i, i + 4 == s.len, octets);
		if (n < 0) {
			mem_wipe(to, len);
			return n;
		}
		memcpy(to + len, octets, (size_t)n);
		len += (size_t)n;
	}
	buf_commit(b, len);
	return 0;
}

int buf_add_hex(struct buf *b, struct str s)
{
	static const char digits[] = "0123456789abcdef";
	char *to;

	if (s.len > SIZE_MAX / 2 || !(to = buf_reserve(b, s.len * 2)))
		return ERR_LIMIT;
	for (size_t i = 0; i < s.len; i++) {
		*to++ = digits[(unsigned char)s.data[i] >> 4];
		*to++ = digits[(unsigned char)s.data[i] & 15];
	}
	buf_commit(b, s.len * 2);
	return 0;
}
