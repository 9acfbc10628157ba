// SPDX-License-Identifier: ISC
// The frame every role runs in: takes what master hands over, confines the process, runs the loop.
#include "role/role.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/tls.h"
#include "role/confine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MASTER_FD 3

// Tables as they lie in memory; {0}: none.
struct mapped_tables {
	struct tables *tables;
	void *mapping;
	size_t size;
	uint64_t generation;
};

// What the frame itself keeps; the context is its first member.
struct frame {
	struct role_context context;
	struct ipc_channel *history;
	struct config *config;        // owner of context.config
	void *mapping;                // of the snapshot config points into
	size_t mapping_size;
	struct mapped_tables tables, next_tables; // next: until its configuration comes
	bool has_next_tables;
	struct config **before;       // configurations that sessions of a draining smtpd still point into
	size_t before_count;
	int state_folder;             // for Landlock; -1: none
	char empty_folder[256];
	struct confine_user user;
	bool going;
	uv_loop_t loop;
};

static struct frame *frame_of(struct role_context *c)
{
	return (struct frame *)c;
}

static _Noreturn void role_fail(struct frame *f, const struct error *err)
{
	event_report(EVENT_ERROR, "role", "%s", err->text);
	struct ipc_failed m = {.text = str_from(err->text)};
	if (f->config)
		m.generation = f->config->generation;
	struct buf body = BUF_INIT;
	if (!ipc_encode_failed(&body, &m))
		(void)ipc_send_blocking(MASTER_FD, IPC_TYPE_failed, buf_str(&body), -1);
	_exit(78); // EX_CONFIG
}

void role_exit(struct role_context *c)
{
	// Nothing is left to lose but the last events: what must be on disk was synced before it was
	// promised.
	if (frame_of(c)->history)
		ipc_channel_flush(frame_of(c)->history);
	exit(0);
}

void role_connect(struct role_context *c, uint64_t request, const char *kind, unsigned index)
{
	struct ipc_connect m = {.request = request, .kind = str_from(kind), .index = index};
	(void)ipc_send_connect(c->master, &m);
}

// ---- history
static void history_tap(const struct event *e, void *arg)
{
	struct frame *f = arg;
	if (!f->history)
		return;
	struct buf json = {.limit = 8192};
	if (event_render_json(e, &json) == 0) {
		struct ipc_event m = {
			.wall_ms = e->wall_ms,
			.id = e->id,
			.name = str_from(e->name),
			.sender = event_get(e, "from"),
			.recipient = event_get(e, "to"),
			.account = event_get(e, "account"),
			.client = event_get(e, "client"),
			.json = buf_str(&json),
		};
		uint64_t session;
		if (id_parse(event_get(e, "session"), &session) == 0)
			m.session = session;
		// Under load the story is cut short, never the mail.
		if (ipc_channel_unsent(f->history) < 4 * 1024 * 1024)
			(void)ipc_send_event(f->history, &m);
	}
	buf_finish(&json);
}

void role_set_history(struct role_context *c, struct ipc_channel *queue)
{
	frame_of(c)->history = queue;
	event_set_tap(history_tap, c);
}

// ---- what master sends. Before `go` the frames are read one by one; the handlers are the same.
static void take_start(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_start m;
	fd_close(&fd);
	if (ipc_decode_start(body, &m) || m.version != IPC_VERSION)
		fatal("master speaks another version of the protocol between roles; restart Pabal");
	f->context.index = m.index;
	f->context.slot = m.slot;
	f->context.node = m.node;
	f->context.confined = m.confined;
	id_source_init(&f->context.ids, m.node, m.slot);
	str_copy(m.empty_folder, f->empty_folder, sizeof f->empty_folder);
}

// ---- tables
static void tables_unmap(struct mapped_tables *t)
{
	tables_close(t->tables);
	if (t->mapping)
		munmap(t->mapping, t->size);
	*t = (struct mapped_tables){0};
}

// Whoever can still ask is turned to the ones of now.
static void show_tables(struct frame *f)
{
	for (size_t i = 0; i <= f->before_count; i++) {
		struct config *c = i < f->before_count ? f->before[i] : f->config;
		config_use_tables(c, f->tables.tables);
		c->tables_generation = f->tables.generation;
	}
}

static int map_tables(const struct ipc_tables *m, int fd, struct mapped_tables *out)
{
	*out = (struct mapped_tables){.generation = m->generation};
	if (!m->size)
		return 0;
	out->mapping = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (out->mapping == MAP_FAILED) {
		out->mapping = NULL;
		return ERR_SYSTEM;
	}
	out->size = m->size;
	int result = tables_open(str_make(out->mapping, out->size), &out->tables);
	if (result)
		tables_unmap(out);
	return result;
}

