// SPDX-License-Identifier: ISC
// secrets.db and its key file: blocking calls, removed content overwritten.
#include "store/secrets.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/schema.h"
#include "store/sql.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum query {
	GET,
	SET,
	REMOVE,
	NAMES,
	WITHOUT_SCRAM,
	META_GET,
	META_SET,
	META_REMOVE,
	META_REPLACE,
	APPLICATION_ADD,
	APPLICATION_REMOVE,
	APPLICATIONS,
	APPLICATIONS_REMOVE,
	USED_GET,
	USED_SET,
	USED_REMOVE,
	USED_REMOVE_ALL,
	PLACE_SET,
	PLACE_REMOVE,
	PLACES,
	PLACES_CUT,
	QUERY_COUNT
};

static const char *const texts[QUERY_COUNT] = {
	[GET] = "SELECT hash, scram, changed_ms, sealed FROM secret WHERE name = $1",
	[SET] = "INSERT INTO secret (name, hash, scram, changed_ms, sealed) "
		"VALUES ($1, $2, $3, $4, $5) "
		"ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, scram = excluded.scram, "
		"changed_ms = excluded.changed_ms, sealed = excluded.sealed",
	[REMOVE] = "DELETE FROM secret WHERE name = $1",
	[NAMES] = "SELECT name FROM secret ORDER BY name",
	[WITHOUT_SCRAM] = "SELECT name FROM secret WHERE scram = '' AND hash <> '' ORDER BY name",
	[META_GET] = "SELECT value FROM meta WHERE name = $1",
	[META_SET] = "INSERT INTO meta (name, value) VALUES ($1, $2) "
		     "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	[META_REMOVE] = "DELETE FROM meta WHERE name = $1",
	[META_REPLACE] = "UPDATE meta SET value = $1 WHERE name = $2 AND value = $3",
	[APPLICATION_ADD] = "INSERT INTO application "
			    "(name, label, hash, networks, created_ms, expires_ms) "
			    "VALUES ($1, $2, $3, $4, $5, $6)",
	[APPLICATION_REMOVE] = "DELETE FROM application WHERE name = $1 AND label = $2",
	[APPLICATIONS] = "SELECT label, hash, networks, created_ms, expires_ms FROM application "
			 "WHERE name = $1 ORDER BY label",
	[APPLICATIONS_REMOVE] = "DELETE FROM application WHERE name = $1",
	[USED_GET] = "SELECT last_ms, client FROM used WHERE name = $1 AND label = $2",
	[USED_SET] = "INSERT INTO used (name, label, last_ms, client) VALUES ($1, $2, $3, $4) "
		     "ON CONFLICT (name, label) DO UPDATE SET last_ms = excluded.last_ms, "
		     "client = excluded.client",
	[USED_REMOVE] = "DELETE FROM used WHERE name = $1 AND label = $2",
	[USED_REMOVE_ALL] = "DELETE FROM used WHERE name = $1",
	[PLACE_SET] = "INSERT INTO place (name, addresses, last_ms) VALUES ($1, $2, $3) "
		      "ON CONFLICT (name) DO UPDATE SET addresses = excluded.addresses, "
		      "last_ms = excluded.last_ms",
	[PLACE_REMOVE] = "DELETE FROM place WHERE name = $1",
	[PLACES] = "SELECT name, addresses, last_ms FROM "
		   "(SELECT name, addresses, last_ms FROM place ORDER BY last_ms DESC LIMIT $1) "
		   "AS latest ORDER BY last_ms",
	[PLACES_CUT] = "DELETE FROM place WHERE name IN "
		       "(SELECT name FROM place ORDER BY last_ms DESC LIMIT 1000000 OFFSET $1)",
};

