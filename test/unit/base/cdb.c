// SPDX-License-Identifier: ISC
#include "base/cdb.h"

#include "base/file.h"

#include "cdb_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIT(literal)                                                                               \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	} // STR() for constants

// clang-format off
static const struct cdb_record records[] = {
	{LIT("kim"), LIT("one")},
	{LIT("lee"), LIT("")},
	{LIT(""), LIT("the empty key")},
	{LIT("kim"), LIT("a second kim")},
	{LIT("octets\0\1"), LIT("a\0b")},
	{LIT("a key that is longer than one chunk of comparing: "
	     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
	     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
	     "01234567890123456789012345678901234567890123456789012345678901234567890123456789"),
		LIT("long")},
};
// clang-format on

static int in_memory(struct str octets)
{
	int fd = memfd_create("cdb", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, octets.data, octets.len), 0);
	return fd;
}

static void finds(void **state)
{
	struct buf file = BUF_INIT, value = BUF_INIT;
	struct cdb c;

	(void)state;
	cdb_make(records, ARRAY_SIZE(records), &file);
	assert_int_equal(cdb_open_fd(&c, in_memory(buf_str(&file))), 0);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		assert_int_equal(cdb_find(&c, records[i].key, 100, &value), 0);
		assert_true(str_equal(buf_str(&value), records[i == 3 ? 0 : i].value));
	}
	assert_int_equal(cdb_find(&c, STR("kin"), 100, &value), ERR_NOT_FOUND);
	assert_int_equal(cdb_find(&c, STR("ki"), 100, &value), ERR_NOT_FOUND);
	assert_int_equal(cdb_find(&c, STR("kim"), 2, &value), ERR_LIMIT);
	cdb_close(&c);
	buf_finish(&file);
	buf_finish(&value);
}

static void walks(void **state)
{
	struct buf file = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
	struct cdb c;
	uint64_t position = 0;

	(void)state;
	cdb_make(records, ARRAY_SIZE(records), &file);
	assert_int_equal(cdb_open_fd(&c, in_memory(buf_str(&file))), 0);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		assert_int_equal(cdb_next(&c, &position, 1000, &key, &value), 0);
		assert_true(str_equal(buf_str(&key), records[i].key));
		assert_true(str_equal(buf_str(&value), records[i].value));
	}
	assert_int_equal(cdb_next(&c, &position, 1000, &key, &value), ERR_NOT_FOUND);
	position = 0;
	assert_int_equal(cdb_next(&c, &position, 2, &key, &value), ERR_LIMIT);
	cdb_close(&c);
	buf_finish(&file);
	buf_finish(&key);
	buf_finish(&value);
}

static void empty(void **state)
{
	struct buf file = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
	struct cdb c;
	uint64_t position = 0;

	(void)state;
	cdb_make(NULL, 0, &file);
	assert_int_equal(cdb_open_fd(&c, in_memory(buf_str(&file))), 0);
	assert_int_equal(cdb_find(&c, STR("kim"), 100, &value), ERR_NOT_FOUND);
	assert_int_equal(cdb_next(&c, &position, 100, &key, &value), ERR_NOT_FOUND);
	cdb_close(&c);
	buf_finish(&file);
	buf_finish(&key);
	buf_finish(&value);
}

// Every octet changed, every length cut: never more than an error.
static void broken(void **state)
{
	struct buf file = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
	struct cdb c;

	(void)state;
	cdb_make(records, ARRAY_SIZE(records), &file);
	for (size_t i = 0; i < buf_len(&file); i++) {
		for (int way = 0; way < 2; way++) {
			char old = file.data[i];
			uint64_t position = 0;
			file.data[i] = (char)~old;
			int fd = in_memory(way ? buf_str(&file) : str_slice(buf_str(&file), 0, i));
			file.data[i] = old;
			if (cdb_open_fd(&c, fd))
				continue;
			for (size_t k = 0; k < ARRAY_SIZE(records); k++)
				(void)cdb_find(&c, records[k].key, 100, &value);
			while (cdb_next(&c, &position, 1000, &key, &value) == 0)
				;
			cdb_close(&c);
		}
	}
	buf_finish(&file);
	buf_finish(&key);
	buf_finish(&value);
}

static void opens(void **state)
{
	struct cdb c;

	(void)state;
	assert_int_equal(cdb_open(&c, AT_FDCWD, "/nothing/there"), ERR_NOT_FOUND);
	assert_int_equal(cdb_open(&c, AT_FDCWD, "/tmp"), ERR_CORRUPT);
	assert_int_equal(cdb_open(&c, AT_FDCWD, "/dev/null"), ERR_CORRUPT);
	assert_int_equal(cdb_open_fd(&c, in_memory(STR("too short"))), ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(walks),
		cmocka_unit_test(empty), cmocka_unit_test(broken), cmocka_unit_test(opens)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
