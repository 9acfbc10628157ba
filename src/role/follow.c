// SPDX-License-Identifier: ISC
// Follows the files of the tables (client rules, domains, aliases): has them made by a child
// without rights, made anew within a second of a change, and hands them to the roles that use
// them. Looks by name, as watch.c does, but more often: other programs replace these files.
#include "role/master_internal.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "ipc/channel.h"

#include <fcntl.h>
#include <stdio.h>

#define LOOK_EVERY_MS 250
#define LOOK_AGAIN_MS 100  // while a change waits for a quiet look
#define CHANGE_MOST_MS 400 // no longer: some files are never quiet. With the time of a look and of
                           // making them it stays below a second
#define RETRY_MS      5000 // when no builder can be started
#define TELL_EVERY_MS 60000 // a file that is replaced each second is no news each second

struct follower {
	struct master *master;
	uv_timer_t timer;
	struct sources files;      // of the last build for the configuration in force
	struct builder *builder;   // is making tables for it
	uint64_t changed_ms;       // monotonic: when a change that is not taken over was first seen
	uint64_t last_generation;
	uint64_t made_ms;          // wall clock
	uint64_t told_ms;          // monotonic: of the last event about new tables
	char failure[512];         // of the last build, "" when it went well
	uint64_t warned;           // hash of the warnings that were said last

	struct builder *completing; // makes the tables of a new configuration
	struct snapshot *next;      // that one
	struct sources next_files;
	struct buf findings;
	snapshot_done done;
};

static struct follower *follower_of(struct master *m)
{
	if (!m->follower) {
		m->follower = mem_alloc(sizeof *m->follower);
		m->follower->master = m;
	}
	return m->follower;
}

// ---- handing on
void follow_send(struct child *c, bool with_config)
{
	const struct tables_file *t = &c->master->snapshot->tables;
	struct ipc_tables m = {.generation = t->generation, .size = t->fd < 0 ? 0 : t->size,
		.with_config = with_config};
	if (t->fd >= 0)
		(void)ipc_send_tables_fd(c->channel, &m, t->fd);
	else
		(void)ipc_send_tables(c->channel, &m);
}

// Sessions of generations that drain live under the rules of now as well.
static void send_to_all(struct master *m)
{
	LIST_EACH(link, &m->children) {
		struct child *c = LIST_ENTRY(link, struct child, link);
		if (c->role->tables && c->channel)
			follow_send(c, false);
	}
}

// ---- words
// The first line of that kind; *count: how many there are.
static struct str first_line(const char *findings, struct str kind, unsigned *count)
{
	struct str rest = str_from(findings), line, first = STR_EMPTY;
	*count = 0;
	while (str_split(&rest, '\n', &line))
		if (str_search(line, kind) >= 0 && (*count)++ == 0)
			first = line;
	return first;
}

static void tell_failure(struct follower *f, const char *findings)
{
	unsigned count;
	struct str first = first_line(findings, STR(": error: "), &count);
	char more[64] = "";
	struct error line; // cut between characters
	if (!first.len)
		first = str_trim(str_from(findings));
	if (count > 1)
		snprintf(more, sizeof more, " (and %u more; `pabal check` shows them)", count - 1);
	error_set(&line, ERR_SYNTAX, "%.*s%s", STR_ARG(first), more);
	str_copy(str_from(line.text), f->failure, sizeof f->failure);
	event_report(EVENT_ERROR, "tables", "rules, domains and aliases stay as they were: %s", line.text);
}

// Once, as long as they are the same.
static void tell_warnings(struct follower *f, const char *findings)
{
	struct str rest = str_from(findings), line, kind = STR(": warning: ");
	uint64_t hash = 0;
	unsigned count;
	if (first_line(findings, kind, &count).len)
		hash = hash_octets(findings, strlen(findings));
	if (hash && hash != f->warned)
		while (str_split(&rest, '\n', &line))
			if (str_search(line, kind) >= 0)
				event_report(EVENT_WARNING, "tables", "%.*s", STR_ARG(line));
	f->warned = hash;
}

static void tell_success(struct follower *f, uint64_t generation)
{
	uint64_t now = clock_monotonic_ms();
	bool news = f->failure[0] || !f->told_ms || now - f->told_ms > TELL_EVERY_MS;
	f->failure[0] = '\0';
	event_report(news ? EVENT_INFO : EVENT_DEBUG, "tables",
		"generation %llu of rules, domains and aliases is in force", (unsigned long long)generation);
	if (news)
		f->told_ms = now;
}

// ---- a change of the files
static void on_look(uv_timer_t *timer);

static void look_in(struct follower *f, uint64_t ms)
{
	uv_timer_start(&f->timer, on_look, ms, 0);
}

static void take_files(struct sources *to, struct sources *from)
{
	watch_sources_finish(to);
	*to = *from;
	*from = (struct sources){0};
}

static void on_made(struct master *m, struct tables_file *made, struct sources *asked,
	unsigned errors, const char *findings)
{
	struct follower *f = m->follower;
	f->builder = NULL;
	if (asked->count)
		take_files(&f->files, asked);
	watch_sources_finish(asked);
	if (errors) {
		tell_failure(f, findings);
		return;
	}
	fd_close(&m->snapshot->tables.fd);
	m->snapshot->tables = *made;
	m->snapshot->tables.generation = ++f->last_generation;
	f->made_ms = clock_wall_ms();
	send_to_all(m);
	tell_warnings(f, findings);
	tell_success(f, f->last_generation);
}

