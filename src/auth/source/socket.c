// SPDX-License-Identifier: ISC
#include "auth/source/socket.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE 4096

static int wait_for(struct auth_socket *s, short events, struct error *err)
{
	for (;;) {
		uint64_t now = clock_monotonic_ms();
		struct pollfd p = {s->fd, events, 0};
		uint64_t left = now < s->deadline ? s->deadline - now : 0;
		int n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return error_system(err, TEXT("cannot wait for the socket"));
		if (n == 0)
			return error_set(err, ERR_TIMEOUT, TEXT("no answer within the time limit"));
	}
}

// A full backlog of a Unix socket is EAGAIN, and no event tells when there is room.
static int connect_to(struct auth_socket *s, const struct sockaddr_un *address, const char *path,
	struct error *err)
{
	while (connect(s->fd, (const struct sockaddr *)address, sizeof *address) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return error_system(err, TEXT("cannot reach %s"), path);
		if (clock_monotonic_ms() >= s->deadline)
			return error_set(err, ERR_TIMEOUT, TEXT("%s takes no connection"), path);
		(void)poll(NULL, 0, 20);
	}
	return 0;
}

int auth_socket_open(
	struct auth_socket *s, const char *path, uint64_t timeout_ms, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result;

	*s = (struct auth_socket){-1, clock_monotonic_ms() + timeout_ms};
	if (!str_copy(str_from(path), address.sun_path, sizeof address.sun_path))
		return error_set(err, ERR_LIMIT, TEXT("%s is too long for a socket"), path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return error_system(err, TEXT("cannot make a socket"));
	result = connect_to(s, &address, path, err);
	if (result)
		auth_socket_close(s);
	return result;
}

void auth_socket_close(struct auth_socket *s)
{
	fd_close(&s->fd);
}

int auth_socket_write(struct auth_socket *s, struct str octets, struct error *err)
{
	while (octets.len) {
		ssize_t n = send(s->fd, octets.data, octets.len, MSG_NOSIGNAL);
		if (n > 0) {
			octets = str_skip(octets, (size_t)n);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return error_system(err, TEXT("the connection broke"));
		int result = wait_for(s, POLLOUT, err);
		if (result)
			return result;
	}
	return 0;
}

int auth_socket_read(struct auth_socket *s, struct buf *in, struct error *err)
{
	size_t room = in->limit ? in->limit - buf_len(in) : READ_SIZE;

	if (room > READ_SIZE)
		room = READ_SIZE;
	if (!room)
		return error_set(err, ERR_LIMIT, TEXT("the answer is too long"));
	for (;;) {
		int result = wait_for(s, POLLIN, err);
		if (result)
			return result;
		char *to = buf_reserve(in, room);
		ssize_t n = to ? recv(s->fd, to, room, 0) : 0;
		if (n > 0) {
			buf_commit(in, (size_t)n);
			return 0;
		}
		if (n == 0)
			return error_set(
				err, ERR_CLOSED, TEXT("the connection ended without an answer"));
		if (errno != EINTR && errno != EAGAIN)
			return error_system(err, TEXT("the connection broke"));
	}
}

// ---- who may reach it
struct who {
	const char *user;
	uid_t uid;
	gid_t groups[64];
	int count;
};

static bool is_member(const struct who *w, gid_t gid)
{
	for (int i = 0; i < w->count; i++)
		if (w->groups[i] == gid)
			return true;
	return false;
}

// 0: he may; 1: he would, as a member of the group; -1: nobody but the owner may.
static int judge(const struct who *w, const struct stat *st, mode_t right)
{
	mode_t group = right << 3, owner = right << 6;

	if (w->uid == 0)
		return 0;
	if (w->uid == st->st_uid)
		return (st->st_mode & owner) == owner ? 0 : -1;
	if (is_member(w, st->st_gid))
		return (st->st_mode & group) == group ? 0 : -1;
	if ((st->st_mode & right) == right)
		return 0;
	return (st->st_mode & group) == group ? 1 : -1;
}

static bool advise_about(const struct config_source *source, const struct who *w,
	const struct stat *st, const char *path, struct config_findings *findings)
{
	int verdict = judge(w, st, S_ISDIR(st->st_mode) ? 1 : 2);
	struct group *group = verdict == 1 ? getgrgid(st->st_gid) : NULL;

	if (verdict == 0)
		return false;
	if (group)
		config_findings_add(findings, 'W', source->where.file, source->where.line,
			source->where.column,
			TEXT("the group %s is missing to reach %s: adduser %s %s, then restart"),
			group->gr_name, path, w->user, group->gr_name);
	else
		config_findings_add(findings, 'W', source->where.file, source->where.line,
			source->where.column, TEXT("%s may not reach %s"), w->user, path);
	return true;
}

// Each folder on the way down, then the socket.
static bool advise_way(const struct config_source *source, const struct who *w, const char *path,
	struct config_findings *findings)
{
	char part[PATH_MAX];
	struct stat st;

	if (!str_copy(str_from(path), part, sizeof part))
		return false;
	for (char *slash = part;;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (stat(part, &st) < 0)
			return false; // the caller says so
		if (advise_about(source, w, &st, part, findings))
			return true;
		if (!slash)
			return false;
		*slash = '/';
	}
}

void auth_socket_advise(const struct config_source *source, const char *path, const char *user,
	struct config_findings *findings)
{
	struct who w = {.user = user, .count = ARRAY_SIZE(w.groups)};
	struct passwd *pw = getpwnam(user);
	struct stat st;

	if (stat(path, &st) < 0) {
		int number = errno;
		config_findings_add(findings, 'W', source->where.file, source->where.line,
			source->where.column, TEXT("%s: %s; nobody can log in by it"), path,
			strerror(number));
		return;
	}
	if (!pw)
		return; // not installed: everything runs as one user
	w.uid = pw->pw_uid;
	if (getgrouplist(user, pw->pw_gid, w.groups, &w.count) < 0)
		w.count = ARRAY_SIZE(w.groups);
	(void)advise_way(source, &w, path, findings);
}
