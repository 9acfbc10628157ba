// SPDX-License-Identifier: ISC
#include "deliver/maildir.h"
#include "job.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// ---- the system, as far as a test may spoil it. These are called instead of the C library's.
enum { SYNC_FILE = 1, SYNC_FOLDER, SYNC_ALL };
static struct {
	int sync_fails;   // the kind, 0: none
	bool write_fails, link_fails;
	int number;       // errno
	bool file_synced, synced_before_link, linked, folder_synced_after_link;
	unsigned folders;      // synced before anything was linked
	ino_t synced[16];
} faults;

int fsync(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	int kind = S_ISDIR(st.st_mode) ? SYNC_FOLDER : SYNC_FILE;
	faults.file_synced |= kind == SYNC_FILE;
	faults.folder_synced_after_link |= kind == SYNC_FOLDER && faults.linked;
	if (kind == SYNC_FOLDER && !faults.linked && faults.folders < ARRAY_SIZE(faults.synced))
		faults.synced[faults.folders++] = st.st_ino;
	if (faults.sync_fails == kind) {
		errno = faults.number;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	(void)fd; // of the machine: slow, and not ours to ask for in a test
	if (faults.sync_fails == SYNC_ALL) {
		errno = faults.number;
		return -1;
	}
	return 0;
}

// A file is written as far as the kernel's quota goes.
ssize_t write(int fd, const void *data, size_t len)
{
	struct stat st;
	if (faults.write_fails && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		if (st.st_size > 0) {
			errno = faults.number;
			return -1;
		}
		len = len > 10 ? 10 : len;
	}
	return syscall(SYS_write, fd, data, len);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	if (faults.link_fails) {
		errno = faults.number;
		return -1;
	}
	faults.synced_before_link = faults.file_synced;
	faults.linked = true;
	return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
}

// ---- a folder for mailboxes
struct place {
	char folder[64];
	char pattern[128];
	struct maildir_known *known;
	struct quota *quota;
	unsigned jobs;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int make_place(void **state)
{
	struct place *p = mem_alloc(sizeof *p);
	strcpy(p->folder, "/tmp/pabal-maildir-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->pattern, sizeof p->pattern, "%s/mail/%%d/%%u/Maildir", p->folder);
	p->known = maildir_known_create();
	p->quota = quota_create();
	memset(&faults, 0, sizeof faults);
	*state = p;
	return 0;
}

static int drop_place(void **state)
{
	struct place *p = *state;
	nftw(p->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	maildir_known_destroy(p->known);
	quota_destroy(p->quota);
	mem_free(p);
	return 0;
}

static void remove_box(const struct place *p)
{
	char path[200];
	snprintf(path, sizeof path, "%s/mail", p->folder);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct smtp_result deliver(struct place *p, const struct job_words *words)
{
	struct deliver_job *job = job_make(words);
	job->job += p->jobs++; // names are told apart by it
	const struct maildir_options o = {p->pattern, "mail.pabal.example", p->known, p->quota};
	maildir_deliver(&o, job, &job->recipients[0]);
	struct smtp_result r = job->recipients[0].result;
	deliver_job_destroy(job);
	return r;
}

static unsigned count_files(const struct place *p, const char *folder, char name[512])
{
	char path[200];
	unsigned n = 0;
	struct dirent *e;
	snprintf(path, sizeof path, "%s/mail/%s", p->folder, folder);
	DIR *d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (name)
			snprintf(name, 512, "%s/%.255s", path, e->d_name);
	}
	if (d)
		closedir(d);
	return n;
}

static void read_mail(const char *path, struct buf *out)
{
	struct error err;
	buf_clear(out);
	assert_int_equal(file_read_all(path, out, 10000000, &err), 0);
}

static void assert_result(const struct smtp_result *r, enum smtp_outcome outcome, unsigned code,
	const char *enhanced, const char *words)
{
	if (r->outcome != outcome || r->code != code || strcmp(r->enhanced, enhanced) != 0 ||
		!strstr(r->text, words))
		fail_msg("got %d %u %s %s", r->outcome, r->code, r->enhanced, r->text);
}

#define SIMPLE {.recipients = {"Kim@Example.org"}, .headers = "Received: here\r\n", \
	.body = STR("Subject: hi\r\n\r\nwords\r\n")}
#define BOX "example.org/kim/Maildir"

// ---- tests
static void test_delivers(void **state)
{
	struct place *p = *state;
	struct job_words words = SIMPLE;
	char name[512], suffix[32];
	struct buf mail = BUF_INIT;
	struct stat st;
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
	assert_int_equal(count_files(p, BOX "/new", name), 1);
	assert_int_equal(count_files(p, BOX "/tmp", NULL), 0);
	assert_int_equal(count_files(p, BOX "/cur", NULL), 0);
	read_mail(name, &mail);
	assert_string_equal(buf_cstr(&mail), "Return-Path: <from@sender.example>\n"
		"Delivered-To: Kim@Example.org\nReceived: here\nSubject: hi\n\nwords\n");
	snprintf(suffix, sizeof suffix, ",S=%zu", buf_len(&mail));
	assert_true(str_ends_nocase(str_from(name), str_from(suffix)));
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(name, sizeof name, "%s/mail/" BOX, p->folder);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(faults.synced_before_link);
	assert_true(faults.folder_synced_after_link);
	buf_finish(&mail);
}

static void test_names_do_not_clash(void **state)
{
	struct place *p = *state;
	struct job_words words = SIMPLE;
	struct deliver_job *job;
	words.recipients[1] = "kim@example.org"; // the same mailbox twice in one job
	job = job_make(&words);
	const struct maildir_options o = {p->pattern, "a/b:c", p->known, p->quota};
	for (unsigned i = 0; i < 40; i++)
		maildir_deliver(&o, job, &job->recipients[i % 2]);
	unsigned n = count_files(p, BOX "/new", NULL);
	assert_int_equal(n, 40);
	assert_int_equal(job->recipients[1].result.outcome, SMTP_DELIVERED);
	deliver_job_destroy(job);
}

static void test_line_ends(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a\r\nb\r\n", "a\nb\n"},
		{"", ""},
		{"\r\n\r\n", "\n\n"},
		{"no end", "no end"},
		{"a\rb\r\r\n", "a\rb\r\n"}, // a CR that ends no line stays
		{"a\nb", "a\nb"},
	};
	struct place *p = *state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct job_words words = {.recipients = {"kim@example.org"}, .headers = "X: y\r\n"};
		char name[512];
		struct buf mail = BUF_INIT;
		words.body = str_from(cases[i].in);
		struct smtp_result r = deliver(p, &words);
		assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
		assert_int_equal(count_files(p, BOX "/new", name), 1);
		read_mail(name, &mail);
		assert_string_equal(strstr(buf_cstr(&mail), "X: y\n") + 5, cases[i].out);
		assert_int_equal(unlink(name), 0);
		buf_finish(&mail);
	}
}

// A CR at the end of one piece that is read from the spool, its LF at the start of the next.
static void test_large_body_from_spool(void **state)
{
	struct place *p = *state;
	struct job_words words = {.recipients = {"kim@example.org"}};
	struct buf body = BUF_INIT, expected = BUF_INIT, mail = BUF_INIT;
	char name[512];
	while (buf_len(&body) < 1000000) {
		size_t n = 65535 - (buf_len(&body) % 65536);
		char *line = mem_alloc(n + 1);
		memset(line, 'x', n);
		buf_add_format(&body, "%s\r\n", line);
		buf_add_format(&expected, "%s\n", line);
		mem_free(line);
	}
	words.fd = memfd_create("spool", MFD_CLOEXEC);
	words.size = buf_len(&body);
	assert_int_equal(fd_write_all(words.fd, body.data, buf_len(&body)), 0);
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
	assert_int_equal(count_files(p, BOX "/new", name), 1);
	read_mail(name, &mail);
	const char *start = strchr(strchr(buf_cstr(&mail), '\n') + 1, '\n') + 1;
	assert_int_equal(strlen(start), buf_len(&expected));
	assert_memory_equal(start, expected.data, buf_len(&expected));
	buf_finish(&body);
	buf_finish(&expected);
	buf_finish(&mail);
}

static void test_what_cannot_be_read(void **state)
{
	struct place *p = *state;
	struct job_words lost = {.recipients = {"kim@example.org"}, .size = 100};
	struct job_words damaged = SIMPLE;
	lost.fd = memfd_create("spool", MFD_CLOEXEC); // shorter than it was
	damaged.edits = STR("rubbish");
	struct smtp_result r = deliver(p, &lost);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "cannot write the message");
	r = deliver(p, &damaged);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "Bad message");
	assert_int_equal(count_files(p, BOX "/new", NULL), 0);
	assert_int_equal(count_files(p, BOX "/tmp", NULL), 0);
}

