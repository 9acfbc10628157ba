// SPDX-License-Identifier: ISC
#include "auth/winbind.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void lines_of_the_helper(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		bool spnego;
		int err;
		enum auth_winbind_outcome outcome;
		const char *token, *name, *reason;
	} rows[] = {
		{"TT TlRM", false, 0, AUTH_WINBIND_CHALLENGE, "TlRM", "", ""},
		{"TT TlRM *", true, 0, AUTH_WINBIND_CHALLENGE, "TlRM", "", ""},
		{"TT", false, ERR_SYNTAX, 0, "", "", ""},
		{"TT *", true, ERR_SYNTAX, 0, "", "", ""},
		{"AF EXAMPLE\\kim", false, 0, AUTH_WINBIND_PROVED, "", "EXAMPLE\\kim", ""},
		{"AF EXAMPLE\\kim lee", false, 0, AUTH_WINBIND_PROVED, "", "EXAMPLE\\kim lee", ""},
		{"AF * EXAMPLE\\kim", true, 0, AUTH_WINBIND_PROVED, "", "EXAMPLE\\kim", ""},
		{"AF oRQw EXAMPLE\\kim lee", true, 0, AUTH_WINBIND_PROVED, "oRQw", "EXAMPLE\\kim lee", ""},
		{"AF", false, ERR_SYNTAX, 0, "", "", ""},
		{"AF oRQw", true, ERR_SYNTAX, 0, "", "", ""},
		{"NA NT_STATUS_WRONG_PASSWORD", false, 0, AUTH_WINBIND_REFUTED, "", "",
			"NT_STATUS_WRONG_PASSWORD"},
		{"NA * NT_STATUS_LOGON_FAILURE", true, 0, AUTH_WINBIND_REFUTED, "", "",
			"NT_STATUS_LOGON_FAILURE"},
		{"NA", false, 0, AUTH_WINBIND_REFUTED, "", "", ""},
		{"NA NT_STATUS_NO_LOGON_SERVERS", false, 0, AUTH_WINBIND_CANNOT, "", "",
			"NT_STATUS_NO_LOGON_SERVERS"},
		{"BH NT_STATUS_UNSUCCESSFUL", false, 0, AUTH_WINBIND_CANNOT, "", "",
			"NT_STATUS_UNSUCCESSFUL"},
		{"OK", false, ERR_SYNTAX, 0, "", "", ""},
		{"", false, ERR_SYNTAX, 0, "", "", ""},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_winbind_reply r;
		int err = auth_winbind_reply_read(str_from(rows[i].line), rows[i].spnego, &r);
		assert_int_equal(err, rows[i].err);
		if (err)
			continue;
		assert_int_equal(r.outcome, rows[i].outcome);
		assert_true(str_equal(r.token, str_from(rows[i].token)));
		assert_true(str_equal(r.name, str_from(rows[i].name)));
		assert_true(str_equal(r.reason, str_from(rows[i].reason)));
	}
	struct auth_winbind_reply r;
	assert_int_equal(auth_winbind_reply_read(str_make("AF a\0b", 6), false, &r), ERR_SYNTAX);
}

static void put(unsigned char *at, size_t value, size_t octets)
{
	for (size_t i = 0; i < octets; i++, value >>= 8)
		at[i] = (unsigned char)value;
}

// An AUTHENTICATE_MESSAGE with only what is read of it.
static int read_message(
	unsigned type, bool wide, struct str domain, struct str user, size_t cut, char *out)
{
	unsigned char octets[400] = "NTLMSSP";

	put(octets + 8, type, 4);
	put(octets + 28, domain.len, 2);
	put(octets + 32, 64, 4);
	put(octets + 36, user.len, 2);
	put(octets + 40, 64 + domain.len, 4);
	put(octets + 60, wide, 4);
	memcpy(octets + 64, domain.data, domain.len);
	memcpy(octets + 64 + domain.len, user.data, user.len);
	size_t len = 64 + domain.len + user.len - cut;
	char *exact = mem_alloc(len + 1);
	memcpy(exact, octets, len);
	int err = auth_ntlm_name_read(str_make(exact, len), out);
	mem_free(exact);
	return err;
}

#define WIDE(text) {text, sizeof(text) - 1}

