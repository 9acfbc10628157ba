// SPDX-License-Identifier: ISC
// The descriptors master holds for the family: listening sockets, control sockets, folders, log.
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSLOG_RENEW_MS 1000

// ---- listening sockets
static struct socket_entry *find_socket(struct master *m, const struct ipaddr *a, uint16_t port)
{
	for (size_t i = 0; i < m->socket_count; i++)
		if (m->sockets[i].port == port && m->sockets[i].address.family == a->family &&
			ipaddr_equal(&m->sockets[i].address, a))
			return &m->sockets[i];
	return NULL;
}

static int open_socket(struct master *m, const struct ipaddr *a, uint16_t port, struct error *err)
{
	struct socket_entry *found = find_socket(m, a, port);
	if (found) {
		found->wanted = true;
		return 0;
	}
	int fd;
	int result = listener_open(a, port, &fd, err);
	if (result)
		return result;
	m->sockets = mem_resize(m->sockets, (m->socket_count + 1) * sizeof *m->sockets);
	m->sockets[m->socket_count++] =
		(struct socket_entry){.address = *a, .port = port, .fd = fd, .wanted = true};
	return 0;
}

// "*" is two sockets: IPv4, and IPv6 alone; a machine without IPv6 serves with the first.
static const struct ipaddr any4 = {.family = 4}, any6 = {.family = 6};

static bool have_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool have = fd >= 0;
	fd_close(&fd);
	return have;
}

static int open_listen(struct master *m, const struct config_listen *l, struct error *err)
{
	if (l->address.family)
		return open_socket(m, &l->address, l->port, err);
	int result = open_socket(m, &any4, l->port, err);
	if (!result && have_ipv6())
		result = open_socket(m, &any6, l->port, err);
	return result;
}

int sockets_open_all(struct master *m, const struct config *config, struct error *err)
{
	for (size_t i = 0; i < m->socket_count; i++)
		m->sockets[i].wanted = false;
	for (size_t s = 0; s < config->server_count; s++)
		for (size_t l = 0; l < config->servers[s].listen_count; l++) {
			int result = open_listen(m, &config->servers[s].listens[l], err);
			if (result)
				return result;
		}
	return 0;
}

void sockets_close_unwanted(struct master *m)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->socket_count; i++) {
		if (m->sockets[i].wanted)
			m->sockets[kept++] = m->sockets[i];
		else
			fd_close(&m->sockets[i].fd);
	}
	m->socket_count = kept;
}

static void send_listener(struct child *c, unsigned server, unsigned listen, const struct ipaddr *a,
	uint16_t port)
{
	const struct socket_entry *found = find_socket(c->master, a, port);
	struct ipc_listener m = {.server = server, .listen = listen};
	if (found)
		(void)ipc_send_listener_fd(c->channel, &m, found->fd);
}

void sockets_send_listeners(struct master *m, struct child *c)
{
	const struct config *config = m->snapshot->config;
	for (unsigned s = 0; s < config->server_count; s++)
		for (unsigned l = 0; l < config->servers[s].listen_count; l++) {
			const struct config_listen *listen = &config->servers[s].listens[l];
			if (listen->address.family) {
				send_listener(c, s, l, &listen->address, listen->port);
				continue;
			}
			send_listener(c, s, l, &any4, listen->port);
			send_listener(c, s, l, &any6, listen->port);
		}
}

// ---- folders
static int make_folder(struct master *m, const char *path, unsigned mode, const char *owner,
	struct error *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_system(err, TEXT("cannot make the folder %s"), path);
	if (!m->as_root)
		return 0;
	struct confine_user user = {0, 0};
	int result = owner ? confine_find_user(owner, &user, err) : 0;
	if (result)
		return result;
	// lchown: a link planted in its place must not be followed.
	if (lchown(path, user.uid, user.gid) < 0 || chmod(path, mode) < 0)
		return error_system(err, TEXT("cannot set owner and rights of %s"), path);
	return 0;
}

