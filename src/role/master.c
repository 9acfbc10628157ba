// SPDX-License-Identifier: ISC
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
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICKET_LIFE_MS (12ull * 3600 * 1000)
#define SELF_SIGNED_DAYS 730
#define EXIT_CONFIGURATION 78
#define RELOAD_WAIT_MS 10000 // for roles to take over a new generation

// ---- TLS tickets: a secret lives two turns, so that a ticket is good for half a day at least
static void send_tickets(struct master *m)
{
	struct ipc_tickets t = {.current = str_make(m->tickets.current, 32),
		.previous = str_make(m->tickets.previous, 32)};
	LIST_EACH(link, &m->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		if (c->role->tickets && c->channel)
			(void)ipc_send_tickets(c->channel, &t);
	}
}

static void on_ticket_time(uv_timer_t *timer)
{
	struct master *m = timer->data;
	memcpy(m->tickets.previous, m->tickets.current, sizeof m->tickets.previous);
	mem_random(m->tickets.current, sizeof m->tickets.current);
	send_tickets(m);
}

// ---- a certificate for the first start
static void self_signed_path(const struct config *config, char *out, size_t size)
{
	snprintf(out, size, "%.*s/tls/self-signed.pem", STR_ARG(config->state_folder));
}

// True when a file was made and the configuration has to be built once more.
static bool make_self_signed(const struct config *config)
{
	char path[1200];
	struct error err = {0};
	struct buf pem = BUF_INIT, key = BUF_INIT;
	self_signed_path(config, path, sizeof path);
	if (access(path, F_OK) == 0)
		return false;
	bool made = !tls_make_self_signed(config->hostname, SELF_SIGNED_DAYS, &pem, &key, &err) &&
		!buf_add_str(&pem, buf_str(&key)) && !file_replace(path, buf_str(&pem), 0600, &err);
	if (made)
		event_report(EVENT_WARNING, "tls",
			"no certificate is configured: a self-signed one was made in %s; clients will "
			"warn about it", path);
	else
		event_report(EVENT_ERROR, "tls", "cannot make a self-signed certificate: %s", err.text);
	buf_finish_wipe(&key);
	buf_finish_wipe(&pem);
	return made;
}

// ---- start
static int open_everything(struct master *m, struct error *err)
{
	const struct config *config = m->snapshot->config;
	int result = sockets_open_log(m, config, err);
	if (!result)
		result = sockets_open_all(m, config, err);
	if (!result)
		result = sockets_open_control(m, err);
	if (!result)
		result = public_socket_prepare(m, config, err);
	if (!result) {
		public_socket_take(m);
		m->control = control_server_create(&m->loop, m->control_fd, master_handlers,
			master_handler_count, m);
		if (!m->control)
			result = error_set(err, ERR_SYSTEM, TEXT("cannot serve the control socket"));
		else
			control_server_admit(m->control, m->control_group);
	}
	return result;
}

static void give_up(struct master *m, const char *why)
{
	fprintf(stderr, "pabal: %s\n", why);
	m->status = EXIT_CONFIGURATION;
	uv_stop(&m->loop);
}

static void on_first_build(struct master *m, struct snapshot *s, const char *findings)
{
	struct error err = {0};
	fputs(findings, stderr);
	if (!s) {
		give_up(m, TEXT("the configuration has errors; `pabal check` shows them"));
		return;
	}
	snapshot_destroy(m->snapshot);
	m->snapshot = s;
	if (sockets_make_folders(m, s->config, &err)) {
		give_up(m, err.text);
		return;
	}
	if (config_needs_certificate(s->config) && make_self_signed(s->config)) {
		if (snapshot_build(m, on_first_build, &err))
			give_up(m, err.text);
		return;
	}
	if (open_everything(m, &err)) {
		give_up(m, err.text);
		return;
	}
	watch_start(m);
	follow_configured(m);
	follow_start(m);
	pulse_start(m);
	family_make_places(m);
	family_start(m);
}

// ---- reload
static void answer_reload(struct master *m, const char *failure)
{
	struct control_call *call = m->reload_call;
	m->reload_call = NULL;
	m->reload_taken = false;
	uv_timer_stop(&m->reload_timer);
	if (!call)
		return;
	if (failure)
		control_fail(call, "refused", "%s", failure);
	else
		control_done(call, json_pack("{s:I}", "generation", (json_int_t)m->snapshot->generation));
}

