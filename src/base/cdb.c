// SPDX-License-Identifier: ISC
#include "base/cdb.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLES	   256
#define HEADER	   (TABLES * 8)
#define PROBES_MAX 65536 // a table is half empty: nothing that a maker wrote needs a fraction of it

static uint32_t word(const unsigned char *octets)
{
	return octets[0] | (uint32_t)octets[1] << 8 | (uint32_t)octets[2] << 16 |
	       (uint32_t)octets[3] << 24;
}

static int read_at(const struct cdb *c, uint64_t position, void *out, size_t len)
{
	char *octets = out;

	if (position > c->size || len > c->size - position)
		return ERR_CORRUPT;
	if (c->fd < 0) {
		memcpy(out, c->memory.data + position, len);
		return 0;
	}
	while (len) {
		ssize_t got = pread(c->fd, octets, len, (off_t)position);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERR_SYSTEM;
		if (got == 0)
			return ERR_CORRUPT;
		octets += got;
		position += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

static int read_pair(const struct cdb *c, uint64_t position, uint32_t *a, uint32_t *b)
{
	unsigned char octets[8];
	int err = read_at(c, position, octets, sizeof octets);

	*a = err ? 0 : word(octets);
	*b = err ? 0 : word(octets + 4);
	return err;
}

static int read_into(const struct cdb *c, uint64_t position, size_t len, struct buf *out)
{
	char *room;
	int err;

	buf_clear(out);
	room = buf_reserve(out, len ? len : 1);
	if (!room)
		return ERR_LIMIT;
	err = read_at(c, position, room, len);
	if (!err)
		buf_commit(out, len);
	return err;
}

// ---- opening
// The records end where the first table begins.
static int find_end(struct cdb *c)
{
	unsigned char header[HEADER];
	int err = read_at(c, 0, header, sizeof header);

	c->end = c->size;
	for (int i = 0; i < TABLES && !err; i++) {
		uint32_t position = word(header + i * 8), slots = word(header + i * 8 + 4);
		if (!slots)
			continue;
		if (position < HEADER || position > c->size)
			err = ERR_CORRUPT;
		else if (position < c->end)
			c->end = position;
	}
	return err;
}

int cdb_open_fd(struct cdb *c, int fd)
{
	struct stat st;
	int err = 0;

	*c = (struct cdb){.fd = fd};
	if (fstat(fd, &st) < 0)
		err = ERR_SYSTEM;
	else if (!S_ISREG(st.st_mode) || st.st_size < HEADER || st.st_size > UINT32_MAX)
		err = ERR_CORRUPT;
	if (!err) {
		c->size = (uint64_t)st.st_size;
		err = find_end(c);
	}
	if (err)
		cdb_close(c);
	return err;
}

int cdb_open_memory(struct cdb *c, struct str octets)
{
	*c = (struct cdb){.fd = -1, .memory = octets, .size = octets.len};
	return octets.len < HEADER || octets.len > UINT32_MAX ? ERR_CORRUPT : find_end(c);
}

int cdb_open(struct cdb *c, int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	c->fd = -1;
	return fd < 0 ? err_from_errno(errno) : cdb_open_fd(c, fd);
}

void cdb_close(struct cdb *c)
{
	fd_close(&c->fd);
}

// ---- finding
static uint32_t hash_of(struct str key)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < key.len; i++)
		h = ((h << 5) + h) ^ (unsigned char)key.data[i];
	return h;
}

// 1: the record at position has this key, *out_value and *out_len tell its value; 0: another key.
static int compare(const struct cdb *c, uint64_t position, struct str key, uint64_t *out_value,
	uint32_t *out_len)
{
	uint32_t key_len;
	char chunk[256];
	int err = read_pair(c, position, &key_len, out_len);

	if (err || key_len != key.len)
		return err;
	position += 8;
	for (size_t done = 0; done < key.len;) {
		size_t n = key.len - done < sizeof chunk ? key.len - done : sizeof chunk;
		err = read_at(c, position + done, chunk, n);
		if (err || memcmp(chunk, key.data + done, n) != 0)
			return err;
		done += n;
	}
	*out_value = position + key.len;
	return *out_len > c->size - *out_value ? ERR_CORRUPT : 1;
}

int cdb_find(const struct cdb *c, struct str key, size_t limit, struct buf *out)
{
	uint32_t hash = hash_of(key), table, slots, entry_hash, record, len = 0;
	uint64_t value = 0;
	int found = read_pair(c, (hash & (TABLES - 1)) * 8, &table, &slots);

	if (found)
		return found;
	if (slots && (table > c->size || slots > (c->size - table) / 8))
		return ERR_CORRUPT;
	for (uint32_t i = 0; i < slots; i++) {
		uint64_t slot = ((uint64_t)(hash >> 8) + i) % slots;
		if (i == PROBES_MAX)
			return ERR_CORRUPT;
		found = read_pair(c, table + slot * 8, &entry_hash, &record);
		if (!found && record == 0)
			return ERR_NOT_FOUND;
		if (!found && entry_hash == hash)
			found = compare(c, record, key, &value, &len);
		if (found < 0)
			return found;
		if (found)
			return len > limit ? ERR_LIMIT : read_into(c, value, len, out);
	}
	return ERR_NOT_FOUND;
}

int cdb_next(
	const struct cdb *c, uint64_t *position, size_t limit, struct buf *key, struct buf *value)
{
	uint64_t at = *position ? *position : HEADER;
	uint32_t key_len, value_len;
	int err;

	if (at == c->end)
		return ERR_NOT_FOUND;
	if (at > c->end || c->end - at < 8)
		return ERR_CORRUPT;
	err = read_pair(c, at, &key_len, &value_len);
	if (err)
		return err;
	at += 8;
	if (key_len > c->end - at || value_len > c->end - at - key_len)
		return ERR_CORRUPT;
	if (key_len > limit || value_len > limit)
		return ERR_LIMIT;
	err = read_into(c, at, key_len, key);
	if (!err)
		err = read_into(c, at + key_len, value_len, value);
	if (!err)
		*position = at + key_len + value_len;
	return err;
}
