// SPDX-License-Identifier: ISC
#include "ask.h"

#include <signal.h>
#include <sys/wait.h>

#define KIND &auth_source_checkpassword

static struct str words[4];

static struct config_source source(const char *program, const char *argument)
{
	words[0] = in_folder(program);
	words[1] = str_from(argument ? argument : "");
	return (struct config_source){.kind = STR("checkpassword"),
		.timeout = 60000,
		.memory = 0,
		.command = {words, argument ? 2 : 1}};
}

// Keeps what came on descriptor 3 and says yes to one name and password.
static const char *const usual =
	"#!/bin/sh\n"
	"cat <&3 >got\n"
	"test \"$(tr '\\0' '|' <got | cut -d'|' -f1,2)\" = 'kim@example.kr|secret' || exit 1\n"
	"exec \"$@\"\n";

static void program(const char *name, const char *text)
{
	char whole[2048];
	const char *body = strchr(text, '\n') + 1;

	snprintf(whole, sizeof whole, "#!/bin/sh\ncd %s || exit 99\n%s", folder, body);
	put(name, whole, 0755);
}

static void says_yes_and_no(void **state)
{
	struct config_source s = source("program", NULL);

	(void)state;
	program("program", usual);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_YES);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "wrong"), AUTH_NO);
	assert_int_equal(verdict_of(KIND, &s, "lee@example.org", "secret"), AUTH_NO);
}

// Its answer is that of what it starts.
static void starts_the_subprogram(void **state)
{
	struct config_source s = source("program", "/bin/false");

	(void)state;
	program("program", usual);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_NO);
}

static void gives_three_fields_on_descriptor_3(void **state)
{
	struct config_source s = source("program", NULL);
	struct buf got = BUF_INIT;
	struct str rest, field;
	uint64_t seconds;

	(void)state;
	program("program", usual);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_YES);
	assert_int_equal(file_read_all("got", &got, 1000, NULL), 0);
	rest = buf_str(&got);
	assert_true(str_split(&rest, '\0', &field) && str_equal(field, STR("kim@example.kr")));
	assert_true(str_split(&rest, '\0', &field) && str_equal(field, STR("secret")));
	assert_true(str_split(&rest, '\0', &field) && str_to_u64(field, &seconds) == 0);
	assert_true(
		seconds + 100 > clock_wall_ms() / 1000 && seconds < clock_wall_ms() / 1000 + 100);
	assert_int_equal(rest.len, 0);
	buf_finish(&got);
}

// Programs for the users of the machine know no domain.
static void asks_with_the_bare_name_too(void **state)
{
	struct config_source s = source("program", NULL);

	(void)state;
	program("program", "#\ntest \"$(tr '\\0' '|' <&3 | cut -d'|' -f1)\" = kim || exit 1\n");
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_YES);
	assert_int_equal(verdict_of(KIND, &s, "kim", "secret"), AUTH_YES);
	assert_int_equal(verdict_of(KIND, &s, "kim@example.org", "secret"), AUTH_NO);
}

static void has_a_clean_environment(void **state)
{
	struct config_source s = source("program", NULL);
	struct buf got = BUF_INIT;

	(void)state;
	setenv("SECRET_OF_OURS", "x", 1);
	program("program", "#\nenv >environment; ls /proc/self/fd >files; cat <&3 >/dev/null\n");
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_YES);
	assert_int_equal(file_read_all("environment", &got, 10000, NULL), 0);
	assert_has(buf_cstr(&got), "TCPREMOTEIP=192.0.2.7\n");
	assert_has(buf_cstr(&got), "PROTO=TCP\n");
	assert_has(buf_cstr(&got), "PATH=/");
	assert_null(strstr(buf_cstr(&got), "SECRET_OF_OURS"));
	assert_null(strstr(buf_cstr(&got), "secret"));
	buf_finish(&got);
}

static void exit_codes(void **state)
{
	static const struct {
		const char *body;
		enum auth_verdict verdict;
	} cases[] = {
		{"#\nexit 0\n", AUTH_YES},
		{"#\nexit 1\n", AUTH_NO},
		{"#\nexit 3\n", AUTH_NO}, // vchkpw
		{"#\nexit 23\n", AUTH_NO},
		{"#\nexit 2\n", AUTH_CANNOT},
		{"#\nexit 111\n", AUTH_CANNOT},
		{"#\nexit 100\n", AUTH_CANNOT},
		{"#\nexit 255\n", AUTH_CANNOT},
		{"#\nkill -9 $$\n", AUTH_CANNOT},
		{"#\nkill -11 $$\n", AUTH_CANNOT},
	};
	struct config_source s = source("program", NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		program("program", cases[i].body);
		if (verdict_of(KIND, &s, "kim@example.kr", "secret") != (int)cases[i].verdict)
			fail_msg("%s: not %d", cases[i].body, cases[i].verdict);
	}
}

static void cannot_be_started(void **state)
{
	struct config_source s = source("nothing", NULL), none = {.timeout = 1000};
	struct auth_question q = question("kim@example.kr", "secret");

	(void)state;
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_CANNOT);
	assert_has(asked(KIND, &s, &q)->reason, "cannot be started");
	assert_int_equal(asked(KIND, &none, &q)->verdict, AUTH_CANNOT);
}

