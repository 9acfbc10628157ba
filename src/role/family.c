// SPDX-License-Identifier: ISC
// The children of master: starting, introducing to each other, watching, restarting, stopping.
#include "role/master_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "role/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS 30000
#define STEADY_MS 60000          // lived that long: the next restart is quick again
#define DRAIN_RELOAD_MS 600000
#define DRAIN_STOP_MS 5000
#define SLOT_FIRST 2             // 0 is master, 1 is for commands with the server stopped
#define SLOTS 64
#define CHILDREN_MANY 48         // then the oldest generation that drains has to hurry

static void start_child(struct place *p);

// ---- finding
struct child *family_child(const struct master *m, const char *role, unsigned index)
{
	for (size_t i = 0; i < m->place_count; i++)
		if (m->places[i].index == index && !strcmp(m->places[i].role->name, role))
			return m->places[i].child;
	return NULL;
}

bool family_needs(const struct place *p)
{
	return !p->role->needed || p->role->needed(p->master->snapshot->config);
}

bool family_ready(const struct master *m)
{
	for (size_t i = 0; i < m->place_count; i++) {
		const struct place *p = &m->places[i];
		if (family_needs(p) && (!p->child || p->child->state != CHILD_READY))
			return false;
	}
	return true;
}

bool family_in_force(const struct master *m)
{
	LIST_EACH(link, &m->children) {
		const struct child *c = LIST_ENTRY(link, struct child, link);
		if (c->channel && c->generation != m->snapshot->generation)
			return false;
	}
	return true;
}

static unsigned free_slot(const struct master *m)
{
	uint64_t used = 0;
	LIST_EACH(link, &m->children)
		used |= 1ULL << LIST_ENTRY(link, struct child, link)->slot;
	for (unsigned slot = SLOT_FIRST; slot < SLOTS; slot++)
		if (!(used & (1ULL << slot)))
			return slot;
	return SLOTS - 1; // more processes than slots: ids still sort, two could meet in a millisecond
}

// ---- introductions
static bool has_peer(const struct role *role, const char *name)
{
	for (const char *const *p = role->peers; p && *p; p++)
		if (!strcmp(*p, name))
			return true;
	return false;
}

static void introduce(struct child *a, struct child *b)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		event_report(EVENT_ERROR, "role", "cannot connect %s and %s: %s", a->role->name,
			b->role->name, strerror(errno));
		return;
	}
	struct ipc_peer to_a = {.role = str_from(b->role->name), .index = b->index};
	struct ipc_peer to_b = {.role = str_from(a->role->name), .index = a->index};
	(void)ipc_send_peer_fd(a->channel, &to_a, pair[0]);
	(void)ipc_send_peer_fd(b->channel, &to_b, pair[1]);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

// Whoever drains still needs the services; nobody needs one that drains.
static void introduce_to_all(struct master *m, struct child *new)
{
	LIST_EACH(link, &m->children) {
		struct child *other = LIST_ENTRY(link, struct child, link);
		if (other == new || !other->channel)
			continue;
		if (has_peer(new->role, other->role->name) && other->state != CHILD_DRAINING)
			introduce(new, other);
		else if (has_peer(other->role, new->role->name))
			introduce(other, new);
	}
}

// ---- what children say
static void send_drain(struct child *c, uint64_t within_ms)
{
	struct ipc_drain m = {.within_ms = within_ms};
	c->state = CHILD_DRAINING;
	pulse_expect_end(c, within_ms);
	if (c->channel)
		(void)ipc_send_drain(c->channel, &m);
}

static size_t role_index(const struct role *role)
{
	return (size_t)(role - roles);
}

static void send_config(struct master *m, struct child *c)
{
	size_t i = role_index(c->role);
	if (c->role->tables)
		follow_send(c, true);
	struct ipc_config part = {.generation = m->snapshot->generation, .size = m->snapshot->sizes[i]};
	(void)ipc_send_config_fd(c->channel, &part, m->snapshot->fds[i]);
}

