// SPDX-License-Identifier: ISC
// The header reader: a body fed in pieces tells the same fields as the body fed whole, the
// fields lie one behind the other, and no more is kept than allowed. First octet: size of the
// pieces; second: field limit.
#include "message/headers.h"

#include "base/error.h"

struct told {
	struct headers_reader reader;
	struct buf text;
	uint64_t end;
};

static void tell(void *arg, struct str name, struct str value, uint64_t offset, uint64_t length)
{
	struct told *t = arg;
	struct buf unfolded = BUF_INIT;

	BUG_ON(name.len == 0 || length == 0);
	BUG_ON(name.len + value.len > t->reader.field_limit);
	BUG_ON(offset != t->end);
	t->end = offset + length;
	headers_unfold(value, &unfolded);
	BUG_ON(str_find(buf_str(&unfolded), '\n') >= 0);
	buf_add_format(&t->text, "%zu %zu %llu %d ", name.len, value.len,
		(unsigned long long)length, t->reader.truncated);
	buf_add_str(&t->text, name);
	buf_add_str(&t->text, value);
	buf_add_str(&t->text, buf_str(&unfolded));
	buf_finish(&unfolded);
}

static void feed(struct told *t, struct str body, size_t step, size_t limit)
{
	*t = (struct told){0};
	headers_reader_init(&t->reader, limit);
	for (size_t at = 0; at < body.len; at += step)
		headers_reader_feed(&t->reader, str_slice(body, at, at + step), tell, t);
	headers_reader_end(&t->reader, tell, t);
	BUG_ON(t->end != t->reader.size || t->reader.size > t->reader.offset);
}

static void finish(struct told *t)
{
	headers_reader_finish(&t->reader);
	buf_finish(&t->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body;
	struct told whole, pieces;

	if (size < 2)
		return 0;
	body = str_make(data + 2, size - 2);
	feed(&whole, body, body.len + 1, (size_t)data[1] + 1);
	feed(&pieces, body, (size_t)data[0] + 1, (size_t)data[1] + 1);
	BUG_ON(!str_equal(buf_str(&whole.text), buf_str(&pieces.text)));
	BUG_ON(whole.reader.size != pieces.reader.size);
	BUG_ON(whole.reader.offset != pieces.reader.offset);
	BUG_ON(whole.reader.separated != pieces.reader.separated);
	finish(&whole);
	finish(&pieces);
	return 0;
}
