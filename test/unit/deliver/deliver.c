// SPDX-License-Identifier: ISC
#include "deliver/deliver.h"
#include "job.h"

#include "base/file.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct job_words words = {
	.route = 3, .destination = "*", .sender = "from@sender.example",
	.recipients = {"kim@example.org", "lee@example.org", "park@example.org"},
	.headers = "X: y\r\n", .body = {"Subject: hi\r\n", 13}, .smtputf8 = true, .notify = 6,
};

static void test_holds_what_was_sent(void **state)
{
	(void)state;
	struct deliver_job *job = job_make(&words);
	assert_int_equal(job->job, 7);
	assert_int_equal(job->message, 99);
	assert_int_equal(job->route, 3);
	assert_string_equal(job->destination, "*");
	assert_string_equal(job->sender, "from@sender.example");
	assert_true(job->smtputf8);
	assert_false(job->eightbit);
	assert_true(str_equal(job->headers, STR("X: y\r\n")));
	assert_true(str_equal(job->body, STR("Subject: hi\r\n")));
	assert_int_equal(job->size, 13);
	assert_int_equal(job->body_fd, -1);
	assert_int_equal(job->recipient_count, 3);
	assert_int_equal(job->recipients[1].id, 101);
	assert_string_equal(job->recipients[1].address, "lee@example.org");
	assert_string_equal(job->recipients[1].domain, "example.org");
	assert_string_equal(job->recipients[1].orcpt, "");
	assert_int_equal(job->recipients[1].notify, 6);
	// Nothing has happened: that is "later", never "delivered".
	assert_int_equal(job->recipients[1].result.outcome, SMTP_TEMPORARY);
	deliver_job_destroy(job);
	deliver_job_destroy(NULL);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_spool_file_belongs_to_the_job(void **state)
{
	struct job_words large = {.recipients = {"kim@example.org"}, .size = 5000};
	(void)state;
	large.fd = memfd_create("spool", MFD_CLOEXEC);
	struct deliver_job *job = job_make(&large);
	assert_int_equal(job->body_fd, large.fd);
	assert_int_equal(job->size, 5000);
	deliver_job_destroy(job);
	assert_false(is_open(large.fd));
}

static void refuse(struct str frame, bool with_fd)
{
	struct deliver_job *job = NULL;
	int fd = with_fd ? memfd_create("spool", MFD_CLOEXEC) : -1;
	assert_int_equal(deliver_job_create(frame, fd, &job), ERR_CORRUPT);
	assert_null(job);
	if (with_fd)
		assert_false(is_open(fd)); // it was taken all the same
	// The queue hears which one it was, as far as that can be said.
	struct ipc_tried answer;
	deliver_job_refuse(frame, &answer);
	assert_int_equal(answer.job, frame.len < 8 ? 0 : 7);
	assert_int_equal(answer.outcomes.len, 0);
}

static void test_refuses_broken_frames(void **state)
{
	struct buf frame = BUF_INIT;
	struct job_words nobody = words, spooled = words;
	(void)state;
	assert_int_equal(job_encode(&words, &frame), 0);
	for (size_t len = 0; len < buf_len(&frame); len++)
		refuse(str_make(frame.data, len), len % 8 == 0);
	refuse(buf_str(&frame), true); // a file where none was announced
	buf_clear(&frame);
	nobody.recipients[0] = NULL;
	assert_int_equal(job_encode(&nobody, &frame), 0);
	refuse(buf_str(&frame), false);
	buf_clear(&frame);
	spooled.fd = 1;
	assert_int_equal(job_encode(&spooled, &frame), 0);
	refuse(buf_str(&frame), false); // and none where one was
	buf_finish(&frame);
}

static void test_refuses_too_many_recipients(void **state)
{
	static const unsigned counts[] = {DELIVER_RECIPIENTS_MAX, DELIVER_RECIPIENTS_MAX + 1};
	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		struct buf list = BUF_INIT, frame = BUF_INIT;
		struct ipc_recipient r = {.address = STR("a@b"), .domain = STR("b")};
		struct deliver_job *job = NULL;
		for (unsigned i = 0; i < counts[c]; i++)
			ipc_list_add_recipient(&list, &r);
		struct ipc_try t = {.recipients = buf_str(&list)};
		assert_int_equal(ipc_encode_try(&frame, &t), 0);
		assert_int_equal(deliver_job_create(buf_str(&frame), -1, &job), c ? ERR_CORRUPT : 0);
		deliver_job_destroy(job);
		buf_finish(&list);
		buf_finish(&frame);
	}
}

static void test_failing_spares_what_is_settled(void **state)
{
	(void)state;
	struct deliver_job *job = job_make(&words);
	job->recipients[0].result = (struct smtp_result){.outcome = SMTP_DELIVERED, .code = 250};
	job->recipients[1].result = (struct smtp_result){.outcome = SMTP_TEMPORARY, .code = 450};
	deliver_job_fail(job, SMTP_PERMANENT, 550, "5.1.2", "no %s", "way");
	assert_int_equal(job->recipients[0].result.outcome, SMTP_DELIVERED);
	assert_int_equal(job->recipients[1].result.code, 450);
	assert_int_equal(job->recipients[2].result.outcome, SMTP_PERMANENT);
	assert_int_equal(job->recipients[2].result.code, 550);
	assert_string_equal(job->recipients[2].result.enhanced, "5.1.2");
	assert_string_equal(job->recipients[2].result.text, "no way");
	deliver_job_destroy(job);
}

static void test_result_names_each_recipient(void **state)
{
	struct ipc_tried m;
	struct ipc_outcome o;
	struct buf outcomes = BUF_INIT;
	int err = 0;
	unsigned n = 0;
	(void)state;
	struct deliver_job *job = job_make(&words);
	strcpy(job->remote, "mx.example.org [192.0.2.1]");
	strcpy(job->tls, "TLSv1.3 X");
	job->blame = 1;
	job->recipients[0].relayed_dsn = true;
	job->recipients[0].result = (struct smtp_result){.outcome = SMTP_DELIVERED, .code = 250};
	deliver_job_fail(job, SMTP_TEMPORARY, 451, "4.4.3", "later");
	assert_int_equal(deliver_job_result(job, &m, &outcomes), 0);
	assert_int_equal(m.job, 7);
	assert_int_equal(m.blame, 1);
	assert_true(str_equal(m.remote, STR("mx.example.org [192.0.2.1]")));
	assert_true(str_equal(m.tls, STR("TLSv1.3 X")));
	for (; ipc_next_outcome(&m.outcomes, &o, &err); n++) {
		assert_int_equal(o.id, 100 + n);
		assert_int_equal(o.outcome, n ? SMTP_TEMPORARY : SMTP_DELIVERED);
		assert_int_equal(o.code, n ? 451 : 250);
		assert_int_equal(o.relayed_dsn, n == 0);
		assert_true(str_equal(o.text, n ? STR("later") : STR("")));
	}
	assert_int_equal(n, 3);
	buf_finish(&outcomes);
	deliver_job_destroy(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds_what_was_sent),
		cmocka_unit_test(test_spool_file_belongs_to_the_job),
		cmocka_unit_test(test_refuses_broken_frames),
		cmocka_unit_test(test_refuses_too_many_recipients),
		cmocka_unit_test(test_failing_spares_what_is_settled),
		cmocka_unit_test(test_result_names_each_recipient),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
