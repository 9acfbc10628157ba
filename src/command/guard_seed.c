// SPDX-License-Identifier: ISC
// Two children: the first has the caller's rights, opens what was named and passes octets on as they are;
// the second gives its rights away, parses, and writes "FROM<tab>TO" lines, which are checked once more
// by whoever takes them.
#include "command/guard_seed.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"
#include "message/sent.h"
#include "smtp/address.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	  65534
#define CHUNK	  65536
#define MEMORY	  ((rlim_t)512 << 20)
#define LINE_MOST 65536
#define MAIL_MOST SENT_HEADERS_MAX

enum { PIECE_MAIL = 1, PIECE_LOG, PIECE_LOG_END }; // of the stream between the children
struct piece {
	uint32_t kind, len;
};

// ---------------------------------------------------------------- the child that reads

static void must_write(int fd, const void *data, size_t len)
{
	if (fd_write_all(fd, data, len))
		_exit(1);
}

static void put(int fd, uint32_t kind, const void *data, size_t len)
{
	struct piece p = {kind, (uint32_t)len};

	must_write(fd, &p, sizeof(p));
	must_write(fd, data, len);
}

static ssize_t read_some(int fd, char *space, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size && (n = read(fd, space + len, size - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

// A header field at its beginning: mail. A "From " line before it is one of an mbox, which is not read.
static bool looks_like_mail(const char *data, ssize_t len)
{
	for (ssize_t n = 0; n < len && n < 78; n++) {
		if (data[n] == ':')
			return n > 0;
		if (data[n] <= ' ' || data[n] == 127)
			return false;
	}
	return false;
}

static void send_file(int out, const char *path, bool in_folder)
{
	static char space[MAIL_MOST];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t len;

	if (fd < 0 || (len = read_some(fd, space, sizeof(space))) < 0) {
		fprintf(stderr, TEXT("pabal: %s cannot be read: %s\n"), path, strerror(errno));
		_exit(1);
	}
	if (in_folder || looks_like_mail(space, len)) {
		put(out, PIECE_MAIL, space, (size_t)len);
	} else {
		for (; len > 0; len = read_some(fd, space, CHUNK))
			put(out, PIECE_LOG, space, (size_t)len);
		put(out, PIECE_LOG_END, "", 0);
	}
	close(fd);
}

static void send_folder(int out, char *path)
{
	char *const paths[] = {path, NULL};
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *at;

	while (walk && (at = fts_read(walk)) != NULL)
		if (at->fts_info == FTS_F && at->fts_name[0] != '.' && strncmp(at->fts_name, "dovecot", 7) != 0)
			send_file(out, at->fts_path, true);
	if (walk)
		fts_close(walk);
}

static void feed(int out, char *const *paths, unsigned count)
{
	struct stat st;

	for (unsigned n = 0; n < count; n++) {
		if (stat(paths[n], &st) == 0 && S_ISDIR(st.st_mode))
			send_folder(out, paths[n]);
		else
			send_file(out, paths[n], false);
	}
}

// ---------------------------------------------------------------- the child that parses

static void print_pair(void *arg, struct str from, struct str to)
{
	(void)arg;
	printf("%.*s\t%.*s\n", STR_ARG(from), STR_ARG(to));
}

static void drop_rights(void)
{
	const struct rlimit memory = {MEMORY, MEMORY}, none = {0, 0};

	if (getuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
		_exit(1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setrlimit(RLIMIT_FSIZE, &none) ||
		setrlimit(RLIMIT_NPROC, &none))
		_exit(1);
	if (!PABAL_SANITIZED && setrlimit(RLIMIT_AS, &memory))
		_exit(1);
}

static void take_lines(struct buf *rest, struct sent_log *log, bool end)
{
	struct str all = buf_str(rest), line;
	size_t used = 0;
	ptrdiff_t at;

	while ((at = str_find(all, '\n')) >= 0) {
		line = str_slice(all, 0, (size_t)at);
		sent_log_line(log, line, print_pair, NULL);
		all = str_skip(all, (size_t)at + 1);
		used += (size_t)at + 1;
	}
	buf_consume(rest, used);
	if (end || buf_len(rest) > LINE_MOST) {
		sent_log_line(log, buf_str(rest), print_pair, NULL);
		buf_clear(rest);
	}
}

static void parse(int in)
{
	static char space[MAIL_MOST];
	struct sent_log *log = sent_log_create();
	struct buf lines = BUF_INIT;
	struct piece p;

	while (read_some(in, (char *)&p, sizeof(p)) == (ssize_t)sizeof(p)) {
		if (p.len > sizeof(space) || read_some(in, space, p.len) != (ssize_t)p.len)
			_exit(1);
		if (p.kind == PIECE_MAIL)
			sent_read_mail(str_make(space, p.len), print_pair, NULL);
		else if (buf_add(&lines, space, p.len) == 0)
			take_lines(&lines, log, p.kind == PIECE_LOG_END);
	}
	buf_finish(&lines);
	sent_log_destroy(log);
}

// ---------------------------------------------------------------- the one that asked

static pid_t begin(int not_ours)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_DFL);
	close(not_ours); // else its end would never be noticed
	return 0;
}

static pid_t start_reader(const int raw[2], char *const *paths, unsigned count)
{
	pid_t child = begin(raw[0]);

	if (child != 0)
		return child;
	feed(raw[1], paths, count);
	_exit(0);
}

static pid_t start_parser(int in, const int pairs[2])
{
	pid_t child = begin(pairs[0]);

	if (child != 0)
		return child;
	if (dup2(pairs[1], STDOUT_FILENO) < 0)
		_exit(1);
	drop_rights();
	parse(in);
	_exit(fflush(stdout) ? 1 : 0);
}

static bool ended_well(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int take_pairs(int fd, guard_seed_give give, void *arg, struct error *err)
{
	FILE *in = fdopen(fd, "r");
	char line[2 * SMTP_ADDRESS_MAX + 8];
	int result = 0;

	while (in && !result && fgets(line, sizeof(line), in)) {
		struct str rest = str_from(line), from;

		if (rest.len && rest.data[rest.len - 1] == '\n')
			rest.len--;
		if (str_split(&rest, '\t', &from) && rest.len)
			result = give(arg, from, rest, err);
	}
	if (in)
		fclose(in);
	return result;
}

int guard_seed_read(char *const *paths, unsigned count, guard_seed_give give, void *arg,
	struct error *err)
{
	int raw[2], pairs[2], result;
	pid_t reader, parser;

	fflush(stdout);
	if (pipe2(raw, O_CLOEXEC))
		return error_system(err, TEXT("cannot make a pipe"));
	if (pipe2(pairs, O_CLOEXEC)) {
		close(raw[0]);
		close(raw[1]);
		return error_system(err, TEXT("cannot make a pipe"));
	}
	reader = start_reader(raw, paths, count);
	close(raw[1]);
	parser = reader < 0 ? -1 : start_parser(raw[0], pairs);
	close(raw[0]);
	close(pairs[1]);
	result = take_pairs(pairs[0], give, arg, err);
	bool well = reader > 0 && ended_well(reader);
	well = parser > 0 && ended_well(parser) && well;
	if (!result && !well)
		result = error_set(err, ERR_SYSTEM, TEXT("not everything could be read"));
	return result;
}
