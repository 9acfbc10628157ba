// SPDX-License-Identifier: ISC
// Files as version 1 wrote them are copied and brought forward, with all that was in them.
#include "help.h"

#include "store/schema.h"
#include "store/secrets.h"

static char *folder;

static int set_up(void **state)
{
	folder = make_folder();
	return 0;
}

static int tear_down(void **state)
{
	remove_folder(folder);
	return 0;
}

static const char first_queue[] =
	"CREATE TABLE schema_version (number INTEGER NOT NULL);"
	"INSERT INTO schema_version VALUES (1);"
	"CREATE TABLE message (id INTEGER PRIMARY KEY, received_ms BIGINT NOT NULL,"
	" expires_ms BIGINT NOT NULL, session BIGINT NOT NULL, size BIGINT NOT NULL,"
	" spool BIGINT NOT NULL, ret INTEGER NOT NULL, smtputf8 INTEGER NOT NULL,"
	" eightbit INTEGER NOT NULL, bounce INTEGER NOT NULL, digest BLOB NOT NULL,"
	" sender TEXT NOT NULL, account TEXT NOT NULL, client TEXT NOT NULL,"
	" server TEXT NOT NULL, helo TEXT NOT NULL, envid TEXT NOT NULL, labels TEXT NOT NULL,"
	" headers BLOB NOT NULL, edits BLOB NOT NULL, body BLOB NOT NULL);"
	"CREATE INDEX message_spool ON message (spool) WHERE spool <> 0;"
	"CREATE TABLE recipient (id INTEGER PRIMARY KEY, message BIGINT NOT NULL,"
	" state INTEGER NOT NULL, next_ms BIGINT NOT NULL, owner INTEGER NOT NULL,"
	" tries INTEGER NOT NULL, depth INTEGER NOT NULL, parent BIGINT NOT NULL,"
	" notify INTEGER NOT NULL, delay_warned INTEGER NOT NULL, hold INTEGER NOT NULL,"
	" address TEXT NOT NULL, domain TEXT NOT NULL, orcpt TEXT NOT NULL,"
	" hold_reason TEXT NOT NULL, status TEXT NOT NULL, reply TEXT NOT NULL,"
	" remote TEXT NOT NULL);"
	"CREATE INDEX recipient_due ON recipient (state, next_ms);"
	"CREATE INDEX recipient_message ON recipient (message);"
	"CREATE TABLE total (id INTEGER PRIMARY KEY, messages BIGINT NOT NULL,"
	" octets BIGINT NOT NULL, due BIGINT NOT NULL, claimed BIGINT NOT NULL,"
	" held BIGINT NOT NULL);"
	"INSERT INTO total VALUES (1, 0, 0, 0, 0, 0);"
	"CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" enabled INTEGER NOT NULL, rights INTEGER NOT NULL, quota BIGINT NOT NULL,"
	" created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL);"
	"CREATE TABLE address (name TEXT PRIMARY KEY, account BIGINT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX address_account ON address (account);"
	"CREATE TABLE counter (name TEXT NOT NULL, start BIGINT NOT NULL, value BIGINT NOT NULL,"
	" PRIMARY KEY (name, start)) WITHOUT ROWID;"
	"INSERT INTO account VALUES (5, 'kim@example.kr', 1, 3, 1000, 7, 8);"
	"INSERT INTO account VALUES (6, 'lee@example.kr', 0, 1, 0, 7, 8);"
	"INSERT INTO address VALUES ('kim@example.kr', 5), ('lee@example.kr', 6);";

static const char first_secrets[] =
	"CREATE TABLE schema_version (number INTEGER NOT NULL);"
	"INSERT INTO schema_version VALUES (1);"
	"CREATE TABLE secret (name TEXT PRIMARY KEY, hash TEXT NOT NULL, scram TEXT NOT NULL,"
	" changed_ms BIGINT NOT NULL) WITHOUT ROWID;"
	"INSERT INTO secret VALUES ('kim@example.kr', '$y$hash', 'SCRAM-SHA-256$4096:a$b:c', 9);";

static void write_file(const char *name, const char *script)
{
	struct sql *db = NULL;

	assert_int_equal(sql_open(&(struct sql_options){.path = in_folder(folder, name),
					  .words = "the old one",
					  .create = true,
					  .durable = true},
				 &db, NULL),
		0);
	assert_int_equal(sql_script(db, script), 0);
	sql_close(db);
}

struct got {
	int err;
	struct store_account account;
};

static void note_account(void *arg, int err, const struct store_account *a)
{
	struct got *got = arg;

	got->err = err;
	if (a)
		got->account = *a; // the texts are empty, so nothing is borrowed
}

static struct store_account get(struct store *s, const char *name)
{
	struct got got = {.err = 12345};

	store_account_get(s, str_from(name), note_account, &got);
	store_wait(s);
	assert_int_equal(got.err, 0);
	return got.account;
}

static void accounts_keep_their_rights(void **state)
{
	struct store *s;
	struct store_account a;
	int err = 12345;

	write_file("queue.db", first_queue);
	s = open_store(folder);
	assert_true(file_exists(in_folder(folder, "queue.db.before-3")));
	a = get(s, "kim@example.kr");
	assert_int_equal(a.id, 5);
	assert_true(a.enabled);
	assert_int_equal(a.quota, 1000);
	assert_int_equal(a.stated, 0); // what everybody has
	assert_int_equal(a.expires_ms, 0);
	assert_false(a.locked);
	assert_int_equal(a.networks.len + a.servers.len + a.group_names.len + a.act_as.len, 0);
	a = get(s, "lee@example.kr");
	assert_false(a.enabled);
	assert_int_equal(a.stated, ACCOUNT_MAY_RELAY); // was taken away, and stays away
	assert_int_equal(a.rights & a.stated, 0);
	store_group_add(s, &(struct store_group){.name = STR("staff")}, note_err, &err);
	store_wait(s);
	assert_int_equal(err, 0);
	store_close(s);
	s = open_store(folder); // and once more, as it is now
	assert_int_equal(get(s, "kim@example.kr").id, 5);
	store_close(s);
}

static void secrets_keep_theirs(void **state)
{
	struct secrets *s = NULL;
	struct secret secret;
	struct secret_application a = {.label = "phone", .created_ms = 1};
	const char *path = in_folder(folder, "secrets.db");
	char copy[300];

	write_file("secrets.db", first_secrets);
	assert_int_equal(secrets_open(path, true, &s, NULL), 0);
	assert_int_equal(secrets_get(s, STR("kim@example.kr"), &secret), 0);
	assert_string_equal(secret.hash, "$y$hash");
	assert_string_equal(secret.scram, "SCRAM-SHA-256$4096:a$b:c");
	assert_int_equal(secret.changed_ms, 9);
	assert_int_equal(secret.sealed_len, 0);
	assert_int_equal(secrets_application_add(s, STR("kim@example.kr"), &a), 0);
	secrets_close(s);
	snprintf(copy, sizeof(copy), "%s", in_folder(folder, "secrets.db.before-3"));
	struct stat st;
	assert_int_equal(stat(copy, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accounts_keep_their_rights),
		TEST(secrets_keep_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
