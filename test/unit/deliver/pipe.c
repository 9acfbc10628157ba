// SPDX-License-Identifier: ISC
#include "deliver/pipe.h"
#include "job.h"

#include "base/clock.h"
#include "base/file.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct smtp_result run(const struct pipe_program *like, const char *script, struct str body)
{
	static char shell[] = "/bin/sh", option[] = "-c", environment[] = "WORD=some word";
	char *argv[] = {shell, option, (char *)script, NULL}, *envp[] = {environment, NULL};
	const struct job_words words = {.body = body, .recipients = {"kim@example.kr"},
		.sender = "lee@example.org"};
	struct deliver_job *job = job_make(&words);
	struct pipe_program p = *like;
	p.argv = argv;
	p.envp = envp;
	p.timeout_ms = p.timeout_ms ? p.timeout_ms : 20000;
	pipe_deliver(&p, job, &job->recipients[0], NULL);
	struct smtp_result r = job->recipients[0].result;
	deliver_job_destroy(job);
	return r;
}

static struct smtp_result run_simple(const char *script)
{
	const struct pipe_program p = {0};
	return run(&p, script, STR("Subject: x\r\n\r\nbody\r\n"));
}

static void test_statuses(void **state)
{
	static const struct {
		int status;
		bool qmail;
		enum smtp_outcome outcome;
		const char *enhanced;
	} rows[] = {
		{0, false, SMTP_DELIVERED, "2.1.5"}, {1, false, SMTP_TEMPORARY, "4.3.0"},
		{64, false, SMTP_PERMANENT, "5.3.0"}, {65, false, SMTP_PERMANENT, "5.6.0"},
		{67, false, SMTP_PERMANENT, "5.1.1"}, {73, false, SMTP_PERMANENT, "5.2.0"},
		{74, false, SMTP_TEMPORARY, "4.3.0"}, {75, false, SMTP_TEMPORARY, "4.3.0"},
		{77, false, SMTP_PERMANENT, "5.7.0"}, {99, false, SMTP_TEMPORARY, "4.3.0"},
		{100, false, SMTP_TEMPORARY, "4.3.0"}, {111, false, SMTP_TEMPORARY, "4.3.0"},
		{127, false, SMTP_TEMPORARY, "4.3.0"}, {0, true, SMTP_DELIVERED, "2.1.5"},
		{99, true, SMTP_DELIVERED, "2.1.5"}, {100, true, SMTP_PERMANENT, "5.0.0"},
		{111, true, SMTP_TEMPORARY, "4.3.0"}, {67, true, SMTP_TEMPORARY, "4.3.0"},
		{77, true, SMTP_PERMANENT, "5.7.0"}, {1, true, SMTP_TEMPORARY, "4.3.0"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum smtp_outcome outcome;
		const char *enhanced;
		(void)pipe_status(rows[i].status, rows[i].qmail, &outcome, &enhanced);
		assert_int_equal(outcome, rows[i].outcome);
		assert_string_equal(enhanced, rows[i].enhanced);
	}
}

static void test_what_it_reads(void **state)
{
	const struct pipe_program plain = {0}, full = {.address = "kim@example.kr", .from_line = true},
		file = {.seekable = true};
	struct str body = STR("Subject: x\r\n\r\nFrom body\r\n");
	(void)state;
	struct smtp_result r = run(&plain, "cat; echo $WORD; exit 65", body);
	assert_int_equal(r.outcome, SMTP_PERMANENT);
	assert_non_null(strstr(r.text, ": Subject: x From body some word"));
	r = run(&full, "cat >&2; exit 75", body);
	assert_int_equal(r.outcome, SMTP_TEMPORARY);
	assert_non_null(strstr(r.text, ": From lee@example.org "));
	assert_non_null(strstr(r.text, " Return-Path: <lee@example.org> Delivered-To: kim@example.kr Subject: x From body"));
	r = run(&file, "head -c 3; cat; exit 1", body); // head gives back what it read too much of a file
	assert_non_null(strstr(r.text, "Subject: x From body"));
}

static void test_no_reader_of_its_input(void **state)
{
	char *body = mem_alloc(3000000);
	const struct pipe_program p = {0};
	(void)state;
	memset(body, 'x', 3000000);
	for (size_t i = 70; i + 2 < 3000000; i += 70)
		memcpy(body + i, "\r\n", 2);
	assert_int_equal(run(&p, "exit 0", str_make(body, 60000)).outcome, SMTP_DELIVERED);
	assert_int_equal(run(&p, "exec <&-; sleep 0.1; exit 67", str_make(body, 3000000)).outcome, SMTP_PERMANENT);
	// More output than is kept, while it reads.
	struct smtp_result r = run(&p, "cat; exit 69", str_make(body, 3000000));
	assert_int_equal(r.outcome, SMTP_PERMANENT);
	assert_true(strlen(r.text) < SMTP_REPLY_TEXT_MAX);
	r = run(&p, "test \"$(wc -c)\" -gt 2900000 || exit 1", str_make(body, 3000000));
	assert_int_equal(r.outcome, SMTP_DELIVERED);
	mem_free(body);
}

static void test_words_are_clean(void **state)
{
	(void)state;
	struct smtp_result r = run_simple("printf 'a\\r\\n250 fake\\001\\377\\t b'; exit 70");
	assert_non_null(strstr(r.text, ": a 250 fake ? b"));
	assert_null(strchr(r.text, '\n'));
}

static void test_time(void **state)
{
	const struct pipe_program p = {.timeout_ms = 300};
	uint64_t before = clock_monotonic_ms();
	char script[200], path[] = "/tmp/pabal-pipe-XXXXXX";
	int fd = mkstemp(path);
	(void)state;
	// What it started ends with it.
	snprintf(script, sizeof script, "sleep 30 & echo $! >%s; cat >/dev/null; sleep 30", path);
	struct smtp_result r = run(&p, script, STR("x\r\n"));
	assert_int_equal(r.outcome, SMTP_TEMPORARY);
	assert_non_null(strstr(r.text, "program-timeout"));
	assert_true(clock_monotonic_ms() - before < 5000);
	char text[20] = "";
	assert_true(read(fd, text, sizeof text - 1) > 0);
	for (int n = 0; n < 100 && kill(atoi(text), 0) == 0; n++) {
		char state_of[100], stat[300] = "";
		snprintf(state_of, sizeof state_of, "/proc/%d/stat", atoi(text));
		FILE *f = fopen(state_of, "r");
		if (!f || !fgets(stat, sizeof stat, f) || strstr(stat, ") Z")) {
			if (f)
				fclose(f);
			break;
		}
		fclose(f);
		assert_true(n < 99);
		usleep(10000);
	}
	close(fd);
	unlink(path);
}

static void test_other_ends(void **state)
{
	const struct pipe_program p = {.memory = 64 << 20};
	static char nothing[] = "/nonexistent/program";
	char *argv[] = {nothing, NULL}, *envp[] = {NULL};
	const struct job_words words = {.body = STR("x\r\n"), .recipients = {"kim@example.kr"}};
	(void)state;
	struct smtp_result r = run_simple("kill -9 $$");
	assert_int_equal(r.outcome, SMTP_TEMPORARY);
	assert_non_null(strstr(r.text, "signal 9"));
	struct deliver_job *job = job_make(&words);
	const struct pipe_program none = {.argv = argv, .envp = envp, .timeout_ms = 5000};
	pipe_deliver(&none, job, &job->recipients[0], NULL);
	assert_int_equal(job->recipients[0].result.outcome, SMTP_TEMPORARY);
	assert_non_null(strstr(job->recipients[0].result.text, "No such file"));
	deliver_job_destroy(job);
	r = run(&p, "x=$(head -c 200000000 /dev/zero | tr '\\0' x); exit 0", STR("x\r\n"));
	assert_int_not_equal(r.outcome, SMTP_DELIVERED);
	// Only its input, output and nothing of ours is open.
	r = run_simple("test $(ls /proc/self/fd | wc -l) -le 5 || { ls -l /proc/self/fd; exit 70; }");
	assert_string_equal(r.text, "delivered by test $(ls /proc/self/fd | wc -l) -le 5 || { ls -l /proc/self/fd; exit 70; }");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_what_it_reads),
		cmocka_unit_test(test_no_reader_of_its_input),
		cmocka_unit_test(test_words_are_clean),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_other_ends),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
