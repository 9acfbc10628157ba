// SPDX-License-Identifier: ISC
#include "ipc/messages.h"

#include "base/error.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

// ---- every definition, filled with values that differ from field to field
static unsigned counter;

static void fill_u8(uint8_t *v)
{
	*v = (uint8_t)(0x80 + counter++);
}

static void fill_u32(uint32_t *v)
{
	*v = 0xfedc0000u + counter++;
}

static void fill_u64(uint64_t *v)
{
	*v = 0xfedcba9876540000ull + counter++;
}

static void fill_str(struct str *v)
{
	static char texts[64][32];
	char *text = texts[counter % 64];
	int len = snprintf(text, sizeof(texts[0]), "text \n %u", counter++);

	*v = str_make(text, (size_t)len);
	if (counter % 5 == 0)
		*v = STR_EMPTY;
}

static void fill_list(struct str *v)
{
	fill_str(v);
}

#define same_u8(a, b)	assert_int_equal(a, b)
#define same_u32(a, b)	assert_int_equal(a, b)
#define same_u64(a, b)	assert_true((a) == (b))
#define same_str(a, b)	assert_true(str_equal(a, b))
#define same_list(a, b) assert_true(str_equal(a, b))

#define FILL_FIELD(kind, field) fill_##kind(&m.field);
#define SAME_FIELD(kind, field) same_##kind(m.field, got.field);
#define ROUND_TRIP(name)                                                                           \
	static void trip_##name(void)                                                              \
	{                                                                                          \
		struct ipc_##name m, got;                                                          \
		struct buf out = BUF_INIT;                                                         \
		IPC_FIELDS_##name(FILL_FIELD) assert_int_equal(ipc_encode_##name(&out, &m), 0);    \
		assert_int_equal(ipc_decode_##name(buf_str(&out), &got), 0);                       \
		IPC_FIELDS_##name(SAME_FIELD) for (size_t len = 0; len < buf_len(&out); len++)     \
		{                                                                                  \
			char *cut = str_dup(str_slice(buf_str(&out), 0, len));                     \
			assert_int_equal(                                                          \
				ipc_decode_##name(str_make(cut, len), &got), ERR_CORRUPT);         \
			mem_free(cut);                                                             \
		}                                                                                  \
		buf_add_char(&out, 0);                                                             \
		assert_int_equal(ipc_decode_##name(buf_str(&out), &got), ERR_CORRUPT);             \
		buf_finish(&out);                                                                  \
	}
IPC_RECORDS(ROUND_TRIP)
IPC_MESSAGES(ROUND_TRIP)

static void every_message_survives_and_every_cut_is_noticed(void **state)
{
#define TRIP(name) trip_##name();
	IPC_RECORDS(TRIP)
	IPC_MESSAGES(TRIP)
}

static void octets_on_the_wire_are_fixed(void **state)
{
	static const char expected[] = "\x01\x02\x03\x04\x05\x06\x07\x08"
				       "\x02\0\0\0"
				       "mx"
				       "\x01";
	struct ipc_read_file m = {.request = 0x0807060504030201ull, .path = STR("mx"), .secret = 1};
	struct buf out = BUF_INIT;

	assert_int_equal(ipc_encode_read_file(&out, &m), 0);
	assert_true(str_equal(buf_str(&out), str_make(expected, sizeof(expected) - 1)));
	buf_finish(&out);
}

static void lengths_beyond_the_frame_are_corrupt(void **state)
{
	static const char *const lengths[] = {"\xff\xff\xff\xff", "\x05\0\0\0", "\0\0\0\x80"};
	struct ipc_folder m;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		char body[8];
		memcpy(body, lengths[i], 4);
		memcpy(body + 4, "name", 4);
		assert_int_equal(ipc_decode_folder(str_make(body, 8), &m), ERR_CORRUPT);
		assert_int_equal(m.name.len, 0);
	}
}

static void a_bounded_buffer_is_left_as_it_was(void **state)
{
	struct buf out = {.limit = 20};
	struct ipc_failed m = {.generation = 1, .text = STR("nine octets and more")};

	buf_add_text(&out, "keep");
	assert_int_equal(ipc_encode_failed(&out, &m), ERR_LIMIT);
	assert_true(str_equal(buf_str(&out), STR("keep")));
	buf_finish(&out);
}

static void lists_are_walked(void **state)
{
	struct ipc_recipient r = {
		.id = 7, .address = STR("kim@example.kr"), .domain = STR("example.kr")};
	struct ipc_recipient got;
	struct buf list = BUF_INIT;
	struct str rest;
	int err = 0;

	for (unsigned i = 0; i < 3; i++, r.id++)
		assert_int_equal(ipc_list_add_recipient(&list, &r), 0);
	rest = buf_str(&list);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(ipc_next_recipient(&rest, &got, &err));
		assert_int_equal(got.id, 7 + i);
		assert_true(str_equal(got.address, r.address));
	}
	assert_false(ipc_next_recipient(&rest, &got, &err));
	assert_int_equal(err, 0);

	rest = str_slice(buf_str(&list), 0, buf_len(&list) - 1);
	assert_true(ipc_next_recipient(&rest, &got, &err));
	assert_true(ipc_next_recipient(&rest, &got, &err));
	assert_false(ipc_next_recipient(&rest, &got, &err));
	assert_int_equal(err, ERR_CORRUPT);
	assert_false(ipc_next_recipient(&rest, &got, NULL));
	buf_finish(&list);
}

static void types_have_names_and_checks(void **state)
{
	assert_string_equal(ipc_type_name(IPC_TYPE_submit), "submit");
	assert_string_equal(ipc_type_name(IPC_TYPES), "unknown");
	assert_int_equal(ipc_check(IPC_TYPE_none, STR_EMPTY), ERR_UNSUPPORTED);
	assert_int_equal(ipc_check(IPC_TYPES, STR_EMPTY), ERR_UNSUPPORTED);
	assert_int_equal(ipc_check(IPC_TYPE_ready, STR("12345678")), 0);
	assert_int_equal(ipc_check(IPC_TYPE_ready, STR("1234567")), ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_and_every_cut_is_noticed),
		cmocka_unit_test(octets_on_the_wire_are_fixed),
		cmocka_unit_test(lengths_beyond_the_frame_are_corrupt),
		cmocka_unit_test(a_bounded_buffer_is_left_as_it_was),
		cmocka_unit_test(lists_are_walked),
		cmocka_unit_test(types_have_names_and_checks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
