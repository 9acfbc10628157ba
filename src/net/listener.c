// SPDX-License-Identifier: ISC
// Listening sockets. Who has a port that is taken is found in /proc, for people only.
#include "net/listener.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG	    4096
#define SHORTAGE_MS 100 // pause after accept failed for want of descriptors or memory

// ---- who has the port
struct owner {
	unsigned long pid; // 0: not found, or not ours to see
	char command[32];
};

// One line of /proc/net/tcp{,6}: true when it listens on the port; its inode.
static bool read_socket_line(const char *line, uint16_t port, unsigned long *inode)
{
	unsigned local_port, state;

	if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
		    &local_port, &state, inode) != 3)
		return false;
	return local_port == port && state == 0x0a && *inode != 0;
}

static size_t find_inodes(const char *path, uint16_t port, unsigned long inodes[], size_t max)
{
	FILE *file = fopen(path, "re");
	char line[512];
	size_t count = 0;

	if (!file)
		return 0;
	while (count < max && fgets(line, sizeof(line), file))
		if (read_socket_line(line, port, &inodes[count]))
			count++;
	fclose(file);
	return count;
}

static bool process_has(const char *pid, const unsigned long inodes[], size_t count)
{
	char path[300], target[64];
	struct dirent *entry;
	bool found = false;
	unsigned long inode;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		for (size_t i = 0; i < count && !found; i++)
			found = inodes[i] == inode;
	}
	closedir(dir);
	return found;
}

static void read_command(struct owner *out, const char *pid)
{
	struct buf text = BUF_INIT;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	out->pid = strtoul(pid, NULL, 10);
	if (file_read_all(path, &text, 64, NULL) == 0)
		str_copy(str_trim(buf_str(&text)), out->command, sizeof(out->command));
	buf_finish(&text);
}

