// SPDX-License-Identifier: ISC
#include "deliver/dotqmail.h"

#include <stdio.h>

static struct str strip_end(struct str line)
{
	while (line.len && strchr(" \t\r", line.data[line.len - 1]))
		line.len--;
	return line;
}

static bool is_clean(struct str line)
{
	for (size_t i = 0; i < line.len; i++)
		if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f)
			return false;
	return true;
}

static enum dotqmail_kind kind_of(struct str line)
{
	switch (line.data[0]) {
	case '|':
		return DOTQMAIL_COMMAND;
	case '+':
		return str_equal(line, STR("+list")) ? DOTQMAIL_LIST : DOTQMAIL_WRONG;
	case '/':
	case '.':
		return line.data[line.len - 1] == '/' ? DOTQMAIL_MAILDIR : DOTQMAIL_MBOX;
	default:
		return DOTQMAIL_FORWARD;
	}
}

static void read_line(struct str line, struct dotqmail_line *out)
{
	out->kind = kind_of(line);
	if (line.data[0] == '|' || line.data[0] == '&')
		line = str_trim(str_skip(line, 1));
	if (!line.len || !is_clean(line) || !str_copy(line, out->text, sizeof out->text))
		out->kind = DOTQMAIL_WRONG;
	if (out->kind == DOTQMAIL_WRONG)
		out->text[0] = '\0';
}

bool dotqmail_next(struct str *rest, bool *first, struct dotqmail_line *out)
{
	struct str line;
	while (rest->len) {
		bool is_first = *first;
		(void)str_split(rest, '\n', &line);
		*first = false;
		line = strip_end(line);
		if (line.len && line.data[0] != '#') {
			read_line(line, out);
			return true;
		}
		if (!line.len && is_first) {
			*out = (struct dotqmail_line){.kind = DOTQMAIL_WRONG};
			return true;
		}
	}
	return false;
}

// The dashes of the extension from its end: where default can stand.
static bool nth_dash(struct str extension, unsigned n, size_t *out)
{
	for (size_t at = extension.len; at-- > 0;)
		if (extension.data[at] == '-' && n-- == 0) {
			*out = at + 1;
			return true;
		}
	*out = 0;
	return n == 0;
}

bool dotqmail_name(struct str extension, unsigned n, char *out, size_t size, struct str *out_default)
{
	size_t keep = extension.len;
	const char *word = "";
	*out_default = STR_EMPTY;
	if (str_find(extension, '/') >= 0 || (!extension.len && n))
		return false;
	if (n) {
		if (!nth_dash(extension, n - 1, &keep))
			return false;
		word = "default";
		*out_default = str_skip(extension, keep);
	}
	int len = snprintf(out, size, ".qmail%s%.*s%s", extension.len ? "-" : "", (int)keep,
		extension.len ? extension.data : "", word);
	if (len < 0 || (size_t)len >= size)
		return false;
	for (char *c = out + 6; *c; c++)
		*c = *c == '.' ? ':' : char_lower(*c);
	return true;
}
