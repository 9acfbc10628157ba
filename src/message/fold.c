// SPDX-License-Identifier: ISC
#include "message/fold.h"

#include "base/error.h"

#include <stdio.h>

#define LINE_AIM   78
#define WORD_MAX   900 // leaves room for a field's name and indent in 998
#define FORMAT_MAX 1001

static void add(struct fold *f, struct str s)
{
	if (!f->err)
		f->err = buf_add_str(f->out, s);
	f->column += s.len;
}

void fold_field(struct fold *f, struct buf *out, const char *name, bool utf8)
{
	*f = (struct fold){.out = out, .indent = "\t", .utf8 = utf8};
	add(f, str_from(name));
	add(f, STR(":"));
}

void fold_paragraph(struct fold *f, struct buf *out, const char *indent, bool utf8)
{
	*f = (struct fold){.out = out, .indent = indent, .utf8 = utf8};
	add(f, str_from(indent));
	f->margin = f->column;
}

void fold_break(struct fold *f)
{
	add(f, STR("\r\n"));
	f->column = 0;
	f->words = 0;
	add(f, str_from(f->indent));
	f->margin = f->column;
}

static char harmless(char c, bool eightbit)
{
	uint8_t octet = (uint8_t)c;

	if (octet < 32 || octet == 127)
		return '?';
	return octet < 128 || eightbit ? c : '?';
}

// One reservation for the blank and the word: this runs twenty times a message.
static void add_piece(struct fold *f, struct str piece)
{
	bool eightbit = f->utf8 && str_is_utf8(piece);
	size_t blank;
	char *out;

	if (f->words > 0 && f->column + 1 + piece.len > LINE_AIM)
		fold_break(f);
	blank = f->column > f->margin ? 1 : 0;
	out = f->err ? NULL : buf_reserve(f->out, blank + piece.len);
	if (!out) {
		f->err = ERR_LIMIT;
		return;
	}
	if (blank)
		*out++ = ' ';
	for (size_t i = 0; i < piece.len; i++)
		out[i] = harmless(piece.data[i], eightbit);
	buf_commit(f->out, blank + piece.len);
	f->column += blank + piece.len;
	f->words++;
}

// Octets of the word that go on one line; a UTF-8 character is not torn apart.
static size_t piece_length(struct str word)
{
	size_t len = WORD_MAX;

	if (word.len <= WORD_MAX)
		return word.len;
	while (len > WORD_MAX - 4 && ((uint8_t)word.data[len] & 0xc0) == 0x80)
		len--;
	return len;
}

void fold_word(struct fold *f, struct str word)
{
	do {
		size_t len = piece_length(word);

		add_piece(f, str_slice(word, 0, len));
		word = str_skip(word, len);
	} while (word.len > 0);
}

void fold_format(struct fold *f, const char *format, ...)
{
	char text[FORMAT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fold_word(f, str_from(text));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void fold_text(struct fold *f, struct str text)
{
	size_t from = 0;

	while (from < text.len) {
		size_t to = from;

		while (to < text.len && !is_blank(text.data[to]))
			to++;
		if (to > from)
			fold_word(f, str_slice(text, from, to));
		from = to + 1;
	}
}

int fold_end(struct fold *f)
{
	add(f, STR("\r\n"));
	return f->err;
}

// RFC 5322 3.2.3 atext and what host names and literals need; octets over 127 are left for
// the writer to judge.
static bool is_atom(char c, bool literal)
{
	static const bool special[128] = {['('] = true,
		[')'] = true,
		['<'] = true,
		['>'] = true,
		['@'] = true,
		[','] = true,
		[';'] = true,
		['\\'] = true,
		['"'] = true,
		[127] = true};
	uint8_t octet = (uint8_t)c;

	if (octet > 127)
		return true;
	if (c == '[' || c == ']' || c == ':')
		return literal;
	return octet > ' ' && !special[octet];
}

struct str fold_atom(struct str s, char out[FOLD_ATOM_MAX])
{
	size_t len = s.len < FOLD_ATOM_MAX ? s.len : FOLD_ATOM_MAX - 1;
	bool literal = s.len > 2 && s.data[0] == '[' && str_find(s, ']') == (ptrdiff_t)s.len - 1 &&
		       str_find_last(s, '[') == 0 && s.len < FOLD_ATOM_MAX;

	if (s.len == 0)
		return STR("unknown");
	for (size_t i = 0; i < len; i++)
		out[i] = is_atom(s.data[i], literal) ? s.data[i] : '?';
	return str_make(out, len);
}
