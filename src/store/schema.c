// SPDX-License-Identifier: ISC
// The one place where tables are made. Times are wall clock milliseconds, flags 0 or 1.
// Keep to what PostgreSQL also understands, but for the words in ENGINE remarks.
#include "store/schema.h"

#include "base/text.h"

#include <stdio.h>

// ---- what came with the second version of queue.db. "stated": rights that the row itself gives or
// takes; the others come from its groups.
#define ACCOUNT_COLUMN(before, text) before " " text " NOT NULL DEFAULT "
#define ACCOUNT_SECOND(before)                                                                     \
	ACCOUNT_COLUMN(before, "stated INTEGER") "0"                                               \
	ACCOUNT_COLUMN(before, "expires_ms BIGINT") "0"                                            \
	ACCOUNT_COLUMN(before, "locked INTEGER") "0"                                               \
	ACCOUNT_COLUMN(before, "lock_reason TEXT") "''"                                            \
	ACCOUNT_COLUMN(before, "networks TEXT") "''"                                               \
	ACCOUNT_COLUMN(before, "servers TEXT") "''"                                                \
	ACCOUNT_COLUMN(before, "group_names TEXT") "''"                                            \
	ACCOUNT_COLUMN(before, "act_as TEXT") "''"
#define CREATE_GROUPS                                                                              \
	"CREATE TABLE account_group ("                                                             \
	" name TEXT PRIMARY KEY,"                                                                  \
	" rights INTEGER NOT NULL,"                                                                \
	" stated INTEGER NOT NULL,"                                                                \
	" networks TEXT NOT NULL,"                                                                 \
	" servers TEXT NOT NULL,"                                                                  \
	" created_ms BIGINT NOT NULL,"                                                             \
	" changed_ms BIGINT NOT NULL);"

// ---- and with the third: who may send as whom, where addresses lead, quotas, what the guard knows
#define ACCOUNT_THIRD(before)                                                                      \
	ACCOUNT_COLUMN(before, "quota_soft BIGINT") "0"                                            \
	ACCOUNT_COLUMN(before, "quota_messages BIGINT") "0"                                        \
	ACCOUNT_COLUMN(before, "quota_messages_soft BIGINT") "0"                                   \
	ACCOUNT_COLUMN(before, "send_as TEXT") "''"                                                \
	ACCOUNT_COLUMN(before, "profile TEXT") "''"
#define CREATE_THIRD                                                                               \
	"CREATE TABLE alias ("                                                                     \
	" name TEXT PRIMARY KEY,"    /* address key; "@DOMAIN": whatever else is there */          \
	" targets TEXT NOT NULL,"    /* a comma between */                                         \
	" changed_ms BIGINT NOT NULL) WITHOUT ROWID;"                                              \
	"CREATE TABLE domain ("                                                                    \
	" name TEXT PRIMARY KEY,"                                                                  \
	" alias_of TEXT NOT NULL,"   /* another domain whose addresses these are; "": none */      \
	" quota BIGINT NOT NULL,"    /* octets and messages of each mailbox; 0: none */            \
	" quota_soft BIGINT NOT NULL,"                                                             \
	" quota_messages BIGINT NOT NULL,"                                                         \
	" quota_messages_soft BIGINT NOT NULL,"                                                    \
	" changed_ms BIGINT NOT NULL) WITHOUT ROWID;"                                              \
	"CREATE INDEX domain_alias_of ON domain (alias_of);"                                       \
	"CREATE TABLE mailbox ("                                                                   \
	" name TEXT PRIMARY KEY,"    /* of the account */                                          \
	" octets BIGINT NOT NULL,"   /* as it was counted last */                                  \
	" messages BIGINT NOT NULL,"                                                               \
	" counted_ms BIGINT NOT NULL,"                                                             \
	" warned_ms BIGINT NOT NULL) WITHOUT ROWID;" /* the owner, of the soft quota */            \
	"CREATE TABLE guard ("                                                                     \
	" subject TEXT PRIMARY KEY," /* "account NAME", "client ADDRESS" */                        \
	" changed_ms BIGINT NOT NULL,"                                                             \
	" state BLOB NOT NULL) WITHOUT ROWID;"                                                     \
	"CREATE TABLE incident ("                                                                  \
	" id INTEGER PRIMARY KEY,"                                                                 \
	" subject TEXT NOT NULL,"                                                                  \
	" action INTEGER NOT NULL,"                                                                \
	" started_ms BIGINT NOT NULL,"                                                             \
	" ended_ms BIGINT NOT NULL," /* 0: it goes on */                                           \
	" evidence TEXT NOT NULL);"

// A right that was taken away before was taken by the account itself.
static const char *const steps_queue[] = {
	ACCOUNT_SECOND("; ALTER TABLE account ADD COLUMN") ";" CREATE_GROUPS
	"UPDATE account SET stated = 3 - rights WHERE rights < 3;",
	ACCOUNT_THIRD("; ALTER TABLE account ADD COLUMN") ";" CREATE_THIRD,
};

