// SPDX-License-Identifier: ISC
#include "ask.h"
#include "auth/authenticator.h"
#include "auth/password.h"
#include "auth/source/vpopmail.h"

#include "../base/cdb_maker.h"

#include <time.h>

#define KIND &auth_source_vpopmail

// "secret" with MD5 crypt, salt "salt"
#define HASH "$1$salt$ez2vlPGdaLYkJam5pWs/Y1"

static const char *const users =
	"kim:" HASH ":1:0:Kim:/home/vpopmail/domains/example.kr/kim:NOQUOTA:secret\n"
	"lee:" HASH ":1:0:Lee:/home/vpopmail/domains/example.kr/lee:NOQUOTA\n"
	"quiet:" HASH ":1:2048:No SMTP:/d:NOQUOTA\n"
	"inside:" HASH ":1:32:No relay:/d:NOQUOTA\n"
	"both:" HASH ":1:8224:No relay, override:/d:NOQUOTA\n"
	"free:" HASH ":1:8192:Override:/d:NOQUOTA\n"
	"odd:" HASH ":1:0:Odd:/d:NOQUOTA:pass:with:colons\n"
	"empty::1:0:Empty:/d:NOQUOTA:\n"
	"strange:$99$x$y:1:0:Strange:/d:NOQUOTA\n"
	"broken\n"
	"few:" HASH "\n";

static struct config_source source(void)
{
	return (struct config_source){.kind = STR("vpopmail"),
		.path = in_folder("domains"),
		.database = in_folder("assign.cdb"),
		.timeout = 10000};
}

static void put_octets(const char *path, struct str octets)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(fd_write_all(fd, octets.data, octets.len), 0);
	assert_int_equal(close(fd), 0);
}

// As vpopmail makes it: the name is the key, the rest of the line the value.
static void make_cdb(const char *path, const char *text)
{
	struct cdb_record records[64];
	struct str rest = str_from(text), line;
	struct buf file = BUF_INIT;
	size_t count = 0;

	while (str_split(&rest, '\n', &line)) {
		ptrdiff_t colon = str_find(line, ':');
		if (colon < 0)
			continue;
		records[count].key = str_slice(line, 0, (size_t)colon);
		records[count++].value = str_skip(line, (size_t)colon + 1);
	}
	cdb_make(records, count, &file);
	put_octets(path, buf_str(&file));
	buf_finish(&file);
}

static void make_domains(void)
{
	assert_int_equal(mkdir("domains", 0700) | mkdir("domains/example.kr", 0700), 0);
}

static const struct {
	const char *name, *secret;
	enum auth_verdict verdict;
} cases[] = {
	{"kim@example.kr", "secret", AUTH_YES},
	{"KIM@Example.KR", "secret", AUTH_YES},
	{"kim@example.kr", "wrong", AUTH_NO},
	{"kim@example.kr", HASH, AUTH_NO},
	{"lee@example.kr", "secret", AUTH_YES},
	{"quiet@example.kr", "secret", AUTH_NO},
	{"quiet@example.kr", "wrong", AUTH_NO},
	{"inside@example.kr", "secret", AUTH_YES},
	{"odd@example.kr", "secret", AUTH_YES},
	{"empty@example.kr", "x", AUTH_NO},
	{"empty@example.kr", "", AUTH_NO},
	{"strange@example.kr", "secret", AUTH_CANNOT},
	{"nobody@example.kr", "secret", AUTH_UNKNOWN},
	{"broken@example.kr", "x", AUTH_UNKNOWN},
	{"kim@example.org", "secret", AUTH_UNKNOWN},
	{"kim", "secret", AUTH_UNKNOWN},
	{"@example.kr", "secret", AUTH_UNKNOWN},
	{"kim@", "secret", AUTH_UNKNOWN},
	{"kim@..", "secret", AUTH_UNKNOWN},
	{"kim@../domains/example.kr", "secret", AUTH_UNKNOWN},
	{"kim@example.kr/../example.kr", "secret", AUTH_UNKNOWN},
	{"kim:x@example.kr", "secret", AUTH_UNKNOWN},
};