// Slots and memory are bounded, however often somebody reloads.
static void hurry_oldest(struct master *m)
{
	unsigned count = 0;
	LIST_EACH(link, &m->children)
		count++;
	LIST_EACH(link, &m->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		if (count-- <= CHILDREN_MANY)
			break;
		if (c->state == CHILD_DRAINING && !c->hurried) {
			c->hurried = true;
			send_drain(c, DRAIN_STOP_MS);
		}
	}
}

// An old generation: its sessions go on under the rights of the new one from their next MAIL.
static void retire(struct child *old)
{
	if (old->channel)
		send_config(old->master, old);
	send_drain(old, DRAIN_RELOAD_MS);
	hurry_oldest(old->master);
}

static void on_ready(void *arg, struct str body, int fd)
{
	struct child *c = arg;
	struct master *m = c->master;
	struct ipc_ready ready;
	fd_close(&fd);
	if (ipc_decode_ready(body, &ready))
		return;
	c->generation = ready.generation;
	if (c->state == CHILD_STARTING)
		c->state = CHILD_READY;
	// Only now that the new generation answers may the old one stop taking connections.
	if (c->place && c->place->draining && c->state == CHILD_READY) {
		retire(c->place->draining);
		c->place->draining = NULL;
	}
	if (!m->serving && family_ready(m)) {
		m->serving = true;
		event_report(EVENT_INFO, "role", "serving; configuration generation %llu",
			(unsigned long long)m->snapshot->generation);
		notify_system("READY=1");
	}
	master_child_changed(m);
}

static void on_failed(void *arg, struct str body, int fd)
{
	struct child *c = arg;
	struct ipc_failed failed;
	fd_close(&fd);
	if (!ipc_decode_failed(body, &failed))
		event_report(EVENT_ERROR, "role", "%s cannot serve: %.*s", c->role->name,
			STR_ARG(failed.text));
}

static int connect_unix(struct str path, struct error *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (path.len == 0 || path.len >= sizeof to.sun_path)
		return error_set(err, ERR_LIMIT, TEXT("the path of a socket is empty or too long"));
	memcpy(to.sun_path, path.data, path.len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_system(err, TEXT("cannot make a socket"));
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	int result = error_system(err, TEXT("cannot connect to %s"), to.sun_path);
	close(fd);
	return result;
}

// Never a path from the role: it names a destination of the configuration by number.
static struct str destination_path(const struct config *c, struct str kind, unsigned index)
{
	if (str_equal(kind, STR("auth")))
		return c->auth.socket;
	if (str_equal(kind, STR("lmtp")) && index < c->route_count &&
		c->routes[index].kind == CONFIG_ROUTE_LMTP_SOCKET)
		return c->routes[index].host;
	return STR_EMPTY;
}

static void on_connect(void *arg, struct str body, int unexpected)
{
	struct child *c = arg;
	struct ipc_connect ask;
	struct error err = {0};
	fd_close(&unexpected);
	if (ipc_decode_connect(body, &ask))
		return;
	int fd = connect_unix(destination_path(c->master->snapshot->config, ask.kind, ask.index), &err);
	struct ipc_connected answer = {.request = ask.request, .err = fd < 0 ? (uint32_t)-fd : 0,
		.text = str_from(err.text)};
	(void)ipc_send_connected_fd(c->channel, &answer, fd < 0 ? -1 : fd);
	fd_close(&fd);
}

static void on_dns_mode(void *arg, struct str body, int fd)
{
	struct child *c = arg;
	struct ipc_dns_mode mode;
	fd_close(&fd);
	if (!ipc_decode_dns_mode(body, &mode))
		str_copy(mode.mode, c->master->dns_mode, sizeof c->master->dns_mode);
}

static void on_pong(void *arg, struct str body, int fd)
{
	(void)body;
	fd_close(&fd);
	pulse_answered(arg);
}

static const ipc_handler from_child[IPC_TYPES] = {
	[IPC_TYPE_pong] = on_pong,
	[IPC_TYPE_ready] = on_ready,
	[IPC_TYPE_failed] = on_failed,
	[IPC_TYPE_connect] = on_connect,
	[IPC_TYPE_dns_mode] = on_dns_mode,
};

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_child, arg, type, body, fd);
}

// A child that closed its channel is dead or broken; either way it has to be reaped.
static void on_close(struct ipc_channel *ch, void *arg)
{
	struct child *c = arg;
	ipc_channel_close(ch);
	c->channel = NULL;
	if (c->state != CHILD_DRAINING)
		kill(c->pid, SIGKILL);
}

