// SPDX-License-Identifier: ISC
#include "deliver/agent.h"
#include "job.h"

#include "base/event.h"
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int fsync(int fd)
{
	(void)fd;
	return 0;
}

int syncfs(int fd)
{
	(void)fd;
	return 0;
}

struct place {
	char home[64];
	struct config config;
	struct agent agent;
	struct deliver_job *job;
	struct deliver_recipient *r;
};

static int make_place(void **state)
{
	struct place *p = mem_alloc(sizeof *p);
	snprintf(p->home, sizeof p->home, "/tmp/pabal-agent-XXXXXX");
	if (!mkdtemp(p->home))
		return -1;
	p->config.hostname = STR("mail.example.kr");
	p->config.deliver.forward_commands = true;
	p->config.deliver.program_timeout = 20000;
	p->agent = (struct agent){.config = &p->config, .user = "kim", .home = p->home,
		.state_maildir = "/nonexistent/%u", .has_shell = true,
		.owner = {geteuid(), getegid(), (gid_t)-1}, .known = maildir_known_create()};
	p->config.deliver.way.mbox = STR("%h/mbox");
	*state = p;
	return 0;
}

static int drop_place(void **state)
{
	struct place *p = *state;
	char command[100];
	deliver_job_destroy(p->job);
	snprintf(command, sizeof command, "rm -rf %s", p->home);
	int result = system(command);
	maildir_known_destroy(p->agent.known);
	arena_finish(&p->config.arena);
	mem_free(p);
	return result;
}