static void check_cases(void)
{
	struct config_source s = source();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct auth_question q = question(cases[i].name, cases[i].secret);
		const struct auth_answer *a = asked(KIND, &s, &q);
		if (a->verdict != cases[i].verdict)
			fail_msg("%s, %s: %d (%s)", cases[i].name, cases[i].secret, a->verdict,
				a->reason);
		if (a->verdict == AUTH_YES)
			assert_null(strpbrk(a->account, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	}
}

static void reads_vpasswd(void **state)
{
	(void)state;
	make_domains();
	put("domains/example.kr/vpasswd", users, 0600);
	check_cases();
}

static void reads_vpasswd_cdb(void **state)
{
	(void)state;
	make_domains();
	make_cdb("domains/example.kr/vpasswd.cdb", users);
	check_cases();
}

// One that was not made again since is not asked.
static void goes_by_what_is_newer(void **state)
{
	struct config_source s = source();
	struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};

	(void)state;
	make_domains();
	make_cdb("domains/example.kr/vpasswd.cdb", users);
	put("domains/example.kr/vpasswd", "park:" HASH ":1:0:Park:/d:NOQUOTA\n", 0600);
	assert_int_equal(utimensat(AT_FDCWD, "domains/example.kr/vpasswd", old, 0), 0);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_YES);
	assert_int_equal(verdict_of(KIND, &s, "park@example.kr", "secret"), AUTH_UNKNOWN);
	old[1].tv_sec--;
	assert_int_equal(utimensat(AT_FDCWD, "domains/example.kr/vpasswd.cdb", old, 0), 0);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_UNKNOWN);
	assert_int_equal(verdict_of(KIND, &s, "park@example.kr", "secret"), AUTH_YES);
}

static void finds_domains_in_users_cdb(void **state)
{
	struct config_source s = source();
	char first[256], alias[256];
	struct buf file = BUF_INIT;
	int n = snprintf(first, sizeof first, "example.kr%c89%c89%c%s/elsewhere%c-%c%c", 0, 0, 0,
		folder, 0, 0, 0);
	int m = snprintf(alias, sizeof alias, "example.kr%c89%c89%c%s/elsewhere%c-%c%c", 0, 0, 0,
		folder, 0, 0, 0);
	const struct cdb_record records[] = {
		{STR("!example.kr-"), str_make(first, (size_t)n)},
		{STR("!alias.example-"), str_make(alias, (size_t)m)},
		{STR("!broken.example-"), STR("broken.example")},
		{STR("!gone.example-"), STR("gone.example\00089\00089\0/nothing/there\0-\0\0")},
		{STR(""), STR("-")},
	};
	struct auth_question q = question("kim@alias.example", "secret");

	(void)state;
	make_domains(); // which would be used, and has no users
	assert_int_equal(mkdir("elsewhere", 0700), 0);
	put("elsewhere/vpasswd", users, 0600);
	cdb_make(records, ARRAY_SIZE(records), &file);
	put_octets("assign.cdb", buf_str(&file));
	buf_finish(&file);
	check_cases();
	const struct auth_answer *a = asked(KIND, &s, &q);
	assert_int_equal(a->verdict, AUTH_YES);
	assert_string_equal(a->account, "kim@example.kr");
	assert_int_equal(verdict_of(KIND, &s, "kim@broken.example", "secret"), AUTH_CANNOT);
	assert_int_equal(verdict_of(KIND, &s, "kim@gone.example", "secret"), AUTH_CANNOT);
	put("assign.cdb", "not a database", 0600);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
}

static void knows_aliases_that_are_links(void **state)
{
	struct config_source s = source();
	struct auth_question q = question("kim@alias.example", "secret");

	(void)state;
	make_domains();
	put("domains/example.kr/vpasswd", users, 0600);
	assert_int_equal(symlink("example.kr", "domains/alias.example"), 0);
	const struct auth_answer *a = asked(KIND, &s, &q);
	assert_int_equal(a->verdict, AUTH_YES);
	assert_string_equal(a->account, "kim@example.kr");
}

