// SPDX-License-Identifier: ISC
// The query's parameters, the forms of stored passwords, and whole checks against SQLite.
#include "ask.h"

#include "auth/authenticator.h"
#include "auth/password.h"
#include "auth/source/connections.h"
#include "auth/source/sql_query.h"
#include "auth/source/stored.h"
#include "base/memory.h"

#include <pthread.h>
#include <sqlite3.h>

// ---- parameters
static void translates(
	const char *from, enum auth_sql_style style, const char *to, const char *order)
{
	static const char letters[] = "undcs";
	struct auth_sql_query q;
	struct error err = {0};

	if (auth_sql_query_make(str_from(from), style, &q, &err))
		fail_msg("%s: %s", from, err.text);
	assert_string_equal(q.text, to);
	assert_int_equal(q.count, strlen(order));
	for (unsigned i = 0; i < q.count; i++)
		assert_int_equal(letters[q.order[i]], order[i]);
	auth_sql_query_finish(&q);
}

static void query_parameters(void **state)
{
	(void)state;
	translates("SELECT :user, :name, :domain, :client, :server", AUTH_SQL_DOLLAR,
		"SELECT $1, $2, $3, $4, $5", "undcs");
	translates("SELECT :user, :name, :user", AUTH_SQL_DOLLAR, "SELECT $1, $2, $1", "un");
	translates("SELECT :user, :name, :user", AUTH_SQL_NUMBERED, "SELECT ?1, ?2, ?1", "un");
	translates("SELECT :user, :name, :user", AUTH_SQL_POSITION, "SELECT ?, ?, ?", "unu");
	translates("  SELECT 1\n", AUTH_SQL_POSITION, "SELECT 1", "");
}

