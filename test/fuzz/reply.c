// SPDX-License-Identifier: ISC
// Replies of a server read in pieces, and replies of ours, which whatever is put
// into them come out as one line that our own reader takes.
#include "fuzz.h"
#include "smtp/reply.h"

static const struct smtp_limits limits = {.reply_lines = 5, .reply_line = 80};

static void read_all(struct str input, size_t step, struct buf *trace)
{
	struct smtp_reply_reader reader = {0};
	enum smtp_reply_status status = SMTP_REPLY_READY;
	size_t from = 0, to = 0, used;

	while (to < input.len && status != SMTP_REPLY_BROKEN) {
		to = input.len - to < step ? input.len : to + step;
		do {
			struct str rest = exact_copy(str_slice(input, from, to));
			const struct smtp_server_reply *r = &reader.reply;

			status = smtp_reply_read(&reader, rest, &limits, &used);
			CHECK(used <= rest.len);
			from += used;
			if (status == SMTP_REPLY_READY) {
				CHECK(used > 0 && r->code >= 200 && r->code < 600);
				CHECK(!r->enhanced[0] ||
					r->enhanced[0] == (char)('0' + r->code / 100));
				CHECK(buf_len(&r->text) <= limits.reply_lines * limits.reply_line);
				buf_add_format(trace, "%u %s ", r->code, r->enhanced);
				buf_add_str(trace, buf_str(&r->text));
			}
			if (status == SMTP_REPLY_BROKEN)
				buf_add_text(trace, "!");
			free((char *)rest.data);
		} while (status == SMTP_REPLY_READY && from < to);
		CHECK(status == SMTP_REPLY_BROKEN || to - from <= limits.reply_line);
	}
	smtp_reply_reader_finish(&reader);
}

static void check_write(struct str input)
{
	struct smtp_reply_reader reader = {0};
	struct buf out = BUF_INIT;
	struct smtp_reply r;
	size_t used;

	smtp_reply_set(&r, 550, "5.7.1", "%.*s", STR_ARG(input));
	CHECK(smtp_reply_write(&out, &r) == 0);
	CHECK(buf_len(&out) <= 512 && str_ends_nocase(buf_str(&out), STR("\r\n")));
	CHECK(!has_control(str_slice(buf_str(&out), 0, buf_len(&out) - 2)));
	CHECK(str_is_utf8(buf_str(&out)));
	CHECK(smtp_reply_read(&reader, buf_str(&out), &smtp_limits_default, &used) ==
		SMTP_REPLY_READY);
	CHECK(used == buf_len(&out) && reader.reply.code == 550);
	CHECK(!strcmp(reader.reply.enhanced, "5.7.1"));
	smtp_reply_reader_finish(&reader);
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_make(data, size);
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	read_all(input, size ? size : 1, &whole);
	read_all(input, 1, &pieces);
	CHECK(str_equal(buf_str(&whole), buf_str(&pieces)));
	check_write(input);
	buf_finish(&whole);
	buf_finish(&pieces);
	return 0;
}