static void rights_follow_the_flags(void **state)
{
	static const struct {
		const char *limits, *name;
		enum auth_verdict verdict;
		uint32_t rights;
	} rows[] = {
		{"", "kim@example.kr", AUTH_YES, AUTHENTICATOR_SUBMIT | AUTHENTICATOR_RELAY},
		{"", "inside@example.kr", AUTH_YES, AUTHENTICATOR_SUBMIT},
		{"disable_relay\n", "kim@example.kr", AUTH_YES, AUTHENTICATOR_SUBMIT},
		{"disable_relay\n", "free@example.kr", AUTH_YES,
			AUTHENTICATOR_SUBMIT | AUTHENTICATOR_RELAY},
		{"maxpopaccounts: 5\ndisable_smtp\n", "kim@example.kr", AUTH_NO, 0},
		{"disable_smtp\n", "free@example.kr", AUTH_YES,
			AUTHENTICATOR_SUBMIT | AUTHENTICATOR_RELAY},
		{"disable_smtp\n", "both@example.kr", AUTH_YES, AUTHENTICATOR_SUBMIT},
		{"disable_smtpx\n", "kim@example.kr", AUTH_YES,
			AUTHENTICATOR_SUBMIT | AUTHENTICATOR_RELAY},
	};
	struct config_source s = source();

	(void)state;
	make_domains();
	put("domains/example.kr/vpasswd", users, 0600);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_question q = question(rows[i].name, "secret");
		put("domains/example.kr/.qmailadmin-limits", rows[i].limits, 0600);
		const struct auth_answer *a = asked(KIND, &s, &q);
		if (a->verdict != rows[i].verdict || a->rights != rows[i].rights)
			fail_msg("row %zu: %d %u %s", i, a->verdict, a->rights, a->reason);
		if (a->verdict == AUTH_NO)
			assert_has(a->reason, "NO_SMTP");
	}
}

static void gives_clear_passwords(void **state)
{
	struct config_source s = source();
	struct auth_question q = question("kim@example.kr", "");

	(void)state;
	make_domains();
	put("domains/example.kr/vpasswd", users, 0600);
	assert_int_equal(auth_source_vpopmail.gives(&s), AUTH_GIVES_VERIFY);
	s.cram = true;
	assert_int_equal(auth_source_vpopmail.gives(&s), AUTH_GIVES_VERIFY | AUTH_GIVES_CLEAR);
	q.ask = AUTH_ASK_LOOKUP;
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_YES);
	assert_string_equal(asked(KIND, &s, &q)->clear, "secret");
	q.name = STR("odd@example.kr");
	assert_string_equal(asked(KIND, &s, &q)->clear, "pass:with:colons");
	q.name = STR("lee@example.kr");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	assert_string_equal(asked(KIND, &s, &q)->clear, "");
	q.name = STR("quiet@example.kr");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	q.name = STR("nobody@example.kr");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_UNKNOWN);
}

static void a_broken_installation_is_no_unknown_name(void **state)
{
	struct config_source s = source();

	(void)state;
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
	make_domains();
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
	put("domains/example.kr/vpasswd.cdb", "short", 0600);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
}

static void unknown_names_cost_a_hash(void **state)
{
	struct config_source s = source();

	(void)state;
	make_domains();
	for (int cdb = 0; cdb < 2; cdb++) {
		unsigned long before, known;
		if (cdb)
			make_cdb("domains/example.kr/vpasswd.cdb", users);
		else
			put("domains/example.kr/vpasswd", users, 0600);
		before = password_operations();
		assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "wrong"), AUTH_NO);
		known = password_operations() - before;
		assert_int_equal(verdict_of(KIND, &s, "nobody@example.kr", "wrong"), AUTH_UNKNOWN);
		assert_int_equal(password_operations() - before, 2 * known);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {T(reads_vpasswd), T(reads_vpasswd_cdb),
		T(goes_by_what_is_newer), T(finds_domains_in_users_cdb),
		T(knows_aliases_that_are_links), T(rights_follow_the_flags),
		T(gives_clear_passwords), T(a_broken_installation_is_no_unknown_name),
		T(unknown_names_cost_a_hash)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
