// SPDX-License-Identifier: ISC
// The SQLite engine of sql.h: one connection, exclusive lock, write-ahead log.
#include "store/sql.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define PAGE_SIZE 4096
#define LOG_FRAME (PAGE_SIZE + 24) // a page in the log
// The log file keeps this much between checkpoints, for commits on a full disk.
#define LOG_KEEP (32UL * 1024 * 1024)

struct sql_statement {
	struct sql *db;
	sqlite3_stmt *handle; // NULL: not yet prepared
	int err;	      // preparing or binding failed; told by sql_step
};

// Owned by whoever called sql_open.
struct sql {
	sqlite3 *handle;
	const char *const *texts;
	unsigned text_count;
	unsigned log_pages;
	bool wrote; // since sql_begin
	sqlite3_stmt *size_queries[2];
	char words[256];
	struct sql_statement statements[];
};

// ---- errors

static bool disk_is_full(int code, int system_errno)
{
	return code == SQLITE_FULL ||
	       (code == SQLITE_IOERR && (system_errno == ENOSPC || system_errno == EDQUOT));
}

static int map_code(int extended, int system_errno)
{
	int code = extended & 0xff;
	static const struct {
		int code, err;
	} table[] = {
		{SQLITE_CORRUPT, ERR_CORRUPT},
		{SQLITE_NOTADB, ERR_CORRUPT},
		{SQLITE_BUSY, ERR_DENIED},
		{SQLITE_LOCKED, ERR_DENIED},
		{SQLITE_TOOBIG, ERR_LIMIT},
	};

	if (disk_is_full(code, system_errno))
		return ERR_FULL;
	// Any other broken constraint is a fault of ours, and no sign that the row is there already.
	if (extended == SQLITE_CONSTRAINT_PRIMARYKEY || extended == SQLITE_CONSTRAINT_UNIQUE ||
		extended == SQLITE_CONSTRAINT_ROWID)
		return ERR_EXISTS;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].code == code)
			return table[i].err;
	}
	return ERR_SYSTEM;
}

// Remembers the words and returns the number.
static int fail(struct sql *db)
{
	int code = sqlite3_extended_errcode(db->handle);
	int system_errno = sqlite3_system_errno(db->handle);

	snprintf(db->words, sizeof(db->words), "%s (%d)%s%s", sqlite3_errmsg(db->handle),
		sqlite3_extended_errcode(db->handle), system_errno ? ": " : "",
		system_errno ? strerror(system_errno) : "");
	return map_code(code, system_errno);
}

const char *sql_words(const struct sql *db)
{
	return db->words;
}

int sql_script(struct sql *db, const char *script)
{
	return sqlite3_exec(db->handle, script, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db);
}

