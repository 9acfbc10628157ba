// SPDX-License-Identifier: ISC
// Master's side of building a configuration: starts the builder, opens the files it asks for
// (and reads none of them), takes the sealed parts.
#include "role/master_internal.h"

#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "role/grant.h"
#include "role/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_TIME_MS 60000
#define ASKS_MAX      20000 // a thousand included files and as many certificates are far fewer

struct builder {
	struct master *master;
	pid_t pid;
	struct ipc_channel *channel;
	uv_timer_t timer;
	snapshot_done done;
	struct snapshot *snapshot;
	struct sources sources;
	struct grant *grant;
	unsigned asks;
	bool denied;        // it asked for a file that nobody named; said once
	struct buf findings;
	bool finished;      // findings came
	unsigned errors;
};

void snapshot_destroy(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < MASTER_ROLES_MAX; i++)
		fd_close(&s->fds[i]);
	config_destroy(s->config);
	if (s->mapping)
		munmap(s->mapping, s->mapping_size);
	mem_free(s);
}

static struct snapshot *snapshot_create(void)
{
	struct snapshot *s = mem_alloc(sizeof *s);
	for (size_t i = 0; i < MASTER_ROLES_MAX; i++)
		s->fds[i] = -1;
	return s;
}

static void free_builder(uv_handle_t *timer)
{
	struct builder *b = timer->data;
	buf_finish(&b->findings);
	watch_sources_finish(&b->sources);
	grant_destroy(b->grant);
	mem_free(b);
}

// The one end of a build, however it came about.
static void end_build(struct builder *b)
{
	struct master *m = b->master;
	struct snapshot *s = b->snapshot;
	b->snapshot = NULL;
	m->builder = NULL;
	ipc_channel_close(b->channel);
	bool good = b->finished && !b->errors && s->config;
	if (!b->finished)
		buf_add_text(&b->findings,
			TEXT("the configuration builder ended without a result; the log says why\n"));
	if (good) {
		s->generation = ++m->next_generation;
		s->config->generation = s->generation;
	}
	// What decided against a configuration can change its fate: it is watched as well.
	if (b->finished)
		watch_sources(m, &b->sources);
	b->done(m, good ? s : NULL, buf_cstr(&b->findings));
	if (!good)
		snapshot_destroy(s);
	uv_close((uv_handle_t *)&b->timer, free_builder);
}

// ---- files for the builder
// Whom a group of writers is no wider than: root, the administrators, and without root the user
// itself, who on most systems has a group of its own.
static bool may_write(gid_t group)
{
	if (group == 0 || (geteuid() != 0 && group == getegid()))
		return true;
	const struct group *admins = getgrnam(CONTROL_GROUP);
	return admins && group == admins->gr_gid;
}

// Who may write to a configuration decides about the server; who may read a key owns its name.
int snapshot_check_rights(int fd, const char *path, bool secret, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_system(err, TEXT("cannot look at %s"), path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_DENIED, TEXT("%s is not a file"), path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(err, ERR_DENIED,
			TEXT("%s belongs to user %u; it must belong to root or to the user of the server"),
			path, (unsigned)st.st_uid);
	if (st.st_mode & S_IWOTH)
		return error_set(err, ERR_DENIED, TEXT("%s can be written by everybody: chmod o-w %s"), path,
			path);
	if (secret && (st.st_mode & 027))
		return error_set(err, ERR_DENIED,
			TEXT("%s holds a secret and can be read or changed by others: chmod 0600 %s"),
			path, path);
	if ((st.st_mode & S_IWGRP) && !may_write(st.st_gid))
		return error_set(err, ERR_DENIED,
			TEXT("%s can be written by group %u; only root and " CONTROL_GROUP
			     " may: chmod g-w %s"), path, (unsigned)st.st_gid, path);
	return 0;
}

static int check_ask(struct builder *b, const char *path, struct error *err)
{
	if (b->asks++ >= ASKS_MAX)
		return error_set(err, ERR_LIMIT, TEXT("more than %d files"), ASKS_MAX);
	int result = grant_check(b->grant, path, err);
	if (result && !b->denied)
		event_report(EVENT_ERROR, "config",
			"the configuration builder asked for %s, which no configuration file names", path);
	b->denied |= result != 0;
	return result;
}

// The descriptor, or an error with words.
static int open_for(struct builder *b, const char *path, bool secret, struct error *err)
{
	int result = check_ask(b, path, err);
	if (result)
		return result;
	// Also what is missing is watched: it may appear.
	watch_source_add(&b->sources, path);
	// O_NONBLOCK: a FIFO in place of a file must not stop the master.
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_system(err, TEXT("cannot open %s"), path);
	result = snapshot_check_rights(fd, path, secret, err);
	if (result) {
		fd_close(&fd);
		return result;
	}
	if (!secret)
		grant_remember(b->grant, path, fd);
	return fd;
}

static void on_read_file(void *arg, struct str body, int unexpected)
{
	struct builder *b = arg;
	struct ipc_read_file ask;
	fd_close(&unexpected);
	if (ipc_decode_read_file(body, &ask))
		return;
	char path[4096];
	struct error err = {0};
	int fd;
	if (!str_copy(ask.path, path, sizeof path) || path[0] == '\0')
		fd = error_set(&err, ERR_LIMIT, TEXT("a file name is too long"));
	else
		fd = open_for(b, path, ask.secret, &err);
	struct ipc_file answer = {.request = ask.request, .err = fd < 0 ? (uint32_t)-fd : 0,
		.text = str_from(err.text)};
	(void)ipc_send_file_fd(b->channel, &answer, fd < 0 ? -1 : fd);
	fd_close(&fd);
}

static bool is_sealed(int fd)
{
	int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & need) == need;
}