// ---- and of secrets.db
#define SECRET_SEALED "sealed BLOB NOT NULL DEFAULT x''"
#define CREATE_SECOND_SECRETS                                                                      \
	"CREATE TABLE application ("                                                               \
	" name TEXT NOT NULL,"                                                                     \
	" label TEXT NOT NULL,"                                                                    \
	" hash BLOB NOT NULL,"                                                                     \
	" networks TEXT NOT NULL,"                                                                 \
	" created_ms BIGINT NOT NULL,"                                                             \
	" expires_ms BIGINT NOT NULL,"                                                             \
	" PRIMARY KEY (name, label)) WITHOUT ROWID;"                                               \
	"CREATE TABLE used ("                                                                      \
	" name TEXT NOT NULL,"                                                                     \
	" label TEXT NOT NULL," /* "": the account itself */                                       \
	" last_ms BIGINT NOT NULL,"                                                                \
	" client TEXT NOT NULL,"                                                                   \
	" PRIMARY KEY (name, label)) WITHOUT ROWID;"                                               \
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"            \
	"CREATE INDEX secret_without_scram ON secret (name) WHERE scram = '' AND hash <> '';"
#define CREATE_PLACES                                                                              \
	"CREATE TABLE place ("                                                                     \
	" name TEXT PRIMARY KEY,"                                                                  \
	" addresses TEXT NOT NULL," /* space-separated, the latest first */                        \
	" last_ms BIGINT NOT NULL) WITHOUT ROWID;"

// ENGINE: "INTEGER PRIMARY KEY" is bigint, blob is bytea; WITHOUT ROWID is left out.
// Few indexes: each costs every message. The body is the last column, so that all others are
// read without it.
static const char create_queue[] =
	"CREATE TABLE message ("
	" id INTEGER PRIMARY KEY,"
	" received_ms BIGINT NOT NULL,"
	" expires_ms BIGINT NOT NULL,"
	" session BIGINT NOT NULL,"
	" size BIGINT NOT NULL,"
	" spool BIGINT NOT NULL," // id of the spool file; 0: the body is here
	" ret INTEGER NOT NULL,"
	" smtputf8 INTEGER NOT NULL,"
	" eightbit INTEGER NOT NULL,"
	" bounce INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" sender TEXT NOT NULL,"
	" account TEXT NOT NULL,"
	" client TEXT NOT NULL,"
	" server TEXT NOT NULL,"
	" helo TEXT NOT NULL,"
	" envid TEXT NOT NULL,"
	" labels TEXT NOT NULL,"
	" headers BLOB NOT NULL,"
	" edits BLOB NOT NULL,"
	" body BLOB NOT NULL);"
	// For the sweep; holds the large messages only.
	"CREATE INDEX message_spool ON message (spool) WHERE spool <> 0;"

	"CREATE TABLE recipient ("
	" id INTEGER PRIMARY KEY,"
	" message BIGINT NOT NULL,"
	" state INTEGER NOT NULL,"  // enum recipient_state
	" next_ms BIGINT NOT NULL," // due: not before; claimed: end of the lease
	" owner INTEGER NOT NULL,"  // node that claimed it
	" tries INTEGER NOT NULL,"
	" depth INTEGER NOT NULL,"
	" parent BIGINT NOT NULL,"
	" notify INTEGER NOT NULL,"
	" delay_warned INTEGER NOT NULL,"
	" hold INTEGER NOT NULL,"
	" address TEXT NOT NULL,"
	" domain TEXT NOT NULL,"
	" orcpt TEXT NOT NULL,"
	" hold_reason TEXT NOT NULL,"
	" status TEXT NOT NULL,"
	" reply TEXT NOT NULL,"
	" remote TEXT NOT NULL);"
	"CREATE INDEX recipient_due ON recipient (state, next_ms);"
	"CREATE INDEX recipient_message ON recipient (message);"

	"CREATE TABLE total ("
	" id INTEGER PRIMARY KEY,"
	" messages BIGINT NOT NULL,"
	" octets BIGINT NOT NULL,"
	" due BIGINT NOT NULL,"
	" claimed BIGINT NOT NULL,"
	" held BIGINT NOT NULL);"
	"INSERT INTO total VALUES (1, 0, 0, 0, 0, 0);"

	"CREATE TABLE account ("
	" id INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL UNIQUE,"
	" enabled INTEGER NOT NULL,"
	" rights INTEGER NOT NULL,"
	" quota BIGINT NOT NULL,"
	" created_ms BIGINT NOT NULL,"
	" changed_ms BIGINT NOT NULL" ACCOUNT_SECOND(",") ACCOUNT_THIRD(",") ");"
	CREATE_GROUPS CREATE_THIRD
	"CREATE TABLE address ("
	" name TEXT PRIMARY KEY,"
	" account BIGINT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX address_account ON address (account);"

	// "start" is the window of time that is counted.
	"CREATE TABLE counter ("
	" name TEXT NOT NULL,"
	" start BIGINT NOT NULL,"
	" value BIGINT NOT NULL,"
	" PRIMARY KEY (name, start)) WITHOUT ROWID;";

