// SPDX-License-Identifier: ISC
// Constant databases: a broken one is an error, never more. What is found has the length it says,
// and what walking over the records shows is found by its key where the tables are whole.
#include "fuzz.h"
#include "base/cdb.h"
#include "base/file.h"

#include <sys/mman.h>

#define LIMIT 4096

static bool is_result(int err)
{
	return err == 0 || err == ERR_NOT_FOUND || err == ERR_LIMIT || err == ERR_CORRUPT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf key = BUF_INIT, value = BUF_INIT, found = BUF_INIT;
	int fd = memfd_create("cdb", MFD_CLOEXEC), err;
	uint64_t position = 0, before = 0;
	struct cdb c;

	CHECK(fd >= 0 && fd_write_all(fd, data, size) == 0);
	err = cdb_open_fd(&c, fd);
	CHECK(err == 0 || err == ERR_CORRUPT);
	if (err)
		return 0;
	CHECK(is_result(cdb_find(&c, STR("kim"), LIMIT, &found)));
	CHECK(is_result(cdb_find(&c, STR(""), LIMIT, &found)));
	for (int i = 0; i < 100; i++) {
		err = cdb_next(&c, &position, LIMIT, &key, &value);
		CHECK(is_result(err));
		if (err)
			break;
		CHECK(position > before && position <= size);
		CHECK(buf_len(&key) <= LIMIT && buf_len(&value) <= LIMIT);
		before = position;
		err = cdb_find(&c, buf_str(&key), LIMIT, &found);
		CHECK(is_result(err) && (err || buf_len(&found) <= LIMIT));
	}
	cdb_close(&c);
	buf_finish(&key);
	buf_finish(&value);
	buf_finish(&found);
	return 0;
}
