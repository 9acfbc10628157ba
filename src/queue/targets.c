// SPDX-License-Identifier: ISC
#include "queue/targets.h"

// Octets up to the comma that ends the part; commas in quotes and brackets end nothing.
static size_t part_length(struct str s)
{
	bool quoted = false;
	size_t n = 0;
	for (; n < s.len && (quoted || s.data[n] != ','); n++) {
		if (s.data[n] == '\\' && quoted && n + 1 < s.len)
			n++;
		else if (s.data[n] == '"')
			quoted = !quoted;
	}
	return n;
}

// The text of a part that stands in quotes as a whole. False: the quote does not end with it.
static bool unquote(struct str part, struct target *out)
{
	size_t len = 0;
	for (size_t i = 1; i < part.len; i++) {
		char c = part.data[i];
		if (c == '"') {
			out->text = str_make(out->space, len);
			return i + 1 == part.len;
		}
		if (c == '\\' && i + 1 < part.len)
			c = part.data[++i];
		if (len < sizeof out->space)
			out->space[len++] = c;
	}
	out->text = str_make(out->space, len);
	return false;
}

// "Kim <kim@example.kr>" is kim@example.kr.
static struct str without_name(struct str s)
{
	ptrdiff_t open = str_find_last(s, '<');
	if (open < 0 || s.data[s.len - 1] != '>')
		return s;
	return str_trim(str_slice(s, (size_t)open + 1, s.len - 1));
}

static void skip(struct target *t, enum target_kind kind, size_t octets)
{
	t->kind = kind;
	t->text = str_trim(str_skip(t->text, octets));
}

// |"command" is "|command".
static void take_program(struct target *t)
{
	skip(t, TARGET_PROGRAM, 1);
	if (t->text.len > 1 && t->text.data[0] == '"' && t->text.data[t->text.len - 1] == '"' &&
		t->text.data != t->space && !unquote(t->text, t))
		t->kind = TARGET_WRONG;
}

static void classify(struct target *t)
{
	t->kind = TARGET_ADDRESS;
	if (str_starts(t->text, STR("|")))
		take_program(t);
	else if (str_starts(t->text, STR("/")))
		t->kind = TARGET_FILE;
	else if (str_starts_nocase(t->text, STR(":include:")))
		skip(t, TARGET_INCLUDE, 9);
	else if (str_starts(t->text, STR("\\")))
		skip(t, TARGET_PLAIN, 1);
	else if (str_starts(t->text, STR("@")))
		skip(t, TARGET_DOMAIN, 1);
	else
		t->text = without_name(t->text);
	if (!t->text.len || t->text.len >= TARGET_MAX)
		t->kind = TARGET_WRONG;
}

bool queue_target_next(struct str *rest, struct target *out)
{
	while (rest->len) {
		size_t n = part_length(*rest);
		struct str part = str_trim(str_slice(*rest, 0, n));
		*rest = str_skip(*rest, n < rest->len ? n + 1 : n);
		if (!part.len)
			continue;
		bool good = part.len <= 2 * TARGET_MAX;
		out->text = part;
		// A quoted local part is no quoted part: "kim lee"@example.kr.
		if (good && part.data[0] == '"' && part.data[part.len - 1] == '"')
			good = unquote(part, out);
		if (good)
			classify(out);
		else
			out->kind = TARGET_WRONG;
		out->text = str_slice(out->text, 0, TARGET_MAX - 1);
		return true;
	}
	return false;
}
