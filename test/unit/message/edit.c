// SPDX-License-Identifier: ISC
#include "message/edit.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// Renders in body pieces of at most step octets, as a sender with a small buffer does.
static void render_all(
	struct buf *out, struct str headers, struct str edits, struct str body, uint64_t step)
{
	struct render r;
	struct str literal;
	uint64_t offset, len;

	assert_int_equal(render_init(&r, headers, edits, body.len), 0);
	while (render_next(&r, &literal, &offset, &len)) {
		uint64_t taken = len < step ? len : step;

		assert_true(literal.len > 0 || len > 0);
		buf_add_str(out, literal);
		buf_add_str(out, str_slice(body, offset, offset + taken));
		render_advance(&r, taken);
	}
	assert_int_equal(buf_len(out), render_size(&r));
}

static void expect_render(
	struct str headers, struct str edits, struct str body, struct str expected)
{
	for (uint64_t step = 1; step < 5; step++) {
		struct buf out = BUF_INIT;

		render_all(&out, headers, edits, body, step == 4 ? UINT64_MAX : step);
		assert_int_equal(buf_len(&out), expected.len);
		assert_memory_equal(buf_str(&out).data, expected.data, expected.len);
		buf_finish(&out);
	}
}

static void add(struct buf *edits, uint64_t offset, uint64_t remove, const char *insert)
{
	struct edit e = {.offset = offset, .remove = remove, .insert = str_from(insert)};

	assert_int_equal(edit_add(edits, &e), 0);
}

static void test_render(void **state)
{
	struct buf edits = BUF_INIT;

	expect_render(STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY);
	expect_render(STR("H"), STR_EMPTY, STR_EMPTY, STR("H"));
	expect_render(STR_EMPTY, STR_EMPTY, STR("body"), STR("body"));
	expect_render(STR("H"), STR_EMPTY, STR("body"), STR("Hbody"));

	add(&edits, 0, 0, "<");
	add(&edits, 0, 2, "");
	add(&edits, 2, 0, "");
	add(&edits, 2, 0, "|");
	add(&edits, 4, 1, "XYZ");
	add(&edits, 6, 2, ">");
	add(&edits, 8, 0, "!");
	expect_render(STR("H:"), buf_str(&edits), STR("01234567"), STR("H:<|23XYZ5>!"));
	buf_clear(&edits);
	add(&edits, 0, 4, "");
	expect_render(STR_EMPTY, buf_str(&edits), STR("gone"), STR_EMPTY);
	buf_finish(&edits);
}

static void test_add_refuses(void **state)
{
	struct buf edits = {.limit = 60};
	struct edit e = {.offset = 10, .remove = 5};

	assert_int_equal(edit_add(&edits, &e), 0);
	e.offset = 14;
	assert_int_equal(edit_add(&edits, &e), ERR_SYNTAX);
	e.offset = 0;
	assert_int_equal(edit_add(&edits, &e), ERR_SYNTAX);
	e.offset = UINT64_MAX;
	assert_int_equal(edit_add(&edits, &e), ERR_SYNTAX);
	assert_int_equal(buf_len(&edits), 24);
	e = (struct edit){.offset = 15, .insert = STR("0123456789abc")};
	assert_int_equal(edit_add(&edits, &e), ERR_LIMIT);
	assert_int_equal(buf_len(&edits), 24);
	e.insert = STR("0123456789ab");
	assert_int_equal(edit_add(&edits, &e), 0);
	buf_finish(&edits);
}

static void test_corrupt(void **state)
{
	struct buf edits = BUF_INIT;
	struct render r;
	struct str whole;

	add(&edits, 3, 2, "abc");
	add(&edits, 7, 1, "");
	whole = buf_str(&edits);
	assert_int_equal(render_init(&r, STR_EMPTY, whole, 8), 0);
	// Reaches over the end of the body.
	assert_int_equal(render_init(&r, STR_EMPTY, whole, 7), ERR_CORRUPT);
	assert_int_equal(render_init(&r, STR_EMPTY, whole, 0), ERR_CORRUPT);
	// Cut anywhere but between two edits.
	for (size_t n = 1; n < whole.len; n++)
		if (n != 27)
			assert_int_equal(
				render_init(&r, STR_EMPTY, str_slice(whole, 0, n), 8), ERR_CORRUPT);
	// Out of order.
	edits.data[edits.start] = 100;
	assert_int_equal(render_init(&r, STR_EMPTY, whole, 1000), ERR_CORRUPT);
	buf_finish(&edits);
}

static void test_walk(void **state)
{
	struct buf edits = BUF_INIT;
	struct str cursor;
	struct edit e;
	int err;

	add(&edits, 1, 2, "one");
	add(&edits, 0x123456789abcdefULL, 0xfedcbaULL, "");
	cursor = buf_str(&edits);
	assert_true(edit_next(&cursor, &e, &err));
	assert_int_equal(e.offset, 1);
	assert_int_equal(e.remove, 2);
	assert_true(str_equal(e.insert, STR("one")));
	assert_true(edit_next(&cursor, &e, &err));
	assert_true(e.offset == 0x123456789abcdefULL && e.remove == 0xfedcbaULL);
	assert_int_equal(e.insert.len, 0);
	assert_false(edit_next(&cursor, &e, &err));
	assert_int_equal(err, 0);
	buf_finish(&edits);
}

// ---- random edits against the plainest way to do them
static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_below(uint64_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % bound;
}

static void test_random(void **state)
{
	static const char letters[] = "ABCDEFGHIJ";
	char body[64], expected[2048];

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)('0' + i);
	for (int round = 0; round < 20000; round++) {
		size_t size = random_below(sizeof(body) + 1), at = 0, used = 0;
		struct buf edits = BUF_INIT;
		struct str headers = str_make(letters, random_below(4));

		memcpy(expected, headers.data, headers.len);
		used = headers.len;
		for (uint64_t n = random_below(8); n > 0; n--) {
			struct edit e = {
				.offset = at + random_below(size - at + 1) / (1 + random_below(4))};

			e.remove = random_below(size - e.offset + 1) / (1 + random_below(4));
			e.insert = str_make(letters, random_below(sizeof(letters)));
			assert_int_equal(edit_add(&edits, &e), 0);
			memcpy(expected + used, body + at, e.offset - at);
			used += e.offset - at;
			memcpy(expected + used, e.insert.data, e.insert.len);
			used += e.insert.len;
			at = e.offset + e.remove;
		}
		memcpy(expected + used, body + at, size - at);
		used += size - at;
		expect_render(
			headers, buf_str(&edits), str_make(body, size), str_make(expected, used));
		buf_finish(&edits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