static const char create_secrets[] = "CREATE TABLE secret ("
				     " name TEXT PRIMARY KEY,"
				     " hash TEXT NOT NULL,"
				     " scram TEXT NOT NULL,"
				     " changed_ms BIGINT NOT NULL,"
				     " " SECRET_SEALED ") WITHOUT ROWID;" CREATE_SECOND_SECRETS
				     CREATE_PLACES;

static const char *const steps_secrets[] = {
	"ALTER TABLE secret ADD COLUMN " SECRET_SEALED ";" CREATE_SECOND_SECRETS,
	CREATE_PLACES,
};

// Rows are only added at the end and removed at the front. No index on the keys: a block knows
// the keys of its rows (history.c), which costs a fraction of an index.
static const char create_history[] = "CREATE TABLE event ("
				     " number INTEGER PRIMARY KEY,"
				     " wall_ms BIGINT NOT NULL,"
				     " id BIGINT NOT NULL,"
				     " session BIGINT NOT NULL,"
				     " name TEXT NOT NULL,"
				     " sender TEXT NOT NULL,"
				     " recipient TEXT NOT NULL,"
				     " account TEXT NOT NULL,"
				     " client TEXT NOT NULL,"
				     " json TEXT NOT NULL);"
				     "CREATE TABLE block ("
				     " first INTEGER PRIMARY KEY," // numbers of its rows
				     " last BIGINT NOT NULL,"
				     " last_ms BIGINT NOT NULL," // the latest wall_ms
				     " keys BLOB NOT NULL);";

const struct schema schema_queue = {"the queue's store", 3, create_queue, steps_queue};
const struct schema schema_secrets = {
	"the store of secrets", 3, create_secrets, steps_secrets};
const struct schema schema_history = {"the history", 1, create_history, NULL};

static int write_version(struct sql *db, unsigned version)
{
	char script[80];

	snprintf(script, sizeof(script), "UPDATE schema_version SET number = %u", version);
	return sql_script(db, script);
}

static int make_tables(struct sql *db, const struct schema *schema)
{
	int err = sql_script(db, "CREATE TABLE schema_version (number INTEGER NOT NULL);"
				 "INSERT INTO schema_version VALUES (0)");

	if (err == 0)
		err = sql_script(db, schema->create);
	if (err == 0)
		err = write_version(db, schema->version);
	return err;
}

static int take_steps(struct sql *db, const struct schema *schema, unsigned from)
{
	int err = 0;

	for (unsigned version = from; version < schema->version && err == 0; version++)
		err = sql_script(db, schema->steps[version - 1]);
	return err == 0 ? write_version(db, schema->version) : err;
}

// from 0: an empty file.
static int change(struct sql *db, const struct schema *schema, unsigned from)
{
	int err = sql_begin(db);

	if (err == 0)
		err = from ? take_steps(db, schema, from) : make_tables(db, schema);
	if (err == 0)
		err = sql_commit(db);
	if (err < 0)
		sql_rollback(db);
	return err;
}

static int keep_copy(struct sql *db, const struct schema *schema, const char *path)
{
	char copy[4200];
	int len = snprintf(copy, sizeof(copy), "%s.before-%u", path, schema->version);

	return len < (int)sizeof(copy) ? sql_copy(db, copy) : ERR_LIMIT;
}

int schema_prepare(struct sql *db, const struct schema *schema, const char *path, struct error *err)
{
	uint64_t tables = 0, version = 0;
	int code = sql_table_count(db, &tables);

	if (code == 0 && tables > 0 &&
		sql_read_number(db, "SELECT number FROM schema_version", &version) < 0)
		return error_set(err, ERR_CORRUPT, TEXT("%s (%s) is some other database"),
			schema->words, path);
	if (code == 0 && version == schema->version)
		return 0;
	if (code == 0 && version > schema->version)
		return error_set(err, ERR_UNSUPPORTED,
			TEXT("%s (%s) was written by a newer version: its schema is %u, this "
			     "version "
			     "knows %u; install the newer version again, or restore a copy"),
			schema->words, path, (unsigned)version, schema->version);
	if (code == 0 && version > 0) {
		code = keep_copy(db, schema, path);
		if (code < 0)
			return error_set(err, code,
				TEXT("cannot copy %s (%s) before bringing it to schema %u: %s"),
				schema->words, path, schema->version, sql_words(db));
	}
	if (code == 0)
		code = change(db, schema, (unsigned)version);
	if (code < 0)
		return error_set(err, code, TEXT("cannot bring %s (%s) to schema %u: %s"),
			schema->words, path, schema->version, sql_words(db));
	return 0;
}
