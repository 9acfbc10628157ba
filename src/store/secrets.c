// SPDX-License-Identifier: ISC
// secrets.db: one table, blocking calls, removed content overwritten.
#include "store/secrets.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/schema.h"
#include "store/sql.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum query { GET, SET, REMOVE, NAMES, QUERY_COUNT };

static const char *const texts[QUERY_COUNT] = {
	[GET] = "SELECT hash, scram, changed_ms FROM secret WHERE name = $1",
	[SET] = "INSERT INTO secret (name, hash, scram, changed_ms) VALUES ($1, $2, $3, $4) "
		"ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, scram = excluded.scram, "
		"changed_ms = excluded.changed_ms",
	[REMOVE] = "DELETE FROM secret WHERE name = $1",
	[NAMES] = "SELECT name FROM secret ORDER BY name",
};

struct secrets {
	struct sql *db;
};

static int check_rights(const char *path, bool create, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT && create)
			return 0;
		return error_system(err, TEXT("cannot open %s (%s)"), schema_secrets.words, path);
	}
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_DENIED, TEXT("%s is not a regular file"), path);
	if (st.st_uid != geteuid())
		return error_set(err, ERR_DENIED,
			TEXT("%s belongs to another user (%u); this process runs as %u"), path,
			(unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & 077)
		return error_set(err, ERR_DENIED,
			TEXT("others have rights on %s (mode %04o); make it 0600"), path,
			(unsigned)(st.st_mode & 07777));
	return 0;
}

int secrets_open(const char *path, bool create, struct secrets **out, struct error *err)
{
	struct sql_options options = {
		.path = path,
		.words = schema_secrets.words,
		.texts = texts,
		.text_count = QUERY_COUNT,
		.cache_kib = 1024,
		.create = create,
		.durable = true,
		.wipe = true,
	};
	struct secrets *s;
	int code = check_rights(path, create, err);

	if (code < 0)
		return code;
	s = mem_alloc(sizeof(*s));
	code = sql_open(&options, &s->db, err);
	if (code == 0)
		code = schema_prepare(s->db, &schema_secrets, path, err);
	if (code < 0) {
		secrets_close(s);
		return code;
	}
	*out = s;
	return 0;
}

void secrets_close(struct secrets *s)
{
	if (!s)
		return;
	sql_close(s->db);
	mem_free(s);
}

int secrets_get(struct secrets *s, struct str name, struct secret *out)
{
	struct sql_statement *q = sql_use(s->db, GET);
	bool fits;
	int code;

	sql_bind_text(q, 1, name);
	code = sql_step(q);
	if (code != 1)
		return code == 0 ? ERR_NOT_FOUND : code;
	fits = str_copy(sql_str(q, 0), out->hash, sizeof(out->hash)) &&
	       str_copy(sql_str(q, 1), out->scram, sizeof(out->scram));
	out->changed_ms = sql_u64(q, 2);
	sql_end(q);
	return fits ? 0 : ERR_CORRUPT;
}

// The log is emptied, so that what was replaced stays nowhere.
static int change(struct secrets *s, struct sql_statement *q)
{
	int code = sql_run(q);
	unsigned changed = sql_changed(s->db);

	if (code < 0)
		return code;
	(void)sql_checkpoint_truncate(s->db); // the change itself is on the disk
	return changed ? 0 : ERR_NOT_FOUND;
}

int secrets_set(struct secrets *s, struct str name, const struct secret *secret)
{
	struct sql_statement *q = sql_use(s->db, SET);

	sql_bind_text(q, 1, name);
	sql_bind_text(q, 2, str_from(secret->hash));
	sql_bind_text(q, 3, str_from(secret->scram));
	sql_bind_u64(q, 4, secret->changed_ms);
	return change(s, q);
}

int secrets_remove(struct secrets *s, struct str name)
{
	struct sql_statement *q = sql_use(s->db, REMOVE);

	sql_bind_text(q, 1, name);
	return change(s, q);
}

// Names first, calls then: the caller may remove the one it is told.
int secrets_each(struct secrets *s, void (*each)(void *arg, struct str name), void *arg)
{
	struct sql_statement *q = sql_use(s->db, NAMES);
	struct arena arena = {0};
	struct name {
		struct name *next;
		struct str text;
	} *first = NULL, **last = &first;
	int code;

	while ((code = sql_step(q)) == 1) {
		struct name *name = arena_alloc(&arena, sizeof(*name));

		name->text = arena_str(&arena, sql_str(q, 0));
		*last = name;
		last = &name->next;
	}
	for (const struct name *name = first; name && code == 0; name = name->next)
		each(arg, name->text);
	arena_finish(&arena);
	return code;
}
