// SPDX-License-Identifier: ISC
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "ipc/channel.h"
#include "role/spawn.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// What check_rights says of an open file with these rights.
static int rights_of(unsigned mode, unsigned owner, bool secret, struct error *err)
{
	char path[] = "/tmp/pabal-rights.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	if (owner)
		assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
	int result = snapshot_check_rights(fd, "/tls/key.pem", secret, err);
	close(fd);
	unlink(path);
	return result;
}

static void who_may_read_and_write(void **state)
{
	static const struct {
		unsigned mode;
		bool file, secret; // good as a file of the configuration, as a secret
		const char *words; // of what is refused
	} rows[] = {
		{0600, true, true, ""},
		{0400, true, true, ""},
		{0640, true, true, ""},
		{0700, true, true, ""},
		{0644, true, false, "chmod 0600 /tls/key.pem"},
		{0604, true, false, "chmod 0600 /tls/key.pem"},
		{0601, true, false, "chmod 0600 /tls/key.pem"},
		{0660, true, false, "chmod 0600 /tls/key.pem"},
		{0664, true, false, "chmod 0600 /tls/key.pem"},
		{0666, false, false, "chmod o-w /tls/key.pem"},
		{0602, false, false, "chmod o-w /tls/key.pem"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int secret = 0; secret < 2; secret++) {
			struct error err = {0};
			bool good = secret ? rows[i].secret : rows[i].file;
			int result = rights_of(rows[i].mode, 0, secret, &err);
			if ((result == 0) != good || (result && !strstr(err.text, rows[i].words)))
				fail_msg("%04o %d: %d %s", rows[i].mode, secret, result, err.text);
		}
}

static void whose_it_is(void **state)
{
	struct error err = {0};
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(rights_of(0600, 65534, false, &err), ERR_DENIED);
	assert_non_null(strstr(err.text, "belongs to user 65534"));
	assert_int_equal(rights_of(0600, 65534, true, &err), ERR_DENIED);
}

// What is said of a table at this path.
static int table_rights(const char *path)
{
	struct error err = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	assert_true(fd >= 0);
	int result = snapshot_check_table(fd, path, &err);
	close(fd);
	return result;
}

// Tables may be another program's, which must not have root open somebody else's file for it.
static void whose_tables_are(void **state)
{
	char folder[] = "/tmp/pabal-tables.XXXXXX", own[64], other[64], link[64];
	struct error err = {0};
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(own, sizeof own, "%s/own", folder);
	snprintf(other, sizeof other, "%s/other", folder);
	snprintf(link, sizeof link, "%s/link", folder);
	int fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	close(fd);
	fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(chown(own, 65534, 65534), 0);
	assert_int_equal(table_rights(own), 0);
	assert_int_equal(symlink("own", link), 0);
	assert_int_equal(table_rights(link), 0); // root's link
	assert_int_equal(lchown(link, 65534, 65534), 0);
	assert_int_equal(table_rights(link), 0);
	assert_int_equal(unlink(link) | symlink("other", link) | lchown(link, 65534, 65534), 0);
	assert_int_equal(table_rights(link), ERR_DENIED);
	// what was opened is no longer what the name says
	fd = open(own, O_RDONLY | O_CLOEXEC);
	assert_int_equal(snapshot_check_table(fd, other, &err), ERR_UNAVAILABLE);
	close(fd);
	assert_int_equal(chmod(own, 0646), 0);
	assert_int_equal(table_rights(own), ERR_DENIED);
	assert_int_equal(table_rights("/dev/null"), ERR_DENIED);
	assert_int_equal(unlink(own) | unlink(other) | unlink(link) | rmdir(folder), 0);
}

static void which_group_may_write(void **state)
{
	char path[] = "/tmp/pabal-rights.XXXXXX";
	struct error err = {0};
	(void)state;
	if (geteuid() != 0)
		skip();
	int fd = mkstemp(path);
	assert_int_equal(fchmod(fd, 0664), 0);
	assert_int_equal(snapshot_check_rights(fd, path, false, &err), 0); // root's
	assert_int_equal(fchown(fd, (uid_t)-1, 65533), 0);
	assert_int_equal(snapshot_check_rights(fd, path, false, &err), ERR_DENIED);
	assert_non_null(strstr(err.text, "group 65533"));
	assert_non_null(strstr(err.text, "chmod g-w /tmp/pabal-rights"));
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(snapshot_check_rights(fd, path, false, &err), 0);
	// A user's own group, as it has one on Debian; root's own group of now is nobody's.
	assert_int_equal(fchmod(fd, 0664), 0);
	assert_int_equal(setegid(65533), 0);
	assert_int_equal(snapshot_check_rights(fd, path, false, &err), ERR_DENIED);
	assert_int_equal(seteuid(65533), 0);
	assert_int_equal(snapshot_check_rights(fd, path, false, &err), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	close(fd);
	unlink(path);
}

static void what_is_no_file(void **state)
{
	char folder[] = "/tmp/pabal-rights.XXXXXX", fifo[64];
	struct error err = {0};
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(fifo, sizeof fifo, "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	const char *const rows[] = {folder, fifo};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = open(rows[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		assert_int_equal(snapshot_check_rights(fd, rows[i], false, &err), ERR_DENIED);
		assert_non_null(strstr(err.text, "is not a file"));
		close(fd);
	}
	assert_true(snapshot_check_rights(-1, "gone", false, &err) < 0);
	unlink(fifo);
	rmdir(folder);
}

// ---- a builder that was taken over: this program, started by master in the builder's place
#define MASTER_FD 3

static char folder[64];

static const char *in_folder(const char *name)
{
	static char paths[4][200];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const char *text)
{
	int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

// Asks for one file and writes down what came: its text, or "no: " and the words.
static void ask(struct str path, struct buf *told)
{
	struct ipc_read_file ask = {.request = 1, .path = path};
	struct ipc_file answer;
	struct buf body = {.limit = IPC_FRAME_MAX};
	unsigned type;
	int fd = -1;
	if (ipc_encode_read_file(&body, &ask) ||
		ipc_send_blocking(MASTER_FD, IPC_TYPE_read_file, buf_str(&body), -1))
		_exit(1);
	buf_clear(&body);
	if (ipc_receive_blocking(MASTER_FD, &type, &body, &fd) || ipc_decode_file(buf_str(&body), &answer))
		_exit(1);
	if (answer.err)
		(void)buf_add_format(told, "no: %.*s\n", STR_ARG(answer.text));
	else if (fd < 0 || fd_read_all(fd, told, 65536))
		_exit(1);
	fd_close(&fd);
	buf_finish(&body);
}

// The files it asks for stand in "asks", beside the configuration.
static int hostile_builder(const char *config_path)
{
	struct buf asks = BUF_INIT, told = BUF_INIT, body = BUF_INIT;
	struct str rest, line;
	str_copy(str_slice(str_from(config_path), 0, strlen(config_path) - strlen("/pabal.conf")), folder,
		sizeof folder);
	if (file_read_all(in_folder("asks"), &asks, 65536, NULL))
		return 1;
	rest = buf_str(&asks);
	while (str_split(&rest, '\n', &line))
		if (line.len)
			ask(line, &told);
	struct ipc_findings m = {.errors = 1, .text = buf_str(&told)};
	if (ipc_encode_findings(&body, &m) ||
		ipc_send_blocking(MASTER_FD, IPC_TYPE_findings, buf_str(&body), -1))
		return 1;
	buf_finish(&asks);
	buf_finish(&told);
	buf_finish(&body);
	return 0;
}

static char told[8192];
static unsigned events_seen;

static void on_event(const struct event *e, void *arg)
{
	struct str words = event_get(e, "reason");
	(void)arg;
	if (str_starts(words, STR("the configuration builder asked for ")) &&
		str_search(words, STR(", which no configuration file names")) > 0)
		events_seen++;
}

static void on_done(struct master *m, struct snapshot *s, const char *findings)
{
	(void)m;
	assert_null(s);
	assert_true(str_copy(str_from(findings), told, sizeof told));
}

// What the builder was told.
static const char *build(const char *asks)
{
	struct error err = {0};
	struct master *m = mem_alloc(sizeof *m);
	put("asks", asks);
	told[0] = '\0';
	events_seen = 0;
	snprintf(m->config_path, sizeof m->config_path, "%s/pabal.conf", folder);
	assert_int_equal(spawn_open_binary(&m->binary, &err), 0);
	assert_int_equal(uv_loop_init(&m->loop), 0);
	event_set_tap(on_event, NULL);
	assert_int_equal(snapshot_build(m, on_done, &err), 0);
	uv_run(&m->loop, UV_RUN_DEFAULT);
	event_set_tap(NULL, NULL);
	while (wait(NULL) > 0)
		;
	watch_sources_finish(&m->watched);
	assert_int_equal(uv_loop_close(&m->loop), 0);
	fd_close(&m->binary);
	mem_free(m);
	return told;
}

static void a_builder_gets_what_the_configuration_names(void **state)
{
	char elsewhere[] = "/tmp/pabal-elsewhere.XXXXXX", asks[200], text[200];
	int fd = mkstemp(elsewhere);
	(void)state;
	assert_int_equal(fd_write_all(fd, "elsewhere\n", 10), 0);
	close(fd);
	snprintf(text, sizeof text, "include \"%s\"\n", elsewhere);
	put("pabal.conf", text);
	snprintf(asks, sizeof asks, "%s\n%s\n%s\n", in_folder("pabal.conf"), in_folder("beside"), elsewhere);
	strcat(text, "beside\nelsewhere\n");
	assert_string_equal(build(asks), text);
	assert_int_equal(events_seen, 0);
	// Not before it has read who names it.
	snprintf(asks, sizeof asks, "%s\n", elsewhere);
	assert_non_null(strstr(build(asks), "no: "));
	unlink(elsewhere);
}

static void a_builder_gets_nothing_else(void **state)
{
	static const char asks[] = "/etc/passwd\n/etc/pabal/../passwd\n/proc/self/environ\n/\n";
	(void)state;
	put("pabal.conf", "# /etc/passwd\n");
	assert_string_equal(build("/etc/passwd\n"), "no: /etc/passwd is not opened: it lies neither beside "
		"the configuration nor in /etc/pabal, and no configuration file names it\n");
	assert_int_equal(events_seen, 1);
	(void)build(asks);
	struct str rest = str_from(told), line;
	size_t lines = 0;
	while (str_split(&rest, '\n', &line))
		if (line.len) {
			assert_true(str_starts(line, STR("no: ")));
			lines++;
		}
	assert_int_equal(lines, 4);
	assert_int_equal(events_seen, 1); // one a build
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/pabal-builder.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	put("beside", "beside\n");
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return unlink(in_folder("asks")) || unlink(in_folder("beside")) || unlink(in_folder("pabal.conf")) ||
	       rmdir(folder);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "builder"))
		return hostile_builder(argv[2]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_read_and_write),
		cmocka_unit_test(whose_it_is),
		cmocka_unit_test(whose_tables_are),
		cmocka_unit_test(which_group_may_write),
		cmocka_unit_test(what_is_no_file),
		cmocka_unit_test(a_builder_gets_what_the_configuration_names),
		cmocka_unit_test(a_builder_gets_nothing_else),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
