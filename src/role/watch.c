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

// Looks at every source, and remembers; tells whether anything differs from before.
bool watch_look_again(struct sources *s)
{
	struct str rest = buf_str(&s->paths), path;
	bool differs = false;
	for (size_t i = 0; i < s->count && str_split(&rest, '\0', &path); i++) {
		struct watched now = look(path.data);
		if (memcmp(&now, &s->looks[i], sizeof now))
			differs = true;
		s->looks[i] = now;
	}
	return differs;
}

void watch_source_add(struct sources *s, const char *path)
{
	if (buf_add(&s->paths, path, strlen(path) + 1))
		return;
	s->looks = mem_resize(s->looks, (s->count + 1) * sizeof *s->looks);
	s->looks[s->count++] = look(path);
}

void watch_sources_finish(struct sources *s)
{
	buf_finish(&s->paths);
	mem_free(s->looks);
	*s = (struct sources){0};
}

void watch_sources(struct master *m, struct sources *s)
{
	watch_sources_finish(&m->watched);
	m->watched = *s;
	*s = (struct sources){0};
	m->change_seen = false;
}

// A change is acted on after one quiet look, so that a certificate and its key that are copied
// one after the other are read together.
static void on_look(uv_timer_t *timer)
{
	struct master *m = timer->data;
	if (m->stopping || snapshot_building(m))
		return;
	if (watch_look_again(&m->watched)) {
		m->change_seen = true;
		return;
	}
	if (m->change_seen) {
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
