// SPDX-License-Identifier: ISC
// The file thread: what follows a commit (removing files, opening and checking bodies), and the
// sweep of files without a row.
#include "store/store_internal.h"

#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void file_thread_add(struct store *s, struct request *r)
{
	pthread_mutex_lock(&s->file_lock);
	request_queue_add(&s->files, r);
	pthread_mutex_unlock(&s->file_lock);
	pthread_cond_signal(&s->file_work);
}

static struct request *take(struct store *s)
{
	struct request *r;

	pthread_mutex_lock(&s->file_lock);
	while (!s->files.first && !s->file_stop)
		pthread_cond_wait(&s->file_work, &s->file_lock);
	r = request_queue_take(&s->files);
	pthread_mutex_unlock(&s->file_lock);
	return r;
}

void *file_thread(void *store)
{
	struct store *s = store;
	struct request *r;

	pthread_setname_np(pthread_self(), "store-files");
	while ((r = take(s)) != NULL) {
		bool counted = r->class->complete != NULL;

		r->class->after(s, r);
		if (counted) {
			store_put_done(s, r);
			store_wake(s);
		}
	}
	return NULL;
}

// ---- removing one file

struct removal {
	struct request request;
	uint64_t spool;
};

static void remove_file(struct store *s, struct request *r)
{
	struct removal *removal = (struct removal *)r;
	char name[SPOOL_NAME_MAX];

	// A file that cannot be removed now is removed by a later sweep.
	(void)unlinkat(s->spool_fd, spool_name(removal->spool, false, name), 0);
	mem_free(removal);
}

static const struct request_class removal_class = {.after = remove_file};

void file_remove(struct store *s, uint64_t spool)
{
	struct removal *removal = request_create(sizeof(*removal), &removal_class);

	removal->spool = spool;
	file_thread_add(s, &removal->request);
}

// ---- the sweep: one request that goes round between file thread and commit thread

// "ID" or "ID.new" of an earlier process.
static bool is_left_over(const struct sweep *sweep, const char *name, struct sweep_file *out)
{
	struct str text = str_from(name);

	*out = (struct sweep_file){.temporary = str_ends_nocase(text, STR(".new"))};
	if (out->temporary)
		text.len -= 4;
	return id_parse(text, &out->id) == 0 && out->id < sweep->before;
}

static void note_file(struct sweep *sweep, const struct sweep_file *file)
{
	if (sweep->count == sweep->size) {
		sweep->size = sweep->size ? sweep->size * 2 : 64;
		sweep->files = mem_resize(sweep->files, sweep->size * sizeof(sweep->files[0]));
	}
	sweep->files[sweep->count++] = *file;
}

static void list_folder(struct store *s, unsigned folder)
{
	struct sweep_file file;
	struct dirent *entry;
	char name[8];
	DIR *dir;
	int fd;

	s->sweep.count = 0;
	snprintf(name, sizeof(name), "%02x", folder);
	fd = openat(s->spool_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (is_left_over(&s->sweep, entry->d_name, &file) &&
			spool_folder_of(file.id) == folder)
			note_file(&s->sweep, &file);
	}
	closedir(dir);
}

static void remove_left_over(struct store *s)
{
	char name[SPOOL_NAME_MAX];

	for (unsigned i = 0; i < s->sweep.count; i++) {
		const struct sweep_file *file = &s->sweep.files[i];

		spool_name(file->id, file->temporary, name);
		if (!file->used && unlinkat(s->spool_fd, name, 0) == 0)
			atomic_fetch_add(&s->swept, 1);
	}
	s->sweep.count = 0;
}

static bool stopping(struct store *s)
{
	bool stop;

	pthread_mutex_lock(&s->file_lock);
	stop = s->file_stop;
	pthread_mutex_unlock(&s->file_lock);
	return stop;
}

static void end_sweep(struct store *s)
{
	pthread_mutex_lock(&s->file_lock);
	s->swept_all = true;
	pthread_mutex_unlock(&s->file_lock);
	pthread_cond_broadcast(&s->sweep_ended);
}

// File thread: removes what the commit thread found unused, looks at the next folder.
static void sweep_after(struct store *s, struct request *r)
{
	if (r->err == 0)
		remove_left_over(s);
	r->err = 0;
	if (s->sweep.folder == SPOOL_FOLDERS || stopping(s)) {
		end_sweep(s);
		return;
	}
	list_folder(s, s->sweep.folder++);
	if (s->sweep.count)
		commit_thread_add(s, r);
	else
		file_thread_add(s, r); // others first
}

// Commit thread. A file counts as used when that cannot be known.
static int sweep_run(struct store *s, struct request *r)
{
	for (unsigned i = 0; i < s->sweep.count; i++) {
		struct sweep_file *file = &s->sweep.files[i];
		int err = file->temporary ? 0 : commit_spool_used(s, file->id, &file->used);

		if (err < 0)
			return err;
	}
	return 0;
}

const struct request_class sweep_class = {.run = sweep_run, .after = sweep_after};

void file_sweep_wait(struct store *s)
{
	pthread_mutex_lock(&s->file_lock);
	while (!s->swept_all)
		pthread_cond_wait(&s->sweep_ended, &s->file_lock);
	pthread_mutex_unlock(&s->file_lock);
}

uint64_t store_spool_swept(const struct store *s)
{
	return atomic_load(&s->swept);
}