// The process with the smallest number, which is the one that was started first.
static void find_owner(uint16_t port, struct owner *out)
{
	unsigned long inodes[64];
	size_t count = find_inodes("/proc/net/tcp", port, inodes, 32);
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	memset(out, 0, sizeof(*out));
	count += find_inodes("/proc/net/tcp6", port, inodes + count, ARRAY_SIZE(inodes) - count);
	while (dir && (entry = readdir(dir))) {
		unsigned long pid = strtoul(entry->d_name, NULL, 10);
		if (pid == 0 || (out->pid && pid > out->pid) ||
			!process_has(entry->d_name, inodes, count))
			continue;
		read_command(out, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static const struct {
	const char *command, *product, *unit;
} products[] = {
	{"master", "Postfix", "postfix"},
	{"exim4", "Exim", "exim4"},
	{"exim", "Exim", "exim"},
	{"sendmail", "sendmail", "sendmail"},
	{"sendmail-mta", "sendmail", "sendmail"},
	{"smtpd", "OpenSMTPD", "opensmtpd"},
	{"dovecot", "Dovecot", "dovecot"},
	{"couriertcpd", "Courier", "courier-mta"},
	{"tcpserver", "qmail", "qmail"},
	{"stalwart", "Stalwart", "stalwart"},
	{"stalwart-mail", "Stalwart", "stalwart-mail"},
	{"pabal", "Pabal", "pabal"},
};

static int explain_taken(const char *address, uint16_t port, struct error *err)
{
	struct owner owner;

	find_owner(port, &owner);
	if (owner.pid == 0)
		return error_set(err, ERR_EXISTS,
			TEXT("port %u on %s is taken by another process (only root can see by "
			     "which)"),
			port, address);
	for (size_t i = 0; i < ARRAY_SIZE(products); i++)
		if (strcmp(products[i].command, owner.command) == 0)
			return error_set(err, ERR_EXISTS,
				TEXT("port %u on %s is taken by %s (process %lu, %s); stop it with "
				     "\"systemctl disable --now %s\" or choose another port"),
				port, address, products[i].product, owner.pid, owner.command,
				products[i].unit);
	return error_set(err, ERR_EXISTS,
		TEXT("port %u on %s is taken by process %lu (%s); stop it or choose another port"),
		port, address, owner.pid, owner.command);
}

static int explain(const struct ipaddr *address, uint16_t port, struct error *err)
{
	char text[IPADDR_TEXT_MAX];
	int number = errno;

	ipaddr_format(address, text);
	if (number == EADDRINUSE)
		return explain_taken(text, port, err);
	if (number == EADDRNOTAVAIL)
		return error_set(err, ERR_NOT_FOUND,
			TEXT("this machine has no address %s (port %u)"), text, port);
	if ((number == EACCES || number == EPERM) && port < 1024)
		return error_set(err, ERR_DENIED,
			TEXT("cannot open port %u on %s: ports below 1024 are for root"), port,
			text);
	errno = number;
	return error_system(err, TEXT("cannot open port %u on %s"), port, text);
}

// ---- opening
int listener_open(const struct ipaddr *address, uint16_t port, int *out_fd, struct error *err)
{
	int family = address->family == 6 ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage to;
	struct ipaddr where = *address;
	int on = 1;

	*out_fd = -1;
	if (where.family == 0)
		where.family = 4;
	socklen_t len = ipaddr_to_sockaddr(&where, port, &to);
	if (fd < 0)
		return explain(&where, port, err);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if ((family == AF_INET6 &&
		    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
		bind(fd, (struct sockaddr *)&to, len) != 0 || listen(fd, BACKLOG) != 0) {
		int result = explain(&where, port, err);
		fd_close(&fd);
		return result;
	}
	*out_fd = fd;
	return 0;
}

// 0: nothing is there any more; otherwise words.
static int remove_old_socket(const char *path, const struct sockaddr_un *to, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : error_system(err, TEXT("cannot look at %s"), path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ERR_EXISTS, TEXT("%s is in the way: it is no socket"), path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_system(err, TEXT("cannot make a socket"));
	int answer = connect(fd, (const struct sockaddr *)to, sizeof(*to));
	int number = errno;
	fd_close(&fd);
	if (answer == 0 || number != ECONNREFUSED)
		return error_set(err, ERR_EXISTS, TEXT("another process answers on %s"), path);
	if (unlink(path) != 0 && errno != ENOENT)
		return error_system(err, TEXT("cannot remove the old socket %s"), path);
	return 0;
}

int listener_open_unix(const char *path, unsigned mode, int *out_fd, struct error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = -1;

	*out_fd = -1;
	if (!str_copy(str_from(path), to.sun_path, sizeof(to.sun_path)))
		return error_set(err, ERR_LIMIT,
			TEXT("the path of a socket has at most %zu octets: %s"),
			sizeof(to.sun_path) - 1, path);
	int result = remove_old_socket(path, &to, err);
	if (result)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	// Nobody can connect before listen, so the rights are right from the first moment.
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
		chmod(path, (mode_t)mode) != 0 || listen(fd, BACKLOG) != 0) {
		result = error_system(err, TEXT("cannot open the socket %s"), path);
		fd_close(&fd);
		return result;
	}
	*out_fd = fd;
	return 0;
}

// ---- accepting
struct listener {
	uv_poll_t poll;
	uv_timer_t pause;
	int fd;
	unsigned open_handles;
	listener_accepted accepted;
	void *arg;
	uint64_t reported_ms; // a shortage is reported once a minute
};

static void socket_ready(uv_poll_t *handle, int status, int events);

static void pause_over(uv_timer_t *timer)
{
	struct listener *l = timer->data;

	uv_poll_start(&l->poll, UV_READABLE, socket_ready);
}

// Without descriptors or memory the socket would stay ready: wait a little instead of spinning.
static void wait_after_shortage(struct listener *l, int number)
{
	uint64_t now = clock_monotonic_ms();

	uv_poll_stop(&l->poll);
	uv_timer_start(&l->pause, pause_over, SHORTAGE_MS, 0);
	if (l->reported_ms && now - l->reported_ms < 60000)
		return;
	l->reported_ms = now;
	event_report(EVENT_ERROR, "limit", "cannot accept a connection: %s", strerror(number));
}

static void socket_ready(uv_poll_t *handle, int status, int events)
{
	struct listener *l = handle->data;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct ipaddr peer;
	uint16_t port;

	if (status < 0) { // libuv has stopped the handle
		wait_after_shortage(l, -status);
		return;
	}
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		ipaddr_from_sockaddr((struct sockaddr *)&from, &peer, &port);
		l->accepted(l->arg, fd, &peer, port);
		return;
	}
	switch (errno) {
	case EAGAIN: // another worker was faster
	case EINTR:
	case ECONNABORTED: // gone before we looked
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPERM: // a firewall rule
		break;
	default:
		wait_after_shortage(l, errno);
	}
}

struct listener *listener_start(uv_loop_t *loop, int fd, listener_accepted accepted, void *arg)
{
	struct listener *l = mem_alloc(sizeof(*l));

	l->fd = fd;
	l->accepted = accepted;
	l->arg = arg;
	l->open_handles = 2;
	if (uv_poll_init(loop, &l->poll, fd) != 0)
		fatal("cannot watch the listening descriptor %d", fd);
	uv_timer_init(loop, &l->pause);
	l->poll.data = l->pause.data = l;
	uv_poll_start(&l->poll, UV_READABLE, socket_ready);
	return l;
}

static void handle_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	if (--l->open_handles == 0)
		mem_free(l);
}

void listener_stop(struct listener *l)
{
	if (!l)
		return;
	uv_close((uv_handle_t *)&l->poll, handle_closed);
	uv_close((uv_handle_t *)&l->pause, handle_closed);
}