// Processes are gone, or ended and not yet looked at by whoever took them in.
static bool has_ended(uint64_t pid)
{
	char path[64], text[256] = "";
	FILE *f;

	if (kill((pid_t)pid, 0) < 0)
		return true;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f && !fgets(text, sizeof text, f))
		text[0] = '\0';
	if (f)
		fclose(f);
	return strstr(text, ") Z ");
}

static void await_ends(struct str lines)
{
	struct str line;
	uint64_t pid;

	while (str_split(&lines, '\n', &line)) {
		if (!line.len)
			continue;
		assert_int_equal(str_to_u64(line, &pid), 0);
		for (int i = 0; !has_ended(pid); i++) {
			assert_true(i < 3000);
			usleep(10000);
		}
	}
}

// It and all that it started end with the time.
static void is_ended_in_time(void **state)
{
	struct config_source s = source("program", NULL);
	struct auth_question q = question("kim@example.kr", "secret");
	struct buf pids = BUF_INIT;
	uint64_t begun = clock_monotonic_ms();

	(void)state;
	s.timeout = 3000;
	program("program", "#\nsleep 1000 & echo $! >pids; echo $$ >>pids; wait\n");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_CANNOT);
	assert_has(asked(KIND, &s, &q)->reason, "time limit");
	assert_true(clock_monotonic_ms() - begun < 40000);
	assert_int_equal(file_read_all("pids", &pids, 100, NULL), 0);
	await_ends(buf_str(&pids));
	buf_finish(&pids);
}

// Nor does it outlive who waits for it.
static void ends_with_who_waits(void **state)
{
	struct config_source s = source("program", NULL);
	struct buf pids = BUF_INIT;
	pid_t waits;

	(void)state;
	program("program", "#\necho $$ >new; mv new pids; exec sleep 1000\n");
	waits = fork();
	if (waits == 0) {
		struct auth_question q = question("kim@example.kr", "secret");
		asked(KIND, &s, &q);
		_exit(0);
	}
	for (int i = 0; access("pids", F_OK) < 0; i++) {
		assert_true(i < 3000);
		usleep(10000);
	}
	assert_int_equal(kill(waits, SIGKILL), 0);
	assert_int_equal(waitpid(waits, NULL, 0), waits);
	assert_int_equal(file_read_all("pids", &pids, 100, NULL), 0);
	await_ends(buf_str(&pids));
	buf_finish(&pids);
}

static void has_a_limit_of_memory(void **state)
{
	struct config_source s = source("program", NULL);

	(void)state;
	program("program", "#\nulimit -v >memory\nexit 0\n");
	s.memory = 64 << 20;
	assert_int_equal(verdict_of(KIND, &s, "kim@example.kr", "secret"), AUTH_YES);
	struct buf got = BUF_INIT;
	assert_int_equal(file_read_all("memory", &got, 100, NULL), 0);
	assert_string_equal(buf_cstr(&got), "65536\n");
	buf_finish(&got);
}

static void refuses_what_would_shift_fields(void **state)
{
	struct config_source s = source("program", NULL);
	struct auth_question q = question("kim@example.kr", "secret");
	char large[600];

	(void)state;
	program("program", "#\ntouch ran\nexit 0\n");
	q.name = STR("kim@example.kr\0secret");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	q = question("kim@example.kr", "");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	memset(large, 'x', sizeof large);
	q.secret = str_make(large, sizeof large);
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_NO);
	assert_int_not_equal(access("ran", F_OK), 0);
}

static void takes_cram(void **state)
{
	struct config_source s = source("program", NULL);
	struct auth_question q = question("kim@example.kr", "b913a602c7eda7a495b4e6e7334d3890");
	struct buf got = BUF_INIT;

	(void)state;
	program("program", "#\ncat <&3 >got\nexit 0\n");
	q.ask = AUTH_ASK_CRAM;
	q.challenge = STR("<1896.697170952@example.kr>");
	assert_int_equal(auth_source_checkpassword.gives(&s), AUTH_GIVES_VERIFY);
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_CANNOT);
	s.cram = true;
	assert_int_equal(auth_source_checkpassword.gives(&s), AUTH_GIVES_VERIFY | AUTH_GIVES_CRAM);
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_YES);
	assert_int_equal(file_read_all("got", &got, 1000, NULL), 0);
	assert_true(
		str_equal(buf_str(&got), STR("kim@example.kr\0b913a602c7eda7a495b4e6e7334d3890\0"
					     "<1896.697170952@example.kr>\0")));
	buf_finish(&got);
}

static void becomes_the_user(void **state)
{
	struct config_source s = source("program", NULL);
	struct buf got = BUF_INIT;
	struct auth_question q = question("kim@example.kr", "secret");

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(folder, 0777), 0);
	program("program", "#\nid -u >who\nexit 0\n");
	s.user = STR("nobody");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_YES);
	assert_int_equal(file_read_all("who", &got, 100, NULL), 0);
	assert_string_equal(buf_cstr(&got), "65534\n");
	buf_finish(&got);
	s.user = STR("nobody-of-that-name");
	assert_int_equal(asked(KIND, &s, &q)->verdict, AUTH_CANNOT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {T(says_yes_and_no), T(starts_the_subprogram),
		T(gives_three_fields_on_descriptor_3), T(asks_with_the_bare_name_too),
		T(has_a_clean_environment), T(exit_codes), T(cannot_be_started),
		T(is_ended_in_time), T(ends_with_who_waits), T(has_a_limit_of_memory),
		T(refuses_what_would_shift_fields), T(takes_cram), T(becomes_the_user)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