// Whoever asked for a reload hears of it when the next connection gets the new settings.
void master_child_changed(struct master *m)
{
	if (m->reload_taken && family_in_force(m))
		answer_reload(m, NULL);
}

static void on_reload_time(uv_timer_t *timer)
{
	event_report(EVENT_WARNING, "config", "a role has not taken over the new configuration yet");
	answer_reload(timer->data, NULL);
}

// Whoever asked is shown what the checker found, warnings as well: a row for each.
static void give_findings(struct master *m, const char *findings)
{
	struct str rest = str_from(findings), line;
	while (m->reload_call && str_split(&rest, '\n', &line)) {
		json_t *text = line.len ? json_stringn(line.data, line.len) : NULL;
		if (text)
			control_row(m->reload_call, json_pack("{s:o}", "finding", text));
	}
}

static void refuse_reload(struct master *m, const char *why, const char *answer)
{
	struct error line; // cut between characters
	error_set(&line, ERR_DENIED, "%s", why);
	str_copy(str_from(line.text), m->last_reload, sizeof m->last_reload);
	event_report(EVENT_ERROR, "config",
		"the new configuration is refused and the old one stays in force: %s", why);
	answer_reload(m, m->reload_taken ? NULL : answer);
}

static void take_generation(struct master *m, struct snapshot *s)
{
	struct buf names = BUF_INIT;
	char class = config_diff(m->snapshot->config, s->config, &names);
	struct snapshot *old = m->snapshot;
	m->snapshot = s;
	follow_configured(m);
	m->last_reload[0] = '\0';
	sockets_close_unwanted(m);
	event_report(EVENT_INFO, "config", "generation %llu is in force; changed: %s",
		(unsigned long long)s->generation, buf_len(&names) ? buf_cstr(&names) : "nothing");
	if (class == 'r')
		event_report(EVENT_WARNING, "config",
			"some of these settings take effect at the next start: %s", buf_cstr(&names));
	buf_finish(&names);
	family_new_generation(m, old->config);
	public_socket_take(m); // after auth was told of it, or of its end
	snapshot_destroy(old);
	m->reload_taken = true;
	uv_timer_start(&m->reload_timer, on_reload_time, RELOAD_WAIT_MS, 0);
	master_child_changed(m);
}

// A role that dies is started with the current configuration: it must find its folders there.
static int check_folders(const struct master *m, const struct config *new, struct error *err)
{
	const struct config *now = m->snapshot->config;
	if (str_equal(now->state_folder, new->state_folder) && str_equal(now->run_folder, new->run_folder))
		return 0;
	return error_set(err, ERR_UNSUPPORTED,
		TEXT("state-folder and run-folder cannot change while the server runs; stop it first"));
}

static int open_new_sockets(struct master *m, const struct config *config, struct error *err)
{
	int result = check_folders(m, config, err);
	if (!result)
		result = sockets_open_all(m, config, err);
	if (!result)
		result = public_socket_prepare(m, config, err);
	if (!result)
		result = sockets_open_log(m, config, err);
	if (result) { // those that were opened before one failed have nobody who accepts
		struct error unused;
		(void)!sockets_open_all(m, m->snapshot->config, &unused);
		sockets_close_unwanted(m);
		public_socket_abandon(m);
	}
	return result;
}

static void on_rebuild(struct master *m, struct snapshot *s, const char *findings)
{
	struct error err = {0};
	if (m->rebuild_again && !m->stopping) {
		// What was read may be older than the question.
		m->rebuild_again = false;
		snapshot_destroy(s);
		master_reload(m, "changed again");
		return;
	}
	notify_system("READY=1");
	m->last_reload_ms = clock_wall_ms();
	if (m->stopping) {
		snapshot_destroy(s);
		answer_reload(m, TEXT("the server is stopping"));
		return;
	}
	give_findings(m, findings);
	if (!s) {
		refuse_reload(m, findings,
			TEXT("the configuration has errors; the one before stays in force"));
	} else if (open_new_sockets(m, s->config, &err)) {
		refuse_reload(m, err.text, err.text);
		snapshot_destroy(s);
	} else {
		take_generation(m, s);
	}
}