struct secrets {
	struct sql *db;
	char *key_path;
	bool has_key;
	unsigned char key[SECRETS_KEY];
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

static char *key_path_of(const char *path)
{
	struct str all = str_from(path);
	struct str folder = str_slice(all, 0, (size_t)(str_find_last(all, '/') + 1));
	struct buf out = BUF_INIT;
	char *made;

	buf_add_str(&out, folder);
	buf_add_text(&out, "legacy.key");
	made = str_dup(buf_str(&out));
	buf_finish(&out);
	return made;
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
	s->key_path = key_path_of(path);
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
	mem_free(s->key_path);
	mem_wipe(s->key, sizeof(s->key));
	mem_free(s);
}

int secrets_get(struct secrets *s, struct str name, struct secret *out)
{
	struct sql_statement *q = sql_use(s->db, GET);
	struct str sealed;
	bool fits;
	int code;

	sql_bind_text(q, 1, name);
	code = sql_step(q);
	if (code != 1)
		return code == 0 ? ERR_NOT_FOUND : code;
	fits = str_copy(sql_str(q, 0), out->hash, sizeof(out->hash)) &&
	       str_copy(sql_str(q, 1), out->scram, sizeof(out->scram));
	out->changed_ms = sql_u64(q, 2);
	sealed = sql_str(q, 3);
	out->sealed_len = sealed.len;
	fits = fits && sealed.len <= sizeof(out->sealed);
	if (fits && sealed.len)
		memcpy(out->sealed, sealed.data, sealed.len);
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
	sql_bind_octets(q, 5, str_make(secret->sealed, secret->sealed_len));
	return change(s, q);
}

// The name of its row in meta.
static struct str otp_key(struct str name, struct buf *out)
{
	buf_add_text(out, "otp:");
	buf_add_str(out, name);
	return buf_str(out);
}

static int remove_otp(struct secrets *s, struct str name, unsigned *out_count)
{
	struct sql_statement *q = sql_use(s->db, META_REMOVE);
	struct buf key = BUF_INIT;
	int code;

	sql_bind_text(q, 1, otp_key(name, &key));
	code = sql_run(q);
	buf_finish(&key);
	*out_count += sql_changed(s->db);
	return code;
}

static int remove_all(struct secrets *s, struct str name, unsigned *out_count)
{
	static const enum query all[] = {
		REMOVE, APPLICATIONS_REMOVE, USED_REMOVE_ALL, PLACE_REMOVE};
	int code = remove_otp(s, name, out_count);

	for (size_t i = 0; i < ARRAY_SIZE(all) && code == 0; i++) {
		struct sql_statement *q = sql_use(s->db, all[i]);

		sql_bind_text(q, 1, name);
		code = sql_run(q);
		if (all[i] == REMOVE || all[i] == APPLICATIONS_REMOVE)
			*out_count += sql_changed(s->db);
	}
	return code;
}

// Ends the transaction.
static int finish(struct secrets *s, int code)
{
	if (code == 0)
		code = sql_commit(s->db);
	if (code < 0)
		sql_rollback(s->db);
	return code;
}

int secrets_remove(struct secrets *s, struct str name)
{
	unsigned count = 0;
	int code = sql_begin(s->db);

	if (code == 0)
		code = finish(s, remove_all(s, name, &count));
	if (code < 0)
		return code;
	(void)sql_checkpoint_truncate(s->db);
	return count ? 0 : ERR_NOT_FOUND;
}

// Names first, calls then: the caller may remove the one it is told.
static int each_name(struct secrets *s, enum query query, void (*each)(void *arg, struct str name),
	void *arg, uint64_t *out_count)
{
	struct sql_statement *q = sql_use(s->db, query);
	struct arena arena = {0};
	struct name {
		struct name *next;
		struct str text;
	} *first = NULL, **last = &first;
	int code;

	*out_count = 0;
	while ((code = sql_step(q)) == 1) {
		struct name *name;

		(*out_count)++;
		if (!each)
			continue;
		name = arena_alloc(&arena, sizeof(*name));
		name->text = arena_str(&arena, sql_str(q, 0));
		*last = name;
		last = &name->next;
	}
	for (const struct name *name = first; name && code == 0; name = name->next)
		each(arg, name->text);
	arena_finish(&arena);
	return code;
}

int secrets_each(struct secrets *s, void (*each)(void *arg, struct str name), void *arg)
{
	uint64_t count;

	return each_name(s, NAMES, each, arg, &count);
}

int secrets_without_scram(struct secrets *s, void (*each)(void *arg, struct str name), void *arg,
	uint64_t *out_count)
{
	return each_name(s, WITHOUT_SCRAM, each, arg, out_count);
}

// ---- values of our own

int secrets_meta_get(struct secrets *s, struct str name, void *out, size_t size, size_t *out_len)
{
	struct sql_statement *q = sql_use(s->db, META_GET);
	struct str value;
	int code;

	sql_bind_text(q, 1, name);
	code = sql_step(q);
	if (code != 1)
		return code == 0 ? ERR_NOT_FOUND : code;
	value = sql_str(q, 0);
	*out_len = value.len;
	if (value.len && value.len <= size)
		memcpy(out, value.data, value.len);
	sql_end(q);
	return *out_len <= size ? 0 : ERR_LIMIT;
}

int secrets_meta_set(struct secrets *s, struct str name, struct str octets)
{
	struct sql_statement *q = sql_use(s->db, META_SET);

	if (octets.len > SECRETS_META_MAX)
		return ERR_LIMIT;
	sql_bind_text(q, 1, name);
	sql_bind_octets(q, 2, octets);
	return change(s, q);
}

// ---- one-time passwords

int secrets_otp_get(struct secrets *s, struct str name, char out[SECRETS_OTP])
{
	struct buf key = BUF_INIT;
	size_t len = 0;
	int code = secrets_meta_get(s, otp_key(name, &key), out, SECRETS_OTP - 1, &len);

	buf_finish(&key);
	out[code == 0 ? len : 0] = '\0';
	return code == ERR_LIMIT ? ERR_CORRUPT : code;
}

int secrets_otp_set(struct secrets *s, struct str name, const char *state)
{
	struct buf key = BUF_INIT;
	int code = secrets_meta_set(s, otp_key(name, &key), str_from(state));

	buf_finish(&key);
	return code;
}

int secrets_otp_remove(struct secrets *s, struct str name)
{
	unsigned count = 0;
	int code = remove_otp(s, name, &count);

	if (code < 0)
		return code;
	(void)sql_checkpoint_truncate(s->db);
	return count ? 0 : ERR_NOT_FOUND;
}

int secrets_otp_replace(struct secrets *s, struct str name, const char *was, const char *next)
{
	struct sql_statement *q = sql_use(s->db, META_REPLACE);
	struct buf key = BUF_INIT;
	int code;

	sql_bind_octets(q, 1, str_from(next));
	sql_bind_text(q, 2, otp_key(name, &key));
	sql_bind_octets(q, 3, str_from(was));
	code = change(s, q);
	buf_finish(&key);
	return code;
}

// ---- the key file

static int read_key(struct secrets *s, struct error *err)
{
	struct buf content = BUF_INIT;
	int code = check_rights(s->key_path, false, err);

	if (code == 0)
		code = file_read_all(s->key_path, &content, SECRETS_KEY, err);
	if (code == 0 && buf_len(&content) != SECRETS_KEY)
		code = error_set(err, ERR_CORRUPT, TEXT("%s is no key of %d octets"), s->key_path,
			SECRETS_KEY);
	if (code == 0)
		memcpy(s->key, buf_str(&content).data, SECRETS_KEY);
	buf_finish_wipe(&content);
	return code;
}

int secrets_key(struct secrets *s, bool create, unsigned char out[SECRETS_KEY], struct error *err)
{
	int code = s->has_key ? 0 : read_key(s, err);

	if (code == ERR_NOT_FOUND && create) {
		mem_random(s->key, sizeof(s->key));
		code = file_replace(s->key_path, str_make(s->key, sizeof(s->key)), 0600, err);
	}
	if (code < 0)
		return code;
	s->has_key = true;
	memcpy(out, s->key, sizeof(s->key));
	return 0;
}

// ---- application passwords

int secrets_application_add(struct secrets *s, struct str name, const struct secret_application *a)
{
	struct sql_statement *q = sql_use(s->db, APPLICATION_ADD);

	sql_bind_text(q, 1, name);
	sql_bind_text(q, 2, str_from(a->label));
	sql_bind_octets(q, 3, str_make(a->hash, sizeof(a->hash)));
	sql_bind_text(q, 4, str_from(a->networks));
	sql_bind_u64(q, 5, a->created_ms);
	sql_bind_u64(q, 6, a->expires_ms);
	return change(s, q);
}

static int remove_labelled(struct secrets *s, enum query query, struct str name, struct str label)
{
	struct sql_statement *q = sql_use(s->db, query);

	sql_bind_text(q, 1, name);
	sql_bind_text(q, 2, label);
	return change(s, q);
}

int secrets_application_remove(struct secrets *s, struct str name, struct str label)
{
	int code = remove_labelled(s, APPLICATION_REMOVE, name, label);

	if (code == 0)
		(void)remove_labelled(s, USED_REMOVE, name, label); // may never have been used
	return code;
}

int secrets_application_each(struct secrets *s, struct str name,
	void (*each)(void *arg, const struct secret_application *a), void *arg)
{
	struct sql_statement *q = sql_use(s->db, APPLICATIONS);
	struct secret_application a;
	int code;

	sql_bind_text(q, 1, name);
	while ((code = sql_step(q)) == 1) {
		struct str hash = sql_str(q, 1);
		bool fits = str_copy(sql_str(q, 0), a.label, sizeof(a.label)) &&
			    str_copy(sql_str(q, 2), a.networks, sizeof(a.networks)) &&
			    hash.len == sizeof(a.hash);

		a.created_ms = sql_u64(q, 3);
		a.expires_ms = sql_u64(q, 4);
		if (!fits) {
			sql_end(q);
			return ERR_CORRUPT;
		}
		memcpy(a.hash, hash.data, hash.len);
		each(arg, &a);
	}
	return code;
}

// ---- last uses

static int set_use(struct secrets *s, const struct secret_use *use)
{
	struct sql_statement *q = sql_use(s->db, USED_SET);
	char client[IPADDR_TEXT_MAX] = "";

	if (use->client.family)
		ipaddr_format(&use->client, client);
	sql_bind_text(q, 1, use->name);
	sql_bind_text(q, 2, use->label);
	sql_bind_u64(q, 3, use->when_ms);
	sql_bind_text(q, 4, str_from(client));
	return sql_run(q);
}

int secrets_note_uses(struct secrets *s, const struct secret_use *uses, size_t count)
{
	int code = count ? sql_begin(s->db) : 0;

	if (code < 0 || !count)
		return code;
	for (size_t i = 0; i < count && code == 0; i++)
		code = set_use(s, &uses[i]);
	return finish(s, code);
}

int secrets_last_use(struct secrets *s, struct str name, struct str label, uint64_t *out_ms,
	char client[IPADDR_TEXT_MAX])
{
	struct sql_statement *q = sql_use(s->db, USED_GET);
	int code;

	sql_bind_text(q, 1, name);
	sql_bind_text(q, 2, label);
	code = sql_step(q);
	if (code != 1)
		return code == 0 ? ERR_NOT_FOUND : code;
	*out_ms = sql_u64(q, 0);
	str_copy(sql_str(q, 1), client, IPADDR_TEXT_MAX);
	sql_end(q);
	return 0;
}

// ---- where accounts have logged in from

static int set_place(struct secrets *s, const struct secret_place *p)
{
	struct sql_statement *q = sql_use(s->db, PLACE_SET);

	sql_bind_text(q, 1, p->name);
	sql_bind_text(q, 2, p->addresses);
	sql_bind_u64(q, 3, p->last_ms);
	return sql_run(q);
}

static int cut_places(struct secrets *s, uint64_t most)
{
	struct sql_statement *q = sql_use(s->db, PLACES_CUT);

	sql_bind_u64(q, 1, most);
	return sql_run(q);
}

int secrets_places_set(
	struct secrets *s, const struct secret_place *places, size_t count, uint64_t most)
{
	int code = count ? sql_begin(s->db) : 0;

	if (code < 0 || !count)
		return code;
	for (size_t i = 0; i < count && code == 0; i++)
		code = set_place(s, &places[i]);
	if (code == 0)
		code = cut_places(s, most);
	return finish(s, code);
}

int secrets_places_each(struct secrets *s, uint64_t most,
	void (*each)(void *arg, const struct secret_place *p), void *arg)
{
	struct sql_statement *q = sql_use(s->db, PLACES);
	int code;

	sql_bind_u64(q, 1, most);
	while ((code = sql_step(q)) == 1) {
		struct secret_place p = {sql_str(q, 0), sql_str(q, 1), sql_u64(q, 2)};
		each(arg, &p);
	}
	return code;
}
