// SPDX-License-Identifier: ISC
#include "deliver/quota_maildir.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME        "maildirsize"
#define STALE_S     (15 * 60)
#define FOLDERS_MAX 100000
#define COUNTS_MAX  3 // of one look, while others go on delivering

// ---------------------------------------------------------------- the text
static bool take_number(struct str *s, int64_t *out)
{
	bool minus = s->len && s->data[0] == '-';
	struct str digits = str_skip(*s, minus);
	uint64_t value;
	size_t n = 0;
	while (n < digits.len && digits.data[n] >= '0' && digits.data[n] <= '9')
		n++;
	if (str_to_u64(str_slice(digits, 0, n), &value) || value > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)value : (int64_t)value;
	*s = str_skip(digits, n);
	return true;
}

// "1000000S,1000C"; kinds of limits that we do not know are others' business.
static int parse_limits(struct str line, struct maildirsize *out)
{
	struct str word;
	while (str_split(&line, ',', &word)) {
		int64_t value;
		if (!word.len)
			continue;
		if (!take_number(&word, &value) || value < 0 || word.len != 1)
			return ERR_CORRUPT;
		if (word.data[0] == 'S')
			out->octets_limit = (uint64_t)value;
		else if (word.data[0] == 'C')
			out->messages_limit = (uint64_t)value;
	}
	return 0;
}

static int add_line(struct str line, int64_t sum[2])
{
	for (unsigned i = 0; i < 2; i++) {
		int64_t value;
		line = str_trim(line);
		if (!take_number(&line, &value) || __builtin_add_overflow(sum[i], value, &sum[i]))
			return ERR_CORRUPT;
	}
	return str_trim(line).len ? ERR_CORRUPT : 0;
}

int maildirsize_parse(struct str content, struct maildirsize *out)
{
	struct str line;
	int64_t sum[2] = {0, 0};
	*out = (struct maildirsize){0};
	if (!content.len || content.data[content.len - 1] != '\n')
		return ERR_CORRUPT;
	content = str_slice(content, 0, content.len - 1);
	(void)str_split(&content, '\n', &line);
	int err = parse_limits(line, out);
	while (!err && str_split(&content, '\n', &line)) {
		err = add_line(line, sum);
		out->lines++;
	}
	if (!err && (sum[0] < 0 || sum[1] < 0 || !out->lines))
		err = ERR_CORRUPT;
	if (!err)
		out->sum = (struct quota_usage){(uint64_t)sum[0], (uint64_t)sum[1]};
	return err;
}

int maildirsize_render(const struct quota_limits *l, const struct quota_usage *now, struct buf *out)
{
	int err = 0;
	if (l->octets || !l->messages) // no limit is 0S, not an empty line
		err = buf_add_format(out, "%" PRIu64 "S", l->octets);
	if (!err && l->messages)
		err = buf_add_format(out, "%s%" PRIu64 "C", l->octets ? "," : "", l->messages);
	return err ? err : buf_add_format(out, "\n%12" PRIu64 " %12" PRIu64 "\n", now->octets,
		now->messages);
}

// ---------------------------------------------------------------- counting
struct count {
	struct quota_usage sum;
	uint64_t stamp;     // of the folders as they were before they were read
	unsigned folders;
	bool stamps_only;
};