void master_reload(struct master *m, const char *why)
{
	struct error err = {0};
	if (m->stopping || !m->serving) {
		answer_reload(m, TEXT("the server is not ready yet"));
		return;
	}
	if (snapshot_building(m)) {
		m->rebuild_again = true;
		return;
	}
	event_report(EVENT_INFO, "config", "reading the configuration again: %s", why);
	notify_system("RELOADING=1");
	if (snapshot_build(m, on_rebuild, &err))
		refuse_reload(m, err.text, err.text);
}

// ---- signals
static void on_stop_signal(uv_signal_t *signal, int number)
{
	struct master *m = signal->data;
	if (m->stopping) {
		return;
	}
	event_report(EVENT_INFO, "role", "stopping: %s", strsignal(number));
	notify_system("STOPPING=1");
	m->stopping = true;
	if (list_empty(&m->children))
		uv_stop(&m->loop);
	else
		family_stop(m);
}

static void on_hangup(uv_signal_t *signal, int number)
{
	(void)number;
	master_reload(signal->data, "hangup signal");
}

static void on_child_signal(uv_signal_t *signal, int number)
{
	(void)number;
	family_reap(signal->data);
}

static void start_signals(struct master *m)
{
	static const struct {
		int number;
		uv_signal_cb handler;
	} handled[] = {{SIGTERM, on_stop_signal}, {SIGINT, on_stop_signal}, {SIGHUP, on_hangup},
		{SIGCHLD, on_child_signal}};
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++) {
		uv_signal_init(&m->loop, &m->signals[i]);
		m->signals[i].data = m;
		uv_signal_start(&m->signals[i], handled[i].handler, handled[i].number);
	}
}

// One descriptor a connection: 10,000 of them must not fail on a default of 1,024.
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max > 1048576 ? 1048576 : limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int init_master(struct master *m, const char *config_path, struct error *err)
{
	m->as_root = geteuid() == 0;
	m->log_fd = STDERR_FILENO;
	m->public.fd = m->next_public.fd = m->control_fd = m->state_lock = -1;
	for (size_t i = 0; i < MASTER_ROLES_MAX; i++)
		m->control_fds[i] = -1;
	m->started_ms = clock_wall_ms();
	str_copy(str_from(TEXT("not known yet")), m->dns_mode, sizeof m->dns_mode);
	list_init(&m->children);
	mem_random(&m->tickets, sizeof m->tickets);
	if (!realpath(config_path, m->config_path))
		return error_system(err, TEXT("cannot open the configuration %s"), config_path);
	int result = spawn_open_binary(&m->binary, err);
	if (result)
		return result;
	if (uv_loop_init(&m->loop))
		return error_set(err, ERR_SYSTEM, TEXT("cannot make an event loop"));
	uv_timer_init(&m->loop, &m->stop_timer);
	m->stop_timer.data = m;
	uv_timer_init(&m->loop, &m->reload_timer);
	m->reload_timer.data = m;
	uv_timer_init(&m->loop, &m->ticket_timer);
	m->ticket_timer.data = m;
	uv_timer_start(&m->ticket_timer, on_ticket_time, TICKET_LIFE_MS, TICKET_LIFE_MS);
	return 0;
}

int master_run(const char *config_path)
{
	struct master *m = mem_alloc(sizeof *m);
	struct error err = {0};
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	event_setup("master", STDERR_FILENO, EVENT_SINK_LINES, EVENT_KEY_VALUE, EVENT_INFO);
	clock_prepare();
	raise_descriptor_limit();
	if (init_master(m, config_path, &err) || (start_signals(m), snapshot_build(m, on_first_build, &err))) {
		fprintf(stderr, "pabal: %s\n", err.text);
		return EXIT_CONFIGURATION;
	}
	uv_run(&m->loop, UV_RUN_DEFAULT);
	int status = m->stopping ? 0 : m->status;
	if (m->snapshot)
		sockets_close_all(m);
	if (m->stopping)
		event_report(EVENT_INFO, "role", "stopped");
	return status;
}