// ---- starting
static void hand_over(struct master *m, struct child *c)
{
	char empty[1024];
	snprintf(empty, sizeof empty, "%.*s/empty", STR_ARG(m->snapshot->config->state_folder));
	struct ipc_start start = {.version = IPC_VERSION, .index = c->index, .slot = c->slot,
		.confined = m->as_root, .empty_folder = str_from(empty)};
	(void)ipc_send_start(c->channel, &start);
	send_config(m, c);
	sockets_hand_over(m, c);
	introduce_to_all(m, c);
	struct ipc_go go = {0};
	(void)ipc_send_go(c->channel, &go);
}

static void start_later(struct place *p);

static void start_child(struct place *p)
{
	struct master *m = p->master;
	struct error err = {0};
	const char *const argv[] = {"pabal", "role", p->role->name, NULL};
	pid_t pid;
	int socket;
	if (spawn_process(m->binary, argv, &pid, &socket, &err)) {
		event_report(EVENT_ERROR, "role", "cannot start %s: %s", p->role->name, err.text);
		start_later(p);
		return;
	}
	struct child *c = mem_alloc(sizeof *c);
	c->master = m;
	c->place = p;
	c->role = p->role;
	c->index = p->index;
	c->slot = free_slot(m);
	c->pid = pid;
	c->started_ms = clock_monotonic_ms();
	c->channel = ipc_channel_open(&m->loop, socket, on_frame, on_close, c);
	list_add_last(&m->children, &c->link);
	p->child = c;
	hand_over(m, c);
}

static void on_restart(uv_timer_t *timer)
{
	struct place *p = timer->data;
	if (!p->master->stopping && !p->child && family_needs(p))
		start_child(p);
}

static void start_later(struct place *p)
{
	p->pause_ms = p->pause_ms ? p->pause_ms * 2 : PAUSE_FIRST_MS;
	if (p->pause_ms > PAUSE_LAST_MS)
		p->pause_ms = PAUSE_LAST_MS;
	uv_timer_start(&p->timer, on_restart, p->pause_ms, 0);
}

static unsigned wanted_count(const struct master *m, const struct role *role)
{
	uint64_t n = 1;
	if (role->count == ROLE_PER_CORE_SMTPD)
		n = m->snapshot->config->limits.workers;
	else if (role->count == ROLE_PER_CORE_SENDER)
		n = m->snapshot->config->queue.senders;
	if (n == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);
		n = cores > 0 ? (uint64_t)cores : 1;
	}
	return n > 16 ? 16 : (unsigned)n;
}

void family_make_places(struct master *m)
{
	for (size_t i = 0; i < role_count; i++)
		for (unsigned index = 0; index < wanted_count(m, &roles[i]); index++) {
			struct place *p = &m->places[m->place_count++];
			*p = (struct place){.role = &roles[i], .index = index, .master = m};
			uv_timer_init(&m->loop, &p->timer);
			p->timer.data = p;
		}
}

void family_start(struct master *m)
{
	for (size_t i = 0; i < m->place_count; i++)
		if (!m->places[i].child && family_needs(&m->places[i]))
			start_child(&m->places[i]);
}

// The new configuration has no use for it.
static void dismiss(struct place *p)
{
	uv_timer_stop(&p->timer);
	p->pause_ms = 0;
	if (!p->child)
		return;
	p->child->place = NULL;
	retire(p->child);
	p->child = NULL;
}

