// SPDX-License-Identifier: ISC
// The header section, read by runs up to the next LF. A field that lies whole in one
// feed is given out where it lies; only what is cut by a feed's end is copied.
#include "message/headers.h"

#define TERMINATOR_MAX 2 // CRLF

// One feed at work: octets of the current field that are not yet in r->field.
struct run {
	struct headers_reader *reader;
	const char *from;
	const char *to;
	headers_give give;
	void *arg;
};

void headers_reader_init(struct headers_reader *r, size_t field_limit)
{
	*r = (struct headers_reader){.field_limit = field_limit, .line_start = true};
	r->field.limit = field_limit + TERMINATOR_MAX;
}

void headers_reader_finish(struct headers_reader *r)
{
	buf_finish(&r->field);
}

// Moves the run into the reader, as far as it is kept.
static void keep(struct run *run)
{
	struct buf *field = &run->reader->field;
	size_t room = field->limit - buf_len(field);
	size_t len = (size_t)(run->to - run->from);

	if (len > room)
		len = room;
	if (len > 0 && buf_add(field, run->from, len) != 0)
		run->reader->truncated = true;
	run->from = run->to;
}

// What is kept of the current field, line end included.
static struct str kept(struct run *run)
{
	struct headers_reader *r = run->reader;
	size_t len = (size_t)(run->to - run->from);

	if (buf_len(&r->field) == 0)
		return str_make(run->from, len < r->field.limit ? len : r->field.limit);
	keep(run);
	return buf_str(&r->field);
}

// Offset of ':' when the text starts as a field does (RFC 5322 2.2, 4.5), else -1.
static ptrdiff_t find_colon(struct str text, size_t *out_name_len)
{
	size_t i = 0;

	while (i < text.len && text.data[i] > ' ' && text.data[i] < 127 && text.data[i] != ':')
		i++;
	*out_name_len = i;
	while (i < text.len && (text.data[i] == ' ' || text.data[i] == '\t'))
		i++;
	return *out_name_len > 0 && i < text.len && text.data[i] == ':' ? (ptrdiff_t)i : -1;
}

static struct str without_line_end(struct str s)
{
	if (s.len > 0 && s.data[s.len - 1] == '\n')
		s.len--;
	else
		return s;
	if (s.len > 0 && s.data[s.len - 1] == '\r')
		s.len--;
	return s;
}

static void give_field(struct run *run)
{
	struct headers_reader *r = run->reader;
	struct str text = kept(run);
	uint64_t length = r->offset - r->field_start;
	size_t name_len;
	ptrdiff_t colon;

	if (length == text.len)
		text = without_line_end(text);
	r->truncated = text.len > r->field_limit;
	text = str_slice(text, 0, r->field_limit);
	colon = find_colon(text, &name_len);
	if (colon >= 0)
		run->give(run->arg, str_slice(text, 0, name_len), str_skip(text, (size_t)colon + 1),
			r->field_start, length);
	r->named = false;
}

// The line that starts at field_start is complete: a field, the empty line, or the end.
static void judge_first_line(struct run *run)
{
	struct headers_reader *r = run->reader;
	struct str text = kept(run);
	struct str line = without_line_end(text);
	size_t name_len;

	if (line.len == 0 && text.len > 0) {
		r->done = r->separated = true;
		return;
	}
	r->named = find_colon(str_slice(line, 0, r->field_limit), &name_len) >= 0;
	if (!r->named) {
		r->done = true;
		r->offset = r->field_start;
	}
}

static void begin_line(struct run *run, char first)
{
	struct headers_reader *r = run->reader;

	r->line_start = false;
	if (r->named && (first == ' ' || first == '\t'))
		return;
	if (r->named)
		give_field(run);
	buf_clear(&r->field);
	r->field_start = r->offset;
	run->from = run->to;
}

void headers_reader_feed(struct headers_reader *r, struct str octets, headers_give give, void *arg)
{
	struct run run = {r, octets.data, octets.data, give, arg};
	const char *end;

	if (r->done || octets.len == 0)
		return;
	end = octets.data + octets.len;
	while (!r->done && run.to < end) {
		const char *lf;
		size_t len;

		if (r->line_start)
			begin_line(&run, *run.to);
		lf = memchr(run.to, '\n', (size_t)(end - run.to));
		len = (size_t)((lf ? lf + 1 : end) - run.to);
		run.to += len;
		r->offset += len;
		if (!lf)
			break;
		r->line_start = true;
		if (!r->named)
			judge_first_line(&run);
		if (!r->done)
			r->size = r->offset;
	}
	if (r->done)
		buf_release(&r->field);
	else
		keep(&run);
}

void headers_reader_end(struct headers_reader *r, headers_give give, void *arg)
{
	struct run run = {r, "", NULL, give, arg};

	run.to = run.from;
	if (r->done)
		return;
	if (!r->line_start && !r->named)
		judge_first_line(&run);
	if (r->named) {
		r->size = r->offset;
		give_field(&run);
	}
	r->done = true;
	buf_release(&r->field);
}

int headers_unfold(struct str value, struct buf *out)
{
	struct str rest = str_trim(value);
	size_t before = buf_len(out);

	while (rest.len > 0) {
		size_t n = 0;
		int err;

		while (n < rest.len && rest.data[n] != '\r' && rest.data[n] != '\n')
			n++;
		err = buf_add(out, rest.data, n);
		if (err) {
			out->end = out->start + before;
			return err;
		}
		rest = str_skip(rest, n);
		while (rest.len > 0 && (rest.data[0] == '\r' || rest.data[0] == '\n'))
			rest = str_skip(rest, 1);
	}
	return 0;
}