// One server a state folder. The lock is on a folder in it, so that it needs no room on a full disk
// and ends with us; on one that others cannot open, as they could lock it too. A file system that
// cannot lock leaves it to the databases.
static int lock_state(struct master *m, const struct config *config, const char *path, struct error *err)
{
	if (m->state_lock >= 0)
		return 0;
	m->state_lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->state_lock < 0)
		return error_system(err, TEXT("cannot open the folder %s"), path);
	if (flock(m->state_lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	fd_close(&m->state_lock);
	return error_set(err, ERR_EXISTS,
		TEXT("another server runs on the folder %.*s; stop it first, or set another "
			"state-folder"),
		STR_ARG(config->state_folder));
}

int sockets_make_folders(struct master *m, const struct config *config, struct error *err)
{
	static const struct {
		const char *below; // in the state folder
		unsigned mode;
		const char *owner;
		bool locked;
	} folders[] = {
		{"", 0755, NULL, false}, {"/queue", 0700, "pabal-queue", true}, {"/empty", 0755, NULL, false},
		{"/tls", 0755, NULL, false}, {"/auth", 0700, "pabal-auth", false},
		{"/mail", 0700, "pabal-mail", false},
	};
	char path[1100];
	int result = 0;
	for (size_t i = 0; i < ARRAY_SIZE(folders) && !result; i++) {
		snprintf(path, sizeof path, "%.*s%s", STR_ARG(config->state_folder), folders[i].below);
		result = make_folder(m, path, folders[i].mode, folders[i].owner, err);
		if (!result && folders[i].locked)
			result = lock_state(m, config, path, err);
	}
	if (!result) {
		snprintf(path, sizeof path, "%.*s", STR_ARG(config->run_folder));
		result = make_folder(m, path, 0755, NULL, err);
	}
	return result;
}

// ---- log
static int connect_syslog(int fd)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	return connect(fd, (struct sockaddr *)&to, sizeof to);
}

static int open_syslog(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect_syslog(fd) < 0)
		fd_close(&fd);
	return fd;
}

// Who reads /dev/log makes it anew when it is started again. Every role writes through this one
// socket, so it is enough that we, who can see the name, connect it once more; what is lost
// meanwhile is counted by who lost it.
struct renewal {
	uv_timer_t timer;
	struct master *master;
	int fd;
};

static void on_renewal_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static void on_renewal(uv_timer_t *timer)
{
	struct renewal *r = timer->data;
	if (r->master->log_fd == r->fd && r->master->log_sink == EVENT_SINK_SYSLOG)
		(void)!connect_syslog(r->fd); // else it stays as it is
	else
		uv_close((uv_handle_t *)timer, on_renewal_closed); // another log since then
}

static void keep_connected(struct master *m)
{
	struct renewal *r = mem_alloc(sizeof *r);
	r->master = m;
	r->fd = m->log_fd;
	r->timer.data = r;
	uv_timer_init(&m->loop, &r->timer);
	uv_timer_start(&r->timer, on_renewal, SYSLOG_RENEW_MS, SYSLOG_RENEW_MS);
	uv_unref((uv_handle_t *)&r->timer);
}

// Opened anew at each generation, so that a rotated file is let go by `pabal reload`.
int sockets_open_log(struct master *m, const struct config *config, struct error *err)
{
	int fd = STDERR_FILENO;
	uint8_t sink = EVENT_SINK_LINES;
	char path[1100];
	if (config->log.to == CONFIG_LOG_FILE) {
		snprintf(path, sizeof path, "%.*s", STR_ARG(config->log.file));
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
		if (fd < 0)
			return error_system(err, TEXT("cannot open the log %s"), path);
	} else if (config->log.to == CONFIG_LOG_SYSLOG) {
		fd = open_syslog();
		if (fd < 0)
			return error_system(err, TEXT("cannot reach the system log at /dev/log"));
		sink = EVENT_SINK_SYSLOG;
	}
	if (m->log_fd > STDERR_FILENO)
		fd_close(&m->log_fd);
	m->log_fd = fd;
	m->log_sink = sink;
	if (sink == EVENT_SINK_SYSLOG)
		keep_connected(m);
	event_setup("master", fd, sink, config->log.json ? EVENT_JSON : EVENT_KEY_VALUE,
		(enum event_level)config->log.level);
	return 0;
}

