// SPDX-License-Identifier: ISC
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct content {
	unsigned char *data;
	size_t size, room;
};

struct entry {
	uint32_t folder, target;
	const char *name; // of the log
};

struct entries {
	struct entry *list;
	size_t count, room;
};

struct disk {
	const struct record_log *log;
	size_t at;
	struct content *files; // what is surely there, by node
	struct entries entries;
	size_t *pending; // records that no sync covers, in order
	size_t pending_count;
	unsigned *lies; // by node: which kind of lie concerns it
	unsigned lied;
};

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
	abort();
}

static void *resize(void *old, size_t size)
{
	void *new = realloc(old, size);

	if (!new)
		give_up("no memory");
	return new;
}

uint64_t disk_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

// ---------------------------------------------------------------- content

static void set_size(struct content *c, size_t size)
{
	if (size > c->room) {
		c->room = size * 2;
		c->data = resize(c->data, c->room);
	}
	if (size > c->size)
		memset(c->data + c->size, 0, size - c->size);
	c->size = size;
}

static void put_octets(struct content *c, uint64_t offset, const unsigned char *data, size_t len)
{
	if (offset + len > c->size)
		set_size(c, offset + len);
	memcpy(c->data + offset, data, len);
}

static void set_entry(struct entries *e, const struct record *r)
{
	for (size_t i = 0; i < e->count; i++) {
		if (e->list[i].folder != r->node || strcmp(e->list[i].name, r->name) != 0)
			continue;
		if (r->target == RECORD_NOTHING)
			e->list[i] = e->list[--e->count];
		else
			e->list[i].target = r->target;
		return;
	}
	if (r->target == RECORD_NOTHING)
		return;
	if (e->count == e->room) {
		e->room = e->room ? e->room * 2 : 512;
		e->list = resize(e->list, e->room * sizeof(e->list[0]));
	}
	e->list[e->count++] = (struct entry){r->node, r->target, r->name};
}

static void change_file(struct content *c, const struct record *r)
{
	if (r->kind == RECORD_WRITE)
		put_octets(c, r->offset, r->data, r->len);
	else if (r->kind == RECORD_TRUNCATE || r->offset > c->size)
		set_size(c, r->offset);
}

// ---------------------------------------------------------------- time

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static unsigned lie_about(const struct record_log *log, const struct record *r)
{
	if (log->is_folder[r->target])
		return LIE_FOLDERS;
	if (ends_with(r->name, "queue.db"))
		return LIE_DATABASE;
	return ends_with(r->name, "-wal") ? LIE_LOG : LIE_FILES;
}

struct disk *disk_create(const struct record_log *log, unsigned lies)
{
	struct disk *d = resize(NULL, sizeof(*d));

	memset(d, 0, sizeof(*d));
	d->log = log;
	d->lied = lies;
	d->files = resize(NULL, log->nodes * sizeof(d->files[0]));
	memset(d->files, 0, log->nodes * sizeof(d->files[0]));
	d->lies = resize(NULL, log->nodes * sizeof(d->lies[0]));
	memset(d->lies, 0, log->nodes * sizeof(d->lies[0]));
	d->lies[0] = LIE_FOLDERS;
	for (size_t i = 0; i < log->count; i++) {
		const struct record *r = &log->records[i];

		if (r->kind == RECORD_ENTRY && r->target != RECORD_NOTHING)
			d->lies[r->target] = lie_about(log, r);
	}
	d->pending = resize(NULL, (log->count + 1) * sizeof(d->pending[0]));
	return d;
}

void disk_destroy(struct disk *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->log->nodes; i++)
		free(d->files[i].data);
	free(d->files);
	free(d->lies);
	free(d->entries.list);
	free(d->pending);
	free(d);
}

static void make_durable(struct disk *d, const struct record *sync)
{
	size_t kept = 0;

	if (sync->kind == RECORD_SYNC && (d->lies[sync->node] & d->lied))
		return;
	for (size_t i = 0; i < d->pending_count; i++) {
		const struct record *r = &d->log->records[d->pending[i]];
		bool covered = d->pending[i] < sync->covers &&
			       (sync->kind == RECORD_SYNC_ALL || r->node == sync->node);

		if (!covered)
			d->pending[kept++] = d->pending[i];
		else if (r->kind == RECORD_ENTRY)
			set_entry(&d->entries, r);
		else
			change_file(&d->files[r->node], r);
	}
	d->pending_count = kept;
}

void disk_advance(struct disk *d, size_t moment)
{
	for (; d->at < moment; d->at++) {
		const struct record *r = &d->log->records[d->at];

		if (r->kind == RECORD_SYNC || r->kind == RECORD_SYNC_ALL)
			make_durable(d, r);
		else
			d->pending[d->pending_count++] = d->at;
	}
}