static void put(const struct place *p, const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", p->home, name);
	(void)unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void use(struct place *p, const char *word)
{
	p->config.deliver.way.forward_files = str_from(word);
}

static enum smtp_outcome deliver_body(struct place *p, const char *detail, const char *body)
{
	const struct job_words words = {.body = str_from(body), .recipients = {"kim@example.kr"},
		.sender = "lee@example.org", .notify = 2};
	deliver_job_destroy(p->job);
	p->job = job_make(&words);
	p->r = &p->job->recipients[0];
	p->r->kind = IPC_TARGET_USER;
	p->r->detail = detail;
	if (detail[0])
		p->r->original = "kim+list@example.kr";
	agent_deliver(&p->agent, p->job, p->r);
	return p->r->result.outcome;
}

static enum smtp_outcome deliver(struct place *p, const char *detail)
{
	return deliver_body(p, detail, "Subject: x\r\n\r\nbody\r\n");
}

// "lee@example.org|rfc822;kim@example.kr|2 " for each.
static void children(const struct place *p, char *out, size_t size)
{
	struct str list = buf_str(&p->r->children);
	struct ipc_child c;
	size_t n = 0;
	int err = 0;
	out[0] = '\0';
	while (ipc_next_child(&list, &c, &err) && n < size)
		n += (size_t)snprintf(out + n, size - n, "%.*s|%.*s|%.*s|%u ", STR_ARG(c.address),
			STR_ARG(c.domain), STR_ARG(c.orcpt), c.notify);
	assert_int_equal(err, 0);
}

static void assert_children(const struct place *p, const char *wanted)
{
	char all[1000];
	children(p, all, sizeof all);
	assert_string_equal(all, wanted);
}

static unsigned count_in(const struct place *p, const char *name, const char *word)
{
	char path[200];
	struct buf text = BUF_INIT;
	struct error err = {0};
	unsigned n = 0;
	ptrdiff_t at;
	snprintf(path, sizeof path, "%s/%s", p->home, name);
	if (access(path, F_OK) == 0)
		assert_int_equal(file_read_all(path, &text, 1000000, &err), 0);
	for (struct str s = buf_str(&text); (at = str_search(s, str_from(word))) >= 0;
		s = str_skip(s, (size_t)at + 1))
		n++;
	buf_finish(&text);
	return n;
}

static unsigned count_mbox(const struct place *p)
{
	return count_in(p, "mbox", "Subject: x\n");
}

// ---- sendmail

static void test_forward(void **state)
{
	struct place *p = *state;
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_mbox(p), 1);
	put(p, ".forward", "# nothing\n\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_mbox(p), 2);
	put(p, ".forward", "lee@Example.ORG, min\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_children(p, "lee@example.org|example.org|rfc822;kim@example.kr|2 "
		"min@example.kr|example.kr|rfc822;kim@example.kr|2 ");
	assert_int_equal(count_mbox(p), 2);
	put(p, ".forward", "\\kim, kim, KIM@example.kr, lee@example.org\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_children(p, "lee@example.org|example.org|rfc822;kim@example.kr|2 ");
	assert_int_equal(count_mbox(p), 3);
	use(p, "none");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_mbox(p), 4);
}

static void test_forward_with_detail(void **state)
{
	struct place *p = *state;
	put(p, ".forward+list", "lee@example.org");
	put(p, ".forward", "min@example.org");
	assert_int_equal(deliver(p, "list"), SMTP_DELIVERED);
	assert_children(p, "lee@example.org|example.org|rfc822;kim+2Blist@example.kr|2 ");
	assert_int_equal(deliver(p, "other"), SMTP_DELIVERED);
	assert_children(p, "min@example.org|example.org|rfc822;kim+2Blist@example.kr|2 ");
}

static void test_commands_and_files(void **state)
{
	struct place *p = *state;
	char text[400];
	snprintf(text, sizeof text, "\"|cat >%s/out; env >%s/env\"\n%s/archive\n%s/Box/\nlee@example.org\n",
		p->home, p->home, p->home, p->home);
	put(p, ".forward", text);
	assert_int_equal(deliver(p, "list"), SMTP_DELIVERED);
	assert_int_equal(count_in(p, "out", "From lee@example.org "), 1);
	assert_int_equal(count_in(p, "out", "Delivered-To: kim@example.kr\nSubject: x\n\nbody\n"), 1);
	assert_int_equal(count_in(p, "archive", "Subject: x\n\nbody\n\n"), 1);
	assert_int_equal(count_in(p, "env", "SENDER=lee@example.org\n"), 2); // and NEWSENDER
	assert_int_equal(count_in(p, "env", "RECIPIENT=kim+list@example.kr\n"), 2);
	assert_int_equal(count_in(p, "env", "\nEXT=list\n"), 1);
	assert_int_equal(count_in(p, "env", "\nHOST=example.kr\n"), 1);
	assert_int_equal(count_in(p, "env", "\nHOST2=example\n"), 1);
	assert_int_equal(count_in(p, "env", "\nDTLINE=Delivered-To: kim@example.kr\n"), 1);
	assert_children(p, "lee@example.org|example.org|rfc822;kim+2Blist@example.kr|2 ");
	// What fails first: nothing is forwarded, and what it says goes to the sender.
	put(p, ".forward", "lee@example.org\n|echo no such luck; exit 67\n");
	assert_int_equal(deliver(p, ""), SMTP_PERMANENT);
	assert_string_equal(p->r->result.enhanced, "5.1.1");
	assert_non_null(strstr(p->r->result.text, "no such luck"));
	assert_children(p, "");
	put(p, ".forward", "|exit 75\n");
	assert_int_equal(deliver(p, ""), SMTP_TEMPORARY);
}

static void assert_refused(struct place *p, const char *rule)
{
	assert_int_equal(deliver(p, ""), SMTP_TEMPORARY);
	if (!strstr(p->r->result.text, rule))
		fail_msg("%s: %s", rule, p->r->result.text);
	assert_children(p, "");
	assert_int_equal(count_mbox(p), 0);
}

static void test_not_allowed(void **state)
{
	struct place *p = *state;
	put(p, ".forward", "lee@example.org\n|true\n");
	p->agent.has_shell = false;
	assert_refused(p, "forward-not-allowed");
	p->agent.has_shell = true;
	p->config.deliver.forward_commands = false;
	assert_refused(p, "forward-not-allowed");
	put(p, ".forward", "/tmp/file\n");
	assert_refused(p, "forward-not-allowed");
}

static void test_unsafe(void **state)
{
	struct place *p = *state;
	char path[100], other[130];
	snprintf(path, sizeof path, "%s/.forward", p->home);
	snprintf(other, sizeof other, "%s/other", p->home);
	put(p, ".forward", "lee@example.org\n");
	chmod(path, 0664);
	assert_refused(p, "writable by others");
	chmod(path, 0600);
	assert_int_equal(link(path, other), 0);
	assert_refused(p, "more than one name");
	unlink(path);
	assert_int_equal(symlink(other, path), 0);
	assert_refused(p, "symbolic link");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(p, "plain file");
	unlink(path);
	put(p, ".forward", "lee@example.org\n");
	chmod(p->home, 0777);
	assert_refused(p, "writable by everybody");
	chmod(p->home, 0700);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 4711, 4711), 0);
		assert_refused(p, "does not belong");
	}
	put(p, ".forward", "\"|unfinished\n");
	assert_refused(p, "forward-broken");
	put(p, ".forward", "a b@@c\n");
	assert_refused(p, "forward-broken");
	put(p, ".forward", ":include:/tmp/nonexistent-list\n");
	assert_refused(p, "unsafe-forward");
	snprintf(other, sizeof other, ":include:%s\n", path);
	put(p, ".forward", other);
	assert_refused(p, "include each other");
	p->agent.home = "/nonexistent/kim";
	assert_refused(p, "no-home");
}

