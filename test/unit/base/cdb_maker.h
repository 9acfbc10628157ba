// SPDX-License-Identifier: ISC
// A small maker of constant databases, for tests.
#ifndef PABAL_TEST_CDB_MAKER_H
#define PABAL_TEST_CDB_MAKER_H

#include "base/buf.h"

struct cdb_record {
	struct str key, value;
};

static inline void cdb_put_word(struct buf *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		(void)buf_add_char(out, (char)(value >> (8 * i)));
}

static inline uint32_t cdb_hash(struct str key)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < key.len; i++)
		h = ((h << 5) + h) ^ (unsigned char)key.data[i];
	return h;
}

// At most 64 records.
static inline void cdb_make(const struct cdb_record *records, size_t count, struct buf *out)
{
	struct buf header = BUF_INIT, body = BUF_INIT;
	uint32_t places[64];

	for (size_t i = 0; i < count; i++) {
		places[i] = 2048 + (uint32_t)buf_len(&body);
		cdb_put_word(&body, (uint32_t)records[i].key.len);
		cdb_put_word(&body, (uint32_t)records[i].value.len);
		(void)buf_add_str(&body, records[i].key);
		(void)buf_add_str(&body, records[i].value);
	}
	for (uint32_t table = 0; table < 256; table++) {
		uint32_t slots[128][2] = {{0}}, len = 0;
		for (size_t i = 0; i < count; i++)
			len += (cdb_hash(records[i].key) & 255) == table ? 2 : 0;
		for (size_t i = 0; i < count; i++) {
			uint32_t h = cdb_hash(records[i].key), slot;
			if ((h & 255) != table)
				continue;
			for (slot = (h >> 8) % len; slots[slot][1]; slot = (slot + 1) % len)
				;
			slots[slot][0] = h;
			slots[slot][1] = places[i];
		}
		cdb_put_word(&header, 2048 + (uint32_t)buf_len(&body));
		cdb_put_word(&header, len);
		for (uint32_t i = 0; i < len; i++) {
			cdb_put_word(&body, slots[i][0]);
			cdb_put_word(&body, slots[i][1]);
		}
	}
	(void)buf_add_str(out, buf_str(&header));
	(void)buf_add_str(out, buf_str(&body));
	buf_finish(&header);
	buf_finish(&body);
}

#endif
