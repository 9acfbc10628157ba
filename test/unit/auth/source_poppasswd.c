// SPDX-License-Identifier: ISC
#include "ask.h"
#include "auth/password.h"
#include "auth/source/poppasswd.h"

#define KIND &auth_source_poppasswd

// "secret" with MD5 crypt, salt "salt"
#define HASH "$1$salt$ez2vlPGdaLYkJam5pWs/Y1"

static const char *const usual = "# who may send\n"
				 "\n"
				 "kim:plain secret\n"
				 "lee@example.org:with:colons\r\n"
				 "park:" HASH "\n"
				 "choi:{CRYPT}" HASH "\n"
				 "jung:{PLAIN}$1$ but plain\n"
				 "gone:!" HASH "\n"
				 "none:\n"
				 "star:*\n"
				 "strange:$99$what$ever\n"
				 "last:no end";

static struct config_source source(void)
{
	return (struct config_source){
		.kind = STR("poppasswd"), .path = in_folder("poppasswd"), .timeout = 10000};
}

static void check_password_table(void **state)
{
	static const struct {
		const char *name, *secret;
		enum auth_verdict verdict;
	} cases[] = {
		{"kim@example.kr", "plain secret", AUTH_YES},
		{"kim", "plain secret", AUTH_YES},
		{"kim@example.kr", "plain secre", AUTH_NO},
		{"kim@example.kr", "", AUTH_NO},
		{"kim@example.org", "plain secret", AUTH_UNKNOWN},
		{"lee@example.org", "with:colons", AUTH_YES},
		{"lee@example.org", "with", AUTH_NO},
		{"lee", "with:colons", AUTH_UNKNOWN},
		{"park@example.kr", "secret", AUTH_YES},
		{"park@example.kr", HASH, AUTH_NO},
		{"choi@example.kr", "secret", AUTH_YES},
		{"choi@example.kr", HASH, AUTH_NO},
		{"jung@example.kr", "$1$ but plain", AUTH_YES},
		{"gone@example.kr", "secret", AUTH_NO},
		{"none@example.kr", "", AUTH_NO},
		{"star@example.kr", "*", AUTH_NO},
		{"strange@example.kr", "secret", AUTH_CANNOT},
		{"last@example.kr", "no end", AUTH_YES},
		{"# who may send", "x", AUTH_UNKNOWN},
		{"kim:plain secret", "x", AUTH_UNKNOWN},
		{"", "x", AUTH_UNKNOWN},
	};
	struct config_source s = source();

	(void)state;
	put("poppasswd", usual, 0600);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct auth_question q = question(cases[i].name, cases[i].secret);
		const struct auth_answer *a = asked(KIND, &s, &q);
		if (a->verdict != cases[i].verdict)
			fail_msg("%s, %s: %d (%s)", cases[i].name, cases[i].secret, a->verdict,
				a->reason);
		if (cases[i].secret[0] && a->verdict != AUTH_YES && strlen(cases[i].secret) > 1)
			assert_null(strstr(a->reason, cases[i].secret));
	}
}

static void gives_plain_passwords(void **state)
{
	struct config_source s = source();
	struct auth_question q = question("kim@example.kr", "");

	(void)state;
	assert_int_equal(auth_source_poppasswd.gives(&s), AUTH_GIVES_VERIFY);
	s.cram = true;
	assert_int_equal(auth_source_poppasswd.gives(&s), AUTH_GIVES_VERIFY | AUTH_GIVES_CLEAR);
	put("poppasswd", usual, 0600);
	q.ask = AUTH_ASK_LOOKUP;
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_YES);
	assert_string_equal(asked(KIND, &s, &q)->clear, "plain secret");
	q.name = STR("park@example.kr"); // a hash
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	assert_string_equal(asked(KIND, &s, &q)->clear, "");
	q.name = STR("gone@example.kr");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	q.name = STR("nobody@example.kr");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_UNKNOWN);
	q.ask = AUTH_ASK_TOKEN;
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_CANNOT);
}

static void refuses_what_others_can_read(void **state)
{
	static const struct {
		unsigned mode;
		enum auth_verdict verdict;
	} cases[] = {{0600, AUTH_YES}, {0400, AUTH_YES}, {0640, AUTH_YES}, {0644, AUTH_CANNOT},
		{0602, AUTH_CANNOT}, {0660, AUTH_CANNOT}};
	struct config_source s = source();
	struct auth_question q = question("kim", "plain secret");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put("poppasswd", usual, cases[i].mode);
		if (asked(KIND, &s, &q)->verdict != cases[i].verdict)
			fail_msg("%o: %s", cases[i].mode, asked(KIND, &s, &q)->reason);
		if (cases[i].verdict == AUTH_CANNOT)
			assert_has(asked(KIND, &s, &q)->reason, "chmod");
	}
}

static void is_read_anew(void **state)
{
	struct config_source s = source();

	(void)state;
	assert_int_equal(verdict_of(KIND, &s, "kim", "one"), AUTH_CANNOT);
	put("poppasswd", "kim:one\n", 0600);
	assert_int_equal(verdict_of(KIND, &s, "kim", "one"), AUTH_YES);
	put("poppasswd", "kim:two\n", 0600);
	assert_int_equal(verdict_of(KIND, &s, "kim", "one"), AUTH_NO);
	assert_int_equal(verdict_of(KIND, &s, "kim", "two"), AUTH_YES);
	assert_int_equal(unlink("poppasswd") | mkdir("poppasswd", 0700), 0);
	assert_int_equal(verdict_of(KIND, &s, "kim", "two"), AUTH_CANNOT);
}

// Nobody learns from the time which names there are.
static void unknown_names_cost_a_hash(void **state)
{
	struct config_source s = source();
	unsigned long before;

	(void)state;
	put("poppasswd", "kim:" HASH "\n", 0600);
	before = password_operations();
	assert_int_equal(verdict_of(KIND, &s, "kim", "wrong"), AUTH_NO);
	unsigned long known = password_operations() - before;
	assert_int_equal(verdict_of(KIND, &s, "nobody", "wrong"), AUTH_UNKNOWN);
	assert_int_equal(password_operations() - before, 2 * known);
}

static void is_bounded(void **state)
{
	struct config_source s = source();
	int fd = open("poppasswd", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(ftruncate(fd, AUTH_POPPASSWD_OCTETS + 1), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(verdict_of(KIND, &s, "kim", "x"), AUTH_CANNOT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {T(check_password_table), T(gives_plain_passwords),
		T(refuses_what_others_can_read), T(is_read_anew), T(unknown_names_cost_a_hash),
		T(is_bounded)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