static void make_anew(struct follower *f)
{
	struct master *m = f->master;
	struct error err = {0};
	f->changed_ms = 0;
	if (!snapshot_build_tables(m, m->snapshot, on_made, &f->builder, &err)) {
		look_in(f, LOOK_AGAIN_MS);
		return;
	}
	event_report(EVENT_ERROR, "tables", "cannot look at changed rules: %s", err.text);
	f->changed_ms = clock_monotonic_ms(); // still waits
	look_in(f, RETRY_MS);
}

static void on_look(uv_timer_t *timer)
{
	struct follower *f = timer->data;
	uint64_t now = clock_monotonic_ms();
	bool differs;
	if (f->master->stopping)
		return;
	if (f->builder) { // what changes now is seen when it has ended
		look_in(f, LOOK_AGAIN_MS);
		return;
	}
	differs = watch_look_again(&f->files);
	if (differs && !f->changed_ms)
		f->changed_ms = now;
	if (f->changed_ms && (!differs || now - f->changed_ms >= CHANGE_MOST_MS))
		make_anew(f);
	else
		look_in(f, f->changed_ms ? LOOK_AGAIN_MS : LOOK_EVERY_MS);
}

void follow_start(struct master *m)
{
	struct follower *f = follower_of(m);
	uv_timer_init(&m->loop, &f->timer);
	f->timer.data = f;
	look_in(f, LOOK_EVERY_MS);
}

// ---- a new configuration
void follow_configured(struct master *m)
{
	struct follower *f = follower_of(m);
	snapshot_abandon(f->builder); // it works for the one before
	f->builder = NULL;
	f->changed_ms = 0;
	take_files(&f->files, &f->next_files);
}

bool follow_completing(const struct master *m)
{
	return m->follower && m->follower->next;
}

// Nothing of what decides about tables is another one: those of before fit the new configuration.
static bool fits_as_before(const struct master *m, const struct config *now)
{
	static const char *const settings[] = {"clients", "relay-from", "domains", "relay-domains",
		"rules", "aliases"};
	struct buf names = BUF_INIT;
	struct str rest, name;
	bool same = m->snapshot && m->snapshot->tables.generation;
	if (same)
		(void)config_diff(m->snapshot->config, now, &names);
	rest = buf_str(&names);
	while (same && str_split(&rest, ',', &name))
		for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
			same = same && !str_equal(str_trim(name), str_from(settings[i]));
	buf_finish(&names);
	return same;
}

static bool keep_tables(const struct master *m, struct snapshot *s)
{
	if (!fits_as_before(m, s->config))
		return false;
	s->tables = m->snapshot->tables;
	if (s->tables.fd >= 0)
		s->tables.fd = fcntl(s->tables.fd, F_DUPFD_CLOEXEC, 0);
	return s->tables.fd >= 0;
}

// What decided against a configuration can change its fate: it is looked at as that is.
static void watch_refused(struct master *m, const struct sources *asked)
{
	struct str rest = buf_str(&asked->paths), path;
	for (size_t i = 0; i < asked->count && str_split(&rest, '\0', &path); i++)
		watch_source_add(&m->watched, path.data);
}

static void complete(struct follower *f, struct snapshot *s)
{
	struct buf findings = f->findings;
	snapshot_done done = f->done;
	f->next = NULL;
	f->findings = BUF_INIT;
	done(f->master, s, buf_cstr(&findings));
	buf_finish(&findings);
}

static void on_completed(struct master *m, struct tables_file *made, struct sources *asked,
	unsigned errors, const char *findings)
{
	struct follower *f = m->follower;
	struct snapshot *s = f->next;
	f->completing = NULL;
	buf_add_text(&f->findings, findings);
	take_files(&f->next_files, asked);
	if (!errors) {
		s->tables = *made;
		s->tables.generation = ++f->last_generation;
		f->made_ms = clock_wall_ms();
		f->failure[0] = '\0';
		f->told_ms = clock_monotonic_ms();
	} else if (keep_tables(m, s)) {
		tell_failure(f, findings);
	} else {
		watch_refused(m, &f->next_files);
		snapshot_destroy(s);
		s = NULL;
	}
	complete(f, s);
}

void follow_complete(struct master *m, struct snapshot *s, const char *findings, snapshot_done done)
{
	struct follower *f = follower_of(m);
	struct error err = {0};
	f->next = s;
	f->done = done;
	watch_sources_finish(&f->next_files);
	buf_add_text(&f->findings, findings);
	if (!config_names_tables(s->config)) {
		s->tables.generation = ++f->last_generation;
		complete(f, s);
	} else if (snapshot_build_tables(m, s, on_completed, &f->completing, &err)) {
		buf_add_text(&f->findings, err.text);
		snapshot_destroy(s);
		complete(f, NULL);
	}
}

// ---- status
json_t *follow_status(const struct master *m)
{
	const struct follower *f = m->follower;
	if (!f || !f->files.count)
		return NULL;
	json_t *failure = json_string(f->failure); // NULL: a file's name is not UTF-8
	return json_pack("{s:s, s:I, s:i, s:I, s:o}", "kind", "tables", "generation",
		(json_int_t)m->snapshot->tables.generation, "files", (int)f->files.count, "made_ms",
		(json_int_t)f->made_ms, "failure", failure ? failure : json_string("?"));
}
