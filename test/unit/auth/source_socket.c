// SPDX-License-Identifier: ISC
// saslauthd and dovecot against servers that this program is itself: what they are sent, and what
// is made of good, strange and missing answers. Real ones: test/system/test_local_sources.py.
#include "ask.h"
#include "auth/source/saslauthd.h"
#include "auth/source/socket.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

// A server of one connection: reads until it has heard `until` octets (or their end), says `say`,
// octet by octet where slowly.
struct server {
	pthread_t thread;
	int listener;
	const char *greeting;
	size_t until;
	struct str say;
	bool slowly, hang;
	char heard[8192];
	size_t heard_len;
};

static void say(int fd, struct str text, bool slowly)
{
	while (text.len) {
		size_t n = slowly ? 1 : text.len;
		if (send(fd, text.data, n, MSG_NOSIGNAL) < 0)
			return;
		text = str_skip(text, n);
	}
}

static void *serve(void *arg)
{
	struct server *x = arg;
	int fd = accept(x->listener, NULL, NULL);
	ssize_t n = 1;

	if (x->greeting)
		say(fd, str_from(x->greeting), x->slowly);
	while (x->heard_len < x->until && n > 0) {
		n = recv(fd, x->heard + x->heard_len, sizeof x->heard - x->heard_len, 0);
		x->heard_len += n > 0 ? (size_t)n : 0;
	}
	say(fd, x->say, x->slowly);
	while (x->hang && recv(fd, x->heard, 1, 0) > 0)
		;
	close(fd);
	close(x->listener);
	return NULL;
}

static struct config_source start(struct server *x)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
	unlink(address.sun_path);
	x->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(x->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(x->listener, 5), 0);
	assert_int_equal(pthread_create(&x->thread, NULL, serve, x), 0);
	return (struct config_source){.path = in_folder("socket"), .timeout = 60000};
}

static void finish(struct server *x)
{
	assert_int_equal(pthread_join(x->thread, NULL), 0);
}

// ---- saslauthd
#define SASLAUTHD &auth_source_saslauthd

