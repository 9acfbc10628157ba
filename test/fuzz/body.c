// SPDX-License-Identifier: ISC
// Bodies: the fast decoder against a plain one that goes octet by octet, cut in any
// way; what is stuffed comes back; a bare CR or LF is never sent.
#include "fuzz.h"
#include "smtp/body.h"

// The plain decoder: the matched part of CRLF.CRLF as state, nothing clever.
struct plain {
	enum smtp_body_fault fault;
	struct buf out;
	bool ended;
	size_t used;
};

static void plain_fault(struct plain *p, enum smtp_body_fault fault)
{
	if (!p->fault)
		p->fault = fault;
}

static void plain_give(struct plain *p, char c, const struct smtp_limits *limits)
{
	if (p->fault)
		return;
	if (limits->message_size && buf_len(&p->out) == limits->message_size)
		p->fault = SMTP_BODY_TOO_LARGE;
	else
		buf_add_char(&p->out, c);
}

static void plain_decode(struct plain *p, struct str input, const struct smtp_limits *limits)
{
	bool start = true, cr = false, dot = false; // dot: the line so far is a lone dot
	size_t line = 0;

	for (p->used = 0; p->used < input.len && !p->ended; p->used++) {
		char c = input.data[p->used];

		if (cr && c == '\n') {
			p->ended = dot;
			if (!dot) {
				plain_give(p, '\r', limits);
				plain_give(p, '\n', limits);
			}
			start = true;
			cr = dot = false;
			line = 0;
			continue;
		}
		if (cr)
			plain_fault(p, SMTP_BODY_BARE);
		if (cr || c != '\r')
			dot = false;
		cr = c == '\r';
		if (cr) {
			start = false;
			continue;
		}
		if (c == '\n') {
			plain_fault(p, SMTP_BODY_BARE);
		} else if (start && c == '.') {
			dot = true;
		} else {
			if (!c)
				plain_fault(p, SMTP_BODY_NUL);
			if (line++ == limits->body_line)
				plain_fault(p, SMTP_BODY_LONG_LINE);
			plain_give(p, c, limits);
		}
		start = false;
	}
}

static void collect(void *arg, struct str octets)
{
	CHECK(octets.len > 0);
	buf_add_str(arg, octets);
}

static void check_data(struct str input, size_t step, const struct smtp_limits *limits,
	const struct plain *expected)
{
	struct buf out = BUF_INIT;
	struct smtp_data d;
	size_t from = 0, used;
	bool ended = false;

	smtp_data_init(&d);
	while (from < input.len && !ended) {
		struct str piece = exact_copy(str_slice(input, from, from + step));

		ended = smtp_data_read(&d, piece, limits, collect, &out, &used);
		CHECK(used <= piece.len && (ended || used == piece.len));
		from += used;
		free((char *)piece.data);
	}
	CHECK(ended == expected->ended && from == expected->used);
	CHECK(d.fault == expected->fault && d.size == buf_len(&out));
	CHECK(str_equal(buf_str(&out), buf_str(&expected->out)));
	CHECK(d.fault || !ended || !has_bare_line_end(buf_str(&out)));
	CHECK(!limits->message_size || d.size <= limits->message_size);
	buf_finish(&out);
}

static void check_chunks(struct str input, size_t step, const struct smtp_limits *limits,
	struct smtp_chunks *c, struct str *out_tail)
{
	smtp_chunks_init(c);
	for (size_t at = 0; at < input.len; at += step) {
		struct str piece = exact_copy(str_slice(input, at, at + step));

		smtp_chunks_check(c, piece, limits);
		free((char *)piece.data);
	}
	smtp_chunks_end(c, out_tail);
	CHECK(c->size == input.len);
	if (!c->fault) {
		CHECK(!has_bare_line_end(input) && str_find(input, '\0') < 0);
		CHECK(!input.len || str_ends_nocase(input, STR("\r\n")) == !out_tail->len);
	}
}

static int stuff(struct str input, size_t step, struct buf *out)
{
	struct smtp_stuff s;
	int err = 0;

	smtp_stuff_init(&s);
	for (size_t at = 0; at < input.len && !err; at += step) {
		struct str piece = exact_copy(str_slice(input, at, at + step));

		err = smtp_stuff_write(&s, piece, out);
		free((char *)piece.data);
	}
	CHECK(!has_bare_line_end(buf_str(out)));
	return err ? err : smtp_stuff_end(&s, out);
}

static void check_stuff(struct str input, size_t step)
{
	const struct smtp_limits open = {.body_line = SIZE_MAX};
	struct buf whole = BUF_INIT, pieces = BUF_INIT, back = BUF_INIT;
	struct smtp_data d;
	size_t used;
	int err = stuff(input, input.len ? input.len : 1, &whole);

	CHECK(stuff(input, step, &pieces) == err);
	CHECK((err != 0) == has_bare_line_end(input));
	if (!err) {
		CHECK(str_equal(buf_str(&whole), buf_str(&pieces)));
		smtp_data_init(&d);
		CHECK(smtp_data_read(&d, buf_str(&whole), &open, collect, &back, &used));
		CHECK(used == buf_len(&whole));
		CHECK(d.fault == SMTP_BODY_OK || d.fault == SMTP_BODY_NUL);
		if (!d.fault && input.len && !str_ends_nocase(input, STR("\r\n")))
			back.end -= 2; // the last line was given its end
		CHECK(d.fault || str_equal(buf_str(&back), input));
	}
	buf_finish(&whole);
	buf_finish(&pieces);
	buf_finish(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_limits limits = {0};
	struct smtp_chunks whole, pieces;
	struct plain plain = {0};
	struct str input, tail, tail_again;
	size_t step;

	if (size < 3)
		return 0;
	step = 1 + data[0] % 16;
	limits.body_line = data[1];
	limits.message_size = data[2] * 4U;
	input = str_make(data + 3, size - 3);
	plain_decode(&plain, input, &limits);
	check_data(input, input.len ? input.len : 1, &limits, &plain);
	check_data(input, 1, &limits, &plain);
	check_data(input, step, &limits, &plain);
	check_chunks(input, input.len ? input.len : 1, &limits, &whole, &tail);
	check_chunks(input, step, &limits, &pieces, &tail_again);
	CHECK(whole.fault == pieces.fault && tail.len == tail_again.len);
	check_stuff(input, step);
	check_stuff(input, 1);
	buf_finish(&plain.out);
	return 0;
}
