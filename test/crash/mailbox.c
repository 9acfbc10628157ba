// SPDX-License-Identifier: ISC
#include "mailbox.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "deliver/maildir.h"
#include "disk.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#define THREADS	   3
#define DELIVERIES 16 // of each thread
#define PROCESSES  2  // one after the other: the second knows nothing of the first
#define BOXES	   4
#define BODY_MAX   20000

struct delivery {
	unsigned number, box;
	size_t size;
	size_t done;	// moment (record.h) of the answer
	char name[400]; // in new
	struct buf content;
};

static struct delivery deliveries[PROCESSES * THREADS * DELIVERIES];

struct thread {
	pthread_t id;
	struct maildir_options options;
	struct delivery *first;
};

static void address_of(unsigned box, char out[60])
{
	snprintf(out, 60, "user%u@example%u.kr", box, box % 2);
}

static void folder_of(const char *root, unsigned box, char out[400])
{
	snprintf(out, 400, "%s/mail/example%u.kr/user%u/Maildir/new", root, box % 2, box);
}

// ---------------------------------------------------------------- delivering

static void deliver(struct thread *t, struct delivery *d)
{
	char address[60], body[BODY_MAX + 32];
	// Half of the mailboxes have a quota and so a maildirsize, which may be lost.
	struct deliver_recipient r = {.id = d->number + 1, .address = address,
		.quota = {.octets = d->box % 2 ? 100 << 20 : 0}};
	struct deliver_job job = {
		.job = d->number + 1,
		.sender = "lee@example.kr",
		.headers = STR("Received: from here\r\n"),
		.size = d->size,
		.body = str_make(body, d->size),
		.body_fd = -1,
		.recipients = &r,
		.recipient_count = 1,
	};

	address_of(d->box, address);
	for (size_t at = 0; at < d->size; at += 16)
		snprintf(body + at, 32, "%04u.%08zu\r\n ", d->number, at);
	maildir_deliver(&t->options, &job, &r);
	if (r.result.outcome == SMTP_DELIVERED)
		d->done = record_moment();
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	for (unsigned i = 0; i < DELIVERIES; i++)
		deliver(t, &t->first[i]);
	return NULL;
}

static bool run_process(unsigned process, const char *pattern)
{
	struct thread threads[THREADS];
	struct maildir_known *known = maildir_known_create();
	struct quota *quota = quota_create();
	bool good = true;

	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct thread){.options = {pattern, "mail.example.kr", known, quota},
			.first = &deliveries[(process * THREADS + i) * DELIVERIES]};
		good &= pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) == 0;
	}
	for (unsigned i = 0; i < THREADS && good; i++)
		pthread_join(threads[i].id, NULL);
	maildir_known_destroy(known);
	quota_destroy(quota);
	return good;
}

// ---------------------------------------------------------------- what is there

// The number of the delivery, which is in the name as job and as recipient; or -1.
static int number_of(const char *name)
{
	const char *at = strchr(name, 'Q');
	unsigned job = 0;

	if (!at || sscanf(at, "Q%xR", &job) != 1 || job == 0 || job > ARRAY_SIZE(deliveries))
		return -1;
	return (int)job - 1;
}

// After all was done: this is how each message has to be found.
static bool read_contents(const char *root)
{
	unsigned count = 0;

	for (unsigned box = 0; box < BOXES; box++) {
		struct dirent *entry;
		char path[1000];
		DIR *dir;

		folder_of(root, box, path);
		dir = opendir(path);
		while (dir && (entry = readdir(dir)) != NULL) {
			int number = number_of(entry->d_name);
			struct delivery *d = number < 0 ? NULL : &deliveries[number];

			if (!d)
				continue;
			folder_of(root, box, path);
			snprintf(d->name, sizeof(d->name), "%s", entry->d_name);
			snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", d->name);
			count += d->done &&
				 file_read_all(path, &d->content, BODY_MAX * 2, NULL) == 0;
		}
		if (dir)
			closedir(dir);
	}
	return count == ARRAY_SIZE(deliveries);
}

static bool is_whole(const char *folder, const struct delivery *d)
{
	struct buf found = BUF_INIT;
	char path[1000];
	bool same;

	snprintf(path, sizeof(path), "%s/%s", folder, d->name);
	same = file_read_all(path, &found, BODY_MAX * 2, NULL) == 0 &&
	       str_equal(buf_str(&found), buf_str(&d->content));
	buf_finish(&found);
	return same;
}

// All that a mail program sees is whole.
static bool check_box(const char *folder, bool *seen, struct cut_result *out)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool good = true;

	while (dir && (entry = readdir(dir)) != NULL) {
		int number = number_of(entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		if (number < 0 || !is_whole(folder, &deliveries[number])) {
			snprintf(out->words, sizeof(out->words), "%s is not whole", entry->d_name);
			good = false;
		} else {
			seen[number] = true;
		}
	}
	if (dir)
		closedir(dir);
	return good;
}

static bool check(void *arg, const char *path, size_t moment, struct cut_result *out)
{
	bool seen[ARRAY_SIZE(deliveries)] = {false}, good = true;
	char folder[400];

	for (unsigned box = 0; box < BOXES; box++) {
		folder_of(path, box, folder);
		good &= check_box(folder, seen, out);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(deliveries); i++) {
		if (deliveries[i].done <= moment && !seen[i]) {
			snprintf(out->words, sizeof(out->words), "message %u is lost", i);
			good = false;
		}
		out->unpromised += seen[i] && deliveries[i].done > moment;
	}
	return good;
}

// ---------------------------------------------------------------- all of it

bool mailbox_run(struct cut *cut)
{
	struct cut_numbers total = {0};
	struct record_log *log;
	uint64_t seed = cut->seed;
	char root[300], pattern[400];
	bool good = true;

	snprintf(root, sizeof(root), "%s/mailboxes", cut->folder);
	snprintf(pattern, sizeof(pattern), "%s/mail/%%d/%%u/Maildir", root);
	for (unsigned i = 0; i < ARRAY_SIZE(deliveries); i++)
		deliveries[i] = (struct delivery){.number = i,
			.box = (unsigned)(disk_random(&seed) >> 20) % BOXES,
			.size = 16 + (disk_random(&seed) >> 20) % (BODY_MAX / 16) * 16,
			.done = SIZE_MAX};
	if (mkdir(root, 0700) < 0)
		return false;
	record_start(root, true);
	for (unsigned i = 0; i < PROCESSES && good; i++)
		good = run_process(i, pattern);
	cut->log = log = record_stop();
	cut->check = check;
	good = good && read_contents(root) && cut_nowhere(cut, root) && cut_everywhere(cut, &total);
	printf("mailbox, seed %llu: %zu changes and syncs; %u states after a cut, %u of them with "
	       "more than was promised, %u wrong\n",
		(unsigned long long)cut->seed, log->count - log->first, total.states,
		total.unpromised, total.wrong);
	for (unsigned i = 0; i < ARRAY_SIZE(deliveries); i++)
		buf_finish(&deliveries[i].content);
	record_log_destroy(log);
	return good;
}
