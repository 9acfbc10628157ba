// SPDX-License-Identifier: ISC
// Only as much of SQL's grammar as it takes to see what is a string, a name or a comment.
#include "auth/source/sql_query.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"

#define QUERY_MAX 16384

static const char *const names[AUTH_SQL_PARAMETERS] = {
	[AUTH_SQL_USER] = "user",
	[AUTH_SQL_NAME] = "name",
	[AUTH_SQL_DOMAIN] = "domain",
	[AUTH_SQL_CLIENT] = "client",
	[AUTH_SQL_SERVER] = "server",
};

static bool is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static char at(struct str s, size_t i)
{
	return i < s.len ? s.data[i] : '\0';
}

static size_t word_end(struct str s, size_t i)
{
	while (i < s.len && is_word(s.data[i]))
		i++;
	return i;
}

#define NO_END (-1)

// ---- where something quoted ends: the offset behind it, or NO_END
static ptrdiff_t quoted_end(struct str s, size_t i, char quote, bool backslash)
{
	for (i++; i < s.len; i++) {
		if (backslash && s.data[i] == '\\')
			i++;
		else if (s.data[i] == quote && at(s, i + 1) == quote)
			i++;
		else if (s.data[i] == quote)
			return (ptrdiff_t)i + 1;
	}
	return NO_END;
}

static ptrdiff_t bracket_end(struct str s, size_t i)
{
	ptrdiff_t close = str_find(str_skip(s, i), ']');

	return close < 0 ? NO_END : (ptrdiff_t)i + close + 1;
}

static ptrdiff_t line_end(struct str s, size_t i)
{
	while (i < s.len && s.data[i] != '\n')
		i++;
	return (ptrdiff_t)i;
}

static ptrdiff_t comment_end(struct str s, size_t i, bool nested)
{
	unsigned depth = 0;

	while (i + 1 < s.len) {
		if (s.data[i] == '/' && s.data[i + 1] == '*' && (nested || !depth)) {
			depth++;
			i += 2;
		} else if (s.data[i] == '*' && s.data[i + 1] == '/') {
			i += 2;
			if (--depth == 0)
				return (ptrdiff_t)i;
		} else {
			i++;
		}
	}
	return NO_END;
}

// $$ … $$ and $tag$ … $tag$ of PostgreSQL; i when it is none.
static ptrdiff_t dollar_end(struct str s, size_t i)
{
	size_t end = i + 1;

	while (end < s.len && s.data[end] != '$' && is_word(s.data[end]))
		end++;
	if (at(s, end) != '$' || is_digit(at(s, i + 1)))
		return (ptrdiff_t)i;
	struct str tag = str_slice(s, i, end + 1);
	ptrdiff_t close = str_search(str_skip(s, end + 1), tag);
	return close < 0 ? NO_END : (ptrdiff_t)(end + 1 + (size_t)close + tag.len);
}

// A word, with E'…' of PostgreSQL, whose strings know backslashes.
static ptrdiff_t word_or_string_end(struct str s, size_t i, enum auth_sql_style style)
{
	size_t end = word_end(s, i);
	bool escapes = end == i + 1 && (s.data[i] == 'e' || s.data[i] == 'E');

	if (style == AUTH_SQL_DOLLAR && escapes && at(s, end) == '\'')
		return quoted_end(s, end, '\'', true);
	return (ptrdiff_t)end;
}

// A dash too many is a minus sign in MySQL unless a blank follows.
static bool is_line_comment(struct str s, size_t i, bool mysql)
{
	if (s.data[i] == '#')
		return mysql;
	return s.data[i] == '-' && at(s, i + 1) == '-' &&
	       (!mysql || (unsigned char)at(s, i + 2) <= ' ');
}

// The offset behind what starts at i and holds no parameter; i when a parameter may start there;
// NO_END when it has none.
static ptrdiff_t skip(struct str s, size_t i, enum auth_sql_style style)
{
	char c = s.data[i], next = at(s, i + 1);
	bool mysql = style == AUTH_SQL_POSITION;

	if (is_word_start(c))
		return word_or_string_end(s, i, style);
	if (is_digit(c))
		return (ptrdiff_t)word_end(s, i);
	if (c == '\'' || c == '"')
		return quoted_end(s, i, c, mysql);
	if (c == '`' && style != AUTH_SQL_DOLLAR)
		return quoted_end(s, i, c, false);
	if (c == '[' && style == AUTH_SQL_NUMBERED)
		return bracket_end(s, i);
	if (is_line_comment(s, i, mysql))
		return line_end(s, i);
	if (c == '/' && next == '*')
		return comment_end(s, i, style == AUTH_SQL_DOLLAR);
	if (c == '$' && style == AUTH_SQL_DOLLAR)
		return dollar_end(s, i);
	if (c == ':' && (next == ':' || next == '='))
		return (ptrdiff_t)i + 2;
	return (ptrdiff_t)i;
}

