// SPDX-License-Identifier: ISC
// Notices when a file the configuration came from has changed: rewritten, renamed over, reached
// through another link, gone or back. Looks by name every two seconds, which no editor, no
// certificate tool and no file system can hide from.
#include "role/master_internal.h"

#include "base/event.h"
#include "base/memory.h"

#include <sys/stat.h>

#define LOOK_EVERY_MS 2000

static struct watched look(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return (struct watched){0};
	return (struct watched){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = (uint64_t)st.st_size,
		.changed_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec,
		.modified_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
	};
}

// Looks at every source; fills `into` when given, and tells whether anything differs from before.
static bool look_at_all(struct master *m, struct watched *into)
{
	struct str rest = buf_str(&m->snapshot->sources), path;
	bool differs = false;
	for (size_t i = 0; i < m->watched_count && str_split(&rest, '\0', &path); i++) {
		struct watched now = look(path.data);
		if (memcmp(&now, &m->watched[i], sizeof now))
			differs = true;
		if (into)
			into[i] = now;
	}
	return differs;
}

void watch_sources(struct master *m)
{
	size_t count = 0;
	struct str sources = buf_str(&m->snapshot->sources);
	for (size_t i = 0; i < sources.len; i++)
		count += sources.data[i] == '\0';
	mem_free(m->watched);
	m->watched = mem_array(count + 1, sizeof *m->watched);
	m->watched_count = count;
	(void)look_at_all(m, m->watched);
	m->change_seen = false;
}

// A change is acted on after one quiet look, so that a certificate and its key that are copied
// one after the other are read together.
static void on_look(uv_timer_t *timer)
{
	struct master *m = timer->data;
	if (m->stopping || !m->watched_count)
		return;
	bool differs = look_at_all(m, m->watched);
	if (differs) {
		m->change_seen = true;
		return;
	}
	if (m->change_seen && !snapshot_building(m)) {
		m->change_seen = false;
		master_reload(m, "a file of the configuration changed");
	}
}

void watch_start(struct master *m)
{
	uv_timer_init(&m->loop, &m->watch_timer);
	m->watch_timer.data = m;
	uv_timer_start(&m->watch_timer, on_look, LOOK_EVERY_MS, LOOK_EVERY_MS);
}