// ---------------------------------------------------------------- after the cut

struct cut {
	const struct disk *d;
	const struct disk_choice *choice;
	struct entries entries;
	char **paths; // by node: its first name
};

// Each question has its own answer, whatever was asked before.
static uint64_t mix(const struct disk_choice *choice, size_t record, uint64_t sector)
{
	uint64_t seed = choice->seed ^ (record * 0x9e3779b97f4a7c15U) ^ (sector << 40 | 1);

	for (int i = 0; i < 4; i++)
		disk_random(&seed);
	return disk_random(&seed) >> 16;
}

static bool is_there(const struct disk_choice *choice, unsigned percent, size_t record, uint64_t at)
{
	return mix(choice, record, at) % 100 < percent;
}

static void fill_garbage(const struct cut *cut, struct content *c, size_t from, size_t to)
{
	uint64_t seed = cut->choice->seed ^ from ^ 1;

	if (from < c->size)
		from = c->size;
	if (from >= to)
		return;
	set_size(c, to);
	for (size_t i = from; i < to; i++)
		c->data[i] = (unsigned char)(disk_random(&seed) >> 24);
}

static void tear(const struct cut *cut, struct content *c, size_t number)
{
	const struct record *r = &cut->d->log->records[number];
	uint64_t sector = cut->choice->sector, end = r->offset + r->len;

	for (uint64_t from = r->offset, to; from < end; from = to) {
		to = (from / sector + 1) * sector;
		if (to > end)
			to = end;
		if (is_there(cut->choice, cut->choice->octets, number, from / sector + 1))
			put_octets(c, from, r->data + (from - r->offset), to - from);
		else if (cut->choice->garbage)
			fill_garbage(cut, c, from, to);
	}
}

static struct content content_after(const struct cut *cut, uint32_t node)
{
	const struct content *sure = &cut->d->files[node];
	struct content c = {0};

	if (sure->size)
		put_octets(&c, 0, sure->data, sure->size);
	for (size_t i = 0; i < cut->d->pending_count; i++) {
		size_t number = cut->d->pending[i];
		const struct record *r = &cut->d->log->records[number];

		if (r->node != node || r->kind == RECORD_ENTRY)
			continue;
		if (r->kind == RECORD_WRITE && cut->choice->sector)
			tear(cut, &c, number);
		else if (is_there(cut->choice, cut->choice->octets, number, 0))
			change_file(&c, r);
	}
	return c;
}

static void write_file(const struct cut *cut, uint32_t node, const char *path)
{
	struct content c = content_after(cut, node);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;

	if (fd < 0)
		give_up(path);
	while (done < c.size) {
		ssize_t n = write(fd, c.data + done, c.size - done);

		if (n < 0)
			give_up(path);
		done += (size_t)n;
	}
	close(fd);
	free(c.data);
}

static void write_folder(struct cut *cut, uint32_t folder, const char *path);

static void write_entry(struct cut *cut, const struct entry *e, const char *folder)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, e->name);
	if (cut->d->log->is_folder[e->target]) {
		write_folder(cut, e->target, path);
	} else if (cut->paths[e->target]) {
		if (link(cut->paths[e->target], path) < 0)
			give_up(path);
	} else {
		write_file(cut, e->target, path);
		cut->paths[e->target] = strdup(path);
	}
}

static void write_folder(struct cut *cut, uint32_t folder, const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		give_up(path);
	for (size_t i = 0; i < cut->entries.count; i++) {
		if (cut->entries.list[i].folder == folder)
			write_entry(cut, &cut->entries.list[i], path);
	}
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	return remove(path);
}

void disk_write(const struct disk *d, const struct disk_choice *choice, const char *path)
{
	struct cut cut = {.d = d, .choice = choice};

	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	cut.paths = resize(NULL, d->log->nodes * sizeof(cut.paths[0]));
	memset(cut.paths, 0, d->log->nodes * sizeof(cut.paths[0]));
	cut.entries.count = cut.entries.room = d->entries.count;
	if (d->entries.count) {
		cut.entries.list = resize(NULL, d->entries.count * sizeof(struct entry));
		memcpy(cut.entries.list, d->entries.list, d->entries.count * sizeof(struct entry));
	}
	for (size_t i = 0; i < d->pending_count; i++) {
		const struct record *r = &d->log->records[d->pending[i]];

		if (r->kind == RECORD_ENTRY && is_there(choice, choice->entries, d->pending[i], 0))
			set_entry(&cut.entries, r);
	}
	write_folder(&cut, 0, path);
	for (uint32_t i = 0; i < d->log->nodes; i++)
		free(cut.paths[i]);
	free(cut.paths);
	free(cut.entries.list);
}