int sql_read_number(struct sql *db, const char *text, uint64_t *out)
{
	sqlite3_stmt *handle = NULL;
	int code = sqlite3_prepare_v2(db->handle, text, -1, &handle, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(handle);
	if (code == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(handle, 0);
	code = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? ERR_NOT_FOUND : fail(db);
	sqlite3_finalize(handle);
	return code;
}

int sql_table_count(struct sql *db, uint64_t *out)
{
	return sql_read_number(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", out);
}

// ---- opening

static void set_up_library(void)
{
	// Counting every allocation under one lock costs more than the allocation.
	char octet;

	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_randomness(sizeof(octet), &octet); // opens /dev/urandom, once, while it can
}

static int remember_log_pages(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct sql *db = arg;

	db->log_pages = (unsigned)pages;
	db->wrote = true;
	return SQLITE_OK;
}

// Makes the file with our rights before the library makes it with its own. O_EXCL: opening (and
// closing) a file that is there would lose the locks this process may have on it.
static int make_file(const struct sql_options *o, struct error *err)
{
	int fd = open(o->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	return error_system(err, TEXT("cannot make %s (%s)"), o->words, o->path);
}

static int set_up_connection(struct sql *db, const struct sql_options *o)
{
	char script[512];
	int code;

	// The lock mode comes first: only so the log's index stays in our memory. The write at the
	// end takes the lock, makes the log file and syncs its folder: all that needs names is done
	// before the caller gives up its right to names.
	snprintf(script, sizeof(script),
		"PRAGMA locking_mode=EXCLUSIVE;"
		"PRAGMA page_size=%d;"
		"PRAGMA auto_vacuum=%s;"
		"PRAGMA temp_store=MEMORY;"
		"PRAGMA cache_size=-%u;"
		"PRAGMA secure_delete=%s;"
		"PRAGMA journal_mode=WAL;"
		"PRAGMA synchronous=%s;"
		"PRAGMA wal_autocheckpoint=0;"
		"PRAGMA journal_size_limit=%lu;"
		"PRAGMA trusted_schema=OFF;"
		"PRAGMA cell_size_check=ON;"
		"PRAGMA user_version=1;",
		PAGE_SIZE, o->shrink ? "INCREMENTAL" : "NONE", o->cache_kib, o->wipe ? "ON" : "OFF",
		o->durable ? "FULL" : "NORMAL", LOG_KEEP);
	code = sql_script(db, script);
	if (code == 0)
		sqlite3_wal_hook(db->handle, remember_log_pages, db);
	return code;
}

// Words for the three errors an administrator meets.
static int explain(const struct sql *db, const struct sql_options *o, int code, struct error *err)
{
	if (code == ERR_DENIED)
		return error_set(
			err, code, TEXT("%s (%s) is in use by another process"), o->words, o->path);
	if (code == ERR_CORRUPT)
		return error_set(err, code, TEXT("%s (%s) is damaged or no database: %s"), o->words,
			o->path, db->words);
	return error_set(err, code, TEXT("cannot open %s (%s): %s"), o->words, o->path, db->words);
}

int sql_open(const struct sql_options *o, struct sql **out, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sql *db;
	int code;

	pthread_once(&once, set_up_library);
	if (o->create) {
		code = make_file(o, err);
		if (code < 0)
			return code;
	} else if (access(o->path, F_OK) < 0) {
		return error_system(err, TEXT("cannot open %s (%s)"), o->words, o->path);
	}
	db = mem_alloc(sizeof(*db) + o->text_count * sizeof(db->statements[0]));
	db->texts = o->texts;
	db->text_count = o->text_count;
	code = sqlite3_open_v2(
		o->path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	code = code == SQLITE_OK ? set_up_connection(db, o) : db->handle ? fail(db) : ERR_MEMORY;
	if (code < 0) {
		explain(db, o, code, err);
		sql_close(db);
		return code;
	}
	*out = db;
	return 0;
}

void sql_close(struct sql *db)
{
	if (!db)
		return;
	for (unsigned i = 0; i < db->text_count; i++)
		sqlite3_finalize(db->statements[i].handle);
	sqlite3_finalize(db->size_queries[0]);
	sqlite3_finalize(db->size_queries[1]);
	sqlite3_close(db->handle);
	mem_free(db);
}

int sql_copy(struct sql *db, const char *path)
{
	sqlite3 *copy = NULL;
	sqlite3_backup *backup;
	int fd, code;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		snprintf(db->words, sizeof(db->words), "%s: %s", path, strerror(errno));
		return err_from_errno(errno);
	}
	close(fd);
	code = sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	backup = code == SQLITE_OK ? sqlite3_backup_init(copy, "main", db->handle, "main") : NULL;
	if (backup) {
		sqlite3_backup_step(backup, -1);
		code = sqlite3_backup_finish(backup);
	}
	if (copy && (!backup || code != SQLITE_OK)) {
		snprintf(db->words, sizeof(db->words), "%s: %s", path, sqlite3_errmsg(copy));
		code = map_code(sqlite3_errcode(copy) & 0xff, sqlite3_system_errno(copy));
	}
	sqlite3_close(copy);
	return code == 0 && file_sync_folder_of(path) < 0 ? ERR_SYSTEM : code;
}

// ---- statements

struct sql_statement *sql_use(struct sql *db, unsigned number)
{
	struct sql_statement *s = &db->statements[number];

	BUG_ON(number >= db->text_count);
	s->err = 0;
	s->db = db;
	if (s->handle) {
		sqlite3_reset(s->handle);
	} else if (sqlite3_prepare_v3(db->handle, db->texts[number], -1, SQLITE_PREPARE_PERSISTENT,
			   &s->handle, NULL) != SQLITE_OK) {
		s->err = fail(db);
	}
	return s;
}

static void note_bind(struct sql_statement *s, int code)
{
	if (code != SQLITE_OK && s->err == 0)
		s->err = fail(s->db);
}

void sql_bind_u64(struct sql_statement *s, int at, uint64_t value)
{
	if (s->handle)
		note_bind(s, sqlite3_bind_int64(s->handle, at, (sqlite3_int64)value));
}

void sql_bind_text(struct sql_statement *s, int at, struct str value)
{
	if (s->handle)
		note_bind(s, sqlite3_bind_text64(s->handle, at, value.len ? value.data : "",
				     value.len, SQLITE_STATIC, SQLITE_UTF8));
}

void sql_bind_octets(struct sql_statement *s, int at, struct str value)
{
	if (s->handle)
		note_bind(s, sqlite3_bind_blob64(s->handle, at, value.len ? value.data : "",
				     value.len, SQLITE_STATIC));
}

int sql_step(struct sql_statement *s)
{
	int code;

	if (s->err == 0) {
		code = sqlite3_step(s->handle);
		if (code == SQLITE_ROW)
			return 1;
		if (code != SQLITE_DONE)
			s->err = fail(s->db);
	}
	code = s->err;
	sql_end(s);
	return code;
}

int sql_run(struct sql_statement *s)
{
	int code = sql_step(s);

	if (code == 1)
		sql_end(s);
	return code < 0 ? code : 0;
}

void sql_end(struct sql_statement *s)
{
	if (s->handle)
		sqlite3_reset(s->handle);
}

unsigned sql_changed(const struct sql *db)
{
	return (unsigned)sqlite3_changes(db->handle);
}

uint64_t sql_u64(struct sql_statement *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s->handle, column);
}

struct str sql_str(struct sql_statement *s, int column)
{
	const void *data = sqlite3_column_blob(s->handle, column);
	int len = sqlite3_column_bytes(s->handle, column);

	return len > 0 && data ? str_make(data, (size_t)len) : STR_EMPTY;
}

// ---- transactions and the log

int sql_begin(struct sql *db)
{
	db->wrote = false;
	return sql_script(db, "BEGIN IMMEDIATE");
}

int sql_commit(struct sql *db)
{
	return sql_script(db, "COMMIT");
}

void sql_rollback(struct sql *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		(void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

bool sql_wrote(const struct sql *db)
{
	return db->wrote;
}

uint64_t sql_log_size(const struct sql *db)
{
	return (uint64_t)db->log_pages * LOG_FRAME;
}

static int checkpoint(struct sql *db, int mode)
{
	int total, done;

	if (sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, &total, &done) != SQLITE_OK)
		return fail(db);
	// As the only user of the file, all of the log was moved.
	db->log_pages = 0;
	return 0;
}

int sql_checkpoint(struct sql *db)
{
	return checkpoint(db, SQLITE_CHECKPOINT_RESTART);
}

int sql_checkpoint_truncate(struct sql *db)
{
	return checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
}

// Asked after every group: kept prepared.
static int read_size(struct sql *db, int which, const char *text, uint64_t *out)
{
	sqlite3_stmt **query = &db->size_queries[which];
	int code = SQLITE_OK;

	if (!*query)
		code = sqlite3_prepare_v3(
			db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, query, NULL);
	if (code == SQLITE_OK && sqlite3_step(*query) == SQLITE_ROW) {
		*out = (uint64_t)sqlite3_column_int64(*query, 0) * PAGE_SIZE;
		sqlite3_reset(*query);
		return 0;
	}
	code = fail(db);
	sqlite3_reset(*query);
	return code;
}

int sql_size(struct sql *db, uint64_t *out_size, uint64_t *out_unused)
{
	int err = read_size(db, 0, "PRAGMA page_count", out_size);

	return err < 0 ? err : read_size(db, 1, "PRAGMA freelist_count", out_unused);
}

int sql_shrink(struct sql *db, uint64_t octets)
{
	char script[64];

	snprintf(script, sizeof(script), "PRAGMA incremental_vacuum(%u)",
		(unsigned)(octets / PAGE_SIZE + 1));
	return sql_script(db, script);
}