static void keep_own_part(struct snapshot *s, int fd, size_t size)
{
	s->mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (s->mapping == MAP_FAILED) {
		s->mapping = NULL;
		return;
	}
	s->mapping_size = size;
	if (config_decode(str_make(s->mapping, size), &s->config))
		s->config = NULL;
}

static void on_built(void *arg, struct str body, int fd)
{
	struct builder *b = arg;
	struct ipc_built m;
	struct stat st;
	if (ipc_decode_built(body, &m) || fd < 0 || !is_sealed(fd) || fstat(fd, &st) < 0 ||
		st.st_size < 0 || (uint64_t)st.st_size != m.size || m.size == 0) {
		fd_close(&fd);
		return;
	}
	if (m.for_role == CONFIG_FOR_MASTER && !b->snapshot->mapping)
		keep_own_part(b->snapshot, fd, m.size);
	for (size_t i = 0; i < role_count; i++)
		if (roles[i].config_for == m.for_role && b->snapshot->fds[i] < 0) {
			b->snapshot->fds[i] = fd;
			b->snapshot->sizes[i] = m.size;
			return;
		}
	fd_close(&fd);
}

static void on_findings(void *arg, struct str body, int fd)
{
	struct builder *b = arg;
	struct ipc_findings m;
	fd_close(&fd);
	if (ipc_decode_findings(body, &m))
		return;
	b->finished = true;
	b->errors = m.errors;
	buf_add_str(&b->findings, m.text);
}

static const ipc_handler from_builder[IPC_TYPES] = {
	[IPC_TYPE_read_file] = on_read_file,
	[IPC_TYPE_built] = on_built,
	[IPC_TYPE_findings] = on_findings,
};

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_builder, arg, type, body, fd);
}

static void on_close(struct ipc_channel *ch, void *arg)
{
	(void)ch;
	end_build(arg);
}

static void on_timeout(uv_timer_t *timer)
{
	struct builder *b = timer->data;
	kill(b->pid, SIGKILL); // the channel closes with it
}

// ---- start
bool snapshot_building(const struct master *m)
{
	return m->builder != NULL;
}

int snapshot_build(struct master *m, snapshot_done done, struct error *err)
{
	const char *const argv[] = {"pabal", "builder", m->config_path, NULL};
	pid_t pid;
	int socket;
	int result = spawn_process(m->binary, argv, &pid, &socket, err);
	if (result)
		return result;
	struct builder *b = mem_alloc(sizeof *b);
	b->master = m;
	b->pid = pid;
	b->done = done;
	b->snapshot = snapshot_create();
	b->grant = grant_create(m->config_path);
	b->channel = ipc_channel_open(&m->loop, socket, on_frame, on_close, b);
	uv_timer_init(&m->loop, &b->timer);
	b->timer.data = b;
	uv_timer_start(&b->timer, on_timeout, BUILD_TIME_MS, 0);
	m->builder = b;
	return 0;
}