// smtpd gets new processes, so that a session lives under one configuration; the others swap.
void family_new_generation(struct master *m, const struct config *before)
{
	// Sessions of all generations before: what was taken away is gone for them as well.
	LIST_EACH(link, &m->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		if (c->state == CHILD_DRAINING && c->channel)
			send_config(m, c);
	}
	for (size_t i = 0; i < m->place_count; i++) {
		struct place *p = &m->places[i];
		struct child *old = p->child;
		if (!family_needs(p)) {
			dismiss(p);
			continue;
		}
		if (!old && p->role->needed && !uv_is_active((uv_handle_t *)&p->timer))
			start_child(p); // nobody needed it before
		if (!old)
			continue; // a restart is on its way and will get the new one
		if (p->role->anew && p->role->anew(before, m->snapshot->config)) {
			event_report(EVENT_INFO, "role", "%s[%u] starts anew: the new configuration "
							 "needs what it has not loaded",
				p->role->name, p->index);
			old->renewed = true;
			send_drain(old, DRAIN_STOP_MS);
			continue;
		}
		if (!p->role->generations) {
			send_config(m, old);
			sockets_send_log(m, old);
			continue;
		}
		old->place = NULL;
		// One that never became ready has no connections; it can go at once.
		if (p->draining)
			retire(old);
		else
			p->draining = old;
		start_child(p);
	}
}

// ---- ending
static void say_how_it_ended(const struct child *c, int status)
{
	char name[64];
	snprintf(name, sizeof name, "%s[%u]", c->role->name, c->index);
	if (WIFSIGNALED(status))
		event_report(EVENT_ERROR, "role", "%s was ended by signal %d (%s); it is started again",
			name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		event_report(EVENT_ERROR, "role", "%s ended with status %d; it is started again", name,
			WEXITSTATUS(status));
}

static void child_ended(struct child *c, int status)
{
	struct master *m = c->master;
	struct place *p = c->place;
	bool expected = m->stopping || c->state == CHILD_DRAINING || c->killed;
	list_remove(&c->link);
	ipc_channel_close(c->channel);
	for (size_t i = 0; i < m->place_count; i++)
		if (m->places[i].draining == c)
			m->places[i].draining = NULL;
	if (!expected)
		say_how_it_ended(c, status);
	if (p && p->child == c) {
		p->child = NULL;
		if (clock_monotonic_ms() - c->started_ms > STEADY_MS)
			p->pause_ms = 0;
		if (!m->stopping && c->renewed && family_needs(p)) {
			start_child(p);
		} else if (!m->stopping) {
			p->restarts++;
			start_later(p);
		}
	}
	mem_free(c);
	if (m->stopping)
		family_stop(m);
	else
		master_child_changed(m);
}

void family_reap(struct master *m)
{
	// Only our own children, one by one: a builder's status is of no interest, but it is reaped.
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return;
		LIST_EACH(link, &m->children) {
			struct child *c = LIST_ENTRY(link, struct child, link);
			if (c->pid == pid) {
				child_ended(c, status);
				break;
			}
		}
	}
}

// ---- stopping: first those who take mail, then those who deliver, the queue when nobody
// sends to it any more.
static const char *const stop_order[][4] = {
	{"smtpd", NULL},
	{"sender", "local", "auth", NULL},
	{"queue", "source", "checker", NULL},
	{"resolver", NULL},
};

static unsigned stop_rank(const struct role *role)
{
	for (unsigned step = 0; step < ARRAY_SIZE(stop_order); step++)
		for (const char *const *name = stop_order[step]; *name; name++)
			if (!strcmp(*name, role->name))
				return step;
	return ARRAY_SIZE(stop_order) - 1;
}

static void on_stop_timeout(uv_timer_t *timer)
{
	struct master *m = timer->data;
	LIST_EACH(link, &m->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		if (stop_rank(c->role) < m->stop_step) {
			event_report(EVENT_WARNING, "role", "%s[%u] did not stop in time and is killed",
				c->role->name, c->index);
			kill(c->pid, SIGKILL);
		}
	}
}

void family_stop(struct master *m)
{
	for (;;) {
		bool alive = false;
		LIST_EACH(link, &m->children)
			alive |= stop_rank(LIST_ENTRY(link, struct child, link)->role) < m->stop_step;
		if (alive)
			return; // child_ended comes back here
		if (m->stop_step == ARRAY_SIZE(stop_order))
			break;
		LIST_EACH(link, &m->children) {
			struct child *c = LIST_ENTRY(link, struct child, link);
			if (stop_rank(c->role) == m->stop_step)
				send_drain(c, DRAIN_STOP_MS);
		}
		m->stop_step++;
		uv_timer_start(&m->stop_timer, on_stop_timeout, DRAIN_STOP_MS + 3000, 0);
	}
	uv_stop(&m->loop);
}
