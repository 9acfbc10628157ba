// SPDX-License-Identifier: ISC
#include "check.h"

#include "base/error.h"
#include "base/memory.h"
#include "message/digest.h"
#include "store/store_internal.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define PAGE 1000

// What the store says that it holds.
struct found {
	struct store *s;
	struct truth truth; // tries, states, times, sizes as found
	uint64_t counter;
	uint64_t messages, octets, recipients[3];
	uint64_t spools[TRUTH_MESSAGES]; // names of files
	unsigned page;
	uint64_t after;
	struct cut_result *result;
	unsigned count; // requests
	bool wrong;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct found *f, const char *format, ...)
{
	va_list list;

	if (!f->wrong) {
		va_start(list, format);
		vsnprintf(f->result->words, sizeof(f->result->words), format, list);
		va_end(list);
	}
	f->wrong = true;
	return false;
}

// ---------------------------------------------------------------- reading

static void note_counter(void *arg, struct str name, uint64_t window, uint64_t value)
{
	struct found *f = arg;

	if (str_equal(name, STR("asked")))
		f->counter = value;
}

static void expect_no_error(void *arg, int err)
{
	if (err < 0)
		wrong(arg, "a request fails: %d", err);
}

static void note_message(struct found *f, unsigned number, const struct store_message *m)
{
	uint8_t digest[MESSAGE_DIGEST_SIZE];

	if (f->truth.sizes[number])
		return;
	f->truth.sizes[number] = m->envelope.size;
	f->spools[number] = m->spool;
	f->messages++;
	f->octets += m->envelope.size;
	digest_of(truth_body(number, m->envelope.size), digest);
	if (memcmp(digest, m->envelope.digest, sizeof(digest)) != 0 ||
		!str_equal(m->envelope.sender, STR("lee@example.kr")) ||
		m->envelope.received_ms != 1000 + number)
		wrong(f, "the envelope of message %u differs", number);
}

static void note_recipient(
	void *arg, const struct store_message *m, const struct store_recipient *r)
{
	struct found *f = arg;
	unsigned message = truth_message_of(r->message), number = truth_recipient_of(r->id);

	if (message >= TRUTH_MESSAGES || number >= TRUTH_RECIPIENTS ||
		m->envelope.id != r->message) {
		wrong(f, "a row that was never asked for");
		return;
	}
	note_message(f, message, m);
	f->recipients[r->state]++;
	f->truth.recipients[number] = (struct truth_recipient){
		.there = true,
		.message = message,
		.state = r->state,
		.hold = r->state == RECIPIENT_HELD,
		.tries = r->tries,
		.next_ms = r->next_try_ms,
	};
	if (r->state == RECIPIENT_HELD && !str_equal(r->hold_reason, STR("by hand")))
		wrong(f, "recipient %u is held without a reason", number);
}

static void end_page(void *arg, int err, unsigned count, uint64_t last)
{
	struct found *f = arg;

	expect_no_error(f, err);
	f->page = err < 0 ? 0 : count;
	f->after = last;
}

static void note_account(void *arg, const struct store_account *a)
{
	struct found *f = arg;

	for (unsigned i = 0; i < TRUTH_ACCOUNTS; i++) {
		if (str_equal(a->name, truth_account_name(i)))
			f->truth.accounts[i] = a->enabled ? ACCOUNT_ENABLED : ACCOUNT_DISABLED;
	}
}

static void compare_totals(void *arg, int err, const struct store_totals *t)
{
	struct found *f = arg;

	expect_no_error(f, err);
	if (err == 0 && (t->messages != f->messages || t->octets != f->octets ||
				t->due != f->recipients[RECIPIENT_DUE] ||
				t->claimed != f->recipients[RECIPIENT_CLAIMED] ||
				t->held != f->recipients[RECIPIENT_HELD]))
		wrong(f, "the totals differ from the rows");
}

static void read_all(struct found *f)
{
	store_counter_list(f->s, note_counter, expect_no_error, f);
	do {
		store_list(f->s,
			&(struct store_filter){.any_state = true, .after = f->after, .limit = PAGE},
			note_recipient, end_page, f);
		store_wait(f->s);
	} while (f->page == PAGE);
	store_account_list(f->s, STR_EMPTY, PAGE, note_account, expect_no_error, f);
	store_count(f->s, compare_totals, f);
	store_wait(f->s);
}

static void note_body(void *arg, int err, struct str octets, int fd)
{
	expect_no_error(arg, err);
	if (fd >= 0)
		close(fd);
}

// The store compares length and digest; the digest itself was compared before.
static void read_bodies(struct found *f)
{
	for (unsigned i = 0; i < TRUTH_MESSAGES; i++) {
		if (f->truth.sizes[i])
			store_read_body(f->s, truth_message_id(i), note_body, f);
	}
	store_wait(f->s);
}

// ---------------------------------------------------------------- files

