// SPDX-License-Identifier: ISC
// A borrowed run of octets. It owns nothing and need not end in NUL.
#ifndef PABAL_BASE_STR_H
#define PABAL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *data; // may be NULL only when len is 0
	size_t len;       // octets
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_EMPTY ((struct str){"", 0})
// For printf: "%.*s", STR_ARG(s). Lengths over INT_MAX are cut.
#define STR_ARG(s) ((s).len > 0x7fffffff ? 0x7fffffff : (int)(s).len), ((s).len ? (s).data : "")

static inline struct str str_from(const char *text)
{
	return (struct str){text ? text : "", text ? strlen(text) : 0};
}

static inline struct str str_make(const void *data, size_t len)
{
	return (struct str){data, len};
}

// All comparisons "nocase" fold ASCII letters only and never look at the locale.
bool str_equal(struct str a, struct str b);
bool str_equal_nocase(struct str a, struct str b);
int str_compare(struct str a, struct str b); // as memcmp, shorter first
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
// Offset of the first octet c (or needle), or -1.
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_find_last(struct str s, char c);
ptrdiff_t str_search(struct str s, struct str needle);
struct str str_slice(struct str s, size_t from, size_t to); // bounds are clamped
struct str str_skip(struct str s, size_t n);
struct str str_trim(struct str s); // spaces and tabs, CR and LF on both ends
// Takes the part of *rest before separator and moves *rest past it; the whole
// when there is none. Returns false once *rest was used up (data == NULL).
bool str_split(struct str *rest, char separator, struct str *out_part);
// Decimal digits only, no sign, no overflow. ERR_SYNTAX otherwise.
int str_to_u64(struct str s, uint64_t *out_value);
// Octet-wise ASCII lower case, in place.
void str_lower(char *data, size_t len);
char char_lower(char c);
bool str_is_ascii(struct str s);
bool str_is_utf8(struct str s); // well-formed, no surrogates, no overlong forms
// True when every octet is in the C string set.
bool str_only(struct str s, const char *set);
// A NUL-terminated malloc'd copy owned by the caller; fatal when memory ends.
char *str_dup(struct str s);
// Copies into a fixed array and terminates; false when it did not fit or holds
// a NUL (then empty).
bool str_copy(struct str s, char *out, size_t out_size);

// Lists: number of elements of an array.
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