static void take_tables(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_tables m;
	struct mapped_tables now;
	if (ipc_decode_tables(body, &m))
		fatal("broken message about tables");
	if (map_tables(&m, fd, &now)) {
		fd_close(&fd);
		// Sessions are worth more than new rules; without any the role must not serve.
		if (!f->config)
			fatal("cannot read the tables");
		event_report(EVENT_ERROR, "tables", "generation %llu of the tables cannot be read here "
						    "and the one before stays in force",
			(unsigned long long)m.generation);
		return;
	}
	fd_close(&fd);
	if (m.with_config || !f->config) {
		tables_unmap(&f->next_tables);
		f->next_tables = now;
		f->has_next_tables = true;
		return;
	}
	struct mapped_tables old = f->tables;
	f->tables = now;
	show_tables(f);
	tables_unmap(&old);
}

// ---- the configuration
static void keep_before(struct frame *f, struct config *old)
{
	f->before = mem_resize(f->before, (f->before_count + 1) * sizeof(struct config *));
	f->before[f->before_count++] = old;
}

static void take_config(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_config m;
	if (ipc_decode_config(body, &m) || fd < 0)
		fatal("broken snapshot message");
	void *mapping = mmap(NULL, m.size, PROT_READ, MAP_PRIVATE, fd, 0);
	fd_close(&fd);
	struct config *config;
	if (mapping == MAP_FAILED || config_decode(str_make(mapping, m.size), &config))
		fatal("cannot read the configuration snapshot");
	config->generation = m.generation;

	struct config *old = f->config;
	void *old_mapping = f->mapping;
	size_t old_size = f->mapping_size;
	f->config = config;
	f->context.config = config;
	f->mapping = mapping;
	f->mapping_size = m.size;
	// A draining smtpd has bodies under way that point into the old one; it lives as long as they.
	if (old && f->context.role->generations)
		keep_before(f, old);
	struct mapped_tables old_tables = {0};
	if (f->has_next_tables) {
		old_tables = f->tables;
		f->tables = f->next_tables;
		f->next_tables = (struct mapped_tables){0};
		f->has_next_tables = false;
	}
	show_tables(f);
	if (f->going && f->context.role->configured)
		f->context.role->configured(&f->context, old);
	if (!f->context.role->generations) {
		config_destroy(old);
		if (old_mapping)
			munmap(old_mapping, old_size);
	}
	tables_unmap(&old_tables);
	if (f->going) {
		struct ipc_ready ready = {.generation = config->generation};
		(void)ipc_send_ready(f->context.master, &ready);
	}
}

static void take_peer(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_peer m;
	char name[32];
	if (ipc_decode_peer(body, &m) || fd < 0 || !f->context.role->peer ||
		!str_copy(m.role, name, sizeof name)) {
		fd_close(&fd);
		return;
	}
	f->context.role->peer(&f->context, name, m.index, fd);
}

static void take_listener(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_listener m;
	if (ipc_decode_listener(body, &m) || fd < 0 || !f->context.role->listener) {
		fd_close(&fd);
		return;
	}
	f->context.role->listener(&f->context, m.server, m.listen, fd);
}

static void take_control(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_control m;
	if (ipc_decode_control(body, &m) || fd < 0 || !f->context.role->control_socket) {
		fd_close(&fd);
		return;
	}
	f->context.control_group = m.group;
	f->context.role->control_socket(&f->context, fd);
}

static void take_folder(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_folder m;
	char name[64];
	if (ipc_decode_folder(body, &m) || fd < 0 || !str_copy(m.name, name, sizeof name)) {
		fd_close(&fd);
		return;
	}
	if (str_equal(m.name, STR("state"))) {
		fd_close(&f->state_folder);
		f->state_folder = fd;
		return;
	}
	if (f->context.role->folder_given)
		f->context.role->folder_given(&f->context, name, fd);
	else
		fd_close(&fd);
}

static void take_log(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_log m;
	if (ipc_decode_log(body, &m) || fd < 0)
		return;
	// Standard error is the one descriptor of the log, so that words of libraries go there too.
	if (m.sink == EVENT_SINK_LINES && dup2(fd, STDERR_FILENO) >= 0) {
		fd_close(&fd);
		fd = STDERR_FILENO;
	}
	char name[48];
	const struct role *role = f->context.role;
	if (role->count == ROLE_ONE)
		snprintf(name, sizeof name, "%s", role->name);
	else
		snprintf(name, sizeof name, "%s[%u]", role->name, f->context.index);
	event_setup(name, fd, m.sink, m.json ? EVENT_JSON : EVENT_KEY_VALUE, m.level);
}

static void take_tickets(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_tickets m;
	fd_close(&fd);
	if (ipc_decode_tickets(body, &m) || m.current.len != 32 || m.previous.len != 32)
		return;
	if (f->context.role->ticket_secrets)
		f->context.role->ticket_secrets(&f->context, (const uint8_t *)m.current.data,
			(const uint8_t *)m.previous.data);
}