// ---- parameters
static int number_of(struct auth_sql_query *q, enum auth_sql_parameter p, bool again)
{
	for (unsigned i = 0; again && i < q->count; i++)
		if (q->order[i] == p)
			return (int)i + 1;
	if (q->count == AUTH_SQL_VALUES_MAX)
		return ERR_LIMIT;
	q->order[q->count++] = p;
	return (int)q->count;
}

static int add_parameter(struct auth_sql_query *q, struct str name, enum auth_sql_style style,
	struct buf *text, struct error *err)
{
	for (unsigned p = 0; p < AUTH_SQL_PARAMETERS; p++) {
		if (!str_equal(name, str_from(names[p])))
			continue;
		int number = number_of(q, (enum auth_sql_parameter)p, style != AUTH_SQL_POSITION);
		if (number < 0)
			return error_set(err, number, TEXT("query: over %d parameters"),
				AUTH_SQL_VALUES_MAX);
		if (style == AUTH_SQL_POSITION)
			return buf_add_char(text, '?');
		return buf_add_format(text, "%c%d", style == AUTH_SQL_DOLLAR ? '$' : '?', number);
	}
	return error_set(err, ERR_SYNTAX,
		TEXT("query: there is no parameter :%.*s; there are :user, :name, :domain, "
		     ":client, "
		     ":server"),
		STR_ARG(name));
}

// The engine's own parameters would be counted with ours.
static bool is_own_parameter(struct str s, size_t i, enum auth_sql_style style)
{
	char c = s.data[i], next = at(s, i + 1);

	if (style == AUTH_SQL_DOLLAR)
		return c == '$' && is_digit(next);
	if (style == AUTH_SQL_NUMBERED && (c == '@' || c == '$'))
		return is_word(next);
	return c == '?';
}

// What starts at *i, into text.
static int translate(struct auth_sql_query *q, struct str s, size_t *i, enum auth_sql_style style,
	struct buf *text, struct error *err)
{
	ptrdiff_t end = skip(s, *i, style);
	size_t start = *i;

	if (end == NO_END)
		return error_set(err, ERR_SYNTAX,
			TEXT("query: a string, a quoted name or a comment does not end"));
	if ((size_t)end > s.len) // a backslash at the end of all
		return error_set(err, ERR_SYNTAX, TEXT("query: it ends in a backslash"));
	if ((size_t)end == start && s.data[start] == ':' && is_word_start(at(s, start + 1))) {
		*i = word_end(s, start + 1);
		return add_parameter(q, str_slice(s, start + 1, *i), style, text, err);
	}
	if ((size_t)end == start) {
		if (is_own_parameter(s, start, style))
			return error_set(err, ERR_SYNTAX,
				TEXT("query: parameters are written :user, :name, :domain, "
				     ":client, :server, not \"%c\""),
				s.data[start]);
		end++;
	}
	*i = (size_t)end;
	return buf_add_str(text, str_slice(s, start, *i));
}

int auth_sql_query_make(struct str written, enum auth_sql_style style, struct auth_sql_query *out,
	struct error *err)
{
	struct buf text = {.limit = 2 * QUERY_MAX};
	int result = 0;

	*out = (struct auth_sql_query){0};
	written = str_trim(written);
	if (!written.len || written.len > QUERY_MAX || str_find(written, '\0') >= 0)
		return error_set(
			err, ERR_SYNTAX, TEXT("query: 1 to %d characters are expected"), QUERY_MAX);
	for (size_t i = 0; i < written.len && !result;)
		result = translate(out, written, &i, style, &text, err);
	if (!result)
		out->text = str_dup(buf_str(&text));
	buf_finish(&text);
	return result;
}

void auth_sql_query_finish(struct auth_sql_query *q)
{
	mem_free(q->text);
	*q = (struct auth_sql_query){0};
}

bool auth_sql_query_names(struct str written, struct str word)
{
	for (size_t i = 0; i < written.len;) {
		// PostgreSQL's rules: where engines differ, a name more or less is found.
		ptrdiff_t end = skip(written, i, AUTH_SQL_DOLLAR);
		struct str found;

		if (end == NO_END)
			return false;
		if ((size_t)end == i && written.data[i] == ':') // a parameter
			end = (ptrdiff_t)word_end(written, i + 1);
		if ((size_t)end == i)
			end++;
		found = str_slice(written, i, (size_t)end);
		if (found.len >= 2 && (found.data[0] == '"' || found.data[0] == '`'))
			found = str_slice(found, 1, found.len - 1);
		if (str_equal_nocase(found, word))
			return true;
		i = (size_t)end;
	}
	return false;
}
