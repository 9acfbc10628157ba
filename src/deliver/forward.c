// SPDX-License-Identifier: ISC
#include "deliver/forward.h"

struct reader {
	struct str rest;
	struct forward_entry *out;
	size_t len;
	bool wrong;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static char peek(const struct reader *r)
{
	return r->rest.len ? r->rest.data[0] : '\0';
}

static void keep(struct reader *r, char c)
{
	if (r->len == FORWARD_TEXT_MAX || (unsigned char)c < ' ' || c == 0x7f)
		r->wrong = true;
	else
		r->out->text[r->len++] = c;
}

// Line ends, commas, blanks and comments.
static void skip_between(struct reader *r)
{
	while (r->rest.len) {
		char c = peek(r);
		ptrdiff_t end = c == '#' ? str_find(r->rest, '\n') : 0;
		if (c != '#' && c != '\n' && c != ',' && !is_blank(c))
			return;
		r->rest = str_skip(r->rest, end < 0 ? r->rest.len : c == '#' ? (size_t)end : 1);
	}
}

// From behind the opening quote to behind the closing one. A backslash stands for the next octet.
static void read_quoted(struct reader *r)
{
	while (r->rest.len && peek(r) != '"' && peek(r) != '\n') {
		if (peek(r) == '\\' && r->rest.len > 1)
			r->rest = str_skip(r->rest, 1);
		keep(r, peek(r));
		r->rest = str_skip(r->rest, 1);
	}
	if (peek(r) != '"')
		r->wrong = true;
	else
		r->rest = str_skip(r->rest, 1);
}

// A command without quotes around it goes to the end of the line, as its words may have quotes, too:
// |"/usr/bin/procmail -p".
static void read_command(struct reader *r)
{
	bool quoted = r->rest.len > 1 && r->rest.data[1] == '"';
	keep(r, '|');
	r->rest = str_skip(r->rest, quoted ? 2 : 1);
	if (quoted) {
		read_quoted(r);
		return;
	}
	while (r->rest.len && peek(r) != '\n') {
		keep(r, peek(r) == '\t' ? ' ' : peek(r) == '\r' ? ' ' : peek(r));
		r->rest = str_skip(r->rest, 1);
	}
}

static void read_plain(struct reader *r)
{
	bool quotes = false; // of a local part or a display name
	while (r->rest.len && peek(r) != '\n' && (quotes || peek(r) != ',')) {
		if (peek(r) == '"')
			quotes = !quotes;
		keep(r, peek(r) == '\t' || peek(r) == '\r' ? ' ' : peek(r));
		r->rest = str_skip(r->rest, 1);
	}
	r->wrong = r->wrong || quotes;
}

static void strip_end(struct reader *r)
{
	while (r->len && r->out->text[r->len - 1] == ' ')
		r->len--;
	r->out->text[r->len] = '\0';
}

// "Kim <kim@example.kr>"
static void take_inside(struct reader *r)
{
	char *text = r->out->text;
	char *open = strrchr(text, '<');
	if (!open || !r->len || text[r->len - 1] != '>')
		return;
	text[r->len - 1] = '\0';
	r->len = strlen(open + 1);
	memmove(text, open + 1, r->len + 1);
}

static void cut_front(struct reader *r, size_t n)
{
	memmove(r->out->text, r->out->text + n, r->len - n + 1);
	r->len -= n;
	while (r->len && r->out->text[0] == ' ') {
		memmove(r->out->text, r->out->text + 1, r->len);
		r->len--;
	}
}

static void classify(struct reader *r)
{
	struct forward_entry *e = r->out;
	struct str s = str_make(e->text, r->len);
	e->kind = FORWARD_ADDRESS;
	if (e->text[0] == '/') {
		e->kind = FORWARD_FILE;
	} else if (e->text[0] == '|' || e->text[0] == '\\') {
		e->kind = e->text[0] == '|' ? FORWARD_COMMAND : FORWARD_KEEP;
		cut_front(r, 1);
	} else if (str_starts_nocase(s, STR(":include:"))) {
		e->kind = FORWARD_INCLUDE;
		cut_front(r, 9);
	} else {
		take_inside(r);
	}
	if (!r->len || r->wrong)
		e->kind = FORWARD_WRONG;
}

bool forward_next(struct str *rest, struct forward_entry *out)
{
	struct reader r = {.rest = *rest, .out = out};
	skip_between(&r);
	if (!r.rest.len) {
		*rest = r.rest;
		return false;
	}
	if (peek(&r) == '|')
		read_command(&r);
	else if (peek(&r) == '"' && r.rest.len > 1 && strchr("|/:\\", r.rest.data[1])) {
		r.rest = str_skip(r.rest, 1);
		read_quoted(&r);
	} else {
		read_plain(&r);
	}
	strip_end(&r);
	classify(&r);
	*rest = r.rest;
	return true;
}