static void saslauthd_is_asked(void **state)
{
	const struct {
		const char *name, *service, *realm;
		struct str heard;
	} cases[] = {
		{"kim@example.kr", "", "", STR("\0\3kim\0\6secret\0\4smtp\0\12example.kr")},
		{"kim@example.kr", "mail", "LAN", STR("\0\3kim\0\6secret\0\4mail\0\3LAN")},
		{"kim@other.kr", "", "", STR("\0\14kim@other.kr\0\6secret\0\4smtp\0\0")},
		{"kim", "", "", STR("\0\3kim\0\6secret\0\4smtp\0\0")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server x = {.until = cases[i].heard.len, .say = STR("\0\2OK")};
		struct config_source s = start(&x);
		s.service = str_from(cases[i].service);
		s.realm = str_from(cases[i].realm);
		assert_int_equal(verdict_of(SASLAUTHD, &s, cases[i].name, "secret"), AUTH_YES);
		finish(&x);
		assert_true(str_equal(str_make(x.heard, x.heard_len), cases[i].heard));
	}
}

static void saslauthd_answers(void **state)
{
	const struct {
		struct str say;
		enum auth_verdict verdict;
	} cases[] = {
		{STR("\0\2OK"), AUTH_YES},
		{STR("\0\3OK\0"), AUTH_YES},
		{STR("\0\2NO"), AUTH_NO},
		{STR("\0\13NO no such."), AUTH_NO},
		{STR(""), AUTH_CANNOT},
		{STR("\0"), AUTH_CANNOT},
		{STR("\0\2O"), AUTH_CANNOT},
		{STR("\0\4OKAY"), AUTH_CANNOT},
		{STR("\0\2ok"), AUTH_CANNOT},
		{STR("\0\0"), AUTH_CANNOT},
		{STR("\377\377OK"), AUTH_CANNOT},
		{STR("\0\5ERROR"), AUTH_CANNOT},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct server x = {.until = 1, .say = cases[i / 2].say, .slowly = i % 2};
		struct config_source s = start(&x);
		if (verdict_of(SASLAUTHD, &s, "kim@example.kr", "secret") !=
			(int)cases[i / 2].verdict)
			fail_msg("case %zu", i);
		finish(&x);
	}
}

static void saslauthd_limits(void **state)
{
	struct config_source s = {.path = in_folder("socket"), .timeout = 1000};
	struct auth_question q = question("kim@example.kr", "");
	char large[300];

	(void)state;
	assert_int_equal(asked(SASLAUTHD, &s, &q)->verdict, AUTH_NO);
	memset(large, 'x', sizeof large);
	q.secret = str_make(large, sizeof large);
	assert_int_equal(asked(SASLAUTHD, &s, &q)->verdict, AUTH_NO);
	q = question("kim@example.kr", "secret");
	q.name = STR("root\0@example.kr");
	assert_int_equal(asked(SASLAUTHD, &s, &q)->verdict, AUTH_NO);
	assert_int_equal(verdict_of(SASLAUTHD, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
}

static void nobody_answers(void **state)
{
	const struct auth_source_kind *kinds[] = {&auth_source_saslauthd, &auth_source_dovecot};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct server x = {.until = 1, .hang = true};
		struct config_source s = start(&x);
		struct auth_question q = question("kim@example.kr", "secret");
		s.timeout = 300;
		const struct auth_answer *a = asked(kinds[i], &s, &q);
		assert_int_equal(a->verdict, AUTH_CANNOT);
		assert_has(a->reason, "time limit");
		finish(&x);
	}
}

// ---- Dovecot
#define DOVECOT	 &auth_source_dovecot
#define GREETING "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t2\nCOOKIE\tab\nDONE\n"

static void dovecot_is_asked(void **state)
{
	static const char response[] = "\tresp=AGtpbUBleGFtcGxlLmtyAHNlY3JldA==\n";
	struct server x = {.greeting = GREETING,
		.slowly = true,
		.say = STR("OK\t1\tuser=kim@mail.example.kr\n")};
	char expected[512];
	struct auth_question q = question("kim@example.kr", "secret");

	(void)state;
	snprintf(expected, sizeof expected,
		"VERSION\t1\t2\nCPID\t%d\n"
		"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\tno-penalty\trip=192.0.2.7%s",
		(int)getpid(), response);
	x.until = strlen(expected);
	struct config_source s = start(&x);
	const struct auth_answer *a = asked(DOVECOT, &s, &q);
	assert_int_equal(a->verdict, AUTH_YES);
	assert_string_equal(a->account, "kim@mail.example.kr");
	finish(&x);
	assert_true(str_equal(str_make(x.heard, x.heard_len), str_from(expected)));
}

static void dovecot_answers(void **state)
{
	static const struct {
		const char *greeting, *say;
		enum auth_verdict verdict;
		const char *reason;
	} cases[] = {
		{GREETING, "FAIL\t1\tuser=kim\n", AUTH_NO, "no"},
		{GREETING, "FAIL\t1\tuser=kim\tuser_disabled\n", AUTH_NO, "disabled"},
		{GREETING, "FAIL\t1\tcode=pass_expired\treason=too old\n", AUTH_NO, "too old"},
		{GREETING, "FAIL\t1\ttemp\n", AUTH_CANNOT, "temporary"},
		{GREETING, "FAIL\t1\tcode=temp_fail\n", AUTH_CANNOT, "temporary"},
		{GREETING, "FAIL\t2\n", AUTH_CANNOT, "ended"},
		{GREETING, "MECH\tLOGIN\nOK\t1\tuser=kim\n", AUTH_YES, ""},
		{GREETING, "OK\t1\n", AUTH_CANNOT, "no answer"},
		{GREETING, "CONT\t1\t\n", AUTH_CANNOT, "no answer"},
		{GREETING, "", AUTH_CANNOT, "ended"},
		{"VERSION\t2\t0\n", "", AUTH_CANNOT, "version"},
		{"220 mail ESMTP\nDONE\n", "", AUTH_CANNOT, "protocol"},
		{"VERSION\t1\t2\nMECH\tLOGIN\tplaintext\nDONE\n", "", AUTH_CANNOT, "PLAIN"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server x = {.greeting = cases[i].greeting, .say = str_from(cases[i].say)};
		struct auth_question q = question("kim@example.kr", "secret");
		const struct auth_answer *a;
		x.until = strcmp(cases[i].greeting, GREETING) == 0 ? 60 : 1;
		struct config_source s = start(&x);
		a = asked(DOVECOT, &s, &q);
		if (a->verdict != cases[i].verdict || !strstr(a->reason, cases[i].reason))
			fail_msg("case %zu: %d %s", i, a->verdict, a->reason);
		finish(&x);
	}
}

static void dovecot_limits(void **state)
{
	struct server x = {.until = 1};
	struct config_source s;
	char *endless = malloc(40000);

	(void)state;
	memset(endless, 'x', 39999);
	endless[39999] = '\0';
	x.greeting = endless;
	s = start(&x);
	assert_int_equal(verdict_of(DOVECOT, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
	finish(&x);
	free(endless);
	assert_int_equal(verdict_of(DOVECOT, &s, "kim@example.kr", ""), AUTH_NO);
	assert_int_equal(verdict_of(DOVECOT, &s, "kim@example.kr", "secret"), AUTH_CANNOT);
}

// ---- pabal check
static void tells_what_is_missing(void **state)
{
	struct config_findings findings = {0};
	struct config_source s = {.path = in_folder("socket"), .timeout = 1000};

	(void)state;
	auth_source_saslauthd.advise(&s, &findings);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.items[0].severity, 'W');
	config_findings_finish(&findings);
}

static void names_the_group(void **state)
{
	struct config_findings findings = {0};
	struct config_source s = {.timeout = 1000};

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir("mux", 0710) | chown("mux", 0, 1) | chmod(folder, 0755), 0);
	put("mux/mux", "", 0777);
	auth_socket_advise(&s, in_folder("mux/mux").data, "nobody", &findings);
	assert_int_equal(findings.count, 1);
	assert_has(findings.items[0].text.data, "adduser nobody daemon");
	assert_int_equal(chmod("mux", 0711), 0);
	auth_socket_advise(&s, in_folder("mux/mux").data, "nobody", &findings);
	assert_int_equal(findings.count, 1);
	assert_int_equal(chmod("mux/mux", 0700), 0);
	auth_socket_advise(&s, in_folder("mux/mux").data, "nobody", &findings);
	assert_int_equal(findings.count, 2);
	assert_has(findings.items[1].text.data, "may not reach");
	config_findings_finish(&findings);
}

#define T(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {T(saslauthd_is_asked), T(saslauthd_answers),
		T(saslauthd_limits), T(nobody_answers), T(dovecot_is_asked), T(dovecot_answers),
		T(dovecot_limits), T(tells_what_is_missing), T(names_the_group)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
