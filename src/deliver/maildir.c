// SPDX-License-Identifier: ISC
#include "deliver/maildir.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "deliver/copy.h"
#include "deliver/result.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- where
// The pattern up to its first %: a folder that is the administrator's, opened by name. What
// comes from an address is below it and never leaves it.
static int expand(const char *pattern, const char *address, struct buf *out)
{
	struct str whole = str_from(address);
	ptrdiff_t at = str_find_last(whole, '@');
	struct str local = at < 0 ? whole : str_slice(whole, 0, (size_t)at);
	struct str domain = at < 0 ? STR_EMPTY : str_skip(whole, (size_t)at + 1);
	int err = 0;
	for (const char *p = pattern; *p && !err; p++) {
		if (*p != '%')
			err = buf_add_char(out, *p);
		else if (*++p == 'd')
			err = file_name_encode(domain, out);
		else if (*p == 'u')
			err = file_name_encode(local, out);
		else if (*p == 'a')
			err = file_name_encode(whole, out);
		else if (*p == '%')
			err = buf_add_char(out, '%');
		else
			return ERR_SYNTAX;
	}
	return err;
}

static int open_fixed_part(const char *pattern, const char **out_rest)
{
	char fixed[1100];
	const char *percent = strchr(pattern, '%');
	size_t len = percent ? (size_t)(percent - pattern) : strlen(pattern);
	while (len && pattern[len - 1] != '/')
		len--;
	if (len == 0 || len >= sizeof fixed) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(fixed, pattern, len);
	fixed[len] = '\0';
	if (mkdir(fixed, 0700) < 0 && errno != EEXIST)
		return -1;
	*out_rest = pattern + len;
	return open(fixed, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

// Where %h stands the base is the home folder, which is never made.
static int open_base(const struct maildir_options *o, const char **out_rest)
{
	if (strncmp(o->pattern, "%h/", 3) != 0)
		return open_fixed_part(o->pattern, out_rest);
	*out_rest = o->pattern + 3;
	return open(o->home ? o->home : "", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

// ---- folders that outlive a power cut
static int sync_file_system(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : syncfs(fd);
	fd_close(&fd);
	return result;
}

// One that may be passed through but not read is synced with all others.
static int sync_opened(int fd, int folder)
{
	int result = fd < 0 ? sync_file_system(folder) : fd_sync(fd);
	int why = errno;
	fd_close(&fd);
	errno = why;
	return result;
}

// The base may have been made now, too: its name stands in its parent.
static int sync_base(int base, int folder)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	return sync_opened(openat(base, "..", flags), folder) ||
		sync_opened(openat(base, ".", flags), folder) ? -1 : 0;
}

// Every folder on the way: who made it may not have synced it yet, or may have died before.
static int sync_way(int base, const char *path, int folder)
{
	char part[1024];
	int result = sync_base(base, folder);
	for (size_t n = 1; !result && n <= strlen(path); n++) {
		if (path[n] != '/' && path[n] != '\0')
			continue;
		memcpy(part, path, n);
		part[n] = '\0';
		result = sync_opened(file_open_beneath(base, part, O_RDONLY | O_DIRECTORY, 0), folder);
	}
	return result;
}

// ---- the Maildir
struct box {
	int folder, tmp, new;
};

static void close_box(struct box *b)
{
	int why = errno;
	fd_close(&b->folder);
	fd_close(&b->tmp);
	fd_close(&b->new);
	errno = why;
}

// tmp and new are opened without following a symbolic link in their place.
static int open_inside(struct box *b)
{
	for (const char *const *name = (const char *const[]){"tmp", "new", "cur", NULL}; *name; name++)
		if (mkdirat(b->folder, *name, 0700) < 0 && errno != EEXIST)
			return -1;
	b->tmp = file_open_beneath(b->folder, "tmp", O_PATH | O_DIRECTORY, 0);
	if (b->tmp >= 0)
		b->new = file_open_beneath(b->folder, "new", O_RDONLY | O_DIRECTORY, 0);
	return b->tmp < 0 || b->new < 0 ? -1 : 0;
}

static int open_box(struct maildir_known *known, int base, const char *path, struct box *b)
{
	b->folder = file_open_beneath(base, path, O_PATH | O_DIRECTORY, 0);
	if (b->folder < 0 && file_make_folders(base, path, 0700) == 0)
		b->folder = file_open_beneath(base, path, O_PATH | O_DIRECTORY, 0);
	if (b->folder < 0 || open_inside(b))
		return -1;
	if (maildir_known_has(known, b->new))
		return 0;
	if (sync_way(base, path, b->folder))
		return -1;
	maildir_known_add(known, b->new);
	return 0;
}

// With tmp, new and cur; made when missing. False: r has its result.
static bool open_maildir(const struct maildir_options *o, struct deliver_recipient *r, struct box *b)
{
	const char *rest;
	struct buf path = {.limit = 1024};
	int base = open_base(o, &rest);
	bool opened = false;
	*b = (struct box){-1, -1, -1};
	if (base < 0) {
		deliver_set_errno(r, TEXT("cannot open the folder of the mailboxes"));
	} else if (expand(rest, r->address, &path)) {
		deliver_set_result(r, SMTP_PERMANENT, 553, "5.1.3", TEXT("the address makes no mailbox name"));
	} else if (open_box(o->known, base, buf_cstr(&path), b)) {
		deliver_set_errno(r, TEXT("cannot make or open the Maildir"));
		close_box(b);
	} else {
		opened = true;
	}
	buf_finish(&path);
	fd_close(&base);
	return opened;
}

// ---- delivery
// Unique on every machine that shares the folder, for all time (Maildir's own rule).
static void make_name(const char *hostname, const struct deliver_job *job,
	const struct deliver_recipient *r, char *out, size_t size)
{
	char host[128];
	size_t n = 0;
	for (const char *p = hostname; *p && n + 4 < sizeof host; p++) {
		if (*p == '/' || *p == ':')
			n += (size_t)snprintf(host + n, 5, "\\%03o", (unsigned char)*p);
		else
			host[n++] = *p;
	}
	host[n] = '\0';
	uint64_t now = clock_wall_us();
	snprintf(out, size, "%llu.M%lluP%dQ%llxR%llx.%s", (unsigned long long)(now / 1000000),
		(unsigned long long)(now % 1000000), (int)getpid(), (unsigned long long)job->job,
		(unsigned long long)r->id, host);
}

static int write_tmp(int tmp, const char *name, const struct deliver_job *job, const char *address,
	uint64_t *out_size)
{
	int fd = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct deliver_copy copy = {.write = deliver_copy_to_fd, .arg = &fd, .address = address};
	struct stat st;
	if (fd < 0)
		return ERR_SYSTEM;
	int err = deliver_copy(&copy, job);
	if (!err)
		err = fd_sync(fd);
	if (!err && fstat(fd, &st) == 0)
		*out_size = (uint64_t)st.st_size;
	fd_close(&fd);
	return err;
}

// What is in new is there for good, or not there at all.
static void link_new(int tmp, int new, const char *name, uint64_t size, struct deliver_recipient *r)
{
	char whole[340];
	// The size in the name spares IMAP servers a look into every file (Maildir++).
	snprintf(whole, sizeof whole, "%s,S=%llu", name, (unsigned long long)size);
	if (linkat(tmp, name, new, whole, 0) < 0) {
		deliver_set_errno(r, TEXT("cannot link the message"));
	} else if (fd_sync(new)) {
		deliver_set_errno(r, TEXT("cannot sync the folder"));
		(void)unlinkat(new, whole, 0); // it will be delivered again
	} else {
		deliver_set_delivered(r);
	}
}

// ---- quotas
// False: r has its result.
static bool take_answer(int over, struct deliver_recipient *r)
{
	r->counted = over >= 0 && quota_is_limited(&r->quota);
	if (over < 0)
		deliver_set_errno(r, TEXT("cannot count the mailbox"));
	else if (over == QUOTA_OVER_HARD)
		deliver_set_full(r);
	return over >= 0 && over != QUOTA_OVER_HARD;
}

// Is there any room at all, before it is written?
static bool is_open(const struct maildir_options *o, int folder, struct deliver_recipient *r)
{
	return !o->quota || !quota_is_limited(&r->quota) ||
		take_answer(quota_look(o->quota, &r->quota, QUOTA_MAILDIR, folder, 1, &r->usage), r);
}

static bool is_admitted(const struct maildir_options *o, int folder, uint64_t octets,
	struct deliver_recipient *r)
{
	return !o->quota || take_answer(quota_admit(o->quota, &r->quota, QUOTA_MAILDIR, folder, octets,
		&r->usage), r);
}

static void take_back(const struct maildir_options *o, int folder, uint64_t octets,
	struct deliver_recipient *r)
{
	bool delivered = r->result.outcome == SMTP_DELIVERED;
	if (!o->quota)
		return;
	quota_ended(o->quota, QUOTA_MAILDIR, folder, octets, delivered);
	if (!delivered)
		r->counted = false;
}

static void deliver_into(const struct maildir_options *o, const struct box *box,
	struct deliver_job *job, struct deliver_recipient *r)
{
	char name[300];
	uint64_t size = 0;
	make_name(o->hostname, job, r, name, sizeof name);
	if (write_tmp(box->tmp, name, job, r->address, &size)) {
		deliver_set_errno(r, TEXT("cannot write the message"));
	} else if (is_admitted(o, box->folder, size, r)) {
		link_new(box->tmp, box->new, name, size, r);
		take_back(o, box->folder, size, r);
	}
	(void)unlinkat(box->tmp, name, 0);
}

void maildir_deliver(const struct maildir_options *o, struct deliver_job *job,
	struct deliver_recipient *r)
{
	struct box box;
	if (!open_maildir(o, r, &box))
		return;
	if (is_open(o, box.folder, r))
		deliver_into(o, &box, job, r);
	close_box(&box);
}

int maildir_usage(const struct maildir_options *o, const char *address,
	const struct quota_limits *l, bool anew, struct quota_usage *out)
{
	const char *rest;
	struct buf path = {.limit = 1024};
	int base = open_base(o, &rest);
	int err = base < 0 ? ERR_SYSTEM : expand(rest, address, &path);
	int folder = err ? -1 : file_open_beneath(base, buf_cstr(&path), O_PATH | O_DIRECTORY, 0);
	*out = (struct quota_usage){0};
	if (folder >= 0)
		err = anew ? quota_count(o->quota, l, QUOTA_MAILDIR, folder, out) :
			quota_look(o->quota, l, QUOTA_MAILDIR, folder, 1, out);
	else if (!err)
		err = errno == ENOENT ? 0 : ERR_SYSTEM;
	int why = errno;
	fd_close(&folder);
	fd_close(&base);
	buf_finish(&path);
	errno = why;
	return err < 0 ? err : 0;
}