static void test_names_in_paths(void **state)
{
	static const struct {
		const char *pattern, *address, *box;
	} cases[] = {
		{"%d/%u/Maildir", "Kim.Min@EXAMPLE.org", "example.org/kim.min/Maildir"},
		{"%d/%u/Maildir", "../../etc@example.org", "example.org/%2E.%2F..%2Fetc/Maildir"},
		{"%d/%u/Maildir", "..@example.org", "example.org/%2E./Maildir"},
		{"%d/%u/Maildir", ".@example.org", "example.org/%2E/Maildir"},
		{"%d/%u/Maildir", ".hidden@example.org", "example.org/%2Ehidden/Maildir"},
		{"%d/%u/Maildir", "a b\"c@example.org", "example.org/a%20b%22c/Maildir"},
		{"%d/%u/Maildir", "a@b@example.org", "example.org/a@b/Maildir"},
		{"%d/%u/Maildir", "kim@[IPv6:2001:db8::1]", "%5Bipv6%3A2001%3Adb8%3A%3A1%5D/kim/Maildir"},
		{"%a", "kim+list@example.org", "kim+list@example.org"},
		{"100%%-%u", "kim@example.org", "100%-kim"},
	};
	struct place *p = *state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct job_words words = SIMPLE;
		char new[128];
		snprintf(p->pattern, sizeof p->pattern, "%s/mail/%s", p->folder, cases[i].pattern);
		words.recipients[0] = cases[i].address;
		struct smtp_result r = deliver(p, &words);
		assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
		snprintf(new, sizeof new, "%s/new", cases[i].box);
		if (count_files(p, new, NULL) != 1)
			fail_msg("%s is not in %s", cases[i].address, cases[i].box);
	}
}