void sockets_send_log(struct master *m, struct child *c)
{
	const struct config *config = m->snapshot->config;
	struct ipc_log log = {.sink = m->log_sink, .json = config->log.json,
		.level = (uint8_t)config->log.level};
	(void)ipc_send_log_fd(c->channel, &log, m->log_fd);
}

// ---- control sockets
static int open_control(struct master *m, const char *name, int *out_fd, struct error *err)
{
	char path[1200];
	snprintf(path, sizeof path, "%.*s/%s", STR_ARG(m->snapshot->config->run_folder), name);
	int result = listener_open_unix(path, 0660, out_fd, err);
	if (!result && m->control_group != CONTROL_NO_GROUP &&
		chown(path, (uid_t)-1, m->control_group) < 0)
		event_report(EVENT_WARNING, "config", "cannot give %s to group " CONTROL_GROUP ": %s", path,
			strerror(errno));
	return result;
}

int sockets_open_control(struct master *m, struct error *err)
{
	const struct group *admins = m->as_root ? getgrnam(CONTROL_GROUP) : NULL;
	m->control_group = admins ? admins->gr_gid : CONTROL_NO_GROUP;
	int result = open_control(m, "master.sock", &m->control_fd, err);
	for (size_t i = 0; i < role_count && !result; i++)
		if (roles[i].control)
			result = open_control(m, roles[i].control, &m->control_fds[i], err);
	return result;
}

static void remove_control(struct master *m, const char *name, int *fd)
{
	char path[1200];
	if (*fd < 0)
		return;
	snprintf(path, sizeof path, "%.*s/%s", STR_ARG(m->snapshot->config->run_folder), name);
	(void)unlink(path);
	fd_close(fd);
}

void sockets_close_all(struct master *m)
{
	for (size_t i = 0; i < m->socket_count; i++)
		fd_close(&m->sockets[i].fd);
	mem_free(m->sockets);
	m->sockets = NULL;
	m->socket_count = 0;
	for (size_t i = 0; i < role_count; i++)
		if (roles[i].control)
			remove_control(m, roles[i].control, &m->control_fds[i]);
	remove_control(m, "master.sock", &m->control_fd);
	public_socket_close(m);
}

// ---- handing over to a child that starts
static void send_state_folder(struct master *m, struct child *c)
{
	char path[1200];
	snprintf(path, sizeof path, "%.*s/%s", STR_ARG(m->snapshot->config->state_folder), c->role->name);
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct ipc_folder folder = {.name = STR("state")};
	if (fd >= 0)
		(void)ipc_send_folder_fd(c->channel, &folder, fd);
	fd_close(&fd);
}

void sockets_hand_over(struct master *m, struct child *c)
{
	const struct role *role = c->role;
	size_t i = (size_t)(role - roles);
	sockets_send_log(m, c);
	if (role->root == ROLE_ROOT_STATE)
		send_state_folder(m, c);
	if (role->control) {
		struct ipc_control control = {.group = m->control_group};
		(void)ipc_send_control_fd(c->channel, &control, m->control_fds[i]);
	}
	if (role->folder)
		public_socket_send(m, c);
	if (role->tickets) {
		struct ipc_tickets t = {.current = str_make(m->tickets.current, 32),
			.previous = str_make(m->tickets.previous, 32)};
		(void)ipc_send_tickets(c->channel, &t);
	}
	if (role->listeners)
		sockets_send_listeners(m, c);
}