static void take_connected(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_connected m;
	char why[256];
	if (ipc_decode_connected(body, &m) || !f->context.role->connected) {
		fd_close(&fd);
		return;
	}
	str_copy(str_slice(m.text, 0, sizeof why - 1), why, sizeof why);
	f->context.role->connected(&f->context, m.request, m.err ? -1 : fd, why);
}

static void take_drain(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_drain m;
	fd_close(&fd);
	if (ipc_decode_drain(body, &m))
		m.within_ms = 0;
	if (f->context.role->drain)
		f->context.role->drain(&f->context, m.within_ms);
	else
		role_exit(&f->context);
}

// From the loop: that it still turns is what master wants to know.
static void take_ping(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	struct ipc_pong pong = {0};
	(void)body;
	fd_close(&fd);
	if (f->going && f->context.master)
		(void)ipc_send_pong(f->context.master, &pong);
}

static void take_go(void *arg, struct str body, int fd)
{
	struct frame *f = arg;
	(void)body;
	fd_close(&fd);
	f->going = true;
}

static const ipc_handler from_master[IPC_TYPES] = {
	[IPC_TYPE_start] = take_start,
	[IPC_TYPE_config] = take_config,
	[IPC_TYPE_tables] = take_tables,
	[IPC_TYPE_peer] = take_peer,
	[IPC_TYPE_listener] = take_listener,
	[IPC_TYPE_control] = take_control,
	[IPC_TYPE_folder] = take_folder,
	[IPC_TYPE_log] = take_log,
	[IPC_TYPE_tickets] = take_tickets,
	[IPC_TYPE_connected] = take_connected,
	[IPC_TYPE_drain] = take_drain,
	[IPC_TYPE_go] = take_go,
	[IPC_TYPE_ping] = take_ping,
};

static void on_frame(struct ipc_channel *ch, void *arg, unsigned type, struct str body, int fd)
{
	(void)ch;
	(void)ipc_dispatch(from_master, arg, type, body, fd);
}

// Without its master a role would hold ports and locks that the next one needs.
static void on_master_gone(struct ipc_channel *ch, void *arg)
{
	struct frame *f = arg;
	(void)ch;
	f->context.master = NULL;
	if (f->context.role->drain)
		f->context.role->drain(&f->context, 0);
	else
		role_exit(&f->context);
}

// ---- start
// The first frame says who we are, then come the tables of a role that has them and our
// configuration; all are needed to prepare.
static void receive_one(struct frame *f)
{
	struct buf body = {.limit = IPC_FRAME_MAX};
	unsigned type;
	int fd = -1;
	if (ipc_receive_blocking(MASTER_FD, &type, &body, &fd))
		_exit(0); // master went away while we started
	(void)ipc_dispatch(from_master, f, type, buf_str(&body), fd);
	buf_finish_wipe(&body);
}

static void prepare(struct frame *f)
{
	struct error err = {0};
	const struct role *role = f->context.role;
	clock_prepare();
	if (f->context.confined && role->user && confine_find_user(role->user, &f->user, &err))
		role_fail(f, &err);
	if (f->context.confined && role->keeps_groups && confine_find_groups(role->user, &f->user, &err))
		role_fail(f, &err);
	if (role->prepare && role->prepare(&f->context, &err))
		role_fail(f, &err);
}

static void lock_up(struct frame *f)
{
	struct error err = {0};
	struct confine_plan plan = {
		.role = f->context.role,
		.as_root = f->context.confined,
		.user = f->user,
		.empty_folder = f->empty_folder,
		.state_folder = f->state_folder,
	};
	if (confine(&plan, &err))
		role_fail(f, &err);
	fd_close(&f->state_folder);
}

int role_main(int argc, char **argv)
{
	const struct role *role = argc > 1 ? role_find(argv[1]) : NULL;
	if (!role) {
		fputs(TEXT("pabal: this is started by `pabal serve`, not by hand\n"), stderr);
		return 64;
	}
	text_set_language("en"); // the log, and replies in ASCII, whatever LANG says
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); // for master; a terminal sends it to all of us
	signal(SIGINT, SIG_IGN);

	struct frame *f = mem_alloc(sizeof *f);
	f->context.role = role;
	f->state_folder = -1;
	event_setup(role->name, STDERR_FILENO, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_INFO);
	if (uv_loop_init(&f->loop))
		fatal("cannot make an event loop");
	f->context.loop = &f->loop;

	receive_one(f);
	if (role->tables)
		receive_one(f);
	receive_one(f);
	if (!f->config)
		fatal("master sent no configuration");
	prepare(f);
	while (!f->going)
		receive_one(f);
	lock_up(f);

	f->context.master = ipc_channel_open(&f->loop, MASTER_FD, on_frame, on_master_gone, f);
	struct error err = {0};
	if (role->start && role->start(&f->context, &err))
		role_fail(f, &err);
	struct ipc_ready ready = {.generation = f->config->generation};
	(void)ipc_send_ready(f->context.master, &ready);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	return 0;
}