static void test_names_that_make_no_path(void **state)
{
	static const char *const addresses[] = {"@example.org", "kim@", "\xff@example.org"};
	struct place *p = *state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct job_words words = SIMPLE;
		words.recipients[0] = addresses[i];
		struct smtp_result r = deliver(p, &words);
		assert_result(&r, SMTP_PERMANENT, 553, "5.1.3", "");
	}
}

// A link could lead the server's rights into another folder.
static void test_links_are_not_followed(void **state)
{
	static const char *const links[] = {
		"mail/example.org", "mail/example.org/kim", "mail/" BOX, "mail/" BOX "/tmp", "mail/" BOX "/new",
	};
	struct place *p = *state;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		struct job_words words = SIMPLE;
		char path[256], target[128], *slash;
		snprintf(target, sizeof target, "%s/elsewhere", p->folder);
		mkdir(target, 0700);
		snprintf(path, sizeof path, "%s/%s", p->folder, links[i]);
		slash = strrchr(path, '/');
		*slash = '\0';
		for (char *s = path + strlen(p->folder) + 1; s; s = strchr(s + 1, '/')) {
			char *next = strchr(s + 1, '/');
			if (next)
				*next = '\0';
			mkdir(path, 0700);
			if (next)
				*next = '/';
		}
		*slash = '/';
		assert_int_equal(symlink(target, path), 0);
		struct smtp_result r = deliver(p, &words);
		assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "cannot make or open the Maildir");
		assert_int_equal(rmdir(target), 0); // nothing was put there
		nftw(p->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
		assert_int_equal(mkdir(p->folder, 0700), 0);
	}
}