static void names_in_ntlm(void **state)
{
	(void)state;
	static const struct {
		bool wide;
		struct str domain, user;
		int err;
		const char *name;
	} rows[] = {
		{false, WIDE("EXAMPLE"), WIDE("kim"), 0, "EXAMPLE\\kim"},
		{false, WIDE(""), WIDE("kim@example.kr"), 0, "kim@example.kr"},
		{true, WIDE("A\0D\0"), WIDE("k\0i\0m\0"), 0, "AD\\kim"},
		{true, WIDE(""), WIDE("\x40\xae"), 0, "\xea\xb9\x80"},
		{true, WIDE(""), WIDE("\x3d\xd8\x00\xde\xe9\0"), 0, "\xf0\x9f\x98\x80\xc3\xa9"},
		{true, WIDE(""), WIDE("\x3d\xd8"), ERR_SYNTAX, ""},
		{true, WIDE(""), WIDE("\x3d\xd8k\0"), ERR_SYNTAX, ""},
		{true, WIDE(""), WIDE("k\0i"), ERR_SYNTAX, ""},
		{true, WIDE(""), WIDE("k\0\0\0"), ERR_SYNTAX, ""},
		{false, WIDE(""), WIDE("k\0m"), ERR_SYNTAX, ""},
		{false, WIDE("EXAMPLE"), WIDE(""), ERR_SYNTAX, ""}, // nobody
	};
	char out[AUTH_NAME_OCTETS];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(
			read_message(3, rows[i].wide, rows[i].domain, rows[i].user, 0, out),
			rows[i].err);
		assert_string_equal(out, rows[i].name);
		for (size_t cut = 1; rows[i].user.len && cut < 64; cut++)
			assert_int_equal(
				read_message(3, rows[i].wide, rows[i].domain, rows[i].user, cut, out),
				ERR_SYNTAX);
	}
	assert_int_equal(read_message(1, false, STR("A"), STR("b"), 0, out), ERR_SYNTAX);
}

static void accounts_of_the_domain(void **state)
{
	(void)state;
	struct str map[] = {STR("EXAMPLE"), STR("example.kr"), STR("AD.EXAMPLE.KR"),
		STR("example.kr"), STR("OTHER"), STR("other.test")};
	struct config c = {0};
	static const struct {
		const char *name, *account; // NULL: nobody's
	} rows[] = {
		{"EXAMPLE\\kim", "kim@example.kr"},
		{"example\\kim", "kim@example.kr"},
		{"kim@AD.EXAMPLE.KR", "kim@example.kr"},
		{"OTHER\\kim", "kim@other.test"},
		{"kim", "kim@example.kr"},
		{"ELSEWHERE\\kim", NULL},
		{"kim@elsewhere.test", NULL},
		{"OTHER\\kim@example.kr", NULL},
		{"OTHER\\", NULL},
		{"@EXAMPLE", NULL},
		{"", NULL},
	};
	char out[AUTH_NAME_OCTETS];

	c.auth.winbind.map.items = map;
	c.auth.winbind.map.count = ARRAY_SIZE(map);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = auth_winbind_account(&c, str_from(rows[i].name), out);
		assert_int_equal(err, rows[i].account ? 0 : ERR_NOT_FOUND);
		if (!err)
			assert_string_equal(out, rows[i].account);
	}
}

// ---- dialogues
static struct ipc_negotiate sent;
static unsigned sent_count, ended, answers;
static bool there;

static int on_send(void *arg, const struct ipc_negotiate *m)
{
	(void)arg;
	sent = *m;
	sent_count += there;
	return there ? 0 : ERR_CLOSED;
}

static void on_end(void *arg, const struct ipc_negotiate_end *m)
{
	(void)arg;
	(void)m;
	ended++;
}

static void on_answer(struct auth_winbind_talk *t, const struct ipc_negotiated *m)
{
	(void)m;
	answers++;
	auth_winbind_end(t);
}

static void on_challenge(struct auth_winbind_talk *t, const struct ipc_negotiated *m)
{
	(void)t;
	(void)m;
	answers++;
}

static void dialogues(void **state)
{
	(void)state;
	struct auth_winbind_host host = {on_send, on_end, NULL};
	struct auth_winbind *w = auth_winbind_create(&host);
	struct auth_winbind_talk a = {.answered = on_challenge}, b = {.answered = on_answer};
	struct ipc_negotiated m = {.outcome = AUTH_WINBIND_CHALLENGE};

	list_init(&a.link);
	list_init(&b.link);
	assert_false(auth_winbind_ask(w, &a, false, STR("x")));
	there = true;
	assert_true(auth_winbind_ask(w, &a, false, STR("x")));
	assert_true(sent.first);
	m.dialogue = sent.dialogue;
	assert_true(auth_winbind_ask(w, &b, true, STR("y")));
	auth_winbind_answer(w, &m);
	auth_winbind_answer(w, &m); // nobody asked
	assert_int_equal(answers, 1);
	assert_true(auth_winbind_ask(w, &a, false, STR("z")));
	assert_false(sent.first);
	assert_true(sent.dialogue == m.dialogue);
	m.outcome = AUTH_WINBIND_PROVED;
	auth_winbind_answer(w, &m);
	auth_winbind_end(&a); // has ended by itself
	assert_int_equal(answers, 2);
	assert_int_equal(ended, 0);
	auth_winbind_lost(w);
	assert_int_equal(answers, 3);
	assert_true(auth_winbind_ask(w, &a, false, STR("x")));
	auth_winbind_destroy(w);
	assert_int_equal(ended, 1);
	auth_winbind_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lines_of_the_helper),
		cmocka_unit_test(names_in_ntlm), cmocka_unit_test(accounts_of_the_domain),
		cmocka_unit_test(dialogues)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