// What changes when a name comes or goes.
static void add_stamp(struct count *c, const struct stat *st)
{
	const uint64_t words[] = {st->st_ino, (uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec};
	c->stamp += hash_octets(words, sizeof words);
}

// The size that the name tells, "…,S=1234:2,S".
static bool size_of_name(struct str name, uint64_t *out)
{
	ptrdiff_t at = str_search(name, STR(",S="));
	int64_t value;
	struct str rest = str_skip(name, at < 0 ? name.len : (size_t)at + 3);
	if (!rest.len || rest.data[0] == '-' || !take_number(&rest, &value))
		return false;
	*out = (uint64_t)value;
	return !rest.len || rest.data[0] == ',' || rest.data[0] == ':';
}

static void count_file(struct count *c, int folder, const char *name)
{
	uint64_t size;
	struct stat st;
	if (!size_of_name(str_from(name), &size)) {
		// It may have been moved or thrown away meanwhile.
		if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		size = (uint64_t)st.st_size;
	}
	if (__builtin_add_overflow(c->sum.octets, size, &c->sum.octets) ||
		c->sum.octets > INT64_MAX)
		c->sum.octets = INT64_MAX;
	c->sum.messages++;
}

// Takes fd.
static int count_names(struct count *c, int fd)
{
	struct dirent *e;
	DIR *d = fdopendir(fd);
	if (!d) {
		fd_close(&fd);
		return ERR_SYSTEM;
	}
	errno = 0;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			count_file(c, fd, e->d_name), errno = 0;
	int why = errno;
	closedir(d);
	errno = why;
	return why ? ERR_SYSTEM : 0;
}

static int count_part(struct count *c, int folder, const char *part)
{
	struct stat st;
	int fd = file_open_beneath(folder, part, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : ERR_SYSTEM;
	if (fstat(fd, &st) < 0) {
		fd_close(&fd);
		return ERR_SYSTEM;
	}
	add_stamp(c, &st);
	if (!c->stamps_only)
		return count_names(c, fd);
	fd_close(&fd);
	return 0;
}

static int count_both(struct count *c, int folder)
{
	int err = count_part(c, folder, "new");
	return err ? err : count_part(c, folder, "cur");
}

// A folder of Maildir++ is ".NAME" beside cur, never deeper.
static int count_folder(struct count *c, int maildir, const struct dirent *e)
{
	if (e->d_name[0] != '.' || !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		(e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
		return 0;
	if (++c->folders > FOLDERS_MAX) {
		errno = EMFILE;
		return ERR_LIMIT;
	}
	int fd = file_open_beneath(maildir, e->d_name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : ERR_SYSTEM;
	int err = count_both(c, fd);
	fd_close(&fd);
	return err;
}

static int count_all(struct count *c, int maildir)
{
	struct dirent *e;
	int err = count_both(c, maildir);
	int fd = err ? -1 : openat(maildir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		fd_close(&fd);
		return ERR_SYSTEM;
	}
	errno = 0;
	while (!err && (e = readdir(d))) {
		err = count_folder(c, maildir, e);
		if (!err)
			errno = 0;
	}
	int why = errno;
	closedir(d);
	errno = why;
	return err ? err : why ? ERR_SYSTEM : 0;
}

// ---------------------------------------------------------------- the file
static int write_whole(int fd, const struct quota_limits *l, const struct quota_usage *now)
{
	struct buf text = {.limit = 200};
	int err = maildirsize_render(l, now, &text);
	if (!err)
		err = fd_write_all(fd, buf_str(&text).data, buf_len(&text));
	buf_finish(&text);
	return err;
}

// Without a sync: it is a cache, and who looks after the next start of the machine counts.
static void replace(int folder, const struct quota_limits *l, const struct quota_usage *now)
{
	static atomic_uint serial;
	char name[100];
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int tmp = file_open_beneath(folder, "tmp", O_PATH | O_DIRECTORY, 0);
	snprintf(name, sizeof name, "%" PRIu64 ".P%dQ%u." NAME, clock_wall_ms() / 1000,
		(int)getpid(), atomic_fetch_add(&serial, 1));
	int fd = tmp < 0 ? -1 : openat(tmp, name, flags, 0600);
	if (fd >= 0 && (write_whole(fd, l, now) || renameat(tmp, name, folder, NAME) < 0)) {
		(void)unlinkat(tmp, name, 0);
		(void)unlinkat(folder, NAME, 0);
	}
	fd_close(&fd); // without a file the next look counts again
	fd_close(&tmp);
}

int quota_maildir_count(int folder, const struct quota_limits *l, struct quota_usage *out)
{
	bool changed = true;
	for (unsigned n = 0; n < COUNTS_MAX && changed; n++) {
		struct count c = {0}, after = {.stamps_only = true};
		int err = count_all(&c, folder);
		if (err)
			return err;
		*out = c.sum;
		if (quota_is_limited(l))
			replace(folder, l, out);
		changed = count_all(&after, folder) || after.stamp != c.stamp;
	}
	// Others deliver all the time, and what they added meanwhile went into the old file.
	if (changed)
		(void)unlinkat(folder, NAME, 0);
	return 0;
}

// A plain file, whoever put it there.
static int open_file(int folder, int flags, struct stat *st)
{
	int fd = file_open_beneath(folder, NAME, flags | O_NONBLOCK, 0);
	if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	fd_close(&fd);
	return -1;
}

static uint64_t last_start_s(void)
{
	struct timespec up;
	clock_gettime(CLOCK_BOOTTIME, &up);
	return clock_wall_ms() / 1000 - (uint64_t)up.tv_sec;
}

// False: it does not tell.
static bool read_file(int folder, const struct quota_limits *l, struct maildirsize *out,
	struct stat *st)
{
	struct buf text = BUF_INIT;
	int fd = open_file(folder, O_RDONLY, st);
	bool told = fd >= 0 && !fd_read_all(fd, &text, MAILDIRSIZE_MAX - 1) &&
		!maildirsize_parse(buf_str(&text), out) && out->octets_limit == l->octets &&
		out->messages_limit == l->messages && (uint64_t)st->st_mtime >= last_start_s();
	buf_finish(&text);
	fd_close(&fd);
	return told;
}

bool quota_maildir_look(int folder, const struct quota_limits *l, uint64_t octets,
	struct quota_usage *out)
{
	struct maildirsize file;
	struct stat st;
	if (!read_file(folder, l, &file, &st))
		return false;
	*out = file.sum;
	bool old = (uint64_t)st.st_mtime + STALE_S < clock_wall_ms() / 1000;
	return quota_judge(l, out, octets) != QUOTA_OVER_HARD || (file.lines == 1 && !old);
}

void quota_maildir_add(int folder, int64_t octets, int messages)
{
	char line[64];
	struct stat st;
	int fd = open_file(folder, O_WRONLY | O_APPEND, &st);
	if (fd < 0)
		return;
	int len = snprintf(line, sizeof line, "%12" PRId64 " %12d\n", octets, messages);
	// Too long already: nobody reads it before it is written anew.
	if (st.st_size < 2 * MAILDIRSIZE_MAX && write(fd, line, (size_t)len) != len)
		(void)unlinkat(folder, NAME, 0);
	fd_close(&fd);
}
