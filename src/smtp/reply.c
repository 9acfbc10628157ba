// SPDX-License-Identifier: ISC
// Writes our replies so that nothing in them can break the line, and reads those
// of servers with a bound on every length.
#include "smtp/reply.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

_Static_assert(SMTP_REPLY_TEXT_MAX - 1 + sizeof("250 ") - 1 + 11 + 1 + 2 <= 512,
	"a reply line fits RFC 5321 4.5.3.1.5");

void smtp_reply_set(
	struct smtp_reply *r, unsigned code, const char *enhanced, const char *format, ...)
{
	va_list args;

	BUG_ON(code < 200 || code > 599);
	r->code = code;
	str_copy(str_from(enhanced), r->enhanced, sizeof(r->enhanced));
	va_start(args, format);
	if (vsnprintf(r->text, sizeof(r->text), format, args) < 0)
		r->text[0] = '\0';
	va_end(args);
}

// Octets of the UTF-8 character at the start of s; 0 when there is none that may be sent.
static size_t utf8_character(struct str s)
{
	unsigned char c = (unsigned char)s.data[0];
	size_t len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (c < 0xc2 || c > 0xf4 || s.len < len || !str_is_utf8(str_slice(s, 0, len)))
		return 0;
	return c == 0xc2 && (unsigned char)s.data[1] < 0xa0 ? 0 : len; // C1 controls
}

int smtp_reply_write(struct buf *out, const struct smtp_reply *r)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%03u %.11s%s", r->code % 1000, r->enhanced,
		r->enhanced[0] ? " " : "");
	size_t len = n > 0 ? (size_t)n : 0;
	struct str text = str_make(r->text, strnlen(r->text, sizeof(r->text) - 1));

	while (text.len) {
		unsigned char c = (unsigned char)text.data[0];
		size_t used = c >= 0x80 ? utf8_character(text) : c >= 0x20 && c != 0x7f;

		memcpy(line + len, used ? text.data : "?", used ? used : 1);
		len += used ? used : 1;
		text = str_skip(text, used ? used : 1);
	}
	memcpy(line + len, "\r\n", 2);
	return buf_add(out, line, len + 2);
}

// ---- reading

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// Length of "5.1.10" at the start of s when its class is that of code, else 0.
static size_t enhanced_length(struct str s, unsigned code)
{
	size_t i = 1;

	if (s.len < 5 || s.data[0] != (char)('0' + code / 100))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (i >= s.len || s.data[i] != '.')
			return 0;
		while (++i < s.len && is_digit(s.data[i]))
			digits++;
		if (digits < 1 || digits > 3)
			return 0;
	}
	return i == s.len || s.data[i] == ' ' ? i : 0;
}

// Takes one line without its end. *out_last: it is the last of the reply.
static int take_line(struct smtp_reply_reader *reader, struct str line, bool *out_last)
{
	struct smtp_server_reply *reply = &reader->reply;

	if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' || !is_digit(line.data[1]) ||
		!is_digit(line.data[2]))
		return ERR_SYNTAX;
	if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
		return ERR_SYNTAX;
	*out_last = line.len == 3 || line.data[3] == ' ';
	// Where the lines of one reply differ in their code, the last one counts.
	reply->code = (unsigned)((line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 +
				 line.data[2] - '0');
	line = str_skip(line, 4);

	size_t len = enhanced_length(line, reply->code);

	reply->enhanced[0] = '\0';
	if (len)
		str_copy(str_slice(line, 0, len), reply->enhanced, sizeof(reply->enhanced));
	line = str_skip(line, len && len < line.len ? len + 1 : len);
	if (reader->lines++ && buf_add_char(&reply->text, '\n') < 0)
		return ERR_LIMIT;
	return buf_add_str(&reply->text, line);
}

enum smtp_reply_status smtp_reply_read(struct smtp_reply_reader *reader, struct str input,
	const struct smtp_limits *limits, size_t *out_used)
{
	bool last = false;

	*out_used = 0;
	if (!reader->lines) { // the one before was complete
		buf_clear(&reader->reply.text);
		reader->reply.code = 0;
		reader->reply.enhanced[0] = '\0';
	}
	while (!last) {
		struct str rest = str_skip(input, *out_used);
		ptrdiff_t lf = str_find(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf + 1;

		if (len > limits->reply_line || reader->lines >= limits->reply_lines)
			return SMTP_REPLY_BROKEN;
		if (lf < 0)
			return SMTP_REPLY_MORE;
		*out_used += len--;
		if (len && rest.data[len - 1] == '\r')
			len--;
		if (take_line(reader, str_slice(rest, 0, len), &last) < 0)
			return SMTP_REPLY_BROKEN;
	}
	reader->lines = 0;
	return SMTP_REPLY_READY;
}

void smtp_reply_reader_finish(struct smtp_reply_reader *reader)
{
	buf_finish(&reader->reply.text);
	*reader = (struct smtp_reply_reader){0};
}
