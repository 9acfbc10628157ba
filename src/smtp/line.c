// SPDX-License-Identifier: ISC
// Cuts a byte stream into command lines. It keeps no octets itself: what it
// does not use up stays with the caller.
#include "smtp/line.h"

// Octets of input up to and with the first CRLF, 0 when there is none.
static size_t through_crlf(struct str input)
{
	size_t from = 0;
	const char *lf;

	while (from < input.len && (lf = memchr(input.data + from, '\n', input.len - from))) {
		size_t at = (size_t)(lf - input.data);

		if (at > 0 && input.data[at - 1] == '\r')
			return at + 1;
		from = at + 1;
	}
	return 0;
}

static bool is_clean(struct str line)
{
	return !line.len ||
	       (!memchr(line.data, '\r', line.len) && !memchr(line.data, '\n', line.len) &&
		       !memchr(line.data, '\0', line.len));
}

static enum smtp_line_status skip(struct smtp_line *l, struct str input, size_t *out_used)
{
	size_t end = l->saw_cr && input.len && input.data[0] == '\n' ? 1 : through_crlf(input);

	if (!end) {
		if (input.len)
			l->saw_cr = input.data[input.len - 1] == '\r';
		l->skipping = true;
		*out_used = input.len;
		return SMTP_LINE_MORE;
	}
	*l = (struct smtp_line){0};
	*out_used = end;
	return SMTP_LINE_TOO_LONG;
}

enum smtp_line_status smtp_line_take(
	struct smtp_line *l, struct str input, size_t limit, struct str *out_line, size_t *out_used)
{
	*out_line = STR_EMPTY;
	*out_used = 0;
	if (l->skipping)
		return skip(l, input, out_used);

	size_t end = through_crlf(str_slice(input, 0, limit));

	if (!end && input.len < limit)
		return SMTP_LINE_MORE;
	if (!end)
		return skip(l, input, out_used);
	*out_used = end;
	*out_line = str_slice(input, 0, end - 2);
	if (is_clean(*out_line))
		return SMTP_LINE_READY;
	*out_line = STR_EMPTY;
	return SMTP_LINE_BARE;
}
