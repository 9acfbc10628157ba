// SPDX-License-Identifier: ISC
// Master's side of building a configuration or tables: starts the builder, opens the files it asks
// for (and reads none of them), takes the sealed parts. Tables are made by a builder of their own,
// which sees no secret of the configuration: their files may belong to other programs.
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
	snapshot_done done;     // of a configuration
	struct snapshot *snapshot;
	tables_made made_done;  // of tables
	struct tables_file made;
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
	fd_close(&s->own_fd);
	fd_close(&s->tables.fd);
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
	s->own_fd = s->tables.fd = -1;
	return s;
}

static void free_builder(uv_handle_t *timer)
{
	struct builder *b = timer->data;
	buf_finish(&b->findings);
	fd_close(&b->made.fd);
	watch_sources_finish(&b->sources);
	grant_destroy(b->grant);
	mem_free(b);
}

static void say_unfinished(struct builder *b)
{
	if (!b->finished)
		buf_add_text(&b->findings,
			TEXT("the configuration builder ended without a result; the log says why\n"));
}

static void end_tables(struct builder *b)
{
	struct tables_file made = b->made;
	b->made.fd = -1;
	ipc_channel_close(b->channel);
	say_unfinished(b);
	if (made.fd < 0 && !b->errors)
		b->errors = 1;
	if (b->errors)
		fd_close(&made.fd);
	b->made_done(b->master, &made, &b->sources, b->errors, buf_cstr(&b->findings));
	uv_close((uv_handle_t *)&b->timer, free_builder);
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
	say_unfinished(b);
	if (good) {
		s->generation = ++m->next_generation;
		s->config->generation = s->generation;
	}
	// What decided against a configuration can change its fate: it is watched as well.
	if (b->finished)
		watch_sources(m, &b->sources);
	if (good) {
		follow_complete(m, s, buf_cstr(&b->findings), b->done);
	} else {
		b->done(m, NULL, buf_cstr(&b->findings));
		snapshot_destroy(s);
	}
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

// A table may belong to another program (vpopmail's open relays), which must not lead root to a file
// that is not its own: the target of its link has to be. It may change the name while we look, so
// what was opened and what stands there now must be one.
int snapshot_check_table(int fd, const char *path, struct error *err)
{
	struct stat st, name;
	if (fstat(fd, &st) < 0 || lstat(path, &name) < 0)
		return error_system(err, TEXT("cannot look at %s"), path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_DENIED, TEXT("%s is not a file"), path);
	if (st.st_mode & S_IWOTH)
		return error_set(err, ERR_DENIED, TEXT("%s can be written by everybody: chmod o-w %s"), path,
			path);
	bool linked = S_ISLNK(name.st_mode);
	if (linked && name.st_uid != 0 && name.st_uid != geteuid() && name.st_uid != st.st_uid)
		return error_set(err, ERR_DENIED,
			TEXT("%s is a link of user %u to a file of user %u"), path, (unsigned)name.st_uid,
			(unsigned)st.st_uid);
	if (!linked && (name.st_dev != st.st_dev || name.st_ino != st.st_ino))
		return error_set(err, ERR_UNAVAILABLE, TEXT("%s changed while it was opened"), path);
	return 0;
}

static int check_ask(struct builder *b, const char *path, enum config_table *kind, struct error *err)
{
	if (b->asks++ >= ASKS_MAX)
		return error_set(err, ERR_LIMIT, TEXT("more than %d files"), ASKS_MAX);
	int result = b->made_done ? grant_check_table(b->grant, path, kind, err) :
		grant_check(b->grant, path, err);
	if (result && !b->denied)
		event_report(EVENT_ERROR, "config",
			"the configuration builder asked for %s, which no configuration file names", path);
	b->denied |= result != 0;
	return result;
}

// The descriptor, or an error with words.
static int open_for(struct builder *b, const char *path, bool secret, struct error *err)
{
	enum config_table kind = CONFIG_TABLE_ALIASES;
	int result = check_ask(b, path, &kind, err);
	if (result)
		return result;
	// Also what is missing is watched: it may appear.
	watch_source_add(&b->sources, path);
	// O_NONBLOCK: a FIFO in place of a file must not stop the master.
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_system(err, TEXT("cannot open %s"), path);
	if (kind == CONFIG_TABLE_ALIASES)
		result = snapshot_check_rights(fd, path, secret, err);
	else
		result = snapshot_check_table(fd, path, err);
	if (!result && kind == CONFIG_TABLE_INCLUDE)
		result = grant_check_include(b->grant, fd, path, err);
	if (result) {
		fd_close(&fd);
		return result;
	}
	if (!secret && !b->made_done)
		grant_remember(b->grant, path, fd);
	else if (b->made_done && kind != CONFIG_TABLE_LIST)
		grant_remember_aliases(b->grant, path, fd);
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

static bool is_whole(int fd, uint64_t size)
{
	struct stat st;
	return fd >= 0 && size && is_sealed(fd) && fstat(fd, &st) == 0 && st.st_size >= 0 &&
		(uint64_t)st.st_size == size;
}

static void on_built(void *arg, struct str body, int fd)
{
	struct builder *b = arg;
	struct ipc_built m;
	if (ipc_decode_built(body, &m) || !is_whole(fd, m.size)) {
		fd_close(&fd);
		return;
	}
	if (m.for_role == CONFIG_FOR_MASTER && !b->snapshot->mapping) {
		keep_own_part(b->snapshot, fd, m.size);
		b->snapshot->own_fd = fd;
		return;
	}
	for (size_t i = 0; i < role_count; i++)
		if (roles[i].config_for == m.for_role && b->snapshot->fds[i] < 0) {
			b->snapshot->fds[i] = fd;
			b->snapshot->sizes[i] = m.size;
			return;
		}
	fd_close(&fd);
}

static void on_built_tables(void *arg, struct str body, int fd)
{
	struct builder *b = arg;
	struct ipc_built_tables m;
	if (ipc_decode_built_tables(body, &m) || !is_whole(fd, m.size) || m.size > TABLES_SIZE_MAX ||
		b->made.fd >= 0) {
		fd_close(&fd);
		return;
	}
	b->made = (struct tables_file){.fd = fd, .size = m.size};
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

static const ipc_handler from_tables_builder[IPC_TYPES] = {
	[IPC_TYPE_read_file] = on_read_file,
	[IPC_TYPE_built_tables] = on_built_tables,
	[IPC_TYPE_findings] = on_findings,
};

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	struct builder *b = arg;
	(void)ch;
	(void)ipc_dispatch(b->made_done ? from_tables_builder : from_builder, b, type, body, fd);
}

static void on_close(struct ipc_channel *ch, void *arg)
{
	struct builder *b = arg;
	(void)ch;
	if (b->made_done)
		end_tables(b);
	else
		end_build(b);
}

static void on_timeout(uv_timer_t *timer)
{
	struct builder *b = timer->data;
	kill(b->pid, SIGKILL); // the channel closes with it
}

// ---- start
bool snapshot_building(const struct master *m)
{
	return m->builder != NULL || follow_completing(m);
}

static int start_builder(struct master *m, const char *what, struct builder **out, struct error *err)
{
	const char *const argv[] = {"pabal", "builder", what, NULL};
	pid_t pid;
	int socket;
	int result = spawn_process(m->binary, argv, &pid, &socket, err);
	if (result)
		return result;
	struct builder *b = mem_alloc(sizeof *b);
	b->master = m;
	b->pid = pid;
	b->made.fd = -1;
	b->channel = ipc_channel_open(&m->loop, socket, on_frame, on_close, b);
	uv_timer_init(&m->loop, &b->timer);
	b->timer.data = b;
	uv_timer_start(&b->timer, on_timeout, BUILD_TIME_MS, 0);
	*out = b;
	return 0;
}

int snapshot_build(struct master *m, snapshot_done done, struct error *err)
{
	struct builder *b;
	int result = start_builder(m, m->config_path, &b, err);
	if (result)
		return result;
	b->done = done;
	b->snapshot = snapshot_create();
	b->grant = grant_create(m->config_path);
	m->builder = b;
	return 0;
}

int snapshot_build_tables(struct master *m, const struct snapshot *of, tables_made done,
	struct builder **out, struct error *err)
{
	int result = start_builder(m, "--tables", out, err);
	if (result)
		return result;
	struct ipc_config part = {.generation = of->generation, .size = of->mapping_size};
	(*out)->made_done = done;
	(*out)->grant = grant_create_for_tables(of->config);
	(void)ipc_send_config_fd((*out)->channel, &part, of->own_fd);
	return 0;
}

void snapshot_abandon(struct builder *b)
{
	if (!b)
		return;
	kill(b->pid, SIGKILL);
	ipc_channel_close(b->channel);
	uv_close((uv_handle_t *)&b->timer, free_builder);
}
