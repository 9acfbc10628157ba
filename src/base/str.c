// SPDX-License-Identifier: ISC
// Comparing, searching and cutting borrowed octets.
#include "base/str.h"

#include "base/error.h"
#include "base/memory.h"

#include <unistr.h>

char char_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

void str_lower(char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = char_lower(data[i]);
}

bool str_equal(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_equal_nocase(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (char_lower(a.data[i]) != char_lower(b.data[i]))
			return false;
	return true;
}

int str_compare(struct str a, struct str b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	if (order)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_equal(str_slice(s, 0, prefix.len), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_equal_nocase(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_equal_nocase(str_skip(s, s.len - suffix.len), suffix);
}

ptrdiff_t str_find(struct str s, char c)
{
	const char *found = s.len ? memchr(s.data, c, s.len) : NULL;

	return found ? found - s.data : -1;
}

ptrdiff_t str_find_last(struct str s, char c)
{
	const char *found = s.len ? memrchr(s.data, c, s.len) : NULL;

	return found ? found - s.data : -1;
}

ptrdiff_t str_search(struct str s, struct str needle)
{
	const char *found;

	if (needle.len == 0)
		return 0;
	found = s.len ? memmem(s.data, s.len, needle.data, needle.len) : NULL;
	return found ? found - s.data : -1;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
	if (to > s.len)
		to = s.len;
	if (from > to)
		from = to;
	return (struct str){s.data ? s.data + from : NULL, to - from};
}

struct str str_skip(struct str s, size_t n)
{
	return str_slice(s, n, s.len);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.data[0]))
		s = str_skip(s, 1);
	while (s.len && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

bool str_split(struct str *rest, char separator, struct str *out_part)
{
	ptrdiff_t at;

	if (!rest->data)
		return false;
	at = str_find(*rest, separator);
	if (at < 0) {
		*out_part = *rest;
		*rest = (struct str){NULL, 0};
	} else {
		*out_part = str_slice(*rest, 0, (size_t)at);
		*rest = str_skip(*rest, (size_t)at + 1);
	}
	return true;
}

int str_to_u64(struct str s, uint64_t *out_value)
{
	uint64_t value = 0;

	if (s.len == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return ERR_SYNTAX;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value))
			return ERR_SYNTAX;
	}
	*out_value = value;
	return 0;
}

bool str_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] >= 0x80)
			return false;
	return true;
}

bool str_is_utf8(struct str s)
{
	return str_is_ascii(s) || u8_check((const uint8_t *)s.data, s.len) == NULL;
}

bool str_only(struct str s, const char *set)
{
	// strchr() would also find the NUL that ends the set.
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '\0' || !strchr(set, s.data[i]))
			return false;
	return true;
}

char *str_dup(struct str s)
{
	char *copy = mem_alloc(s.len + 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	return copy;
}

bool str_copy(struct str s, char *out, size_t out_size)
{
	if (out_size == 0)
		return false;
	out[0] = '\0';
	// A NUL inside would shorten the copy behind the caller's back.
	if (s.len >= out_size || str_find(s, '\0') >= 0)
		return false;
	if (s.len)
		memcpy(out, s.data, s.len);
	out[s.len] = '\0';
	return true;
}
