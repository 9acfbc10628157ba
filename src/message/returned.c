// SPDX-License-Identifier: ISC
#include "message/returned.h"

#include "message/edit.h"
#include "message/headers.h"

#include "smtp/parameters.h"

#define RETURNED_MAX   65536 // octets given back
#define LINE_MAX_SENT  998   // RFC 5322 2.1.1
#define SUBJECT_MAX    200
#define MESSAGE_ID_MAX 500

// Walks the header section: where its last whole field ends, and what the report tells of it.
struct survey {
	struct returned *returned;
	uint64_t end;
	bool utf8;
};

// Adds what fits; false when something did not.
static bool add_part(struct buf *out, struct str s)
{
	size_t room = RETURNED_MAX - buf_len(out);

	return buf_add_str(out, str_slice(s, 0, room)) == 0 && s.len <= room;
}

// The message as it is sent on, up to the bound. True when that is all of it.
static bool collect(struct buf *out, const struct report *r)
{
	const struct envelope *o = r->original;
	struct str body = r->original_body;
	uint64_t size = r->body_complete || o->size < body.len ? body.len : o->size;
	struct render render;
	struct str literal, unchanged;
	uint64_t offset, len;

	if (render_init(&render, o->headers, o->edits, size) != 0 &&
		render_init(&render, o->headers, STR_EMPTY, size) != 0)
		return false;
	while (render_next(&render, &literal, &offset, &len)) {
		unchanged = str_slice(body, offset, offset + len);
		if (!add_part(out, literal) || !add_part(out, unchanged) || unchanged.len < len)
			return false;
		render_advance(&render, len);
	}
	return r->body_complete;
}

static bool is_readable(struct str s, bool utf8)
{
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.data[i] < 32 || s.data[i] == 127)
			return false;
	return (utf8 ? str_is_utf8(s) : str_is_ascii(s)) && str_search(s, STR("=?")) < 0;
}

// Keeps the first such field's value when it is short and harmless.
static void keep_value(struct buf *out, struct str value, size_t most, bool utf8)
{
	if (buf_len(out) > 0 || value.len > most || headers_unfold(value, out) != 0)
		return;
	if (!is_readable(buf_str(out), utf8))
		buf_clear(out);
}

static void survey_field(
	void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct survey *s = arg;
	struct returned *t = s->returned;

	s->end = offset + length;
	if (str_equal_nocase(name, STR("Message-ID")))
		keep_value(&t->message_id, value, MESSAGE_ID_MAX, false);
	else if (str_equal_nocase(name, STR("Subject")))
		keep_value(&t->subject, value, SUBJECT_MAX, s->utf8);
}

// Leaves only one "<…>" without blanks as a Message-ID.
static void check_message_id(struct buf *id)
{
	struct str s = buf_str(id);

	if (s.len < 3 || s.data[0] != '<' || str_find(s, '>') != (ptrdiff_t)s.len - 1 ||
		str_find(s, ' ') >= 0)
		buf_clear(id);
}

static bool has_long_line(struct str s)
{
	struct str part;

	while (str_split(&s, '\n', &part))
		if (part.len > LINE_MAX_SENT + 1) // and its CR
			return true;
	return false;
}

// The same lines, each cut to what may be sent.
static void cut_lines(struct buf *octets)
{
	struct buf cut = BUF_INIT;
	struct str rest = buf_str(octets);

	while (rest.len > 0) {
		ptrdiff_t lf = str_find(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf + 1;

		if (len > LINE_MAX_SENT + 2) {
			buf_add_str(&cut, str_slice(rest, 0, LINE_MAX_SENT));
			buf_add_text(&cut, "\r\n");
		} else {
			buf_add_str(&cut, str_slice(rest, 0, len));
		}
		rest = str_skip(rest, len);
	}
	buf_finish(octets);
	*octets = cut;
}

void returned_init(struct returned *t, const struct report *r, bool failed)
{
	struct headers_reader reader;
	struct survey survey = {.returned = t, .utf8 = r->original->smtputf8};
	bool all;

	*t = (struct returned){0};
	all = collect(&t->octets, r);
	headers_reader_init(&reader, SUBJECT_MAX + MESSAGE_ID_MAX);
	headers_reader_feed(&reader, buf_str(&t->octets), survey_field, &survey);
	if (all)
		headers_reader_end(&reader, survey_field, &survey);
	headers_reader_finish(&reader);
	check_message_id(&t->message_id);

	t->whole = all && failed && r->original->ret == SMTP_RET_FULL &&
		   !has_long_line(buf_str(&t->octets));
	if (!t->whole) {
		t->octets.end = t->octets.start + survey.end;
		cut_lines(&t->octets);
	}
	t->eightbit = !str_is_ascii(buf_str(&t->octets));
}

void returned_finish(struct returned *t)
{
	buf_finish(&t->octets);
	buf_finish(&t->message_id);
	buf_finish(&t->subject);
}
