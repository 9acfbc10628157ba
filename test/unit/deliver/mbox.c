// SPDX-License-Identifier: ISC
#include "deliver/mbox.h"
#include "job.h"

#include "base/event.h"
#include "base/file.h"
#include "deliver/copy.h"
#include "deliver/mbox_torn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// ---- the system, as far as a test may spoil it: the n-th change of the file ends the process, or fails
static struct {
	int left;    // changes until then; 0: never
	bool kills, half;
	int number;  // errno
	const char *path, *foreign; // of the mbox, and what somebody else appends just then; or NULL
} fault;

static bool strikes(void)
{
	bool now = fault.left && --fault.left == 0;
	if (now && fault.foreign) {
		int fd = open(fault.path, O_WRONLY | O_APPEND);
		assert_int_equal(fd_write_all(fd, fault.foreign, strlen(fault.foreign)), 0);
		close(fd);
	}
	return now;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	bool now = strikes();
	if (now && fault.half && len > 1)
		(void)syscall(SYS_pwrite64, fd, data, len / 2, offset);
	if (now && fault.kills)
		raise(SIGKILL);
	if (now) {
		errno = fault.number;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, offset);
}

int fsync(int fd)
{
	(void)fd; // slow, and a killed process loses nothing that it has written
	if (strikes()) {
		if (fault.kills)
			raise(SIGKILL);
		errno = fault.number;
		return -1;
	}
	return 0;
}

// ---- a place
struct place {
	char folder[64], path[80], lock[96];
};

