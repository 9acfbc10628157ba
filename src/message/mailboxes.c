// SPDX-License-Identifier: ISC
// Reads what is at hand from left to right, with one pass and no look back: words are gathered until
// the octet that says whether they were a name ("<", ":") or a local part ("@").
#include "message/mailboxes.h"

#include <stdio.h>

#define COMMENT_DEPTH_MAX 32
#define DOMAIN_SPACE	  1000 // octets of a domain as written, and NUL

struct reader {
	struct str rest;
	mailboxes_give give;
	void *arg;
	unsigned count;
	// the words gathered: what they would be as a local part
	char local[SMTP_LOCAL_MAX + 2]; // one more than fits says that it is too long
	size_t len;
	bool words;    // there was a word, or a dot
	bool dotted;   // the last was a dot, or nothing was yet
	bool phrase;   // two words without a dot between: no local part
};

static int peek(const struct reader *r)
{
	return r->rest.len ? (unsigned char)r->rest.data[0] : -1;
}

static void next(struct reader *r)
{
	r->rest = str_skip(r->rest, 1);
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// atext of RFC 5322 3.2.3, and UTF-8.
static bool is_atext(int c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c > 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static int skip_comment(struct reader *r)
{
	unsigned depth = 0;

	do {
		int c = peek(r);

		next(r);
		if (c == '\\')
			next(r);
		else if (c == '(' && ++depth > COMMENT_DEPTH_MAX)
			return ERR_SYNTAX;
		else if (c == ')')
			depth--;
	} while (depth && r->rest.len);
	return depth ? ERR_SYNTAX : 0;
}

// CFWS.
static int skip_blanks(struct reader *r)
{
	int err = 0;

	while (!err && (is_blank(peek(r)) || peek(r) == '(')) {
		if (peek(r) == '(')
			err = skip_comment(r);
		else
			next(r);
	}
	return err;
}

static void add_octet(struct reader *r, char c)
{
	if (r->len < sizeof(r->local))
		r->local[r->len++] = c;
}

static int take_quoted(struct reader *r)
{
	next(r);
	while (r->rest.len && peek(r) != '"') {
		if (peek(r) == '\\')
			next(r);
		if (!r->rest.len)
			break;
		if (peek(r) != '\r' && peek(r) != '\n') // folded
			add_octet(r, r->rest.data[0]);
		next(r);
	}
	if (!r->rest.len)
		return ERR_SYNTAX;
	next(r);
	return 0;
}

// An atom, a quoted string or a dot.
static int take_word(struct reader *r)
{
	bool dot = peek(r) == '.';

	if (dot ? r->dotted : r->words && !r->dotted)
		r->phrase = true;
	r->words = true;
	r->dotted = dot;
	if (dot)
		next(r);
	if (dot)
		add_octet(r, '.');
	else if (peek(r) == '"')
		return take_quoted(r);
	while (!dot && is_atext(peek(r))) {
		add_octet(r, r->rest.data[0]);
		next(r);
	}
	return 0;
}

static void forget_words(struct reader *r)
{
	r->len = 0;
	r->words = r->phrase = false;
	r->dotted = true;
}

// Words and dots up to what is neither.
static int take_words(struct reader *r)
{
	int err;

	forget_words(r);
	err = skip_blanks(r);
	while (!err && (peek(r) == '"' || peek(r) == '.' || is_atext(peek(r)))) {
		err = take_word(r);
		err = err ? err : skip_blanks(r);
	}
	return err;
}

// "[192.0.2.1]"
static int take_literal(struct reader *r, char out[DOMAIN_SPACE])
{
	size_t len = 0;

	while (r->rest.len && len + 1 < DOMAIN_SPACE) {
		out[len++] = r->rest.data[0];
		next(r);
		if (out[len - 1] == ']')
			break;
	}
	out[len] = '\0';
	return len && out[len - 1] == ']' ? 0 : ERR_SYNTAX;
}

// Atoms with dots; blanks and comments between are left out (4.4).
static int take_domain(struct reader *r, char out[DOMAIN_SPACE])
{
	size_t len = 0;
	bool dotted = true;
	int err = skip_blanks(r);

	if (!err && peek(r) == '[')
		return take_literal(r, out);
	while (!err && (peek(r) == '.' || is_atext(peek(r)))) {
		bool dot = peek(r) == '.';

		if (dot == dotted)
			return ERR_SYNTAX; // two dots, or two atoms
		dotted = dot;
		do {
			if (len + 1 == DOMAIN_SPACE)
				return ERR_SYNTAX;
			out[len++] = r->rest.data[0];
			next(r);
		} while (!dot && is_atext(peek(r)));
		err = skip_blanks(r);
	}
	out[len] = '\0';
	return err ? err : len ? 0 : ERR_SYNTAX;
}

// The words were a local part: reads the domain and gives the address.
static int take_address(struct reader *r)
{
	char domain[DOMAIN_SPACE], text[2 * SMTP_LOCAL_MAX + DOMAIN_SPACE + 16];
	struct smtp_address address;
	size_t len = 0;
	int err;

	next(r); // "@"
	err = take_domain(r, domain);
	if (err || !r->words || r->phrase || (r->dotted && r->len) || r->len > SMTP_LOCAL_MAX)
		return ERR_SYNTAX;
	text[len++] = '"';
	for (size_t i = 0; i < r->len; i++) {
		if (r->local[i] == '"' || r->local[i] == '\\')
			text[len++] = '\\';
		text[len++] = r->local[i];
	}
	snprintf(text + len, sizeof(text) - len, "\"@%s", domain);
	if (smtp_address_parse(str_from(text), &address))
		return ERR_SYNTAX;
	if (++r->count > MAILBOXES_MAX)
		return ERR_LIMIT;
	r->give(r->arg, &address);
	return 0;
}

// "@a,@b:" in front of an address in brackets (4.4): read and dropped.
static int skip_route(struct reader *r)
{
	char domain[DOMAIN_SPACE];
	int err = 0;

	while (!err && (peek(r) == '@' || peek(r) == ',')) {
		bool hop = peek(r) == '@';

		next(r);
		err = hop ? take_domain(r, domain) : skip_blanks(r);
		err = err ? err : skip_blanks(r);
	}
	if (!err && peek(r) != ':')
		err = ERR_SYNTAX;
	next(r);
	return err;
}

static int take_angle(struct reader *r)
{
	int err;

	next(r); // "<"
	err = skip_blanks(r);
	if (!err && peek(r) == '@')
		err = skip_route(r);
	if (!err)
		err = take_words(r);
	if (!err && peek(r) != '@')
		err = ERR_SYNTAX;
	err = err ? err : take_address(r);
	err = err ? err : skip_blanks(r);
	if (!err && peek(r) != '>')
		err = ERR_SYNTAX;
	next(r);
	return err;
}

// One address, or the beginning of a group. *in_group: inside of "name: ... ;".
static int take_element(struct reader *r, bool *in_group)
{
	int err = take_words(r);

	if (err)
		return err;
	if (peek(r) == '@')
		return take_address(r);
	if (peek(r) == '<')
		return take_angle(r);
	if (peek(r) == ':' && r->words && !*in_group) {
		next(r);
		*in_group = true;
		return 0;
	}
	return r->words ? ERR_SYNTAX : 0; // nothing between two commas (4.4)
}

int mailboxes_parse(struct str value, mailboxes_give give, void *arg)
{
	struct reader r = {.rest = value, .give = give, .arg = arg};
	bool in_group = false, opened;
	int err = value.len > MAILBOXES_OCTETS_MAX ? ERR_LIMIT : 0;

	while (!err) {
		opened = in_group;
		err = take_element(&r, &in_group);
		err = err ? err : skip_blanks(&r);
		if (err || (in_group && !opened))
			continue; // what follows "name:" is the first of the group
		if (in_group && peek(&r) == ';') {
			in_group = false;
			next(&r);
			err = skip_blanks(&r);
		}
		if (err || !r.rest.len)
			break;
		if (peek(&r) != ',')
			return ERR_SYNTAX;
		next(&r);
	}
	return err ? err : in_group ? ERR_SYNTAX : 0;
}