static void test_include(void **state)
{
	struct place *p = *state;
	char text[100];
	snprintf(text, sizeof text, ":include:%s/list\n", p->home);
	put(p, ".forward", text);
	put(p, "list", "a@example.org\nb@example.org\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_children(p, "a@example.org|example.org|rfc822;kim@example.kr|2 "
		"b@example.org|example.org|rfc822;kim@example.kr|2 ");
}

static void test_loop(void **state)
{
	static const char body[] = "Received: x\r\nDelivered-To:\r\n KIM@example.kr\r\nSubject: x\r\n\r\nbody\r\n";
	struct place *p = *state;
	put(p, ".forward", "lee@example.org\n");
	assert_int_equal(deliver_body(p, "", body), SMTP_PERMANENT);
	assert_string_equal(p->r->result.enhanced, "5.4.6");
	assert_children(p, "");
	assert_int_equal(deliver_body(p, "", "Subject: x\r\n\r\nDelivered-To: kim@example.kr\r\n"), SMTP_DELIVERED);
	put(p, ".forward", "");
	assert_int_equal(deliver_body(p, "", body), SMTP_DELIVERED); // nothing that could loop
}

// ---- qmail

static void test_dotqmail(void **state)
{
	struct place *p = *state;
	use(p, "qmail");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_mbox(p), 1);
	put(p, ".qmail", "");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_mbox(p), 2);
	put(p, ".qmail", "# thrown away\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_mbox(p), 2);
	put(p, ".qmail", "./own\n./Maildir/\n&lee@example.org\n|cat >out; echo \"$DEFAULT,$EXT,$USER\" >words\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_int_equal(count_in(p, "own", "Subject: x\n"), 1);
	assert_int_equal(count_in(p, "out", "Delivered-To"), 0); // as it came
	assert_children(p, "lee@example.org|example.org|rfc822;kim@example.kr|2 ");
	put(p, ".qmail-foo-default", "|echo \"$DEFAULT,$EXT,$EXT2,$USER\" >words\n");
	assert_int_equal(deliver(p, "foo-bar"), SMTP_DELIVERED);
	assert_int_equal(count_in(p, "words", "bar,foo-bar,bar,kim\n"), 1);
	assert_int_equal(deliver(p, "nobody"), SMTP_PERMANENT);
	assert_string_equal(p->r->result.enhanced, "5.1.1");
}

static void test_dotqmail_statuses(void **state)
{
	struct place *p = *state;
	use(p, "qmail");
	put(p, ".qmail", "&a@example.org\n|exit 99\n&b@example.org\n./own\n");
	assert_int_equal(deliver(p, ""), SMTP_DELIVERED);
	assert_children(p, "a@example.org|example.org|rfc822;kim@example.kr|2 ");
	assert_int_equal(count_in(p, "own", "Subject"), 0);
	put(p, ".qmail", "&a@example.org\n|exit 100\n");
	assert_int_equal(deliver(p, ""), SMTP_PERMANENT);
	assert_children(p, "");
	put(p, ".qmail", "|exit 111\n");
	assert_int_equal(deliver(p, ""), SMTP_TEMPORARY);
}

static void test_dotqmail_refused(void **state)
{
	struct place *p = *state;
	char path[100];
	snprintf(path, sizeof path, "%s/.qmail", p->home);
	use(p, "qmail");
	put(p, ".qmail", "\n&lee@example.org\n");
	assert_refused(p, "forward-broken");
	put(p, ".qmail", "+list\n&lee@example.org\n|true\n");
	assert_refused(p, "forward-not-allowed");
	put(p, ".qmail", "|true\n");
	chmod(path, 0744);
	assert_refused(p, "forward-not-allowed");
	put(p, ".qmail", "&lee@example.org\n");
	chmod(p->home, 01700);
	assert_refused(p, "forward-not-now");
	chmod(p->home, 0700);
	chmod(path, 0622);
	assert_refused(p, "writable by others");
}

// ---- programs of the configuration, and what aliases name

static void test_program(void **state)
{
	struct place *p = *state;
	struct str words[] = {STR("/bin/sh"), STR("-c"),
		STR("printf '%%s|' \"$@\" >args; cat >out"), STR("x"), STR("%u"), STR("-d%d"), STR("%a"),
		STR("%h"), STR("%s"), STR("%t"), STR("100%%")};
	char wanted[200];
	p->config.deliver.way = (struct config_way){.program = {words, ARRAY_SIZE(words)}};
	assert_int_equal(deliver(p, "list"), SMTP_DELIVERED);
	snprintf(wanted, sizeof wanted, "kim|-dexample.kr|kim@example.kr|%s|lee@example.org|list|100%%|", p->home);
	assert_int_equal(count_in(p, "args", wanted), 1);
	assert_int_equal(count_in(p, "out", "Return-Path: <lee@example.org>\nDelivered-To: kim@example.kr\nSubject"), 1);
	assert_int_equal(count_in(p, "out", "From lee@example.org "), 1);
	assert_int_equal(deliver(p, "-x"), SMTP_PERMANENT);
	assert_non_null(strstr(p->r->result.text, "bad-argument"));
}

// Whatever the queue says.
static void assert_not_ours(struct place *p)
{
	agent_deliver(&p->agent, p->job, p->r);
	assert_int_equal(p->r->result.outcome, SMTP_TEMPORARY);
	assert_string_equal(p->r->result.text, "the queue gave a job for somebody else");
	assert_int_equal(count_in(p, "out", "Subject"), 0);
}

static void test_targets_of_aliases(void **state)
{
	struct place *p = *state;
	char path[100];
	const struct job_words words = {.body = STR("Subject: x\r\n\r\n"), .recipients = {"@"}};
	p->job = job_make(&words);
	p->r = &p->job->recipients[0];
	p->r->domain = "";
	p->r->original = "list@example.kr";
	p->r->detail = "";
	snprintf(path, sizeof path, "|cat >%s/out", p->home);
	p->r->kind = IPC_TARGET_PROGRAM;
	p->r->address = path;
	assert_not_ours(p); // in a user's rights
	p->agent.home = "";
	assert_not_ours(p); // in those of all mailboxes
	p->agent.does_aliases = true;
	assert_not_ours(p); // not allowed at all
	p->config.aliases_programs = true;
	p->r->kind = IPC_TARGET_MAILBOX;
	assert_not_ours(p);
	p->r->kind = IPC_TARGET_FILE;
	assert_not_ours(p); // it is no path
	p->r->kind = IPC_TARGET_PROGRAM;
	agent_deliver(&p->agent, p->job, p->r);
	assert_int_equal(p->r->result.outcome, SMTP_DELIVERED);
	assert_int_equal(count_in(p, "out", "Delivered-To: list@example.kr\nSubject: x\n"), 1);
	snprintf(path, sizeof path, "%s/archive", p->home);
	p->r->kind = IPC_TARGET_FILE;
	agent_deliver(&p->agent, p->job, p->r);
	assert_int_equal(p->r->result.outcome, SMTP_DELIVERED);
	assert_int_equal(count_in(p, "archive", "Delivered-To: list@example.kr\n"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, drop_place)
	const struct CMUnitTest tests[] = {
		TEST(test_forward),
		TEST(test_forward_with_detail),
		TEST(test_commands_and_files),
		TEST(test_not_allowed),
		TEST(test_unsafe),
		TEST(test_include),
		TEST(test_loop),
		TEST(test_dotqmail),
		TEST(test_dotqmail_statuses),
		TEST(test_dotqmail_refused),
		TEST(test_program),
		TEST(test_targets_of_aliases),
	};
	signal(SIGPIPE, SIG_IGN);
	event_setup("test", STDERR_FILENO, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