static bool has_row(const struct found *f, const char *name)
{
	uint64_t id;

	if (id_parse(str_from(name), &id) < 0)
		return false;
	for (unsigned i = 0; i < TRUTH_MESSAGES; i++) {
		if (f->truth.sizes[i] && f->spools[i] == id)
			return true;
	}
	return false;
}

static void check_folder(struct found *f, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir) {
		wrong(f, "the folder %s is missing", path);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && !has_row(f, entry->d_name))
			wrong(f, "the sweep left %s", entry->d_name);
	}
	closedir(dir);
}

static void check_files(struct found *f, const char *folder)
{
	char path[400];

	file_sweep_wait(f->s);
	f->result->swept = (unsigned)store_spool_swept(f->s);
	for (unsigned i = 0; i < SPOOL_FOLDERS; i++) {
		snprintf(path, sizeof(path), "%s/spool/%02x", folder, i);
		check_folder(f, path);
	}
}

static void check_integrity(struct found *f, const char *folder)
{
	char path[400];
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;
	const char *words;

	snprintf(path, sizeof(path), "%s/queue.db", folder);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
		sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL) != SQLITE_OK ||
		sqlite3_step(q) != SQLITE_ROW) {
		wrong(f, "SQLite: %s", sqlite3_errmsg(db));
	} else {
		words = (const char *)sqlite3_column_text(q, 0);
		if (strcmp(words, "ok") != 0)
			wrong(f, "integrity_check: %s", words);
	}
	sqlite3_finalize(q);
	sqlite3_close(db);
}

// ---------------------------------------------------------------- comparing

static bool same_recipient(const struct truth_recipient *is, const struct truth_recipient *should)
{
	if (is->there != should->there)
		return false;
	if (!is->there)
		return true;
	return is->message == should->message && is->state == should->state &&
	       is->tries == should->tries &&
	       (is->state == RECIPIENT_HELD || should->any_time || is->next_ms == should->next_ms);
}

static const char *difference(const struct truth *is, const struct truth *should, unsigned *out)
{
	for (unsigned i = 0; i < TRUTH_RECIPIENTS; i++) {
		*out = i;
		if (is->recipients[i].there && !should->recipients[i].there)
			return "a recipient that had ended, or was never asked for, is there";
		if (!is->recipients[i].there && should->recipients[i].there)
			return "a recipient is lost";
		if (!same_recipient(&is->recipients[i], &should->recipients[i]))
			return "the state of a recipient is wrong";
	}
	for (unsigned i = 0; i < TRUTH_MESSAGES; i++) {
		*out = i;
		if (is->sizes[i] != should->sizes[i])
			return "the size of a message is wrong";
	}
	for (unsigned i = 0; i < TRUTH_ACCOUNTS; i++) {
		*out = i;
		if (is->accounts[i] != should->accounts[i])
			return "an account is wrong";
	}
	return NULL;
}

struct range {
	unsigned promised, asked; // numbers of the last ones before the cut
	unsigned from, to;	  // what the store may hold
};

static struct range find_range(const struct found *f, const struct history *h, size_t moment)
{
	struct range r = {0};

	for (unsigned n = 1; n <= h->count; n++) {
		const struct ask *a = &h->asks[n - 1];

		if (a->asked <= moment)
			r.asked = n;
		if (a->done && a->done <= moment)
			r.promised = n;
	}
	r.from = r.to = (unsigned)f->counter;
	while (r.to < r.asked && !ask_is_counted(&h->asks[r.to]))
		r.to++;
	if (r.from < r.promised)
		r.from = r.promised;
	return r;
}

static void compare(struct found *f, const struct history *h, size_t moment)
{
	static struct truth should;
	struct range r = find_range(f, h, moment);
	const char *what = NULL;
	unsigned number = 0;

	if (f->counter > r.asked)
		wrong(f, "request %u is there, only %u were made", (unsigned)f->counter, r.asked);
	if (r.from > r.to)
		wrong(f, "request %u was promised, the last one found is %u", r.promised, r.to);
	for (unsigned n = r.from; n <= r.to; n++) {
		truth_after(&should, h, n);
		what = difference(&f->truth, &should, &number);
		if (!what) {
			f->count = n;
			f->result->unpromised = n - r.promised;
			return;
		}
	}
	if (what)
		wrong(f, "after request %u: %s (number %u)", r.to, what, number);
}

bool check_store(const char *folder, const struct history *h, size_t moment,
	struct cut_result *result, unsigned *out_count)
{
	static struct found found;
	struct found *f = &found;
	struct error err = {.text = ""};

	memset(f, 0, sizeof(*f));
	f->result = result;
	if (store_open(NULL, &(struct store_options){.folder = folder, .node = 1, .create = true},
		    &f->s, &err) < 0)
		return wrong(f, "the store cannot be opened: %s", err.text);
	read_all(f);
	read_bodies(f);
	check_files(f, folder);
	store_close(f->s);
	check_integrity(f, folder);
	compare(f, h, moment);
	*out_count = f->count;
	return !f->wrong;
}