static void test_base_folder(void **state)
{
	struct place *p = *state;
	struct job_words words = SIMPLE;
	char path[256];
	// Its parent must be there: a disk that is not mounted is not written beside.
	snprintf(p->pattern, sizeof p->pattern, "%s/not/there/%%u", p->folder);
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "No such file or directory");
	snprintf(path, sizeof path, "%s/file", p->folder);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	snprintf(p->pattern, sizeof p->pattern, "%s/file/%%u", p->folder);
	r = deliver(p, &words);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "Not a directory");
}

static void test_sync_failures(void **state)
{
	static const struct {
		int kind, number;
		unsigned code;
		const char *enhanced;
	} cases[] = {
		{SYNC_FILE, EIO, 451, "4.2.0"},
		{SYNC_FILE, ENOSPC, 452, "4.3.1"},
		{SYNC_FILE, EDQUOT, 452, "4.2.2"},
		{SYNC_FOLDER, EIO, 451, "4.2.0"},
	};
	struct place *p = *state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct job_words words = SIMPLE;
		faults.sync_fails = cases[i].kind;
		faults.number = cases[i].number;
		struct smtp_result r = deliver(p, &words);
		assert_result(&r, SMTP_TEMPORARY, cases[i].code, cases[i].enhanced, strerror(cases[i].number));
		// It will be tried again: nothing may be left to be seen twice.
		assert_int_equal(count_files(p, BOX "/new", NULL), 0);
		assert_int_equal(count_files(p, BOX "/tmp", NULL), 0);
	}
	faults.sync_fails = 0;
	struct job_words words = SIMPLE;
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
	// What fails after the message was linked takes it out again.
	faults.sync_fails = SYNC_FOLDER;
	faults.number = EIO;
	r = deliver(p, &words);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "cannot sync the folder");
	assert_int_equal(count_files(p, BOX "/new", NULL), 1);
}

static bool was_synced(const struct place *p, const char *folder)
{
	char path[200];
	struct stat st;
	snprintf(path, sizeof path, "%s%s", p->folder, folder);
	assert_int_equal(stat(path, &st), 0);
	for (unsigned n = 0; n < faults.folders; n++)
		if (faults.synced[n] == st.st_ino)
			return true;
	return false;
}

// Making folders syncs some of them, too.
static void deliver_and_count(struct place *p, unsigned folders)
{
	struct job_words words = SIMPLE;
	memset(&faults, 0, sizeof faults);
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
	assert_true(folders ? faults.folders >= folders : faults.folders == 0);
}

// Somebody else made the mailbox a moment ago: whether it is on the disk is not known.
// The kernel's quota is met in mid message, or where the name needs a block: nothing torn is left,
// and of our own quota nothing stays counted.
static void test_the_quota_of_the_kernel(void **state)
{
	struct place *p = *state;
	const struct quota_limits l = {.octets = 10000};
	struct quota_usage now;
	for (unsigned n = 0; n < 2; n++) {
		struct job_words words = SIMPLE;
		struct deliver_job *job = job_make(&words);
		const struct maildir_options o = {.pattern = p->pattern, .hostname = "mail.pabal.example",
			.known = p->known, .quota = p->quota};
		job->recipients[0].quota = l;
		faults.number = EDQUOT;
		faults.write_fails = n == 0;
		faults.link_fails = n == 1;
		maildir_deliver(&o, job, &job->recipients[0]);
		faults.write_fails = faults.link_fails = false;
		assert_result(&job->recipients[0].result, SMTP_TEMPORARY, 452, "4.2.2", strerror(EDQUOT));
		assert_int_equal(count_files(p, BOX "/new", NULL), 0);
		assert_int_equal(count_files(p, BOX "/tmp", NULL), 0);
		assert_int_equal(maildir_usage(&o, job->recipients[0].address, &l, false, &now), 0);
		assert_int_equal(now.octets, 0);
		assert_int_equal(now.messages, 0);
		maildir_deliver(&o, job, &job->recipients[0]);
		assert_int_equal(job->recipients[0].result.outcome, SMTP_DELIVERED);
		assert_true(job->recipients[0].counted);
		assert_int_equal(job->recipients[0].usage.messages, 1);
		remove_box(p);
		deliver_job_destroy(job);
	}
}

