// SPDX-License-Identifier: ISC
// Encoded edits as they might come damaged from the store: whatever is accepted renders to
// exactly the announced size, in body order, and is the same when encoded again. First octet:
// size of the body; second: octets taken at a time.
#include "message/edit.h"

#include "base/error.h"

static void render(struct buf *out, struct str edits, struct str body, size_t step)
{
	struct render r;
	struct str literal;
	uint64_t offset, len, last = 0;

	BUG_ON(render_init(&r, STR("H: v\r\n"), edits, body.len) != 0);
	while (render_next(&r, &literal, &offset, &len)) {
		uint64_t taken = len < step ? len : step;

		BUG_ON(offset < last || offset > body.len || len > body.len - offset);
		BUG_ON(literal.len == 0 && len == 0);
		last = offset + taken;
		buf_add_str(out, literal);
		buf_add_str(out, str_slice(body, offset, offset + taken));
		render_advance(&r, taken);
	}
	BUG_ON(buf_len(out) != render_size(&r));
}

// The plain way: the edits in their order, each with the body octets in front of it.
static void check_naive(struct str edits, struct str body, struct str rendered)
{
	struct buf out = BUF_INIT;
	struct str cursor = edits;
	struct edit e;
	size_t at = 0;
	int err;

	buf_add_text(&out, "H: v\r\n");
	while (edit_next(&cursor, &e, &err)) {
		buf_add_str(&out, str_slice(body, at, e.offset));
		buf_add_str(&out, e.insert);
		at = e.offset + e.remove;
	}
	buf_add_str(&out, str_skip(body, at));
	BUG_ON(!str_equal(buf_str(&out), rendered));
	buf_finish(&out);
}

static void check_again(struct str edits)
{
	struct buf again = BUF_INIT;
	struct str cursor = edits;
	struct edit e;
	int err;

	while (edit_next(&cursor, &e, &err))
		BUG_ON(edit_add(&again, &e) != 0);
	BUG_ON(err != 0 || !str_equal(buf_str(&again), edits));
	buf_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char octets[256];
	struct str body, edits;
	struct buf rendered = BUF_INIT, more = BUF_INIT;
	struct render r;

	if (size < 2)
		return 0;
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (char)i;
	body = str_make(octets, data[0]);
	edits = str_make(data + 2, size - 2);
	// Behind what is damaged nothing is written past its end either.
	buf_add_str(&more, edits);
	edit_add(&more, &(struct edit){.offset = data[0], .insert = STR("end")});
	buf_finish(&more);
	if (render_init(&r, STR_EMPTY, edits, body.len) != 0)
		return 0;
	render(&rendered, edits, body, (size_t)data[1] + 1);
	check_naive(edits, body, buf_str(&rendered));
	check_again(edits);
	buf_finish(&rendered);
	return 0;
}
