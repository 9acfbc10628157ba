// SPDX-License-Identifier: ISC
// Cuts configuration text into tokens.
#include "config/tokenizer.h"

#include "base/text.h"

void config_tokenizer_init(struct config_tokenizer *t, struct str text, struct arena *arena)
{
	*t = (struct config_tokenizer){.at = text.data,
		.end = text.data + text.len,
		.line = 1,
		.column = 1,
		.arena = arena};
	// Editors of some systems begin a file with a byte order mark.
	if (str_starts(text, STR("\xef\xbb\xbf")))
		t->at += 3;
}

static void step(struct config_tokenizer *t)
{
	unsigned char c = (unsigned char)*t->at++;
	if (c == '\n') {
		t->line++;
		t->column = 1;
	} else if ((c & 0xc0) != 0x80) { // a character counts once, at its first octet
		t->column++;
	}
}

static void skip_blanks(struct config_tokenizer *t)
{
	while (t->at < t->end) {
		if (*t->at == '#') {
			while (t->at < t->end && *t->at != '\n')
				step(t);
			continue;
		}
		bool line_end = *t->at == '\r' && (t->at + 1 == t->end || t->at[1] == '\n');
		if (*t->at != ' ' && *t->at != '\t' && !line_end)
			return;
		step(t);
	}
}

static bool is_word(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("\"{};#", c);
}

static void take_bad(struct config_token *out, const char *problem)
{
	out->kind = CONFIG_TOKEN_BAD;
	out->problem = problem;
}

// Resolves escapes; raw has been seen to end in no lone backslash.
static void unescape(struct config_tokenizer *t, struct str raw, struct config_token *out)
{
	char *to = arena_alloc(t->arena, raw.len + 1);
	if (!to) {
		take_bad(out, TEXT_MARK("this string is too long"));
		return;
	}
	size_t used = 0;
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.data[i];
		if (c == '\\') {
			c = raw.data[++i];
			if (c == 'n')
				c = '\n';
			else if (c == 't')
				c = '\t';
			else if (c != '"' && c != '\\')
				take_bad(out,
					TEXT_MARK(
						"unknown escape: expected \\\", \\\\, \\n or \\t"));
		}
		to[used++] = c;
	}
	out->text = str_make(to, used);
}

static void take_string(struct config_tokenizer *t, struct config_token *out)
{
	step(t);
	const char *start = t->at;
	bool escapes = false, control = false;
	while (t->at < t->end && *t->at != '"' && *t->at != '\n') {
		if (*t->at == '\\' && t->at + 1 < t->end && t->at[1] != '\n') {
			escapes = true;
			step(t);
		}
		control = control || ((unsigned char)*t->at < ' ' && *t->at != '\t') ||
			  *t->at == 0x7f;
		step(t);
	}
	out->kind = CONFIG_TOKEN_STRING;
	out->text = str_make(start, (size_t)(t->at - start));
	if (t->at == t->end || *t->at == '\n') {
		take_bad(out, TEXT_MARK("this string does not end on its line: expected \""));
		return;
	}
	step(t);
	if (control)
		take_bad(out, TEXT_MARK("a control character in a string"));
	else if (!str_is_utf8(out->text))
		take_bad(out, TEXT_MARK("this string is not UTF-8"));
	else if (escapes)
		unescape(t, out->text, out);
}

void config_tokenizer_next(struct config_tokenizer *t, struct config_token *out)
{
	skip_blanks(t);
	*out = (struct config_token){
		.kind = CONFIG_TOKEN_EOF, .text = STR_EMPTY, .line = t->line, .column = t->column};
	if (t->at == t->end)
		return;
	const char *start = t->at;
	char c = *start;
	if (c == '"') {
		take_string(t, out);
		return;
	}
	if (is_word(c)) {
		while (t->at < t->end && is_word(*t->at))
			step(t);
		out->kind = CONFIG_TOKEN_WORD;
		out->text = str_make(start, (size_t)(t->at - start));
		return;
	}
	step(t);
	out->text = str_make(start, 1);
	if (c == '{')
		out->kind = CONFIG_TOKEN_OPEN;
	else if (c == '}')
		out->kind = CONFIG_TOKEN_CLOSE;
	else if (c == '\n' || c == ';')
		out->kind = CONFIG_TOKEN_END;
	else
		take_bad(out, TEXT_MARK("a control character: expected text"));
}