static int make_place(void **state)
{
	struct place *p = mem_alloc(sizeof *p);
	snprintf(p->folder, sizeof p->folder, "/tmp/pabal-mbox-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->path, sizeof p->path, "%s/kim", p->folder);
	snprintf(p->lock, sizeof p->lock, "%s/kim.lock", p->folder);
	memset(&fault, 0, sizeof fault);
	*state = p;
	return 0;
}

static int drop_place(void **state)
{
	struct place *p = *state;
	char command[100];
	snprintf(command, sizeof command, "rm -rf %s", p->folder);
	int result = system(command);
	mem_free(p);
	return result;
}

static struct smtp_result deliver_to(const char *path, const char *body)
{
	const struct job_words words = {.body = str_from(body), .recipients = {"kim@example.kr"},
		.sender = "lee@example.org"};
	struct deliver_job *job = job_make(&words);
	const struct mbox_options o = {.owner = {geteuid(), getegid(), (gid_t)-1}, .lock_wait_ms = 150};
	mbox_deliver(&o, path, job, &job->recipients[0]);
	struct smtp_result r = job->recipients[0].result;
	deliver_job_destroy(job);
	return r;
}

static struct smtp_result deliver(const struct place *p, const char *body)
{
	return deliver_to(p->path, body);
}

static void read_mbox(const struct place *p, struct buf *out)
{
	struct error err = {0};
	buf_clear(out);
	assert_int_equal(file_read_all(p->path, out, 1000000, &err), 0);
}

static void put(const struct place *p, const char *text)
{
	int fd = open(p->path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

// Texts between From lines.
static unsigned count_messages(struct str mbox)
{
	unsigned n = str_starts(mbox, STR("From "));
	ptrdiff_t at;
	while ((at = str_search(mbox, STR("\n\nFrom "))) >= 0) {
		n++;
		mbox = str_skip(mbox, (size_t)at + 2);
	}
	return n;
}

static unsigned count_of(struct str s, const char *word)
{
	unsigned n = 0;
	ptrdiff_t at;
	while ((at = str_search(s, str_from(word))) >= 0) {
		n++;
		s = str_skip(s, (size_t)at + strlen(word));
	}
	return n;
}

// ---- what is written

static void test_format(void **state)
{
	struct place *p = *state;
	struct buf text = BUF_INIT;
	struct stat st;
	struct smtp_result r = deliver(p, "Subject: x\r\n\r\nFrom here\r\n>From there\r\n>>From\r\nFromage\r\n"
		"a From b\r\nPabal-Torn 00\r\n> From\r\nlast");
	assert_int_equal(r.outcome, SMTP_DELIVERED);
	assert_int_equal(deliver(p, "Subject: y\r\n\r\n").outcome, SMTP_DELIVERED);
	read_mbox(p, &text);
	assert_true(str_starts(buf_str(&text), STR("From lee@example.org ")));
	ptrdiff_t end = str_find(buf_str(&text), '\n');
	assert_int_equal(end, 5 + 15 + 1 + 24);
	static const char first[] = "Return-Path: <lee@example.org>\nDelivered-To: kim@example.kr\nSubject: x\n\n"
		">From here\n>>From there\n>>From\nFromage\na From b\n>Pabal-Torn 00\n> From\nlast\n\nFrom lee";
	assert_true(str_starts(str_skip(buf_str(&text), (size_t)end + 1), str_from(first)));
	assert_true(str_ends_nocase(buf_str(&text), STR("Subject: y\n\n\n")));
	assert_int_equal(count_messages(buf_str(&text)), 2);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(p->lock, F_OK), -1);
	buf_finish(&text);
}

static void test_after_others(void **state)
{
	static const struct {
		const char *before, *end;
	} rows[] = {
		{"From a Thu Nov 19 13:02:14 2026\n\nbody\n\n", "body\n\n"},
		{"From a Thu Nov 19 13:02:14 2026\n\nbody\n", "body\n\n"},
		{"From a Thu Nov 19 13:02:14 2026\n\nbody", "body\n\n"},
		{"\n", "\n"},
	};
	struct place *p = *state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf text = BUF_INIT;
		(void)unlink(p->path);
		put(p, rows[i].before);
		assert_int_equal(deliver(p, "Subject: x\r\n\r\n").outcome, SMTP_DELIVERED);
		read_mbox(p, &text);
		ptrdiff_t at = str_search(buf_str(&text), STR("From lee@"));
		assert_true(at > 0);
		assert_true(str_ends_nocase(str_slice(buf_str(&text), 0, (size_t)at), str_from(rows[i].end)));
		buf_finish(&text);
	}
}

// ---- what ends in between

static void run_and_die(const struct place *p, int step, bool half)
{
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		fault.left = step;
		fault.kills = true;
		fault.half = half;
		struct smtp_result r = deliver(p, "Subject: torn\r\n\r\nFrom inside\r\n\r\nFrom again\r\n");
		_exit(r.outcome == SMTP_DELIVERED ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

// A lock file that is left behind by a process that is gone counts for two seconds.
static void age_lock(const struct place *p)
{
	struct timespec old[2] = {{.tv_sec = time(NULL) - 10}, {.tv_sec = time(NULL) - 10}};
	(void)utimensat(AT_FDCWD, p->lock, old, 0);
}

static void check_after_death(const struct place *p, int step, bool half, const char *before,
	unsigned messages_before)
{
	struct buf text = BUF_INIT;
	(void)unlink(p->path);
	if (*before)
		put(p, before);
	run_and_die(p, step, half);
	age_lock(p);
	assert_int_equal(deliver(p, "Subject: after\r\n\r\n").outcome, SMTP_DELIVERED);
	read_mbox(p, &text);
	struct str s = buf_str(&text);
	// The message whose delivery ended is there whole, or not at all.
	unsigned torn = count_of(s, "Subject: torn\n");
	assert_true(torn <= 1);
	assert_int_equal(count_of(s, "\n>From again\n\n"), torn);
	assert_int_equal(count_of(s, "Pabal-Torn"), 0);
	assert_int_equal(count_of(s, "Subject: after\n\n\n"), 1);
	assert_int_equal(count_messages(s), messages_before + torn + 1);
	assert_true(str_starts(s, str_from(before)));
	assert_int_equal(access(p->lock, F_OK), -1);
	buf_finish(&text);
}

static void test_killed_at_every_step(void **state)
{
	static const char other[] = "From a Thu Nov 19 13:02:14 2026\n\nfirst\n\n";
	struct place *p = *state;
	for (int step = 1; step <= 8; step++)
		for (int half = 0; half <= 1; half++) {
			check_after_death(p, step, half, "", 0);
			check_after_death(p, step, half, other, 1);
			check_after_death(p, step, half, "From a Thu Nov 19 13:02:14 2026\n\nno line end", 1);
		}
}

// Somebody else appends behind what we left torn, before we come back: nothing is cut.
static void test_foreign_messages_are_never_cut(void **state)
{
	static const char first[] = "From a Thu Nov 19 13:02:14 2026\n\nfirst\n\n";
	static const char other[] = "From b Thu Nov 19 13:02:14 2026\n\nother\n\n";
	struct place *p = *state;
	for (int step = 1; step <= 8; step++) {
		struct buf text = BUF_INIT;
		(void)unlink(p->path);
		put(p, first);
		run_and_die(p, step, true);
		age_lock(p);
		put(p, "\n\n"); // as procmail and Dovecot do where no empty line is
		put(p, other);
		assert_int_equal(deliver(p, "Subject: after\r\n\r\n").outcome, SMTP_DELIVERED);
		read_mbox(p, &text);
		assert_true(str_starts(buf_str(&text), str_from(first)));
		assert_int_equal(count_of(buf_str(&text), other), 1);
		assert_int_equal(count_of(buf_str(&text), "Subject: after\n"), 1);
		buf_finish(&text);
	}
}

static void test_failed_at_every_step(void **state)
{
	static const char other[] = "From a Thu Nov 19 13:02:14 2026\n\nfirst\n\n";
	struct place *p = *state;
	put(p, other);
	for (int step = 1; step <= 6; step++) {
		struct buf text = BUF_INIT;
		fault.left = step;
		fault.half = true;
		fault.number = step % 2 ? ENOSPC : EDQUOT;
		struct smtp_result r = deliver(p, "Subject: x\r\n\r\n");
		assert_int_equal(r.outcome, SMTP_TEMPORARY);
		assert_int_equal(r.code, 452);
		assert_string_equal(r.enhanced, step % 2 ? "4.3.1" : "4.2.2");
		read_mbox(p, &text);
		assert_true(str_equal(buf_str(&text), STR("From a Thu Nov 19 13:02:14 2026\n\nfirst\n\n")));
		buf_finish(&text);
	}
}

// Somebody who keeps no lock appends before we fail.
static void test_failed_beside_others(void **state)
{
	static const char first[] = "From a Thu Nov 19 13:02:14 2026\n\nfirst\n\n";
	static const char other[] = "\n\nFrom b Thu Nov 19 13:02:14 2026\n\nother\n\n";
	struct place *p = *state;
	for (int step = 2; step <= 6; step++) {
		struct buf text = BUF_INIT;
		(void)unlink(p->path);
		put(p, first);
		fault.left = step;
		fault.number = ENOSPC;
		fault.path = p->path;
		fault.foreign = other;
		assert_int_equal(deliver(p, "Subject: x\r\n\r\n").outcome, SMTP_TEMPORARY);
		read_mbox(p, &text);
		assert_true(str_starts(buf_str(&text), str_from(first)));
		assert_int_equal(count_of(buf_str(&text), other), 1);
		buf_finish(&text);
	}
}

static void test_sign_in_a_large_file(void **state)
{
	struct place *p = *state;
	int fd = open(p->path, O_RDWR | O_CREAT, 0600);
	char line[33], filler[1001];
	uint64_t at = 0, size;
	memset(filler, 'x', 1000);
	filler[999] = '\n';
	assert_int_equal(syscall(SYS_pwrite64, fd, "From a b\n", 9, 0), 9);
	for (at = 9; at < 400000; at += 1000)
		assert_int_equal(syscall(SYS_pwrite64, fd, filler, 1000, at), 1000);
	assert_int_equal(mbox_torn_find(fd, at, &size), 0);
	assert_int_equal(size, at);
	// Wherever the borders of what is read at once fall.
	for (unsigned behind = 65400; behind < 65700; behind += 1) {
		uint64_t sign = at - behind;
		mbox_torn_sign(sign, line, 32);
		char before[2], kept[33];
		assert_int_equal(pread(fd, before, 1, (off_t)sign - 1), 1);
		assert_int_equal(pread(fd, kept, 32, (off_t)sign), 32);
		assert_int_equal(syscall(SYS_pwrite64, fd, "\n", 1, sign - 1), 1);
		assert_int_equal(syscall(SYS_pwrite64, fd, line, 32, sign), 32);
		assert_int_equal(mbox_torn_find(fd, at, &size), 0);
		assert_int_equal(size, sign);
		assert_int_equal(syscall(SYS_pwrite64, fd, before, 1, sign - 1), 1);
		assert_int_equal(syscall(SYS_pwrite64, fd, kept, 32, sign), 32);
	}
	close(fd);
}

// ---- locks

static void test_locked(void **state)
{
	struct place *p = *state;
	int fd = open(p->lock, O_WRONLY | O_CREAT, 0600);
	close(fd);
	struct smtp_result r = deliver(p, "Subject: x\r\n\r\n");
	assert_int_equal(r.outcome, SMTP_TEMPORARY);
	assert_string_equal(r.enhanced, "4.2.0");
	assert_int_equal(access(p->lock, F_OK), 0);
	struct timespec old[2] = {{.tv_sec = time(NULL) - 301}, {.tv_sec = time(NULL) - 301}};
	assert_int_equal(utimensat(AT_FDCWD, p->lock, old, 0), 0);
	assert_int_equal(deliver(p, "Subject: x\r\n\r\n").outcome, SMTP_DELIVERED);
	assert_int_equal(access(p->lock, F_OK), -1);
}

static void test_locked_by_fcntl(void **state)
{
	struct place *p = *state;
	int told[2];
	put(p, "");
	assert_int_equal(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(p->path, O_RDWR);
		_exit(fcntl(fd, F_SETLK, &whole) || write(told[1], "x", 1) != 1 ? 1 : pause());
	}
	char c;
	assert_int_equal(read(told[0], &c, 1), 1);
	assert_int_equal(deliver(p, "Subject: x\r\n\r\n").outcome, SMTP_TEMPORARY);
	assert_int_equal(access(p->lock, F_OK), -1); // not kept while the other is waited for
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(deliver(p, "Subject: x\r\n\r\n").outcome, SMTP_DELIVERED);
	close(told[0]);
	close(told[1]);
}

// ---- what is refused

static void refused(const struct place *p, const char *word)
{
	struct smtp_result r = deliver(p, "Subject: x\r\n\r\n");
	assert_int_equal(r.outcome, SMTP_TEMPORARY);
	assert_string_equal(r.enhanced, "4.2.0");
	if (!strstr(r.text, word) || !strstr(r.text, "unsafe-mailbox"))
		fail_msg("%s: %s", word, r.text);
}

static void test_refused(void **state)
{
	struct place *p = *state;
	char other[100];
	snprintf(other, sizeof other, "%s/other", p->folder);
	int fd = open(other, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(symlink(other, p->path), 0);
	refused(p, "symbolic link");
	unlink(p->path);
	assert_int_equal(link(other, p->path), 0);
	refused(p, "more than one name");
	unlink(p->path);
	assert_int_equal(mkfifo(p->path, 0600), 0);
	refused(p, "plain file");
	unlink(p->path);
	assert_int_equal(mkdir(p->path, 0700), 0);
	refused(p, "plain file");
	rmdir(p->path);
	if (geteuid() == 0) {
		put(p, "");
		assert_int_equal(chown(p->path, 4711, 4711), 0);
		refused(p, "does not belong");
		unlink(p->path);
	}
	assert_int_equal(chmod(p->folder, 0777), 0);
	refused(p, "writable by everybody");
	assert_int_equal(chmod(p->folder, 01777), 0);
	assert_int_equal(deliver(p, "Subject: x\r\n\r\n").outcome, SMTP_DELIVERED);
	assert_int_equal(deliver_to("/dev/null", "x\r\n").outcome, SMTP_DELIVERED);
	assert_int_equal(deliver_to("/dev/zero", "x\r\n").outcome, SMTP_TEMPORARY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, drop_place)
	const struct CMUnitTest tests[] = {
		TEST(test_format),
		TEST(test_after_others),
		TEST(test_killed_at_every_step),
		TEST(test_foreign_messages_are_never_cut),
		TEST(test_failed_at_every_step),
		TEST(test_failed_beside_others),
		TEST(test_sign_in_a_large_file),
		TEST(test_locked),
		TEST(test_locked_by_fcntl),
		TEST(test_refused),
	};
	event_setup("test", STDERR_FILENO, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