static void test_folders_of_others_are_synced(void **state)
{
	struct place *p = *state;
	static const char *const way[] = {"", "/mail", "/mail/example.org", "/mail/example.org/kim",
		"/mail/" BOX};
	char path[200];
	for (size_t n = 1; n < ARRAY_SIZE(way); n++) {
		snprintf(path, sizeof path, "%s%s", p->folder, way[n]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (unsigned n = 0; n < 3; n++) {
		snprintf(path, sizeof path, "%s/mail/" BOX "/%s", p->folder,
			(const char *[]){"tmp", "new", "cur"}[n]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	deliver_and_count(p, 5);
	for (size_t n = 0; n < ARRAY_SIZE(way); n++)
		assert_true(was_synced(p, way[n]));
	int new = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	maildir_known_add(p->known, new);
	bool remembers = maildir_known_has(p->known, new); // needs a file system that says more
	close(new);
	if (remembers)
		deliver_and_count(p, 0);
	// One that was taken away and made again is another one.
	snprintf(path, sizeof path, "%s/mail/example.org", p->folder);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	deliver_and_count(p, 5);
}

// A failure leaves nothing known.
static void test_what_is_not_synced_is_not_known(void **state)
{
	struct place *p = *state;
	struct job_words words = SIMPLE;
	faults.sync_fails = SYNC_FOLDER;
	faults.number = EIO;
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", "cannot make or open the Maildir");
	deliver_and_count(p, 5);
}

// Root reads everything.
static void test_a_folder_that_cannot_be_read(void **state)
{
	struct place *p = *state;
	struct job_words words = SIMPLE;
	if (geteuid() == 0)
		skip();
	assert_int_equal(chmod(p->folder, 0300), 0);
	faults.sync_fails = SYNC_ALL;
	faults.number = EIO;
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_TEMPORARY, 451, "4.2.0", strerror(EIO));
	faults.sync_fails = 0;
	r = deliver(p, &words);
	assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
	assert_int_equal(chmod(p->folder, 0700), 0);
}

// Needs the right to mount; the mount is seen by this process alone.
static void test_full_disk(void **state)
{
	struct place *p = *state;
	struct job_words words = {.recipients = {"kim@example.org"}}, small = SIMPLE;
	struct buf body = BUF_INIT;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", p->folder, "tmpfs", 0, "size=64k") < 0) {
		print_message("not run: this needs root\n");
		skip();
	}
	while (buf_len(&body) < 200000)
		buf_add_text(&body, "a line of a mail that is too large for the disk\r\n");
	words.fd = memfd_create("spool", MFD_CLOEXEC);
	words.size = buf_len(&body);
	assert_int_equal(fd_write_all(words.fd, body.data, buf_len(&body)), 0);
	struct smtp_result r = deliver(p, &words);
	assert_result(&r, SMTP_TEMPORARY, 452, "4.3.1", "No space left");
	assert_int_equal(count_files(p, BOX "/tmp", NULL), 0);
	assert_int_equal(count_files(p, BOX "/new", NULL), 0);
	r = deliver(p, &small); // and what fits still comes in
	assert_result(&r, SMTP_DELIVERED, 250, "2.1.5", "");
	assert_int_equal(umount(p->folder), 0);
	buf_finish(&body);
}

#define WITH_PLACE(f) cmocka_unit_test_setup_teardown(f, make_place, drop_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(test_delivers),
		WITH_PLACE(test_names_do_not_clash),
		WITH_PLACE(test_line_ends),
		WITH_PLACE(test_large_body_from_spool),
		WITH_PLACE(test_what_cannot_be_read),
		WITH_PLACE(test_names_in_paths),
		WITH_PLACE(test_names_that_make_no_path),
		WITH_PLACE(test_links_are_not_followed),
		WITH_PLACE(test_base_folder),
		WITH_PLACE(test_sync_failures),
		WITH_PLACE(test_the_quota_of_the_kernel),
		WITH_PLACE(test_folders_of_others_are_synced),
		WITH_PLACE(test_what_is_not_synced_is_not_known),
		WITH_PLACE(test_a_folder_that_cannot_be_read),
		WITH_PLACE(test_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