static void query_what_is_no_parameter(void **state)
{
	static const char *const everywhere[] = {"SELECT ':user'", "SELECT 'it''s :user'",
		"SELECT \":user\"", "SELECT 1 -- :user\n", "SELECT /* :user */ 1", "SELECT 1::text",
		"SELECT x::user", "SELECT a := user", "SELECT ':' || 'user'", "SELECT a : b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(everywhere); i++)
		for (int style = AUTH_SQL_DOLLAR; style <= AUTH_SQL_POSITION; style++) {
			struct str trimmed = str_trim(str_from(everywhere[i]));
			char expected[64];
			assert_true(str_copy(trimmed, expected, sizeof expected));
			translates(everywhere[i], style, expected, "");
		}
	translates(":user::text", AUTH_SQL_DOLLAR, "$1::text", "u");
	translates("E'\\':user' :user", AUTH_SQL_DOLLAR, "E'\\':user' $1", "u");
	translates("'\\' :user", AUTH_SQL_DOLLAR, "'\\' $1", "u");
	translates("'\\':user' :user", AUTH_SQL_POSITION, "'\\':user' ?", "u");
	translates("$$ :user $$ :user", AUTH_SQL_DOLLAR, "$$ :user $$ $1", "u");
	translates("$a$ $$ :user $a$ :user", AUTH_SQL_DOLLAR, "$a$ $$ :user $a$ $1", "u");
	translates("/* /* */ :user */ :user", AUTH_SQL_DOLLAR, "/* /* */ :user */ $1", "u");
	translates("/* /* */ :user", AUTH_SQL_NUMBERED, "/* /* */ ?1", "u");
	translates("`:user` :user # :user", AUTH_SQL_POSITION, "`:user` ? # :user", "u");
	translates("1--:user", AUTH_SQL_POSITION, "1--?", "u");
	translates("[:user] :user", AUTH_SQL_NUMBERED, "[:user] ?1", "u");
	translates("a ? 'b' AND x = :user", AUTH_SQL_DOLLAR, "a ? 'b' AND x = $1", "u");
	translates("@row = :user", AUTH_SQL_POSITION, "@row = ?", "u");
}

static void query_refusals(void **state)
{
	static const struct {
		const char *text;
		enum auth_sql_style style;
		const char *words;
	} rows[] = {
		{"SELECT :password", AUTH_SQL_DOLLAR, "no parameter :password"},
		{"SELECT :username", AUTH_SQL_NUMBERED, "no parameter :username"},
		{"SELECT 'a", AUTH_SQL_DOLLAR, "does not end"},
		{"SELECT \"a", AUTH_SQL_DOLLAR, "does not end"},
		{"'", AUTH_SQL_DOLLAR, "does not end"},
		{"/*", AUTH_SQL_DOLLAR, "does not end"},
		{"SELECT $a$ b", AUTH_SQL_DOLLAR, "does not end"},
		{"SELECT 'a\\", AUTH_SQL_POSITION, "does not end"},
		{"SELECT $1, :user", AUTH_SQL_DOLLAR, "not \"$\""},
		{"SELECT ?, :user", AUTH_SQL_POSITION, "not \"?\""},
		{"SELECT ?1, :user", AUTH_SQL_NUMBERED, "not \"?\""},
		{"SELECT @a, :user", AUTH_SQL_NUMBERED, "not \"@\""},
		{"", AUTH_SQL_NUMBERED, "1 to"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_sql_query q;
		struct error err = {0};
		assert_int_not_equal(
			auth_sql_query_make(str_from(rows[i].text), rows[i].style, &q, &err), 0);
		if (!strstr(err.text, rows[i].words))
			fail_msg("%s: %s", rows[i].text, err.text);
		auth_sql_query_finish(&q);
	}
}

static void query_too_many(void **state)
{
	struct buf text = BUF_INIT;
	struct auth_sql_query q;
	struct error err;

	(void)state;
	for (int i = 0; i <= AUTH_SQL_VALUES_MAX; i++)
		buf_add_text(&text, ":user ");
	assert_int_equal(
		auth_sql_query_make(buf_str(&text), AUTH_SQL_POSITION, &q, &err), ERR_LIMIT);
	auth_sql_query_finish(&q);
	assert_int_equal(auth_sql_query_make(buf_str(&text), AUTH_SQL_DOLLAR, &q, &err), 0);
	auth_sql_query_finish(&q);
	buf_finish(&text);
}

static void query_columns(void **state)
{
	(void)state;
	assert_true(auth_sql_query_names(STR("SELECT a AS scram FROM b"), STR("scram")));
	assert_true(auth_sql_query_names(STR("SELECT a AS \"Scram\" FROM b"), STR("scram")));
	assert_true(auth_sql_query_names(STR("SELECT SCRAM"), STR("scram")));
	assert_false(auth_sql_query_names(STR("SELECT 'scram'"), STR("scram")));
	assert_false(auth_sql_query_names(STR("SELECT scrambled -- scram"), STR("scram")));
	assert_false(auth_sql_query_names(STR("SELECT 'scram"), STR("scram")));
}

// ---- stored passwords
static void stored_forms(void **state)
{
	// What Dovecot's doveadm and OpenLDAP's slappasswd make of "secret".
	static const char *const good[] = {
		"{PLAIN}secret",
		"{plain}secret",
		"{CLEARTEXT}secret",
		"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		"{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
	};
	static const char *const bad[] = {
		"{PLAIN}secrets", "{PLAIN}", "{PLAIN}secre", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfA="};
	static const char *const unknown[] = {"secret", "{ROT13}frperg", "{PLAIN", "{SHA}!",
		"{SHA}", "SCRAM-SHA-256$", "SCRAM-SHA-256", "SCRAM-MD4$1:a$b:c",
		"SCRAM-SHA-256$99999999:c2FsdA==$AAAA:AAAA", "SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (auth_stored_check(str_from(good[i]), STR("secret")))
			fail_msg("%s", good[i]);
		assert_int_equal(auth_stored_check(str_from(good[i]), STR("Secret")), ERR_DENIED);
		assert_int_equal(auth_stored_check(str_from(good[i]), STR_EMPTY), ERR_DENIED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(auth_stored_check(str_from(bad[i]), STR("secret")), ERR_DENIED);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_int_equal(
			auth_stored_check(str_from(unknown[i]), STR("secret")), ERR_UNSUPPORTED);
}

static void stored_hashes_and_keys(void **state)
{
	struct secret made;
	struct error err;
	char text[2 * sizeof made];

	(void)state;
	assert_int_equal(password_make(STR("secret"), &made, &err), 0);
	const char *forms[] = {made.hash, made.scram};
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		assert_int_equal(auth_stored_check(str_from(forms[i]), STR("secret")), 0);
		assert_int_equal(auth_stored_check(str_from(forms[i]), STR("other")), ERR_DENIED);
	}
	snprintf(text, sizeof text, "{CRYPT}%s", made.hash);
	assert_int_equal(auth_stored_check(str_from(text), STR("secret")), 0);
	// Dovecot writes the same keys with commas.
	snprintf(text, sizeof text, "{SCRAM-SHA-256}%s", made.scram + strlen("SCRAM-SHA-256$"));
	for (char *c = text + strlen("{SCRAM-SHA-256}"); *c; c++)
		if (*c == ':' || *c == '$')
			*c = ',';
	assert_int_equal(auth_stored_check(str_from(text), STR("secret")), 0);
	assert_int_equal(auth_stored_check(str_from(text), STR("other")), ERR_DENIED);

	struct auth_answer answer = {0};
	assert_true(auth_stored_give(str_from(text), &answer));
	assert_string_equal(answer.scram[0], made.scram);
	assert_true(auth_stored_give(STR("{PLAIN}secret"), &answer));
	assert_string_equal(answer.clear, "secret");
	assert_false(auth_stored_give(str_from(made.hash), &answer));
	assert_string_equal(answer.scram[1], "");
}

// ---- whole checks
static const char schema[] =
	"CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT, enabled INT, submit INT,"
	" relay INT, account TEXT, number INT);"
	"INSERT INTO users VALUES"
	" ('kim@example.kr', '{PLAIN}secret', 1, 1, 1, NULL, 1),"
	" ('lee@example.kr', '{PLAIN}secret', 0, 1, 1, NULL, 2),"
	" ('park@example.kr', '{PLAIN}secret', 1, 1, 0, 'park@other.kr', 3),"
	" ('no@example.kr', NULL, 1, 1, 1, NULL, 4),"
	" ('odd@example.kr', 'plain words', 1, 1, 1, NULL, 5),"
	" ('maybe@example.kr', '{PLAIN}secret', 'maybe', 1, 1, NULL, 6);"
	"CREATE TABLE vpopmail (pw_name TEXT, pw_domain TEXT, pw_passwd TEXT, pw_clear_passwd TEXT,"
	" pw_gid INT);"
	"INSERT INTO vpopmail VALUES ('kim', 'example.kr', '', 'secret', 0),"
	" ('lee', 'example.kr', '{PLAIN}secret', '', 2048),"
	" ('park', 'example.kr', '', 'secret', 32);"
	"CREATE TABLE a_b_example_kr (pw_name TEXT, pw_passwd TEXT, pw_clear_passwd TEXT, pw_gid "
	"INT);"
	"INSERT INTO a_b_example_kr VALUES ('kim', '', 'secret', 0);";

static void make_database(const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

struct world {
	struct config_source source;
	const struct auth_source_kind *kind;
	void *state;
};

static void begin(struct world *w, const char *kind, const char *query)
{
	struct error err = {0};

	make_database("users.db");
	w->source = (struct config_source){.kind = str_from(kind),
		.name = str_from(kind),
		.timeout = 20000,
		.connections = 2,
		.engine = STR("sqlite"),
		.path = in_folder("users.db"),
		.query = str_from(query),
		.table_per_domain = w->source.table_per_domain};
	w->kind = auth_source_kind_find(str_from(kind));
	assert_non_null(w->kind);
	if (w->kind->prepare(&w->source, &w->state, &err))
		fail_msg("%s", err.text);
}

static void end(struct world *w)
{
	w->kind->finish(w->state);
}

static struct auth_answer answer_of(
	struct world *w, enum auth_ask ask, const char *name, const char *secret)
{
	struct auth_question q = question(name, secret);
	struct auth_answer answer;

	memset(&answer, 0, sizeof answer);
	answer.verdict = (enum auth_verdict)99;
	q.ask = ask;
	w->kind->check(&w->source, w->state, &q, &answer);
	return answer;
}

static void expect(struct world *w, const char *name, const char *secret, enum auth_verdict verdict,
	const char *reason)
{
	struct auth_answer a = answer_of(w, AUTH_ASK_PASSWORD, name, secret);

	if (a.verdict != verdict || !strstr(a.reason, reason))
		fail_msg("%s: %d %s", name, a.verdict, a.reason);
}

static const char usual[] = "SELECT password, enabled, submit, relay, account FROM users "
			    "WHERE name = :user";

static void sql_verdicts(void **state)
{
	struct world w = {0};

	(void)state;
	begin(&w, "sql", usual);
	expect(&w, "kim@example.kr", "secret", AUTH_YES, "");
	expect(&w, "kim@example.kr", "Secret", AUTH_NO, "wrong password");
	expect(&w, "kim@example.kr", "", AUTH_NO, "wrong password");
	expect(&w, "lee@example.kr", "secret", AUTH_NO, "disabled");
	expect(&w, "lee@example.kr", "wrong", AUTH_NO, "disabled");
	expect(&w, "nobody@example.kr", "secret", AUTH_UNKNOWN, "no row");
	expect(&w, "no@example.kr", "", AUTH_NO, "no password is stored");
	expect(&w, "odd@example.kr", "plain words", AUTH_CANNOT, "form that is not known");
	expect(&w, "maybe@example.kr", "secret", AUTH_CANNOT, "enabled");
	expect(&w, "' OR 1=1 --", "secret", AUTH_UNKNOWN, "no row");
	expect(&w, "kim@example.kr' --", "secret", AUTH_UNKNOWN, "no row");
	expect(&w, "\xff", "secret", AUTH_UNKNOWN, "cannot be");
	expect(&w, "kim@example.kr\n", "secret", AUTH_UNKNOWN, "cannot be");
	expect(&w, "", "secret", AUTH_UNKNOWN, "cannot be");

	struct auth_answer a = answer_of(&w, AUTH_ASK_PASSWORD, "park@example.kr", "secret");
	assert_int_equal(a.verdict, AUTH_YES);
	assert_string_equal(a.account, "park@other.kr");
	assert_true(a.has_rights);
	assert_int_equal(a.rights, AUTHENTICATOR_SUBMIT);
	a = answer_of(&w, AUTH_ASK_LOOKUP, "kim@example.kr", "");
	assert_int_equal(a.verdict, AUTH_YES);
	assert_string_equal(a.clear, "secret");
	a = answer_of(&w, AUTH_ASK_LOOKUP, "lee@example.kr", "");
	assert_int_equal(a.verdict, AUTH_NO);
	a = answer_of(&w, AUTH_ASK_TOKEN, "kim@example.kr", "");
	assert_int_equal(a.verdict, AUTH_CANNOT);
	end(&w);
}

static void sql_parameters(void **state)
{
	struct world w = {0};

	(void)state;
	begin(&w, "sql",
		"SELECT '{PLAIN}' || :user || '|' || :name || '|' || :domain || '|' || :client || "
		"'|'"
		" || :server AS password, 'relay' AS rights");
	expect(&w, "a@b@c.kr", "a@b@c.kr|a@b|c.kr|192.0.2.7|submission", AUTH_YES, "");
	expect(&w, "bare", "bare|bare||192.0.2.7|submission", AUTH_YES, "");
	struct auth_answer a =
		answer_of(&w, AUTH_ASK_PASSWORD, "bare", "bare|bare||192.0.2.7|submission");
	assert_int_equal(a.rights, AUTHENTICATOR_RELAY);
	end(&w);
}

// kim of one domain is not kim of every other one.
static void sql_query_without_domain(void **state)
{
	struct world w = {0};

	(void)state;
	begin(&w, "sql", "SELECT '{PLAIN}secret' AS password WHERE :name = 'kim'");
	expect(&w, "kim", "secret", AUTH_YES, "");
	expect(&w, "kim@example.kr", "secret", AUTH_YES, "");
	expect(&w, "kim@other.kr", "secret", AUTH_UNKNOWN, "default-domain");
	expect(&w, "kim@other.kr", "wrong", AUTH_NO, "");
	end(&w);
	assert_int_equal(unlink("users.db"), 0);
	begin(&w, "sql",
		"SELECT '{PLAIN}secret' AS password, 'lee@example.kr' AS account "
		"WHERE :name = 'kim'");
	expect(&w, "kim@other.kr", "secret", AUTH_YES, "");
	end(&w);
}

static void sql_faults(void **state)
{
	static const struct {
		const char *query, *reason;
	} rows[] = {
		{"SELECT password FROM users", "more than one row"},
		{"SELECT name FROM users WHERE name = :user", "no column named password"},
		{"SELECT password FROM nowhere WHERE name = :user", "no such table"},
		{"SELECT password FROM users; SELECT :user", "more than one statement"},
		{"DELETE FROM users WHERE name = :user", "readonly"},
		{"SELECT hex(zeroblob(1000)) AS password WHERE :user != ''", "longer than"},
		{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
		 "SELECT count(*) AS password, :user FROM n",
			"too long"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w = {0};
		begin(&w, "sql", rows[i].query);
		if (strstr(rows[i].query, "RECURSIVE"))
			w.source.timeout = 200;
		expect(&w, "kim@example.kr", "secret", AUTH_CANNOT, rows[i].reason);
		end(&w);
		assert_int_equal(unlink("users.db"), 0);
	}
}

static void sql_file_replaced(void **state)
{
	struct world w = {0};
	sqlite3 *db;

	(void)state;
	begin(&w, "sql", usual);
	expect(&w, "kim@example.kr", "secret", AUTH_YES, "");
	make_database("new.db");
	assert_int_equal(sqlite3_open("new.db", &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "UPDATE users SET password = '{PLAIN}other'", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(rename("new.db", "users.db"), 0);
	expect(&w, "kim@example.kr", "secret", AUTH_NO, "wrong password");
	expect(&w, "kim@example.kr", "other", AUTH_YES, "");
	assert_int_equal(unlink("users.db"), 0);
	expect(&w, "kim@example.kr", "other", AUTH_CANNOT, "users.db");
	end(&w);
}

static void vpopmail_tables(void **state)
{
	struct world w = {0};

	(void)state;
	begin(&w, "vpopmail-sql", "");
	expect(&w, "kim@example.kr", "secret", AUTH_YES, "");
	expect(&w, "kim@example.kr", "wrong", AUTH_NO, "wrong password");
	expect(&w, "lee@example.kr", "secret", AUTH_NO, "no_smtp");
	expect(&w, "kim@example.com", "secret", AUTH_UNKNOWN, "no row");
	expect(&w, "kim", "secret", AUTH_UNKNOWN, "no row");
	struct auth_answer a = answer_of(&w, AUTH_ASK_PASSWORD, "park@example.kr", "secret");
	assert_int_equal(a.verdict, AUTH_YES);
	assert_int_equal(a.rights, AUTHENTICATOR_SUBMIT);
	end(&w);
}

static void vpopmail_table_a_domain(void **state)
{
	struct world w = {.source.table_per_domain = true};

	(void)state;
	begin(&w, "vpopmail-sql", "");
	expect(&w, "kim@a-b.example.kr", "secret", AUTH_YES, "");
	expect(&w, "kim@A-B.Example.KR", "secret", AUTH_YES, "");
	expect(&w, "kim@a-b.example.kr", "wrong", AUTH_NO, "wrong password");
	expect(&w, "lee@a-b.example.kr", "wrong", AUTH_UNKNOWN, "no row");
	expect(&w, "kim", "secret", AUTH_UNKNOWN, "no domain");
	expect(&w, "kim@a_b.example.kr", "secret", AUTH_UNKNOWN, "no domain");
	expect(&w, "kim@x` WHERE 1 -- ", "secret", AUTH_UNKNOWN, "no domain");
	end(&w);
}

// ---- connections
static int closed;

static void close_number(void *connection)
{
	(void)connection;
	closed++;
}

static void *take_one(void *arg)
{
	void *got;

	assert_true(auth_connections_take(arg, clock_monotonic_ms() + 60000, &got));
	return got;
}

static void connections_are_shared(void **state)
{
	struct auth_connections *c = auth_connections_create(2, close_number);
	int a, b;
	void *got;
	pthread_t waits;

	(void)state;
	closed = 0;
	assert_true(auth_connections_take(c, 0, &got));
	assert_null(got);
	assert_true(auth_connections_take(c, 0, &got));
	assert_null(got);
	assert_false(auth_connections_take(c, clock_monotonic_ms() + 10, &got));
	assert_int_equal(pthread_create(&waits, NULL, take_one, c), 0);
	auth_connections_give(c, &a);
	assert_int_equal(pthread_join(waits, &got), 0);
	assert_ptr_equal(got, &a);
	auth_connections_give(c, &b);
	auth_connections_give(c, NULL);
	auth_connections_forget(c);
	assert_int_equal(closed, 1);
	assert_true(auth_connections_take(c, 0, &got));
	assert_null(got);
	auth_connections_give(c, &a);
	auth_connections_destroy(c);
	assert_int_equal(closed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query_parameters),
		cmocka_unit_test(query_what_is_no_parameter),
		cmocka_unit_test(query_refusals),
		cmocka_unit_test(query_too_many),
		cmocka_unit_test(query_columns),
		cmocka_unit_test(stored_forms),
		cmocka_unit_test(stored_hashes_and_keys),
		cmocka_unit_test_setup_teardown(sql_verdicts, enter, leave),
		cmocka_unit_test_setup_teardown(sql_parameters, enter, leave),
		cmocka_unit_test_setup_teardown(sql_query_without_domain, enter, leave),
		cmocka_unit_test_setup_teardown(sql_faults, enter, leave),
		cmocka_unit_test_setup_teardown(sql_file_replaced, enter, leave),
		cmocka_unit_test_setup_teardown(vpopmail_tables, enter, leave),
		cmocka_unit_test_setup_teardown(vpopmail_table_a_domain, enter, leave),
		cmocka_unit_test(connections_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
