// SPDX-License-Identifier: ISC
#include "config/aliases_file.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#define WORDS_MAX 1024

struct reader {
	const struct aliases_sink *sink;
	struct str file; // being read: the aliases or an include
	unsigned line;	 // of the alias in its file; in an include: the one being read
	const char *stack[TABLES_INCLUDE_DEPTH]; // includes that are open
	unsigned depth;
	bool trusted;
	bool failed; // the alias being read
	struct buf targets;
	struct str main_file;
	struct str text; // what is left of it
	unsigned next_line;
};

static void tell(struct reader *r, char severity, const char *words)
{
	r->failed = r->failed || severity == 'E';
	r->sink->tell(r->sink->arg, severity, r->file, r->line, words);
}

// The words with a path or another part of the file in them.
static void tell_of(struct reader *r, char severity, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void tell_of(struct reader *r, char severity, const char *format, ...)
{
	char words[WORDS_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	tell(r, severity, words);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

// ---- targets

// A part without the quote that may stand before its first octet.
static struct str unquoted(struct str part)
{
	return part.len && part.data[0] == '"' ? str_skip(part, 1) : part;
}

// The octets up to the comma that ends the first part: not one in quotes or in a comment. -1:
// something is not closed.
static ptrdiff_t part_length(struct str s)
{
	struct str start = unquoted(str_trim(s));
	bool comments = !(start.len && (start.data[0] == '|' || start.data[0] == '/'));
	bool quoted = false;
	unsigned open = 0;
	size_t i = 0;
	for (; i < s.len && (quoted || open || s.data[i] != ','); i++) {
		char c = s.data[i];
		if (c == '\\' && i + 1 < s.len)
			i++;
		else if (c == '"' && !open)
			quoted = !quoted;
		else if (c == '(' && !quoted && comments)
			open++;
		else if (c == ')' && open)
			open--;
	}
	return quoted || open ? -1 : (ptrdiff_t)i;
}

static void add_part(struct reader *r, struct str part)
{
	if (buf_len(&r->targets) > TABLES_TARGETS_MAX)
		return; // too long already, which is told at the end
	if (buf_len(&r->targets))
		buf_add_text(&r->targets, ", ");
	buf_add_str(&r->targets, part);
	char *octets = r->targets.data + r->targets.end - part.len;
	for (size_t i = 0; i < part.len; i++)
		if ((unsigned char)octets[i] < ' ')
			octets[i] = ' ';
}

// What is read as one address and nothing else by whoever reads the targets later (queue/targets.h), where
// a backslash counts only in quotes and a comment is none: nothing may come to light there that could not
// be seen here.
static bool is_address_only(struct str part)
{
	bool quoted = part.len && part.data[0] == '"';
	size_t first = quoted ? 1 : 0;
	if (quoted && part.len > 1 && part.data[1] == '\\')
		first++;
	if (part.len > first && strchr("|/:", part.data[first]))
		return false;
	for (size_t i = quoted; i < part.len; i++) {
		char c = part.data[i];
		if (((unsigned char)c < ' ' && c != '\t') || (!quoted && (c == ',' || (c == '\\' && i))))
			return false;
		if (c == '\\' && quoted)
			i++;
		else if (c == '"')
			quoted = !quoted;
	}
	return !quoted;
}

static void take_include(struct reader *r, struct str part);

static void take_part(struct reader *r, struct str part)
{
	bool include = str_starts_nocase(unquoted(part), STR(":include:"));
	if (!r->trusted && !is_address_only(part))
		tell_of(r, 'W', TEXT("\"%.*s\" is left out: an included file that does not belong to "
			"root may name addresses only"), STR_ARG(part));
	else if (include)
		take_include(r, part);
	else
		add_part(r, part);
}

static void take_parts(struct reader *r, struct str s)
{
	while (s.len) {
		ptrdiff_t len = part_length(s);
		if (len < 0) {
			tell(r, r->trusted ? 'E' : 'W',
				TEXT("a quote or a comment is not closed on this line: expected \" or )"));
			return;
		}
		struct str part = str_trim(str_slice(s, 0, (size_t)len));
		s = str_skip(s, (size_t)len + 1);
		if (part.len)
			take_part(r, part);
	}
}

// ---- :include:

static void take_include_text(struct reader *r, struct str text)
{
	struct str line;
	r->line = 0;
	while (text.len && str_split(&text, '\n', &line)) {
		r->line++;
		line = str_trim(line);
		if (line.len && line.data[0] != '#')
			take_parts(r, line);
	}
}

static bool is_open(const struct reader *r, const char *path)
{
	for (unsigned i = 0; i < r->depth; i++)
		if (!strcmp(r->stack[i], path))
			return true;
	return false;
}

// The content in place of the part; false: it stays as it was.
static bool put_in(struct reader *r, const char *path)
{
	struct buf content = {.limit = ALIASES_INCLUDE_SIZE_MAX};
	struct reader outer = *r;
	struct error err;
	size_t before = buf_len(&r->targets);
	bool trusted;
	if (r->sink->include(r->sink->arg, path, &content, &trusted, &err)) {
		tell_of(r, 'W', TEXT("%s; mail to this alias waits until it can be read"),
			err.text);
		buf_finish(&content);
		return false;
	}
	r->file = str_from(path);
	r->trusted = trusted;
	r->stack[r->depth++] = path;
	take_include_text(r, buf_str(&content));
	r->file = outer.file;
	r->line = outer.line;
	r->depth = outer.depth;
	r->trusted = outer.trusted;
	buf_finish(&content);
	// Who may only write the list cannot make the aliases invalid.
	bool good = trusted || buf_len(&r->targets) <= TABLES_TARGETS_MAX;
	if (!good) {
		r->targets.end = r->targets.start + before;
		tell_of(r, 'W', TEXT("%s holds more than 64K; mail to this alias waits"),
			path);
	}
	return good;
}

static void take_include(struct reader *r, struct str part)
{
	char path[4096];
	struct str name = str_skip(unquoted(part), sizeof ":include:" - 1);
	if (part.data[0] == '"' && name.len && name.data[name.len - 1] == '"')
		name.len--;
	name = str_trim(name);
	if (!str_copy(name, path, sizeof path) || path[0] != '/')
		tell_of(r, 'E', TEXT(":include:%.*s: expected a path that begins with /"), STR_ARG(name));
	else if (is_open(r, path))
		tell_of(r, 'E', TEXT(":include:%.*s includes itself in the end"), STR_ARG(name));
	else if (r->depth == TABLES_INCLUDE_DEPTH)
		tell_of(r, 'E', TEXT(":include:%.*s is one :include: too many inside another (3)"), STR_ARG(name));
	else if (!put_in(r, path))
		add_part(r, part);
}

// ---- lines

// The next line without its end; false at the end of the text.
static bool next_line(struct reader *r, struct str *out)
{
	if (r->text.len == 0 || !str_split(&r->text, '\n', out))
		return false;
	r->next_line++;
	while (out->len && (is_blank(out->data[out->len - 1]) || out->data[out->len - 1] == '\r'))
		out->len--;
	return true;
}

static bool continues(struct str text)
{
	return text.len && is_blank(text.data[0]);
}

static bool cut_backslash(struct buf *b)
{
	bool found = buf_len(b) && b->data[b->end - 1] == '\\';
	b->end -= found;
	return found;
}

// An alias with its continuation lines on one; comments and blank lines between are left out.
// Its first line becomes the reader's. False at the end.
static bool logical_line(struct reader *r, struct buf *out)
{
	struct str line;
	buf_clear(out);
	do {
		if (!next_line(r, &line))
			return false;
	} while (line.len == 0 || line.data[0] == '#');
	r->line = r->next_line;
	buf_add_str(out, line);
	for (;;) {
		bool joined = cut_backslash(out);
		bool comment = r->text.len && strchr("#\r\n", r->text.data[0]);
		if (!joined && !comment && !continues(r->text))
			return true;
		if (!next_line(r, &line))
			return true;
		if (comment && !joined)
			continue;
		buf_add_char(out, ' ');
		buf_add_str(out, line);
	}
}

// The name before the ":", lower case, and what is behind it. ERR_SYNTAX, ERR_LIMIT.
static int split_name(struct str line, char out[ALIASES_NAME_MAX + 1], struct str *out_rest)
{
	bool quoted = line.len && line.data[0] == '"';
	size_t i = quoted, n = 0;
	for (; i < line.len && line.data[i] != (quoted ? '"' : ':'); i++) {
		if (quoted && line.data[i] == '\\' && i + 1 < line.len)
			i++;
		if (n == ALIASES_NAME_MAX)
			return ERR_LIMIT;
		out[n++] = char_lower(line.data[i]);
	}
	if (quoted)
		for (i++; i < line.len && is_blank(line.data[i]);)
			i++;
	while (!quoted && n && is_blank(out[n - 1]))
		n--;
	out[n] = '\0';
	if (i >= line.len || line.data[i] != ':' || n == 0 || strlen(out) != n)
		return ERR_SYNTAX;
	*out_rest = str_trim(str_skip(line, i + 1));
	return 0;
}

static bool take_alias(struct reader *r, struct str line)
{
	char name[ALIASES_NAME_MAX + 1];
	struct str rest;
	if (split_name(line, name, &rest) < 0) {
		tell(r, 'E', TEXT("expected NAME: TARGET, TARGET..."));
		return true;
	}
	r->failed = false;
	buf_clear(&r->targets);
	take_parts(r, rest);
	if (r->failed)
		return true;
	if (buf_len(&r->targets) > TABLES_TARGETS_MAX) {
		tell_of(r, 'E', TEXT("the targets of \"%s\" take more than 64K"), name);
		return true;
	}
	if (buf_len(&r->targets) == 0) {
		tell_of(r, 'W', TEXT("\"%s\" has no target and is left out"), name);
		return true;
	}
	return r->sink->alias(r->sink->arg, str_from(name), buf_str(&r->targets), r->line);
}

void aliases_file_text(struct str text, struct str file, const struct aliases_sink *sink)
{
	struct reader r = {.sink = sink, .file = file, .text = text, .trusted = true};
	struct buf line = BUF_INIT;
	while (logical_line(&r, &line)) {
		if (continues(buf_str(&line)))
			tell(&r, 'E', TEXT("expected NAME: TARGET: a line that begins with a blank goes on "
				"with the one before it, and there is none"));
		else if (!take_alias(&r, buf_str(&line)))
			break;
	}
	buf_finish(&line);
	buf_finish(&r.targets);
}
